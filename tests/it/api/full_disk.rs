//! A full disk: the service starts, serves everything that needs no space, and reports that it is not ready.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sqlx::{Connection as _, Executor as _};

use crate::support::app::TestApp;
use crate::support::process::{Engine, PASSWORD, PATIENCE, Setup, Silo, on_both};
use crate::support::small_disk::SmallDisk;

/// A service whose data directory is on a small disk.
async fn on_small_disk(database: Engine) -> (Silo, SmallDisk) {
    let setup = Setup::on(database).await;
    std::fs::create_dir_all(setup.data()).expect("a folder");
    let disk = SmallDisk::at(&setup.data(), 24);
    (setup.start().await, disk)
}

/// Waits until `/readyz` has this status, and returns its text.
async fn told(silo: &Silo, status: u16) -> String {
    let began = Instant::now();
    loop {
        let reply = silo.get("/readyz").await;
        if reply.status == status {
            return reply.body.to_string();
        }
        assert!(began.elapsed() < PATIENCE, "it says {}: {}", reply.status, reply.body);
        tokio::time::sleep(Duration::from_millis(100)).await; // because the result is cached for two seconds
    }
}

async fn an_installed_service_starts_on_a_full_disk(database: Engine) {
    let (mut silo, disk) = on_small_disk(database).await;
    told(&silo, 200).await;
    for killed in [false, true] {
        if killed {
            silo.kill();
        } else {
            assert_eq!(silo.terminate().await.code, Some(0));
        }
        disk.fill();
        silo.start_again().await;
        let why = told(&silo, 503).await;
        assert!(why.contains("no storage space") || why.contains("No space left"), "{why}");
        assert_eq!(silo.get("/api/v1/search?q=x").await.status, 200);
        // To free space, an admin can log in, list runs, and delete them.
        silo.login("admin", PASSWORD).await;
        assert_eq!(silo.get("/api/v1/runs").await.status, 200);
        disk.empty();
        told(&silo, 200).await;
    }
}

async fn a_disk_that_fills_up_is_told(database: Engine) {
    let (silo, disk) = on_small_disk(database).await;
    told(&silo, 200).await;
    disk.fill();
    let why = told(&silo, 503).await;
    assert!(why.contains("data directory") && why.contains("No space left"), "{why}");
    assert_eq!(silo.get("/healthz").await.status, 200);
    assert!(silo.log().contains("the service is not ready"), "{}", silo.log());
    disk.empty();
    told(&silo, 200).await;
}

on_both!(an_installed_service_starts_on_a_full_disk, a_disk_that_fills_up_is_told);

#[tokio::test]
async fn who_asks_often_whether_it_is_ready_writes_seldom() {
    let place = tempfile::tempdir().expect("a folder");
    let disk = SmallDisk::at(place.path(), 24);
    let silo = TestApp::with().manual_clock().set("SILO_DATA", &place.path().display().to_string()).start().await;
    silo.app.ready().await.expect("it can write");
    disk.fill();
    silo.app.ready().await.expect("nobody has looked again");
    silo.clock.advance(TimeDelta::seconds(2));
    silo.app.ready().await.expect_err("it is full");
    disk.empty();
    silo.app.ready().await.expect_err("nobody has looked again");
    silo.clock.advance(TimeDelta::seconds(2));
    silo.app.ready().await.expect("there is room");
    drop(silo);
}

#[tokio::test]
async fn a_database_that_takes_no_changes_is_told() {
    let silo = TestApp::with().postgres().manual_clock().start().await;
    silo.app.ready().await.expect("it can write");
    let mut admin = sqlx::PgConnection::connect(&silo.database().url()).await.expect("the test's own database");
    let read_only = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
        END $$";
    admin.execute(read_only).await.expect("it is ours");
    let began = Instant::now();
    loop {
        silo.clock.advance(TimeDelta::seconds(2));
        match silo.app.ready().await {
            Err(why) if why == "the database cannot be written" => break,
            other => assert!(began.elapsed() < PATIENCE, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // because the pool reconnects meanwhile
    }
    silo.anonymous().get("/readyz").await.expect(503);
}
