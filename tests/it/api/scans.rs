//! Scans over HTTP: the wait of the legacy API, and the scan's state in `/api/v1`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::keys;
use crate::support::app::{TestApp, jobs, manifest};
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};

const ALL: &str = "application/txt; charset=UTF-8";
const ONE: &str = "application/text; charset=UTF-8";

/// A service with a registry that holds its replies until notified.
async fn held() -> (TestApp, FakeRegistry, Arc<Notify>) {
    let (registry, go_on) = (FakeRegistry::start().await, Arc::new(Notify::new()));
    registry.push("geo/a-1.0.0-seed", "1.0.0", &seed("a"));
    let silo = TestApp::with().set("SILO__SCAN__WAIT_SECONDS", "1").start().await;
    silo.admin().post("/registries/add", json!({"name": "slow", "url": registry.url()})).await.expect(201);
    registry.fault(Seen::is_catalog, 1, Fault::Hold(Arc::clone(&go_on)));
    (silo, registry, go_on)
}

fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

#[tokio::test]
async fn a_finished_scan_is_an_empty_text() {
    let silo = TestApp::start().await;
    let none = silo.admin().get("/registries/scan").await.expect(202);
    assert_eq!((none.text.as_str(), none.header("content-type"), none.header("content-length")), ("", ALL, "0"));
    silo.add_layout("geo", &jobs(&[("my-job", "1.0.0", "0.1.0")])).await;
    for method in [http::Method::GET, http::Method::POST] {
        let all = silo.admin().send(method.clone(), "/registries/scan", &[], Vec::new()).await.expect(202);
        assert_eq!((all.text.as_str(), all.header("content-type"), all.header("location")), ("", ALL, "/api/v1/scans"));
        let one = silo.admin().send(method, "/registries/1/scan", &[], Vec::new()).await.expect(202);
        assert_eq!((one.text.as_str(), one.header("content-type")), ("", ONE));
        let scan = silo.admin().get(one.header("location")).await.expect(200).json();
        assert_eq!(
            (&scan["state"], &scan["registryId"], &scan["trigger"]),
            (&json!("complete"), &json!(1), &json!("manual"))
        );
        let found = silo.anonymous().get("/jobs/search/my-job").await.expect(200).json();
        assert_eq!(keys(&found).len(), 1, "the reply comes when the result can be found");
    }
}

#[tokio::test]
async fn a_scan_that_takes_longer_is_told_and_joined() {
    let (silo, _registry, go_on) = held().await;
    let started = silo.admin().get("/registries/1/scan").await.expect(202);
    assert_eq!(started.text, r#"{"message":"Scanning Registries"}"#);
    let location = started.header("location").to_owned();
    let all = silo.admin().post("/registries/scan", Value::Null).await.expect(202);
    assert_eq!(
        (all.text.as_str(), all.header("content-type")),
        (r#"{"message":"Scanning Registries"}"#, "application/json")
    );
    assert_eq!(silo.admin().get(&location).await.expect(200).json()["state"], "running");

    let joined = silo.admin().post("/api/v1/registries/1/scans", Value::Null).await.expect(202);
    assert_eq!(joined.header("location"), location);
    assert_eq!(silo.admin().get("/api/v1/scans").await.json()["items"].as_array().map(Vec::len), Some(1));

    go_on.notify_one();
    while silo.admin().get(&location).await.expect(200).json()["state"] == "running" {
        silo.admin().get("/registries/1/scan").await.expect(202);
    }
    assert_eq!(silo.anonymous().get("/images").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_failed_scan_is_over_too() {
    let (registry, silo) = (FakeRegistry::start().await, TestApp::start().await);
    silo.admin().post("/registries/add", json!({"name": "broken", "url": registry.url()})).await.expect(201);
    registry.fault(Seen::is_catalog, usize::MAX, Fault::Status(500));
    let over = silo.admin().get("/registries/1/scan").await.expect(202);
    assert_eq!((over.text.as_str(), over.header("content-type")), ("", ONE));
    let scan = silo.user().get(over.header("location")).await.expect(200).json();
    assert_eq!((&scan["state"], &scan["counts"]["problems"]), (&json!("failed"), &json!(1)));
    assert!(scan["error"].is_string() && scan["finishedAt"].is_string());
    let problems = silo.user().get(&format!("{}/problems", over.header("location"))).await.expect(200).json();
    assert_eq!((&problems["items"][0]["code"], &problems["next"]), (&json!("listing-failed"), &Value::Null));
}

#[tokio::test]
async fn scans_are_listed_page_by_page() {
    let silo = TestApp::start().await;
    for name in ["a", "b"] {
        silo.add_layout(name, &jobs(&[])).await;
    }
    for registry in [1, 2, 1, 1, 2, 1, 1] {
        silo.scan(registry).await;
    }
    let walk = async |filter: &str| {
        let (mut ids, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = silo.user().get(&format!("/api/v1/scans?limit=2{filter}{cursor}")).await.expect(200).json();
            ids.extend(page["items"].as_array().unwrap().iter().map(|scan| scan["id"].as_i64().unwrap()));
            pages += 1;
            assert!(pages < 10, "the pages do not end");
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    };
    assert_eq!(walk("").await, [7, 6, 5, 4, 3, 2, 1], "newest first, each once");
    assert_eq!(walk("&registry=1").await, [7, 6, 4, 3, 1]);
    assert_eq!(walk("&registry=2").await, [5, 2]);
    assert_eq!(walk("&registry=3").await, [0i64; 0]);
}

#[tokio::test]
async fn problems_are_listed_page_by_page() {
    let mut layout = jobs(&[("good", "1.0.0", "1.0.0")]);
    for n in 0..5 {
        layout.image(&format!("geo/bad-{n}-seed:1"), &[(silo::seed::LABEL, "nonsense")]);
    }
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = silo.user().get(&format!("/api/v1/scans/1/problems?limit=2{cursor}")).await.expect(200).json();
        found.extend(page["items"].as_array().unwrap().iter().map(|problem| problem["repository"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, (0..5).map(|n| json!(format!("geo/bad-{n}-seed"))).collect::<Vec<_>>());
    let scan = silo.user().get("/api/v1/scans/1").await.json();
    assert_eq!(
        (&scan["state"], &scan["counts"]["problems"], &scan["counts"]["images"]),
        (&json!("complete"), &json!(5), &json!(1))
    );
}

#[tokio::test]
async fn scans_that_cannot_be_asked_for() {
    let silo = TestApp::start().await;
    for (path, status, text) in [
        ("/registries/x/scan", 400, "Invalid ID"),
        ("/registries/9/scan", 404, "No registry found with that ID"),
        ("/api/v1/registries/x/scans", 400, "Invalid ID"),
        ("/api/v1/registries/9/scans", 404, "No registry found with that ID"),
    ] {
        assert_eq!(silo.admin().post(path, Value::Null).await.expect(status).error(), text);
    }
    assert_eq!(silo.user().get("/api/v1/scans/9").await.expect(404).error(), "No scan found with that ID");
    silo.user().get("/api/v1/scans/9/problems").await.expect(404);
}

#[tokio::test]
async fn names_that_were_passed_over_are_told() {
    let mut layout = jobs(&[("my-job", "1.0.0", "0.1.0")]);
    layout.image("geo/tools:1", &[]);
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    let scan = silo.user().get("/api/v1/scans/1").await.json();
    assert_eq!(scan["counts"]["repositoriesSkipped"], 1);
    assert!(scan["notes"][0].as_str().unwrap().contains("scan.include"), "{}", scan["notes"]);
}

#[tokio::test]
async fn new_images_are_numbered_by_name() {
    let names: Vec<String> = (0..40).map(|n| format!("job-{n}")).collect();
    let list: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), "1.0.0", "1.0.0")).collect();
    let silo = TestApp::with_jobs(&list).await;
    let images = silo.anonymous().get("/images").await.json();
    let found: Vec<&str> = images.as_array().unwrap().iter().map(|image| image["Name"].as_str().unwrap()).collect();
    assert!(found.len() == 40 && found.is_sorted(), "{found:?}");
}
