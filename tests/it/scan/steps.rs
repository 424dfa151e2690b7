//! Results of a running scan are in the catalogue before its end; work of a killed scan is not repeated.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use silo::app::SearchOptions;
use silo::catalog::{RegistryId, RepositoryState, ScanId, ScanState, ScanTrigger};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{arrived, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};
use crate::tasks::House;

const ENVIRONMENT: [(&str, &str); 4] = [
    ("SILO__SCAN__STEP_SECONDS", "0"),
    ("SILO__SCAN__CONCURRENCY", "2"),
    ("SILO__SCAN__LEASE_SECONDS", "60"),
    ("SILO__SCAN__HOLD_PERCENT", "100"),
];

/// Ice, then snow.
async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.push("geo/a-seed", "1.0.0", &seed("ice", "1.0.0", "Finds ice"));
    registry.push("geo/a-seed", "0.9.0", &seed("ice", "0.9.0", "Finds slush"));
    registry.push("geo/b-seed", "1.0.0", &seed("snow", "1.0.0", "Finds snow"));
    registry
}

fn is_a(seen: &Seen) -> bool {
    seen.is_tags() && seen.path.contains("/a-seed/")
}

/// Runs a scan of the registry until the first manifest of this repository is requested.
async fn stopped_at(house: &House, registry: &FakeRegistry, repository: &'static str) -> JoinHandle<()> {
    let is_there = move |seen: &Seen| seen.is_manifest() && seen.path.contains(repository);
    registry.fault(is_there, 1, Fault::Hold(Arc::new(Notify::new())));
    let before = registry.count(is_there);
    let app = house.app.clone();
    let worker = tokio::spawn(async move { drop(app.scan_work(&CancellationToken::new()).await) });
    arrived(registry, is_there, before + 1).await;
    worker
}

/// Waits until a step has recorded this repository as done.
async fn done(house: &House, registry: RegistryId, repository: &str, scan: ScanId) {
    recorded(house, registry, |state| state.name == repository && state.listed_by == scan).await;
}

/// Waits until a step has stored the state of this repository.
async fn stored(house: &House, registry: RegistryId, repository: &str) {
    recorded(house, registry, |state| state.name == repository).await;
}

async fn recorded(house: &House, registry: RegistryId, is_it: impl Fn(&RepositoryState) -> bool) {
    let store = silo::app::open_store(house.app.settings()).await.unwrap();
    let is_done = async || {
        let states = store.repository_states(registry).await.unwrap();
        states.iter().any(&is_it)
    };
    while !is_done().await {
        house.app.signals().catalogue_changed.notified().await;
    }
    store.close().await;
}

async fn found(house: &House, words: &str) -> u64 {
    house.app.index_bring_up_to_date().await.unwrap();
    house.app.search_images(Some(words), &SearchOptions { limit: 10, ..SearchOptions::ALL }).await.unwrap().total
}

async fn request(house: &House, id: RegistryId) -> ScanId {
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap()
}

async fn work(house: &House) {
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
}

#[tokio::test]
async fn what_was_found_is_found_before_the_scan_ends() {
    let registry = registry().await;
    let house = House::new("2024-03-01T00:00:00Z", &ENVIRONMENT).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let scan = request(&house, id).await;
    let worker = stopped_at(&house, &registry, "/b-seed/").await;
    done(&house, id, "geo/a-seed", scan).await;
    assert_eq!(house.app.scan_get(scan).await.unwrap().state, ScanState::Running);
    assert!(found(&house, "ice").await > 0);
    assert_eq!(found(&house, "snow").await, 0);
    worker.abort();
}

#[tokio::test]
async fn a_killed_scan_goes_on_where_it_was() {
    let registry = registry().await;
    let house = House::new("2024-03-01T00:00:00Z", &ENVIRONMENT).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    request(&house, id).await;
    work(&house).await;

    // In the first repository one tag is deleted, one moved, one added; then the scan is killed in the second.
    registry.delete_tag("geo/a-seed", "0.9.0");
    registry.push("geo/a-seed", "1.0.0", &seed("ice", "1.0.0", "Finds glaciers"));
    registry.push("geo/a-seed", "1.1.0", &seed("ice", "1.1.0", "Finds icebergs"));
    registry.push("geo/a-seed", "nonsense", &Image::new().label(silo::seed::LABEL, "nonsense"));
    registry.push("geo/b-seed", "1.0.0", &seed("snow", "1.0.0", "Finds powder"));
    house.clock.advance(TimeDelta::seconds(1));
    let scan = request(&house, id).await;
    registry.clear_log();
    let worker = stopped_at(&house, &registry, "/b-seed/").await;
    done(&house, id, "geo/a-seed", scan).await;
    assert_eq!(found(&house, "slush").await, 1, "nothing goes before the end");
    worker.abort();
    drop(worker.await);

    house.clock.advance(TimeDelta::seconds(61));
    work(&house).await;
    let ended = house.app.scan_get(scan).await.unwrap();
    assert_eq!((ended.state, ended.attempts), (ScanState::Complete, 2), "{ended:?}");
    assert_eq!(registry.count(is_a), 1, "the first repository was done");
    let counts = ended.counts;
    let shown = [counts.added, counts.changed, counts.unchanged, counts.removed, counts.tags, counts.problems];
    // One label is invalid, and the other three jobs' names do not match their repositories.
    assert_eq!(shown, [2, 2, 0, 1, 4, 4], "{counts:?}");
    assert_eq!(house.app.scan_problems(scan, "", 0, 10).await.unwrap().len(), 4);
    assert_eq!(found(&house, "slush").await, 0, "it was gone when the first repository was listed");
    assert_eq!((found(&house, "icebergs").await, found(&house, "powder").await), (1, 1));
}

#[tokio::test]
async fn a_resumed_scan_reads_again_what_could_not_be_read() {
    for fault in [Fault::Html(200), Fault::Status(404), Fault::Status(403), Fault::WrongBytes] {
        let registry = registry().await;
        let house = House::new("2024-03-01T00:00:00Z", &ENVIRONMENT).await;
        let id = house.add("mine", &registry.url(), "off").await.id;
        registry.fault(|seen| seen.is_manifest() && seen.path.contains("/a-seed/"), 1, fault.clone());
        let scan = request(&house, id).await;
        let worker = stopped_at(&house, &registry, "/b-seed/").await;
        stored(&house, id, "geo/a-seed").await;
        worker.abort();
        drop(worker.await);

        house.clock.advance(TimeDelta::seconds(61));
        work(&house).await;
        let ended = house.app.scan_get(scan).await.unwrap();
        assert_eq!((ended.state, ended.attempts), (ScanState::Complete, 2), "{fault:?}: {ended:?}");
        assert_eq!((ended.counts.added, ended.counts.tags), (3, 3), "{fault:?}: {:?}", ended.counts);
        let codes: Vec<String> = house
            .app
            .scan_problems(scan, "", 0, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|found| found.problem.code)
            .collect();
        assert!(
            !codes.iter().any(|code| code.ends_with("-failed") || code.ends_with("refused")),
            "{fault:?}: {codes:?}"
        );
        assert_eq!(house.app.image_list().await.unwrap().len(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn steps_end_in_what_one_step_gives() {
    let registry = FakeRegistry::start().await;
    for number in 0..30 {
        let job = format!("job{}", number % 7);
        registry.push(&format!("geo/r{}-seed", number % 5), &format!("1.{number}.0"), &seed(&job, "1.0.0", "A job"));
    }
    let mut catalogues = Vec::new();
    for step in ["0", "3600"] {
        let house = House::new("2024-03-01T00:00:00Z", &[("SILO__SCAN__STEP_SECONDS", step)]).await;
        let id = house.add("mine", &registry.url(), "off").await.id;
        request(&house, id).await;
        work(&house).await;
        let images = house.app.image_list().await.unwrap();
        let images = images.iter().map(|image| json!([image.name, image.digest, image.facts.job_name]));
        let mut images: Vec<String> = images.map(|image| image.to_string()).collect();
        images.sort();
        assert_eq!(images.len(), 30);
        catalogues.push(images);
    }
    assert_eq!(catalogues[0], catalogues[1]);
}

#[tokio::test]
async fn a_cancelled_scan_keeps_what_it_has_stored_and_removes_nothing() {
    let registry = registry().await;
    let silo = TestApp::with().set("SILO__SCAN__STEP_SECONDS", "0").set("SILO__SCAN__CONCURRENCY", "2").start().await;
    silo.admin().post("/api/v1/registries", json!({"name": "mine", "url": registry.url()})).await.expect(201);
    silo.scan(1).await;
    registry.delete_repository("geo/b-seed");
    registry.push("geo/a-seed", "2.0.0", &seed("ice", "2.0.0", "Finds glaciers"));
    registry.push("geo/c-seed", "1.0.0", &seed("rain", "1.0.0", "Finds rain"));
    let is_c = |seen: &Seen| seen.path.contains("/c-seed/");
    registry.fault(is_c, 1000, Fault::Hang);
    let scan = silo.admin().post("/api/v1/registries/1/scans", json!(null)).await.expect(202).json();
    let path = format!("/api/v1/scans/{}", scan["id"]);
    silo.user().delete(&path).await.expect(403);
    arrived(&registry, is_c, 1).await;
    let found = async |word: &str| {
        let found = silo.anonymous().get(&format!("/api/v1/search?q={word}")).await.expect(200).json();
        found["total"].as_u64().unwrap()
    };
    while found("glaciers").await == 0 {
        tokio::task::yield_now().await;
    }

    let cancelled = silo.admin().delete(&path).await.expect(200).json();
    assert_eq!((&cancelled["state"], &cancelled["error"]), (&json!("cancelled"), &json!("cancelled by admin")));
    silo.admin().delete(&path).await.expect(409);
    silo.admin().delete("/api/v1/scans/999").await.expect(404);
    assert_eq!((found("glaciers").await, found("snow").await), (1, 1), "it has added, and removed nothing");
    // The worker is free for the next scan, although the registry still hangs.
    registry.clear_faults();
    silo.scan(1).await;
    assert_eq!(silo.admin().get(&path).await.expect(200).json(), cancelled, "it stays as it was");
    assert_eq!(found("snow").await, 0);
}
