//! Hints: repositories that the registry reports as changed.

use std::sync::Arc;

use chrono::TimeDelta;
use silo::catalog::{RegistryId, ScanRecord, ScanState, ScanTrigger};
use silo::store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{arrived, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::tasks::House;

async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for (repository, job) in [("geo/a-seed", "ice"), ("geo/b-seed", "snow"), ("geo/c-seed", "sand")] {
        for version in ["1.0.0", "1.1.0"] {
            registry.push(repository, version, &seed(job, version, "A job"));
        }
    }
    registry
}

/// An application with the registry, and its store.
async fn house(registry: &FakeRegistry, environment: &[(&str, &str)]) -> (House, Store, RegistryId) {
    let house = House::new("2024-03-01T00:00:00Z", environment).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    work(&house).await;
    registry.clear_log();
    let store = silo::app::open_store(house.app.settings()).await.unwrap();
    (house, store, id)
}

async fn work(house: &House) {
    while house.app.scan_work(&CancellationToken::new()).await.unwrap() {}
}

async fn last(house: &House) -> ScanRecord {
    house.app.scan_list(None, None, 1).await.unwrap().remove(0)
}

async fn names(house: &House) -> Vec<String> {
    let mut names: Vec<String> = house.app.image_list().await.unwrap().into_iter().map(|image| image.name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn only_what_was_named_is_looked_into() {
    let registry = registry().await;
    let (house, store, id) = house(&registry, &[]).await;
    registry.push("geo/a-seed", "1.2.0", &seed("ice", "1.2.0", "A job"));
    registry.delete_tag("geo/a-seed", "1.0.0");
    registry.push("geo/b-seed", "1.2.0", &seed("snow", "1.2.0", "A job"));
    registry.push("geo/new-seed", "1.0.0", &seed("rain", "1.0.0", "A job"));
    let hints = ["geo/a-seed", "geo/new-seed", "geo/a-seed", "web/server"].map(str::to_owned);
    store.hint_insert(id, &hints, house.clock.now()).await.unwrap();
    house.app.scan_request(id, ScanTrigger::Hook).await.unwrap();
    work(&house).await;

    let scan = last(&house).await;
    assert_eq!((scan.state, scan.trigger), (ScanState::Complete, ScanTrigger::Hook), "{scan:?}");
    let counts = scan.counts;
    assert_eq!([counts.repositories, counts.added, counts.removed, counts.unchanged], [2, 2, 1, 1], "{counts:?}");
    assert_eq!(registry.count(Seen::is_catalog), 0);
    assert_eq!(registry.count(Seen::is_tags), 2, "each once, and none that is not scanned");
    assert_eq!(
        names(&house).await,
        [
            "a-seed:1.1.0",
            "a-seed:1.2.0",
            "b-seed:1.0.0",
            "b-seed:1.1.0",
            "c-seed:1.0.0",
            "c-seed:1.1.0",
            "new-seed:1.0.0"
        ]
    );
    assert_eq!(store.hint_list(id).await.unwrap(), []);
}

#[tokio::test]
async fn a_repository_that_is_gone_is_gone_by_its_hint() {
    let registry = registry().await;
    let (house, store, id) = house(&registry, &[("SILO__SCAN__HOLD_PERCENT", "50")]).await;
    registry.delete_repository("geo/c-seed");
    store.hint_insert(id, &["geo/c-seed".to_owned()], house.clock.now()).await.unwrap();
    // No scan was requested: the next check of the schedule starts one.
    house.app.scan_due().await.unwrap();
    work(&house).await;
    let scan = last(&house).await;
    assert_eq!((scan.state, scan.counts.removed), (ScanState::Complete, 2), "{scan:?}");
    assert_eq!(names(&house).await.len(), 4);
}

#[tokio::test]
async fn a_registry_that_fails_keeps_its_hint_until_it_answers() {
    let registry = registry().await;
    let (house, store, id) = house(&registry, &[("SILO__SCAN__TRIES", "1")]).await;
    registry.delete_repository("geo/c-seed");
    registry.fault(Seen::is_tags, 1, Fault::Status(500));
    store.hint_insert(id, &["geo/c-seed".to_owned()], house.clock.now()).await.unwrap();
    house.app.scan_request(id, ScanTrigger::Hook).await.unwrap();
    work(&house).await;
    let scans = house.app.scan_list(None, None, 2).await.unwrap();
    assert_eq!(scans[0].state, ScanState::Partial, "{scans:?}");
    assert_eq!(names(&house).await.len(), 6);
    let repositories = store.repository_list(id, 0, "", 10).await.unwrap();
    let failing: Vec<(&str, i64)> =
        repositories.iter().map(|repository| (repository.name.as_str(), repository.failures)).collect();
    assert_eq!(failing, [("geo/a-seed", 0), ("geo/b-seed", 0), ("geo/c-seed", 1)]);
    assert!(repositories[2].failure.contains("500") && repositories[2].failing_since.is_some(), "{repositories:?}");

    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    work(&house).await;
    assert_eq!(names(&house).await.len(), 4);
    assert_eq!(store.repository_list(id, 0, "", 10).await.unwrap().len(), 2, "what is gone is forgotten");
}

#[tokio::test]
async fn a_hint_about_a_repository_under_way_has_it_listed_again() {
    let registry = registry().await;
    let (house, store, id) = house(&registry, &[("SILO__SCAN__STEP_SECONDS", "0")]).await;
    let gate = Arc::new(Notify::new());
    let is_last = |seen: &Seen| seen.is_head() && seen.path.contains("/c-seed/");
    registry.fault(is_last, 1, Fault::Hold(Arc::clone(&gate)));
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    let app = house.app.clone();
    let worker = tokio::spawn(async move { app.scan_work(&CancellationToken::new()).await });
    arrived(&registry, is_last, 1).await;

    // Its tags were listed already, and are being read.
    registry.push("geo/c-seed", "1.2.0", &seed("ice", "1.2.0", "A job"));
    store.hint_insert(id, &["geo/c-seed".to_owned()], house.clock.now()).await.unwrap();
    // The scan reads its hints while this repository is in progress.
    registry.push("geo/a-seed", "1.2.0", &seed("cloud", "1.2.0", "A job"));
    store.hint_insert(id, &["geo/a-seed".to_owned()], house.clock.now()).await.unwrap();
    gate.notify_one();
    assert!(worker.await.unwrap().unwrap());
    let ended = house.app.scan_get(scan).await.unwrap();
    assert_eq!((ended.state, ended.counts.added), (ScanState::Complete, 2), "{ended:?}");
    assert_eq!(store.hint_list(id).await.unwrap(), []);
}

#[tokio::test]
async fn hints_that_cannot_be_followed_wait_and_are_not_tried_for_ever() {
    let registry = registry().await;
    let (house, store, id) = house(&registry, &[("SILO__SCAN__TRIES", "1")]).await;
    let many: Vec<String> = (0..50).map(|n| format!("geo/job-{n}-seed")).collect();
    store.hint_insert(id, &many, house.clock.now()).await.unwrap();
    house.clock.advance(TimeDelta::seconds(1));
    house.app.scan_request(id, ScanTrigger::Hook).await.unwrap();
    registry.fault(Seen::is_tags, ALWAYS, Fault::Drop);
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    assert!(!store.hint_list(id).await.unwrap().is_empty(), "it was given up");
    assert!(!house.app.scan_work(&CancellationToken::new()).await.unwrap(), "nobody asks again at once");
    registry.clear_faults();
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    work(&house).await;
    assert_eq!(store.hint_list(id).await.unwrap(), []);
}

#[tokio::test]
async fn a_running_scan_follows_hints() {
    let registry = registry().await;
    let (house, store, id) =
        house(&registry, &[("SILO__SCAN__STEP_SECONDS", "0"), ("SILO__SCAN__CONCURRENCY", "1")]).await;
    let gate = Arc::new(Notify::new());
    let is_last = |seen: &Seen| seen.is_head() && seen.path.contains("/c-seed/");
    registry.fault(is_last, 1, Fault::Hold(Arc::clone(&gate)));
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    let app = house.app.clone();
    let worker = tokio::spawn(async move { app.scan_work(&CancellationToken::new()).await });
    arrived(&registry, is_last, 1).await;

    // The first repository was listed already.
    registry.push("geo/a-seed", "1.2.0", &seed("ice", "1.2.0", "A job"));
    store.hint_insert(id, &["geo/a-seed".to_owned()], house.clock.now()).await.unwrap();
    assert_eq!(house.app.scan_request(id, ScanTrigger::Hook).await.unwrap(), scan, "it joins");
    gate.notify_one();
    assert!(worker.await.unwrap().unwrap());
    let ended = house.app.scan_get(scan).await.unwrap();
    assert_eq!((ended.state, ended.counts.added, ended.counts.unchanged), (ScanState::Complete, 1, 6), "{ended:?}");
    assert_eq!(store.hint_list(id).await.unwrap(), []);
    assert!(!house.app.scan_work(&CancellationToken::new()).await.unwrap(), "and there is nothing left to do");
}

#[tokio::test]
async fn what_was_found_before_a_hint_is_not_found_again() {
    let registry = registry().await;
    // A step so long that nothing is stored before the scan's end.
    let house = House::new("2024-03-01T00:00:00Z", &[("SILO__SCAN__STEP_SECONDS", "3600")]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let store = silo::app::open_store(house.app.settings()).await.unwrap();
    let gate = Arc::new(Notify::new());
    registry.fault(Seen::is_blob, 1, Fault::Hold(Arc::clone(&gate)));
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    let app = house.app.clone();
    let worker = tokio::spawn(async move { app.scan_work(&CancellationToken::new()).await });
    arrived(&registry, Seen::is_blob, 6).await;

    registry.push("geo/a-seed", "1.2.0", &seed("ice", "1.2.0", "A job"));
    let hints = ["geo/a-seed", "geo/b-seed", "geo/c-seed"].map(str::to_owned);
    store.hint_insert(id, &hints, house.clock.now()).await.unwrap();
    gate.notify_one();
    assert!(worker.await.unwrap().unwrap());
    let ended = house.app.scan_get(scan).await.unwrap();
    assert_eq!((ended.state, ended.attempts), (ScanState::Complete, 1), "{ended:?}");
    assert_eq!([ended.counts.added, ended.counts.unchanged, ended.counts.changed], [7, 0, 0], "{ended:?}");
    assert_eq!(names(&house).await.len(), 7);
}
