//! Harbor 2 in front of an in-memory registry: `/api/v2.0`, derived from what is pushed.
//!
//! Faults of the registry apply here, too, and its log contains all requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::response::Response;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen, basic, error, reply, with};

#[derive(Clone)]
pub struct FakeHarbor {
    pub registry: FakeRegistry,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Artifacts by repository (`project/name`).
    repositories: BTreeMap<String, Vec<Value>>,
    /// `Authorization` of the only account; others count as anonymous.
    login: Option<String>,
    version: Option<String>,
    /// Update times of repositories in listings.
    changed: BTreeMap<String, String>,
    is_robot: bool,
    /// Projects hidden from anonymous requests.
    private: BTreeSet<String>,
    /// Before 2.3: no `config` in artifacts.
    mute: bool,
    /// A proxy removes the paging headers.
    bare: bool,
    /// Returns the first page for every page number.
    stuck: bool,
    /// Each page of artifacts is full, new, and not the last.
    endless: bool,
    /// Number of entries that are counted, but on no page.
    vanished: usize,
}

impl Seen {
    pub fn is_artifacts(&self) -> bool {
        self.path.ends_with("/artifacts")
    }
    pub fn is_repositories(&self) -> bool {
        self.path.ends_with("/repositories")
    }
}

impl FakeHarbor {
    pub async fn start() -> Self {
        let harbor = Self { registry: FakeRegistry::start().await, state: Arc::default() };
        let state = Arc::clone(&harbor.state);
        harbor.registry.serve(move |seen, _| state.lock().serve(seen));
        // Harbor shows its catalogue to system administrators only.
        harbor.registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
        harbor
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        let digest = self.registry.push(repository, tag, image);
        self.describe(repository, tag, &digest);
        digest
    }

    /// Adds the artifact for a tag that the registry has already.
    pub fn describe(&self, repository: &str, tag: &str, digest: &str) {
        let artifact = artifact(&self.registry, digest);
        let mut state = self.state();
        let artifacts = state.repositories.entry(repository.to_owned()).or_default();
        for artifact in artifacts.iter_mut() {
            artifact["tags"].as_array_mut().expect("tags").retain(|held| held["name"] != tag);
        }
        artifacts.retain(|artifact| artifact["tags"] != json!([]));
        let at = artifacts.iter().position(|known| known["digest"] == digest).unwrap_or_else(|| {
            artifacts.push(artifact);
            artifacts.len() - 1
        });
        artifacts[at]["tags"].as_array_mut().expect("tags").push(json!({"name": tag, "immutable": false}));
    }

    /// Changes the artifacts of a repository.
    pub fn change(&self, repository: &str, change: impl Fn(&mut Value)) {
        self.state().repositories.get_mut(repository).expect("a repository").iter_mut().for_each(change);
    }

    /// Adds an account. The token service issues tokens to anonymous clients, too, as Harbor's does for any scope.
    pub fn know(&self, username: &str, password: &str) {
        self.registry.require_bearer(&self.registry, None);
        let mut state = self.state();
        state.login = Some(basic(username, password));
        state.is_robot = username.starts_with("robot$");
    }

    /// Shows this project to the account only.
    pub fn hide(&self, project: &str) {
        self.state().private.insert(project.to_owned());
    }

    /// Sets the version, and a repository's update time.
    pub fn changed(&self, version: &str, repository: &str, time: &str) {
        let mut state = self.state();
        state.version = Some(version.to_owned());
        state.changed.insert(repository.to_owned(), time.to_owned());
    }

    pub fn is_mute(&self) {
        self.state().mute = true;
    }
    pub fn leave_out_headers(&self) {
        self.state().bare = true;
    }
    pub fn is_stuck(&self) {
        self.state().stuck = true;
    }
    pub fn is_endless(&self) {
        self.state().endless = true;
    }
    pub fn claims_more(&self, count: usize) {
        self.state().vanished = count;
    }
}

/// Harbor's description of a digest.
fn artifact(registry: &FakeRegistry, digest: &str) -> Value {
    let manifest = registry.manifest_of(digest);
    let mut artifact = json!({
        "digest": digest, "type": "IMAGE", "manifest_media_type": manifest["mediaType"], "tags": [], "labels": null,
        "references": null, "extra_attrs": null, "annotations": manifest["annotations"], "push_time": "2026-11-01T00:00:00Z",
    });
    if let Some(children) = manifest["manifests"].as_array() {
        let reference = |child: &Value| json!({"child_digest": child["digest"], "platform": child["platform"]});
        artifact["references"] = children.iter().map(reference).collect();
        artifact["media_type"] = manifest["mediaType"].clone();
        return artifact;
    }
    artifact["media_type"] = manifest["config"]["mediaType"].clone();
    let config = registry.blob_of(manifest["config"]["digest"].as_str().expect("a digest"));
    if artifact["media_type"].as_str().is_some_and(|kind| kind.contains("image")) {
        artifact["extra_attrs"] = json!({
            "os": config["os"], "architecture": config["architecture"], "author": "", "created": "2026-11-01T00:00:00Z",
            "config": config["config"],
        });
    } else {
        artifact["type"] = json!("CHART");
        artifact["extra_attrs"] = json!({"name": "a chart", "config": 7, "os": [1]});
    }
    artifact
}

impl State {
    fn serve(&self, seen: &Seen) -> Option<Response> {
        let path = seen.path.strip_prefix("/api/v2.0/")?;
        let is_known = self.login.is_some() && seen.authorization == self.login;
        let sees = |project: &str| is_known || !self.private.contains(project);
        let named = |name: &str| json!({"name": name, "artifact_count": 1, "update_time": self.changed.get(name)});
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts[..] {
            ["users", "current"] if !is_known => error(401, "UNAUTHORIZED"),
            ["users", "current"] if self.is_robot => error(412, "PRECONDITION"),
            ["users", "current"] => reply(200, json!({"user_id": 3}).to_string()),
            ["systeminfo"] => {
                let version = self.version.as_ref().filter(|_| is_known);
                reply(200, json!({"harbor_version": version, "auth_mode": "db_auth"}).to_string())
            }
            ["projects"] => {
                let projects = self.repositories.keys().filter_map(|name| name.split('/').next());
                let mut projects: Vec<&str> = projects.filter(|project| sees(project)).collect();
                projects.dedup();
                self.page(seen, projects.into_iter().map(named).collect())
            }
            ["projects", project, ..] if !sees(project) => error(401, "UNAUTHORIZED"),
            // A robot account gets this list empty, whatever its permissions.
            ["repositories"] => reply(200, "[]"),
            ["projects", project, "repositories"] => {
                let own = |name: &&String| name.starts_with(&format!("{project}/"));
                let own: Vec<Value> = self.repositories.keys().filter(own).map(|name| named(name)).collect();
                if own.is_empty() { error(404, "NOT_FOUND") } else { self.page(seen, own) }
            }
            ["projects", project, "repositories", name, "artifacts"] => {
                match self.repositories.get(&format!("{project}/{}", name.replace("%252F", "/"))) {
                    None => error(404, "NOT_FOUND"),
                    Some(artifacts) => self.page(seen, artifacts.clone()),
                }
            }
            _ => error(404, "NOT_FOUND"),
        })
    }

    fn page(&self, seen: &Seen, mut all: Vec<Value>) -> Response {
        let number = |name: &str| seen.parameter(name).and_then(|value| value.parse::<usize>().ok());
        let (page, size) = (number("page").unwrap_or(1), number("page_size").unwrap_or(10).min(100));
        if self.mute {
            all.iter_mut().for_each(|entry| entry["extra_attrs"] = Value::Null);
        }
        if self.endless && seen.is_artifacts() {
            let made = |i: usize| json!({"digest": "", "tags": [{"name": format!("t{page}-{i}")}]});
            return reply(200, Value::from_iter((0..size).map(made)).to_string());
        }
        let total = (all.len() + self.vanished).to_string();
        let skipped = if self.stuck { 0 } else { (page - 1) * size };
        let rest: Vec<Value> = all.into_iter().skip(skipped).collect();
        let response = reply(200, Value::from_iter(rest.iter().take(size).cloned()).to_string());
        if self.bare {
            return response;
        }
        let response = with(response, "x-total-count", &total);
        if rest.len() > size {
            return with(response, "link", &format!("<{}?page={}>; rel=\"next\"", seen.path, page + 1));
        }
        response
    }
}
