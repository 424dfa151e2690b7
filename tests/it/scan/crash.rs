//! The process stops or is killed during a scan, and is started again.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{arrived, counts, registry_of, seed};
use crate::support::fake_registry::{FakeRegistry, Fault, Seen};
use crate::support::process::{Engine, Setup, Silo, on_both};

/// A service that has scanned a registry, and is scanning it again: the next two requests for a config are held by the
/// gates. Returns the scan's id.
async fn in_the_middle(setup: Setup) -> (Silo, FakeRegistry, [Arc<Notify>; 2], i64) {
    let registry = registry_of(&["ice", "snow"]).await;
    let silo = setup.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    registry.delete_repository("snow-1.0.0-seed");
    registry.push("hail-1.0.0-seed", "1.0.0", &seed("hail", "1.0.0", "Finds hail"));
    let gates = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    for gate in &gates {
        registry.fault(Seen::is_blob, 1, Fault::Hold(gate.clone()));
    }
    let scan = silo.request_scan(id).await;
    held(&registry, 1).await;
    (silo, registry, gates, scan)
}

/// Waits until this many requests were held. The first scan's two requests for configs were not held.
async fn held(registry: &FakeRegistry, count: usize) {
    arrived(registry, Seen::is_blob, 2 + count).await;
}

/// The resumed scan is held at the same place; until it ends, the catalogue is unchanged.
async fn ends_as_if_nothing_had_happened(
    silo: &Silo,
    registry: &FakeRegistry,
    gate: &Notify,
    scan: i64,
    before: &Value,
) {
    held(registry, 2).await;
    let running = silo.scan_when(scan, |scan| scan["attempts"] == 2).await;
    assert_eq!(running["state"], "running");
    assert_eq!(silo.catalogue().await, *before, "half a scan changes nothing");
    assert_eq!(silo.images("snow").await.len(), 1);
    gate.notify_one();
    let ended = silo.ended(scan).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("complete"), &json!(2)));
    assert_eq!(counts(&ended, ["added", "unchanged", "removed", "images"]), [1, 1, 1, 2], "{ended:#}");
    assert_eq!(silo.images("hail").await.len(), 1);
    assert_eq!(silo.images("snow").await, Vec::<Value>::new());
}

async fn a_killed_scan_is_taken_up_again(engine: Engine) {
    // A process alone on its data resumes the scan at its start; on a shared database the lease must expire first.
    let lease = if engine == Engine::Sqlite { 3600 } else { 5 };
    let setup = Setup::on(engine).await.env("SILO__SCAN__LEASE_SECONDS", lease);
    let (mut silo, registry, [_, gate], scan) = in_the_middle(setup).await;
    let before = silo.catalogue().await;
    silo.kill();
    silo.start_again().await;
    ends_as_if_nothing_had_happened(&silo, &registry, &gate, scan, &before).await;
}

async fn a_stopped_scan_is_taken_up_again(engine: Engine) {
    // This test does not wait for the lease to expire.
    let setup = Setup::on(engine).await.env("SILO__SCAN__LEASE_SECONDS", 3600);
    let (mut silo, registry, [_, gate], scan) = in_the_middle(setup).await;
    let before = silo.catalogue().await;
    let exit = silo.terminate().await;
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stderr.contains("stopped"), "{}", exit.stderr);
    assert!(!exit.stderr.contains("did not end in time"), "{}", exit.stderr);
    silo.start_again().await;
    ends_as_if_nothing_had_happened(&silo, &registry, &gate, scan, &before).await;
}

async fn an_index_that_is_gone_is_built_again(engine: Engine) {
    let registry = registry_of(&["ice", "snow", "hail"]).await;
    let mut silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    let words = ["ice", "finds", "sno", "for tests"];
    let mut before = Vec::new();
    for words in words {
        before.push((silo.images(words).await, silo.jobs(words).await));
    }
    assert!(before.iter().all(|(images, jobs)| !images.is_empty() && !jobs.is_empty()), "{before:#?}");

    assert_eq!(silo.terminate().await.code, Some(0));
    std::fs::remove_dir_all(silo.data().join("index")).unwrap();
    silo.start_again().await;
    for (words, before) in words.iter().zip(before) {
        assert_eq!((silo.images(words).await, silo.jobs(words).await), before, "{words}");
    }
}

on_both!(a_killed_scan_is_taken_up_again, a_stopped_scan_is_taken_up_again, an_index_that_is_gone_is_built_again);

/// Two services on one database share the work, and each finds what the other scanned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_whose_process_died_is_taken_up_by_another() {
    let setup = Setup::on(Engine::Postgres).await.env("SILO__SCAN__LEASE_SECONDS", 5);
    let beside = setup.beside();
    let (mut silo, registry, [_, gate], scan) = in_the_middle(setup).await;
    let before = silo.catalogue().await;
    let other = beside.start().await;
    silo.kill();
    ends_as_if_nothing_had_happened(&other, &registry, &gate, scan, &before).await;
}

#[tokio::test]
async fn a_stop_waits_for_nobody_who_is_silent() {
    let registry = registry_of(&["ice"]).await;
    let mut silo = Setup::new().start().await;
    let id = silo.add("mine", &registry.url()).await;
    registry.clear_log();
    registry.fault(Seen::is_catalog, 1, Fault::Hang);
    silo.request_scan(id).await;
    arrived(&registry, Seen::is_catalog, 1).await;
    let exit = silo.terminate().await;
    assert_eq!(exit.code, Some(0));
    assert!(!exit.stderr.contains("did not"), "{}", exit.stderr);
}

#[tokio::test]
async fn a_data_folder_serves_one_process() {
    let silo = Setup::new().start().await;
    let error = silo.second_start_error().await.expect_failure(1);
    let folder = silo.data().display().to_string();
    assert!(error.contains(&format!("another silo process already uses the data directory {folder}")), "{error}");
    silo.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn places_that_cannot_be_written_are_named_at_the_start() {
    for (name, value, words) in [
        ("SILO_DATA", "/proc/silo", "the data directory /proc/silo cannot be used"),
        ("SILO_DATA", "/dev/null/silo", "the data directory /dev/null/silo cannot be used"),
        ("SILO_LITE_PATH", "/proc/silo/silo.db", "cannot open the database file /proc/silo/silo.db"),
        // Every write to it fails as on a full disk.
        ("SILO_LITE_PATH", "/dev/full", "cannot open the database file /dev/full"),
        ("DATABASE_URL", "postgres://nobody:s3cret@127.0.0.1:1/x", "cannot open PostgreSQL at 127.0.0.1:1"),
    ] {
        let setup = Setup::new().env(name, value);
        let error = setup.start_error().await.expect_failure(1);
        assert!(error.contains(words), "{name}={value}: {error}");
        assert!(!error.contains("panicked") && !error.contains("s3cret"), "{error}");
    }
}
