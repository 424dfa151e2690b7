//! `/api/v1/system` and `/api/v1/demo`.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use silo::catalog::ScanId;

use crate::support::app::{ADMIN_PASSWORD, TestApp};

#[tokio::test]
async fn an_admin_gets_the_state_of_the_service() {
    let silo = TestApp::with().set("SILO__RUNS__ENGINE", "unix:///nowhere/docker.sock").start().await;
    let system = silo.admin().get("/api/v1/system").await.expect(200).json();
    assert_eq!(
        (&system["database"], &system["index"]["ready"], &system["index"]["lag"]),
        (&json!("SQLite"), &json!(true), &json!(0))
    );
    assert_eq!((&system["engine"], &system["streams"]["open"]), (&Value::Null, &json!(0)));
    assert!(system["engineProblem"].as_str().is_some_and(|why| why.contains("/nowhere/docker.sock")), "{system}");
    let disks: Vec<_> = system["disks"].as_array().expect("a list").iter().map(|disk| disk["name"].clone()).collect();
    assert_eq!(disks, ["data", "runs"]);
    let findings = silo.admin().get("/api/v1/system/findings").await.expect(200).json();
    let about =
        |name: &str| findings["items"].as_array().expect("a list").iter().find(|one| one["about"] == name).cloned();
    assert_eq!(about("service").expect("a finding")["verdict"], "good", "{findings}");
    assert_eq!(about("container engine").expect("a finding")["verdict"], "notice");
    assert!(about("file handles").is_some());
    let options = silo.admin().get("/api/v1/system/configuration").await.expect(200);
    assert!(!options.text.contains(ADMIN_PASSWORD));
    let of = |name: &str| {
        options.json()["items"].as_array().expect("a list").iter().find(|one| one["option"] == name).cloned()
    };
    assert_eq!(of("runs.engine").expect("an option")["source"], "SILO__RUNS__ENGINE");
    assert_eq!(of("scan.workers").expect("an option")["source"], Value::Null);
    assert_eq!(of("admin.password").expect("an option")["value"], "\"********\"");
}

#[tokio::test]
async fn load_is_sampled_every_ten_seconds_for_an_hour() {
    let silo = TestApp::with().manual_clock().start().await;
    silo.admin_token().await;
    silo.app.load_sample().await;
    for _ in 0..4 {
        silo.anonymous().get("/api/v1/search?q=a").await.expect(200);
    }
    silo.clock.advance(TimeDelta::seconds(10));
    silo.app.load_sample().await;
    let history = silo.admin().get("/api/v1/system/history").await.expect(200).json();
    assert_eq!(history["seconds"], 10);
    let [sample] = history["items"].as_array().expect("a list").as_slice() else { panic!("one sample: {history}") };
    assert_eq!(sample["runsQueued"], 0);
    assert_eq!(sample["scanRequestsPerSecond"], 0.0);
    assert!(sample["requestsPerSecond"].as_f64().is_some_and(|rate| rate >= 0.4), "{sample}");
    assert!(sample["searchSecondsP95"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{sample}");
    for _ in 0..400 {
        silo.clock.advance(TimeDelta::seconds(10));
        silo.app.load_sample().await;
    }
    let history = silo.app.load_history();
    assert_eq!((history.len(), history[0].search_p95), (360, None));
}

#[tokio::test]
async fn the_demo_is_loaded_once() {
    let silo = TestApp::start().await;
    for _ in 0..2 {
        let scan = silo.admin().post("/api/v1/demo", Value::Null).await.expect(202);
        let id = scan.json()["id"].as_i64().expect("an id");
        assert_eq!(scan.header("location"), format!("/api/v1/scans/{id}"));
        silo.app.scan_wait(&[ScanId(id)], Duration::from_secs(60)).await.expect("the scan ends");
    }
    let registries = silo.anonymous().get("/api/v1/registries").await.expect(200).json();
    assert_eq!(registries.as_array().map(Vec::len), Some(1));
    assert_eq!(silo.anonymous().get("/api/v1/search?q=ndvi").await.expect(200).json()["items"][0]["name"], "ndvi");
}
