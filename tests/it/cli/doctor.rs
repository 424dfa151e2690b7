//! `silo doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::scan::registry_of;
use crate::support::process::{Engine, Setup, Silo, on_both, silo};
use crate::support::small_disk::SmallDisk;

const NO_ENGINE: [&str; 2] = ["--engine", "unix:///nowhere.sock"];

/// The findings as JSON, with their states.
async fn findings(silo: &Silo, code: i32) -> Value {
    let exit = silo.cli(&["doctor", "--json", NO_ENGINE[0], NO_ENGINE[1]]).await;
    assert_eq!(exit.code, Some(code), "{exit:#?}");
    let findings: Vec<Value> = serde_json::from_str(&exit.stdout).expect("JSON");
    findings.into_iter().map(|finding| (finding["about"].as_str().expect("a text").to_owned(), finding)).collect()
}

async fn with_an_image(engine: Engine) -> Silo {
    let registry = registry_of(&["ice"]).await;
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    silo
}

async fn a_service_in_good_health(engine: Engine) {
    let mut silo = with_an_image(engine).await;
    let found = findings(&silo, 0).await;
    for about in
        ["data directory", "keys", "database", "search index", "service", "clock", "leases", "network of runs", "disk"]
    {
        assert_eq!(found[about]["verdict"], "good", "{found:#}");
    }
    assert_eq!(found["container engine"]["verdict"], "notice", "{found:#}");
    let text = |about: &str| found[about]["text"].as_str().expect("a text").to_owned();
    assert!(text("database").contains("1 images, revision "), "{found:#}");
    assert!(text("search index").starts_with("same as the database: revision "), "{found:#}");

    assert_eq!(silo.terminate().await.code, Some(0));
    let found = findings(&silo, 0).await;
    assert_eq!(found["service"]["verdict"], "notice", "{found:#}");
    assert!(found["search index"]["text"].as_str().expect("a text").ends_with("no file is damaged"), "{found:#}");
}

async fn an_index_that_is_not_as_it_should_be(engine: Engine) {
    let mut silo = with_an_image(engine).await;
    assert_eq!(silo.terminate().await.code, Some(0));
    let folder = silo.data().join("index/silo-search");
    let generation = fs::read_dir(&folder).expect("a folder").next().expect("a generation").expect("an entry").path();
    let postings = fs::read_dir(&generation).expect("a folder").map(|entry| entry.expect("an entry").path());
    let postings =
        postings.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "idx")).expect("postings");
    fs::write(postings, "garbage").expect("overwritten");
    let found = findings(&silo, 1).await;
    assert_eq!(found["search index"]["verdict"], "bad", "{found:#}");
    fs::remove_dir_all(silo.data().join("index")).expect("removed");
    let found = findings(&silo, 0).await;
    assert_eq!(found["search index"]["text"], "not built yet", "{found:#}");
    silo.start_again().await;
    assert_eq!(findings(&silo, 0).await["search index"]["verdict"], "good");
}

/// A lease and a scan stored by a clock that was years ahead.
async fn what_another_clock_stored_is_told(engine: Engine) {
    let mut silo = with_an_image(engine).await;
    assert_eq!(silo.terminate().await.code, Some(0));
    silo.change_database("UPDATE scans SET created_at = 4000000000000, state = 'running', lease_until = 4000000000000")
        .await;
    let found = findings(&silo, 0).await;
    for (about, words) in [("clock", "in the future"), ("leases", "a scan is leased until 2096")] {
        assert_eq!(found[about]["verdict"], "notice", "{found:#}");
        assert!(found[about]["text"].as_str().expect("a text").contains(words), "{found:#}");
    }
}

async fn what_a_machine_lacks_is_told(engine: Engine) {
    let setup = Setup::on(engine).await.env("SILO__RUNS__NETWORK", "bridge").env("SILO__HTTP__CONNECTIONS", 1_000_000);
    fs::create_dir_all(setup.data()).expect("a folder");
    let disk = SmallDisk::at(&setup.data(), 24);
    fs::set_permissions(setup.data(), fs::Permissions::from_mode(0o700)).expect("our own folder");
    let mut silo = setup.start().await;
    assert_eq!(silo.terminate().await.code, Some(0));
    fs::set_permissions(silo.data().join("host.id"), fs::Permissions::from_mode(0o644)).expect("our own file");
    let found = findings(&silo, 0).await;
    for (about, words) in [
        ("data directory", "host.id would be readable by other users"),
        ("disk", "MiB are free in"),
        ("network of runs", "metadata services"),
        ("file handles", "of 1000000 (http.connections)"),
    ] {
        assert_eq!(found[about]["verdict"], "notice", "{found:#}");
        assert!(found[about]["text"].as_str().expect("a text").contains(words), "{found:#}");
    }
    assert_eq!(found["disk of runs"]["verdict"], "good", "{found:#}");
    assert_eq!(found["mounts"]["verdict"], "good", "{found:#}");
    disk.fill();
    let found = findings(&silo, 1).await;
    for about in ["data directory", "disk of runs"] {
        assert_eq!(found[about]["verdict"], "bad", "{found:#}");
    }
    // Folders that cannot be removed do no harm, but are reported.
    disk.empty();
    let discarded = silo.data().join("runs/.discarded");
    fs::create_dir_all(discarded.join("one")).expect("a folder");
    fs::write(discarded.join("one.why"), "it is somebody's").expect("a file");
    let found = findings(&silo, 0).await;
    assert!(found["removals"]["text"].as_str().expect("a text").contains("it is somebody's"), "{found:#}");
}

on_both!(what_another_clock_stored_is_told, what_a_machine_lacks_is_told);
on_both!(a_service_in_good_health, an_index_that_is_not_as_it_should_be);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_may_read_or_nobody_can_open_is_bad() {
    let mut silo = Setup::new().start().await;
    assert_eq!(silo.terminate().await.code, Some(0));
    fs::set_permissions(silo.data().join("seal.key"), fs::Permissions::from_mode(0o644)).expect("our own file");
    fs::set_permissions(silo.data(), fs::Permissions::from_mode(0o755)).expect("our own folder");
    fs::write(silo.data().join("silo.db"), "no database".repeat(999)).expect("overwritten");
    let found = findings(&silo, 1).await;
    let verdicts = ["data directory", "keys", "database"].map(|about| found[about]["verdict"].clone());
    assert_eq!(verdicts, ["notice", "bad", "bad"], "{found:#}");
    let exit = silo.cli(&["doctor", NO_ENGINE[0], NO_ENGINE[1]]).await;
    assert!(exit.stdout.contains("BAD     keys") && exit.stdout.contains("chmod 600"), "{}", exit.stdout);
}

#[tokio::test]
async fn where_nothing_is_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let arguments = ["doctor", "--data", data.to_str().expect("a plain path"), NO_ENGINE[0], NO_ENGINE[1]];
    let exit = silo(&arguments, &[]).await;
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let shown = exit.stdout.replace(&data.display().to_string(), "DATA");
    // Their number depends on the machine.
    let shown = shown.lines().filter(|line| !line.contains("file handles") && !line.contains("LimitNOFILE"));
    let shown = shown.map(|line| format!("{line}\n")).collect::<String>();
    insta::assert_snapshot!(shown);
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_database_is_refused_and_told() {
    let mut silo = Setup::new().start().await;
    let data = silo.data();
    silo.terminate().await;
    for leftover in ["silo.db-wal", "silo.db-shm"] {
        _ = std::fs::remove_file(data.join(leftover));
    }
    std::fs::write(data.join("silo.db"), "").expect("it is emptied");
    let refused = silo.second_start_error().await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("silo.db is empty"), "{refused:?}");
    assert!(refused.stderr.contains("Restore the file from a backup"), "{refused:?}");
    let told = silo.cli(&["doctor"]).await;
    assert!(told.stdout.contains("silo.db is empty"), "{told:?}");
    assert_eq!(std::fs::metadata(data.join("silo.db")).expect("it is there").len(), 0, "nothing was made in its place");
    std::fs::remove_file(data.join("silo.db")).expect("it is removed");
    silo.start_again().await;
}
