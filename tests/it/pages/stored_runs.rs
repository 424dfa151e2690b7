//! Runs as a service keeps them, without a container engine: rows in the database, and folders with logs and outputs.

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use silo::catalog::{RunPhase, RunStatus, UserId};
use silo::store::{DatabaseAddress, NewRun, RunState, Store};

use crate::support::app::{ADMIN, TestApp, USER, beginning, manifest};

/// A service that runs nothing, so that its runs stay as they are.
pub(super) async fn service() -> TestApp {
    TestApp::with().set("SILO__RUNS__WORKERS", "0").start().await
}

/// A run to store.
pub(super) struct RunStory {
    pub number: i64,
    pub owner: &'static str,
    pub status: RunStatus,
    pub label: &'static str,
    pub tags: &'static [&'static str],
    /// Members of its record in place of those of a plain one.
    pub record: Value,
    /// Files of its folder, by path.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

impl RunStory {
    /// A run of the admin with this number and status.
    pub(super) fn new(number: i64, status: RunStatus) -> Self {
        Self { number, owner: ADMIN, status, label: "", tags: &[], record: json!({}), files: Vec::new() }
    }

    pub(super) fn id(&self) -> String {
        format!("run-{:06}", self.number)
    }

    fn created(&self) -> DateTime<Utc> {
        beginning() + TimeDelta::minutes(self.number)
    }

    /// Its record, in a folder.
    fn record(&self, folder: &std::path::Path) -> Value {
        let created = self.created();
        let later = |seconds: i64| json!(created + TimeDelta::seconds(seconds));
        let is_final = self.status.is_final();
        let finished = if is_final { later(70) } else { Value::Null };
        let attempt = json!({"number": 1, "started": later(5), "finished": finished, "engine": "Docker 28", "stdoutBytes": 10,
            "stderrBytes": 5, "oom": false, "timedOut": false, "truncated": false, "phases": [
                {"name": "pull", "started": later(5), "finished": later(9)},
                {"name": "main", "started": later(9), "finished": finished}]});
        let mut record = json!({
            "id": self.id(), "job": {"name": "job", "jobVersion": "1.0.0", "packageVersion": "2.0.0"},
            "image": {"reference": "hub.example/job-1.0.0-seed:2.0.0"}, "manifest": manifest("job", "1.0.0", "2.0.0"),
            "given": {}, "container": {}, "dockerRun": "docker run job", "status": self.status,
            "phase": if is_final { "done" } else { "main" }, "progress": if is_final { 100 } else { 20 },
            "message": "as it is", "error": null, "warnings": [], "attempts": [attempt], "maxTries": 3, "willRetry": false,
            "created": created, "started": later(5), "finished": finished, "updated": later(70), "outputs": null,
            "folder": folder, "owner": self.owner, "label": self.label, "tags": self.tags, "priority": 4,
        });
        if self.status == RunStatus::Accepted {
            (record["attempts"], record["started"], record["phase"]) = (json!([]), Value::Null, json!("queued"));
        }
        let changes = self.record.as_object().expect("members of a record");
        changes.iter().for_each(|(name, value)| record[name] = value.clone());
        record
    }

    /// Stores it in a service; returns its id.
    pub(super) async fn store(self, silo: &TestApp) -> String {
        let folder: PathBuf = silo.folder().join("runs").join(self.id());
        for (path, content) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        let owner = match self.owner {
            USER => silo.user().get("/api/v1/me").await,
            _ => silo.admin().get("/api/v1/me").await,
        };
        let owner = UserId(owner.expect(200).json()["id"].as_i64().expect("an id"));
        let record = self.record(&folder).to_string();
        let new = NewRun {
            id: self.id(),
            owner_id: owner,
            owner: self.owner.to_owned(),
            label: self.label.to_owned(),
            tags: self.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            job_name: "job".to_owned(),
            job_version: "1.0.0".to_owned(),
            package_version: "2.0.0".to_owned(),
            image: "hub.example/job-1.0.0-seed:2.0.0".to_owned(),
            priority: 4,
            max_tries: 3,
            created_at: self.created(),
            spec: r#"{"image":"a","pinned":"b","files":[],"json":{},"settings":{},"mounts":{},"layout":"silo"}"#
                .to_owned(),
            record: record.clone(),
            ..NewRun::default()
        };
        let path = silo.folder().join("data").join("silo.db");
        let store = Store::connect(&DatabaseAddress::Sqlite(path)).await.expect("the service's database");
        store.run_insert(std::slice::from_ref(&new), 1000).await.expect("a new run");
        if self.status != RunStatus::Accepted {
            self.begin(&store, record).await;
        }
        store.close().await;
        new.id
    }

    /// Makes it what it is: other runs that wait are claimed meanwhile.
    async fn begin(&self, store: &Store, record: String) {
        let (now, until) = (self.created(), self.created() + TimeDelta::days(10_000));
        let claim = loop {
            let claim = store.run_claim(&format!("token of {}", self.number), "elsewhere", &[], 1000, now, until).await;
            let claim = claim.expect("an answer").expect("it waits");
            if claim.id == self.id() {
                break claim;
            }
        };
        let error = self.record["error"].as_object();
        let state = RunState {
            status: self.status,
            phase: if self.status.is_final() { RunPhase::Done } else { RunPhase::Main },
            progress: if self.status.is_final() { 100 } else { 20 },
            message: "as it is".to_owned(),
            error_name: error.map(|error| error["name"].as_str().expect("a name").to_owned()),
            error_category: error.map(|error| error["category"].as_str().expect("a category").to_owned()),
            attempts: 1,
            started_at: Some(now),
            finished_at: self.status.is_final().then_some(now + TimeDelta::seconds(70)),
            updated_at: now,
            due_at: now,
            record,
        };
        let stored = match self.status.is_final() {
            true => store.run_finish_attempt(&claim, &state).await,
            false => store.run_update(&claim, &state).await,
        };
        stored.expect("it is ours");
    }
}
