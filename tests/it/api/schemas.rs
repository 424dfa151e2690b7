//! `/schemas`: the list, and the schemas that it links to.

use serde_json::Value;
use silo::seed::spec::{PublishedSchema, json_schema};

use crate::support::app::TestApp;

const CACHE: &str = "public, max-age=3600";

#[tokio::test]
async fn the_list_leads_to_every_schema() {
    let silo = TestApp::start().await;
    let list = silo.anonymous().get("/schemas").await.expect(200);
    assert_eq!(list.header("cache-control"), CACHE);
    let list = list.json();
    let entries = list.as_array().expect("a list");
    assert_eq!(entries.len(), PublishedSchema::ALL.len());
    for (document, entry) in PublishedSchema::ALL.into_iter().zip(entries) {
        let url = entry["url"].as_str().expect("an address");
        let reply = silo.anonymous().get(url).await.expect(200);
        assert_eq!(reply.header("content-type"), "application/schema+json");
        assert_eq!(reply.header("cache-control"), CACHE);
        assert_eq!(reply.text, json_schema(document), "{url}");
        let schema: Value = reply.json();
        assert_eq!(schema["title"], entry["title"]);
        assert_eq!(schema["$id"], Value::Null, "we have no address that is the same everywhere");
    }
}

#[tokio::test]
async fn other_versions_are_not_there() {
    let silo = TestApp::start().await;
    for path in ["/schemas/seed", "/schemas/seed/1.0.1/manifest.json", "/schemas/seed/1.0.0/other.json"] {
        silo.anonymous().get(path).await.expect(404);
    }
}
