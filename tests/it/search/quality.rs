//! Search quality with the judged queries of `testkit/judged`, over HTTP.

use serde_json::Value;
use silo::app::open_store;

use crate::support::app::TestApp;
use crate::support::judged::{self, DEPTH, Quality};
use crate::support::stored;

/// Measured values, rounded down: a change of the ranking that finds less must change them here.
const LEAST_MRR: f64 = 0.99;
const LEAST_RECALL: f64 = 0.99;

#[tokio::test]
async fn what_people_mean_is_found() {
    let jobs = judged::jobs();
    let silo = TestApp::start().await;
    let store = open_store(silo.app.settings()).await.expect("the service's database");
    let images = stored::fill(&store, jobs.iter().flat_map(judged::Job::images)).await;
    assert!(images > jobs.len(), "some jobs have several versions");
    silo.app.index_bring_up_to_date().await.expect("the index follows");
    let mut all = Quality::default();
    let mut misses = Vec::new();
    for query in judged::queries(&jobs) {
        let text = percent_encoding::utf8_percent_encode(query.text, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/api/v1/search?kind=job&limit={DEPTH}&q={text}");
        let reply = silo.anonymous().get(&path).await.expect(200).json();
        let items = reply["items"].as_array().expect("a list");
        let found: Vec<String> = items.iter().map(name).collect();
        all.add(&query, &found);
        let mut one = Quality::default();
        one.add(&query, &found);
        if query.kind == "name" && one.mrr() < 1.0 {
            misses.push(format!("{} → {found:?}", query.text));
        }
    }
    assert_eq!(misses, [""; 0], "a job is first for its own name");
    assert!(all.mrr() >= LEAST_MRR && all.recall() >= LEAST_RECALL, "MRR and recall are {all}");
}

fn name(item: &Value) -> String {
    item["name"].as_str().expect("a name").to_owned()
}
