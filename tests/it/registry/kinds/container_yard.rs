//! A container yard, faked by what the old SILO read of it.

use serde_json::{Value, json};
use silo::catalog::RegistryKind::ContainerYard;

use super::super::assert_fails;
use super::{add_mine, images, open_kind, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen, reply};

async fn yard() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.push("geo/a-seed", "1.0.0", &seed("a"));
    registry.push("b-seed", "1.0.0", &seed("b"));
    registry.serve_to_members(|seen, _| is_search(seen).then(|| reply(200, found().to_string())));
    registry
}

fn found() -> Value {
    let image = json!({"Author": "ada", "Labels": {"com.ngageoint.seed.manifest": "{}"}, "Stars": 0,
        "Tags": {"1.0.0": {"Age": 1, "Digest": "unknown", "Size": "1 MB"}}});
    json!({"Results": {"Community": {"geo/a-seed": image, "Bad Name": image}, "Imports": {"b-seed": image, "geo/a-seed": image}}})
}

fn is_search(seen: &Seen) -> bool {
    seen.path == "/search"
}

#[tokio::test]
async fn the_catalogue_comes_before_the_search() {
    let registry = yard().await;
    let listing = open_kind(ContainerYard, &registry).repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated, registry.count(is_search)), (2, None, 0));
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(500));
    assert_fails!(open_kind(ContainerYard, &registry).repositories().await, Status, "500");
}

#[tokio::test]
async fn what_the_search_finds_is_not_taken_for_all() {
    let registry = yard().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(404));
    let source = open_kind(ContainerYard, &registry);
    let listing = source.repositories().await.unwrap();
    assert_eq!(listing.items, ["b-seed", "geo/a-seed"]);
    assert!(listing.truncated.unwrap().contains("which may be incomplete"));
    let search = registry.log().into_iter().find(is_search).unwrap();
    assert_eq!(search.query, "q=-seed&t=json");
    registry.fault(is_search, 1, Fault::Json(200, json!({"results": {"community": {"c-seed": {}}, "imports": null}})));
    assert_eq!(source.repositories().await.unwrap().items, ["c-seed"], "the old reader did not care about case");
    for other in [json!({"anything": 1}), json!([]), json!({"Results": null})] {
        registry.fault(is_search, 1, Fault::Json(200, other));
        assert_fails!(source.repositories().await, Malformed, "its search");
    }
    registry.fault(is_search, 1, Fault::Status(404));
    assert_fails!(source.repositories().await, NotFound, "its search");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_by_the_search_finds_images_and_removes_none() {
    let registry = yard().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(404));
    let silo = TestApp::start().await;
    let id = add_mine(&silo, "container-yard", &registry.url(), "").await;
    silo.scan(id).await;
    let host = registry.host();
    let both = [format!("{host}/b-seed:1.0.0"), format!("{host}/geo/a-seed:1.0.0")];
    assert_eq!(images(&silo).await, both);
    registry.fault(is_search, ALWAYS, Fault::Json(200, json!({"Results": {"Community": {}, "Imports": {}}})));
    silo.scan(id).await;
    assert_eq!(images(&silo).await, both);
}
