//! Runs that were never executed: a row in the database, and files on disk.

use std::fs;
use std::path::PathBuf;

use chrono::TimeDelta;
use serde_json::{Value, json};
use silo::catalog::{RunPhase, RunStatus, UserId};
use silo::store::{DatabaseAddress, NewRun, RunState, Store};

use super::app::TestApp;

/// Stores a successful run of the admin, which left these files. The service must have no container engine, else it would
/// execute the run before it is stored as ended. Returns the run's folder.
pub async fn successful_run(silo: &TestApp, id: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let root = silo.folder().join("stored").join(id);
    for (path, bytes) in files {
        let path = root.join("output").join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    fs::create_dir_all(root.join("attempt-1")).expect("a folder");
    let now = silo.clock.now();
    let captured: Vec<Value> = files.iter().map(|(path, bytes)| json!({"path": path, "size": bytes.len()})).collect();
    let record = json!({
        "id": id,
        "job": {"name": "look", "jobVersion": "1.0.0", "packageVersion": "1.0.0"},
        "image": {"reference": "look-1.0.0-seed:1.0.0"},
        "manifest": super::app::manifest("look", "1.0.0", "1.0.0"),
        "given": {},
        "container": {"memory": 67_108_864, "cpus": 1.0},
        "dockerRun": "docker run look",
        "status": "successful",
        "phase": "done",
        "progress": 100,
        "message": "The job was successful.",
        "warnings": [],
        "attempts": [{"number": 1, "started": now, "finished": now, "phases": [], "exitCode": 0, "oom": false, "timedOut": false, "stdoutBytes": 0, "stderrBytes": 0, "truncated": false}],
        "maxTries": 1,
        "willRetry": false,
        "created": now,
        "started": now,
        "finished": now,
        "updated": now,
        "outputs": {"files": [{"name": "PICTURES", "files": captured}]},
        "folder": root,
        "owner": "admin",
    });
    let new = NewRun {
        id: id.to_owned(),
        owner_id: UserId(1),
        owner: "admin".to_owned(),
        job_name: "look".to_owned(),
        job_version: "1.0.0".to_owned(),
        package_version: "1.0.0".to_owned(),
        image: "look-1.0.0-seed:1.0.0".to_owned(),
        max_tries: 1,
        created_at: now,
        spec: json!({"image": "look-1.0.0-seed:1.0.0", "pinned": "look-1.0.0-seed:1.0.0"}).to_string(),
        record: record.to_string(),
        ..NewRun::default()
    };
    let address = DatabaseAddress::Sqlite(silo.folder().join("data/silo.db"));
    let store = Store::connect(&address).await.expect("the service has made it");
    store.run_insert(&[new], 1000).await.expect("a new run");
    let claim = store.run_claim(id, "nowhere", &[], 1000, now, now + TimeDelta::minutes(1)).await;
    let claim = claim.expect("an answer").expect("the run waits");
    let ended = RunState {
        status: RunStatus::Successful,
        phase: RunPhase::Done,
        progress: 100,
        message: "The job was successful.".to_owned(),
        error_name: None,
        error_category: None,
        attempts: 1,
        started_at: Some(now),
        finished_at: Some(now),
        updated_at: now,
        due_at: now,
        record: record.to_string(),
    };
    store.run_finish_attempt(&claim, &ended).await.expect("it is ours");
    store.close().await;
    root
}

/// A service without a container engine.
pub async fn without_engine() -> TestApp {
    TestApp::with().set("SILO__RUNS__ENGINE", "unix:///no/engine.sock").start().await
}
