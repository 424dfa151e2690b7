//! Quay in front of an in-memory registry: `/api/v1`, derived from what is pushed.
//!
//! Like the real one it accepts OAuth tokens only, and treats any other login as anonymous.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::response::Response;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::fake_registry::{FakeRegistry, Image, Seen, reply};

/// Repositories per page.
const REPOSITORIES: usize = 3;

#[derive(Clone)]
pub struct FakeQuay {
    pub registry: FakeRegistry,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Tags by repository (`namespace/name`).
    repositories: BTreeMap<String, Vec<Value>>,
    private: HashSet<String>,
    labels: HashMap<String, Vec<Value>>,
    token: Option<String>,
    /// Update times of repositories in listings.
    changed: BTreeMap<String, i64>,
    /// Returns the same cursor again and again.
    stuck: bool,
    /// Tags have an endless number of pages.
    endless: bool,
}

impl Seen {
    pub fn is_quay(&self) -> bool {
        self.path.starts_with("/api/v1/")
    }
    pub fn is_quay_repositories(&self) -> bool {
        self.path == "/api/v1/repository"
    }
    pub fn is_quay_tags(&self) -> bool {
        self.path.ends_with("/tag/")
    }
    pub fn is_labels(&self) -> bool {
        self.path.ends_with("/labels")
    }
}

impl FakeQuay {
    pub async fn start() -> Self {
        let quay = Self { registry: FakeRegistry::start().await, state: Arc::default() };
        let state = Arc::clone(&quay.state);
        quay.registry.serve(move |seen, _| state.lock().serve(seen));
        quay
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        let digest = self.registry.push(repository, tag, image);
        self.describe(repository, tag, &digest);
        digest
    }

    /// Adds a tag that the registry has already.
    pub fn describe(&self, repository: &str, tag: &str, digest: &str) {
        let manifest = self.registry.manifest_of(digest);
        let mut labels = serde_json::Map::new();
        if manifest["config"]["mediaType"].as_str().is_some_and(|kind| kind.contains("image")) {
            let config = self.registry.blob_of(manifest["config"]["digest"].as_str().expect("a digest"));
            labels.extend(config["config"]["Labels"].as_object().cloned().unwrap_or_default());
        }
        labels.extend(manifest["annotations"].as_object().cloned().unwrap_or_default());
        let mut state = self.state();
        let labels = labels.iter().map(|(key, value)| label(key, value, "manifest")).collect();
        state.labels.insert(digest.to_owned(), labels);
        let tags = state.repositories.entry(repository.to_owned()).or_default();
        tags.retain(|known| known["name"] != tag);
        let is_list = manifest["manifests"].is_array();
        tags.push(
            json!({"name": tag, "manifest_digest": digest, "is_manifest_list": is_list, "size": 7, "reversion": false}),
        );
    }

    /// Adds a label through the API.
    pub fn label(&self, digest: &str, key: &str, value: &str) {
        self.state().labels.entry(digest.to_owned()).or_default().push(label(key, &json!(value), "api"));
    }

    /// Changes the tags of a repository.
    pub fn change(&self, repository: &str, change: impl Fn(&mut Value)) {
        self.state().repositories.get_mut(repository).expect("a repository").iter_mut().for_each(change);
    }

    /// Sets the time of a repository's newest tag.
    pub fn changed(&self, repository: &str, time: i64) {
        self.state().changed.insert(repository.to_owned(), time);
    }

    /// Shows this repository to the token's owner only.
    pub fn hide(&self, repository: &str) {
        self.state().private.insert(repository.to_owned());
    }

    pub fn allow(&self, token: &str) {
        self.state().token = Some(format!("Bearer {token}"));
    }
    pub fn is_stuck(&self) {
        self.state().stuck = true;
    }
    pub fn is_endless(&self) {
        self.state().endless = true;
    }
}

fn label(key: &str, value: &Value, source: &str) -> Value {
    json!({"id": "1", "key": key, "value": value, "source_type": source, "media_type": "text/plain"})
}

fn refusal(status: u16, message: &str) -> Response {
    reply(status, json!({"status": status, "error_message": message, "title": message}).to_string())
}

impl State {
    fn serve(&self, seen: &Seen) -> Option<Response> {
        let path = seen.path.strip_prefix("/api/v1/")?;
        let shown = seen.authorization.as_deref().filter(|shown| shown.starts_with("Bearer "));
        let is_known = shown.is_some() && shown == self.token.as_deref();
        if shown.is_some() && !is_known {
            return Some(refusal(401, "invalid_token"));
        }
        let sees = |name: &str| is_known || !self.private.contains(name);
        if path == "repository" {
            return Some(self.repositories(seen, sees));
        }
        let parts: Vec<&str> = path.split('/').collect();
        let ["repository", namespace, name, ref rest @ ..] = parts[..] else { return Some(refusal(404, "not_found")) };
        let name = format!("{namespace}/{name}");
        if !sees(&name) {
            return Some(refusal(401, "insufficient_scope"));
        }
        Some(match (self.repositories.get(&name), rest) {
            (None, _) => refusal(404, "not_found"),
            (Some(tags), ["tag", ""]) => self.tags(seen, tags),
            (Some(_), ["manifest", digest, "labels"]) => {
                let prefix = seen.parameter("filter").unwrap_or_default();
                let all = self.labels.get(*digest).into_iter().flatten();
                let fit = all.filter(|label| label["key"].as_str().is_some_and(|key| key.starts_with(&prefix)));
                reply(200, json!({"labels": fit.collect::<Vec<_>>()}).to_string())
            }
            _ => refusal(404, "not_found"),
        })
    }

    fn repositories(&self, seen: &Seen, sees: impl Fn(&str) -> bool) -> Response {
        let Some(wanted) = seen.parameter("namespace") else { return refusal(400, "namespace is required") };
        let after = seen.parameter("next_page").unwrap_or_default();
        let names = self.repositories.keys().filter_map(|full| full.split_once('/').map(|pair| (full, pair)));
        let all: Vec<Value> = names
            .filter(|(full, (namespace, _))| *namespace == wanted && sees(full) && **full > after)
            .map(|(full, (namespace, name))| {
                let told = seen.parameter("last_modified").and_then(|_| self.changed.get(full));
                json!({"namespace": namespace, "name": name, "kind": "image", "last_modified": told})
            })
            .collect();
        let page = &all[..all.len().min(REPOSITORIES)];
        let mut body = json!({"repositories": page});
        if self.stuck {
            body["next_page"] = json!("again");
        } else if let Some(last) = page.last().filter(|_| page.len() < all.len()) {
            body["next_page"] = json!(format!("{wanted}/{}", last["name"].as_str().expect("a name")));
        }
        reply(200, body.to_string())
    }

    fn tags(&self, seen: &Seen, tags: &[Value]) -> Response {
        let number = |name: &str| seen.parameter(name).and_then(|value| value.parse::<usize>().ok());
        let (page, size) = (number("page").unwrap_or(1), number("limit").unwrap_or(50).min(100));
        if self.endless {
            let tags = json!([{"name": format!("t{page}"), "manifest_digest": null}]);
            return reply(200, json!({"tags": tags, "page": page, "has_additional": true}).to_string());
        }
        let rest: Vec<&Value> = tags.iter().skip((page - 1) * size).collect();
        let shown = &rest[..rest.len().min(size)];
        reply(200, json!({"tags": shown, "page": page, "has_additional": shown.len() < rest.len()}).to_string())
    }
}
