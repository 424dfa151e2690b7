//! Leases of vanished workers, and clean-up.

use std::sync::Arc;

use chrono::TimeDelta;
use silo::catalog::{ScanState, ScanTrigger};
use silo::seed::LABEL;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::House;
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};

#[tokio::test]
async fn a_worker_that_vanishes_holds_a_scan_no_longer_than_its_lease() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:00:00Z", &[("SILO__SCAN__LEASE_SECONDS", "60")]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    registry.fault(Seen::is_catalog, 1, Fault::Hold(Arc::new(Notify::new())));
    let asked = registry.log().len();

    let (app, stop) = (house.app.clone(), CancellationToken::new());
    let token = stop.clone();
    let worker = tokio::spawn(async move { app.scan_work(&token).await });
    registry.arrived(asked + 2).await; // a ping and the catalogue
    worker.abort();
    assert!(worker.await.unwrap_err().is_cancelled());

    assert!(!house.app.scan_work(&stop).await.unwrap(), "it may be alive");
    house.clock.advance(TimeDelta::seconds(59));
    assert!(!house.app.scan_work(&stop).await.unwrap(), "still");
    house.clock.advance(TimeDelta::seconds(1));
    assert!(house.app.scan_work(&stop).await.unwrap(), "it is dead");
    let scan = house.app.scan_get(scan).await.unwrap();
    assert_eq!((scan.state, scan.attempts), (ScanState::Complete, 2));
}

#[tokio::test]
async fn a_scan_given_back_at_a_stop_is_there_at_once() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:00:00Z", &[]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    registry.fault(Seen::is_catalog, 1, Fault::Hang);
    let asked = registry.log().len();
    let stop = CancellationToken::new();
    let (app, token) = (house.app.clone(), stop.clone());
    let worker = tokio::spawn(async move { app.scan_work(&token).await });
    registry.arrived(asked + 2).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert_eq!(house.app.scan_get(scan).await.unwrap().state, ScanState::Queued);

    let house = house.again(&[]).await;
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    assert_eq!(house.app.scan_get(scan).await.unwrap().state, ScanState::Complete);
}

#[tokio::test]
async fn old_scans_are_thrown_away() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:00:00Z", &[("SILO__SCAN__KEEP", "2")]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let mut scans = Vec::new();
    for _ in 0..4 {
        scans.push(house.app.scan_request(id, ScanTrigger::Manual).await.unwrap());
        assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    }
    house.app.clean_up().await.unwrap();
    let left: Vec<_> = house.app.scan_list(None, None, 10).await.unwrap().into_iter().map(|scan| scan.id).collect();
    assert_eq!(left, [scans[3], scans[2]]);
}

#[tokio::test]
async fn what_an_older_silo_judged_is_judged_again() {
    let registry = FakeRegistry::start().await;
    let label = r#"{"job":{"name":"ice","jobVersion":"1.0.0","packageVersion":"1.0.0"}}"#;
    registry.push("geo/ice-1.0.0-seed", "1.0.0", &Image::new().label(LABEL, label));
    let house = House::new("2024-03-01T00:00:00Z", &[]).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    let today = house.app.image_list().await.unwrap();
    assert!(!today[0].facts.valid);

    let before = "UPDATE contents SET judged_by = 0, valid = 1, manifest_problems = '[]', problems = '[]'";
    let options = SqliteConnectOptions::new().filename(house.folder.path().join("silo.db"));
    SqliteConnection::connect_with(&options).await.unwrap().execute(before).await.unwrap();
    assert!(house.app.image_list().await.unwrap()[0].facts.valid, "the older SILO found nothing");

    assert!(!house.app.judge_again().await.unwrap(), "that was all");
    assert_eq!(house.app.image_list().await.unwrap(), today);
    house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    let scan = house.app.scan_list(None, None, 1).await.unwrap()[0].id;
    let problems = house.app.scan_problems(scan, "", 0, 10).await.unwrap();
    assert_eq!(problems[0].problem.code, "manifest-invalid", "scans tell it again");
}
