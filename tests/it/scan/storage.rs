//! Scans during database outages and clock jumps.

use std::sync::Arc;

use chrono::TimeDelta;
use silo::catalog::{RegistryId, ScanState, ScanTrigger};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{arrived, registry_of, seed};
use crate::support::fake_registry::{FakeRegistry, Fault, Seen};
use crate::support::postgres;
use crate::tasks::House;

/// A scan held at the first config, and the gate that releases it.
async fn in_the_middle(
    house: &House,
    registry: &FakeRegistry,
    id: RegistryId,
) -> (tokio::task::JoinHandle<silo::app::Result<bool>>, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    registry.fault(Seen::is_blob, 1, Fault::Hold(Arc::clone(&gate)));
    let before = registry.count(Seen::is_blob);
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    let app = house.app.clone();
    let worker = tokio::spawn(async move { app.scan_work(&CancellationToken::new()).await });
    arrived(registry, Seen::is_blob, before + 1).await;
    (worker, gate)
}

async fn names(house: &House) -> Vec<String> {
    let mut names: Vec<String> = house.app.image_list().await.unwrap().into_iter().map(|image| image.name).collect();
    names.sort();
    names
}

/// The job names, as soon as the database is reachable again.
async fn until_open(house: &House) -> Vec<String> {
    while house.app.ready().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await; // because nobody tells when it is noticed
    }
    names(house).await
}

#[tokio::test]
async fn a_database_error_uses_up_no_attempts_and_the_scan_goes_on_at_once() {
    let registry = registry_of(&["ice", "snow"]).await;
    let database = postgres::database().await;
    let house = House::new("2026-11-01T00:00:00Z", &[("DATABASE_URL", &database.url())]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    for _ in 0..7 {
        let (worker, gate) = in_the_middle(&house, &registry, id).await;
        database.close().await;
        gate.notify_one();
        worker.await.unwrap().expect_err("the result cannot be stored");
        database.open().await;
        until_open(&house).await;
    }
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap(), "the clock stands still: no lease ran out");
    let scan = house.app.scan_list(Some(id), None, 1).await.unwrap().remove(0);
    assert_eq!((scan.state, scan.attempts), (ScanState::Complete, 8), "{scan:?}");
}

#[tokio::test]
async fn a_database_that_goes_away_costs_time_only() {
    let registry = registry_of(&["ice", "snow"]).await;
    let database = postgres::database().await;
    let house =
        House::new("2026-11-01T00:00:00Z", &[("DATABASE_URL", &database.url()), ("SILO__SCAN__LEASE_SECONDS", "60")])
            .await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let (worker, gate) = in_the_middle(&house, &registry, id).await;

    database.close().await;
    gate.notify_one();
    worker.await.unwrap().expect_err("the result cannot be stored");
    house.app.scan_request(id, ScanTrigger::Manual).await.expect_err("nothing can be asked");

    database.open().await;
    assert_eq!(until_open(&house).await, [""; 0]);
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    let scan = house.app.scan_list(Some(id), None, 1).await.unwrap().remove(0);
    assert_eq!((scan.state, scan.attempts, scan.counts.added), (ScanState::Complete, 2, 2), "{scan:?}");
    assert_eq!(names(&house).await, ["ice-1.0.0-seed:1.0.0", "snow-1.0.0-seed:1.0.0"]);
}

#[tokio::test]
async fn a_clock_that_jumps_changes_no_catalogue() {
    for days in [-400, 400] {
        let registry = registry_of(&["ice", "snow"]).await;
        let house = House::new("2026-11-01T00:00:00Z", &[]).await;
        let id = house.add("mine", &registry.url(), "off").await.id;
        let (worker, gate) = in_the_middle(&house, &registry, id).await;
        house.clock.advance(TimeDelta::days(days));
        gate.notify_one();
        assert!(worker.await.unwrap().unwrap());
        assert_eq!(names(&house).await.len(), 2);

        // The same again, with an image to remove.
        registry.delete_repository("snow-1.0.0-seed");
        registry.push("hail-1.0.0-seed", "1.0.0", &seed("hail", "1.0.0", "Finds hail"));
        let (worker, gate) = in_the_middle(&house, &registry, id).await;
        house.clock.advance(TimeDelta::days(-days));
        gate.notify_one();
        assert!(worker.await.unwrap().unwrap());
        let scan = house.app.scan_list(Some(id), None, 1).await.unwrap().remove(0);
        let counts = scan.counts;
        assert_eq!(scan.state, ScanState::Complete, "{scan:?}");
        assert_eq!([counts.added, counts.removed, counts.unchanged], [1, 1, 1], "{days} days: {counts:?}");
        assert_eq!(names(&house).await, ["hail-1.0.0-seed:1.0.0", "ice-1.0.0-seed:1.0.0"]);
    }
}
