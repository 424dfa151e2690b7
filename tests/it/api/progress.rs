//! The progress of a running scan as a stream; and the state of a registry's repositories.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::app::{TestApp, manifest, text};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};

fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

/// A registry with this many images.
async fn registry(images: usize) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for n in 0..images {
        registry.push(&format!("geo/job-{n}-seed"), "1.0.0", &seed(&format!("job-{n}")));
    }
    registry
}

async fn add(silo: &TestApp, registry: &FakeRegistry) -> i64 {
    let form = json!({"name": "mine", "url": registry.url()});
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().unwrap()
}

async fn request_scan(silo: &TestApp, registry: i64) -> Value {
    silo.admin().post(&format!("/api/v1/registries/{registry}/scans"), json!({})).await.expect(202).json()
}

#[tokio::test]
async fn a_running_scan_is_followed_to_its_end() {
    let (registry, go_on) = (registry(3).await, Arc::new(Notify::new()));
    registry.fault(|seen| seen.path == "/v2/geo/job-2-seed/tags/list", 1, Fault::Hold(Arc::clone(&go_on)));
    let silo = TestApp::start().await;
    let id = add(&silo, &registry).await;
    let scan = request_scan(&silo, id).await;
    let path = format!("/api/v1/scans/{}/events", scan["id"]);
    let mut events = silo.user().follow(&path, &[]).await;
    // Events come at the start, and when the scan can go no further.
    let mut seen = Vec::new();
    loop {
        let (event, progress) = events.event().await;
        assert_eq!((event.as_str(), &progress["id"]), ("progress", &scan["id"]));
        seen.push(progress["counts"].clone());
        if progress["counts"]["repositoriesDone"] == 2 {
            assert_eq!((&progress["state"], &progress["counts"]["repositories"]), (&json!("running"), &json!(3)));
            break;
        }
    }
    assert!(seen.len() >= 2, "{seen:?}");
    go_on.notify_one();
    let rest = events.rest().await;
    let (last, end) = rest.last().expect("an end");
    assert_eq!((last.as_str(), &end["state"], &end["counts"]["images"]), ("end", &json!("complete"), &json!(3)));
    assert!(rest[..rest.len() - 1].iter().all(|(event, _)| event == "progress"), "{rest:?}");
    let found = silo.anonymous().get("/api/v1/search?q=job&kind=image").await.json();
    assert_eq!(found["total"], 3, "who is told of the end finds the result");

    let over = silo.user().follow(&path, &[]).await.rest().await;
    assert_eq!(over, [("end".to_owned(), end.clone())], "of an ended scan there is the end");
    silo.user().get("/api/v1/scans/99/events").await.expect(404);
    silo.user().get("/api/v1/scans/x/events").await.expect(400);
}

#[tokio::test]
async fn a_deleted_registry_ends_the_stream_of_its_scan() {
    let (registry, go_on) = (registry(1).await, Arc::new(Notify::new()));
    let silo = TestApp::start().await;
    let id = add(&silo, &registry).await;
    registry.fault(Seen::is_catalog, 1, Fault::Hold(Arc::clone(&go_on)));
    let scan = request_scan(&silo, id).await;
    let mut events = silo.user().follow(&format!("/api/v1/scans/{}/events", scan["id"]), &[]).await;
    assert_eq!(events.event().await.0, "progress");
    silo.admin().delete(&format!("/api/v1/registries/{id}")).await.expect(204);
    assert!(events.rest().await.iter().all(|(event, _)| event == "progress"), "there is no end to tell");
}

#[tokio::test]
async fn a_registry_tells_of_its_last_scan_and_a_hook_does_not_hide_a_held_one() {
    let registry = registry(6).await;
    let silo = TestApp::start().await;
    let id = add(&silo, &registry).await;
    let view = async || silo.anonymous().get(&format!("/api/v1/registries/{id}")).await.expect(200).json();
    assert_eq!(view().await["lastScan"], Value::Null);
    silo.scan(id).await;
    let last = view().await["lastScan"].clone();
    assert_eq!((&last["id"], &last["state"], &last["held"]), (&json!(1), &json!("complete"), &json!(0)));
    for n in 0..6 {
        registry.delete_repository(&format!("geo/job-{n}-seed"));
    }
    silo.scan(id).await;
    let held = view().await["lastScan"].clone();
    assert_eq!((&held["state"], &held["held"]), (&json!("held"), &json!(6)));

    let made = silo.admin().post(&format!("/api/v1/registries/{id}/hook"), json!({})).await.expect(201).json();
    let hook = text(&made["url"]).strip_prefix(&silo.url).unwrap().to_owned();
    registry.push("geo/new-seed", "1.0.0", &seed("new"));
    let mut events = silo.anonymous().follow("/api/v1/events", &[]).await;
    let body = json!({"events": [{"action": "push", "target": {"repository": "geo/new-seed", "tag": "1.0.0"}}]});
    silo.anonymous().post(&hook, body).await.expect(202);
    assert_eq!(events.event().await.1["jobName"], "new");
    assert_eq!(view().await["lastScan"], held);
    let listed = silo.anonymous().get("/api/v1/registries").await.json();
    assert_eq!(listed[0]["lastScan"], held);
}

#[tokio::test]
async fn repositories_are_listed_page_by_page() {
    let registry = registry(3).await;
    registry.fault(|seen| seen.path == "/v2/geo/job-1-seed/tags/list", ALWAYS, Fault::Status(404));
    let silo = TestApp::start().await;
    let id = add(&silo, &registry).await;
    silo.scan(id).await;
    let path = format!("/api/v1/registries/{id}/repositories");
    let all = silo.user().get(&path).await.expect(200).json();
    assert_eq!(all["next"], Value::Null);
    silo.user().get(&format!("{path}?limit=2&cursor=geo/job-0-seed")).await.expect(200);
    silo.user().get(&format!("{path}?cursor=%00")).await.expect(200);
    silo.user().get(&format!("{path}?limit=0")).await.expect(400);
    silo.user().get("/api/v1/registries/99/repositories").await.expect(404);
}

#[tokio::test]
async fn a_stream_can_be_opened_with_a_ticket_in_its_address() {
    let silo = TestApp::with().manual_clock().start().await;
    let registry = registry(1).await;
    let id = add(&silo, &registry).await;
    let scan = request_scan(&silo, id).await;
    let path = format!("/api/v1/scans/{}/events", scan["id"]);
    let made = silo.user().post("/api/v1/tickets", Value::Null).await.expect(201).json();
    let ticket = text(&made["ticket"]);

    let rest = silo.anonymous().follow(&format!("{path}?ticket={ticket}"), &[]).await.rest().await;
    assert_eq!(rest.last().expect("an end").1["state"], "complete");
    silo.anonymous().get(&format!("/api/v1/events?limit=5&ticket={ticket}")).await.expect(200);
    // A ticket is valid for streams only, and not as a header.
    silo.anonymous().get(&format!("/api/v1/me?ticket={ticket}")).await.expect(401);
    silo.anonymous().get(&format!("/api/v1/scans?ticket={ticket}")).await.expect(401);
    silo.authorized(&format!("Bearer {ticket}")).get("/api/v1/me").await.expect(401);
    let token = silo.user_token().await.to_owned();
    silo.anonymous().get(&format!("{path}?ticket={token}")).await.expect(401);
    silo.anonymous().get(&format!("{path}?ticket=x")).await.expect(401);
    // A ticket expires after a minute, and with its session.
    silo.clock.advance(chrono::TimeDelta::seconds(61));
    silo.anonymous().get(&format!("{path}?ticket={ticket}")).await.expect(401);
    let token = silo.login(crate::support::app::ADMIN, crate::support::app::ADMIN_PASSWORD).await;
    let admin = silo.authorized(&format!("Bearer {token}"));
    let ticket = text(&admin.post("/api/v1/tickets", Value::Null).await.expect(201).json()["ticket"]);
    admin.post("/api/v1/logout", Value::Null).await.expect(204);
    silo.anonymous().get(&format!("{path}?ticket={ticket}")).await.expect(401);
}
