//! GitLab: its API and token service on one host, its registry on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::fake_registry::{FakeRegistry, Own, Peek, Repositories, Seen};

pub const USER: &str = "ada";
pub const TOKEN: &str = "glpat-secret";

/// A GitLab with given groups and projects.
pub struct FakeGitLab {
    /// The API and the token service.
    pub web: FakeRegistry,
    pub registry: FakeRegistry,
    pub knobs: Arc<Knobs>,
}

#[derive(Default)]
pub struct Knobs {
    /// Full paths.
    groups: Mutex<Vec<String>>,
    projects: Mutex<Vec<String>>,
    /// Whether the registry has a metadata database, and so its own listing.
    pub has_database: AtomicBool,
    /// Whether a proxy removes the paging headers.
    pub no_page_headers: AtomicBool,
    /// Limit of page sizes in the registry's listing; 0: as requested.
    pub page: AtomicUsize,
}

impl FakeGitLab {
    pub async fn start() -> Self {
        let (web, registry) = (FakeRegistry::start().await, FakeRegistry::start().await);
        let knobs = Arc::new(Knobs { has_database: AtomicBool::new(true), ..Knobs::default() });
        let realm = format!("{}/jwt/auth", web.url());
        registry.require_bearer_with(&realm, &web, Some((USER, TOKEN)), json!({}));
        let (of, its) = (Arc::clone(&knobs), registry.clone());
        web.serve(move |seen, _| api(&of, seen, &its.repositories()));
        let of = Arc::clone(&knobs);
        let peek = registry.peek();
        registry.serve_to_members(move |seen, repositories| own_tags(&peek, &of, seen, repositories));
        Self { web, registry, knobs }
    }

    pub fn add_group(&self, path: &str) {
        self.knobs.groups.lock().push(path.to_owned());
    }

    pub fn add_project(&self, path: &str) {
        self.knobs.projects.lock().push(path.to_owned());
    }

    pub fn is_api(seen: &Seen) -> bool {
        seen.path.starts_with("/api/v4/")
    }

    pub fn is_own_tags(seen: &Seen) -> bool {
        seen.path.starts_with("/gitlab/v1/")
    }
}

/// `GET /api/v4/{groups,projects}/PATH/registry/repositories`.
fn api(knobs: &Knobs, seen: &Seen, repositories: &Repositories) -> Option<Own> {
    let (collection, rest) = seen.path.strip_prefix("/api/v4/")?.split_once('/')?;
    if seen.authorization.as_deref() != Some(&format!("Bearer {TOKEN}")) {
        return Some(Own::new(401, json!({"message": "401 Unauthorized"})));
    }
    let path = rest.strip_suffix("/registry/repositories")?.replace("%2F", "/");
    let known = match collection {
        "groups" => knobs.groups.lock(),
        _ => knobs.projects.lock(),
    };
    if !known.contains(&path) {
        return Some(Own::new(404, json!({"message": "404 Not Found"})));
    }
    let is_inside = |name: &str| name.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let names: Vec<&String> = repositories.keys().filter(|name| is_inside(name)).collect();
    let number = |name| seen.parameter(name).and_then(|text| text.parse().ok());
    let (page, size) = (number("page").unwrap_or(1), number("per_page").unwrap_or(20).min(100));
    let from = (page - 1) * size;
    let entries: Vec<Value> =
        names.iter().enumerate().skip(from).take(size).map(|(id, name)| entry(id, name)).collect();
    let own = Own::new(200, entries.into());
    let is_last = from + size >= names.len();
    Some(match knobs.no_page_headers.load(Ordering::SeqCst) {
        true => own,
        false if is_last => own.header("x-next-page", ""),
        false => own.header("x-next-page", (page + 1).to_string()),
    })
}

fn entry(id: usize, name: &str) -> Value {
    json!({"id": id, "name": "", "path": name, "project_id": 1, "location": format!("registry.example.org/{name}")})
}

/// `GET /gitlab/v1/repositories/PATH/tags/list/`.
fn own_tags(peek: &Peek, knobs: &Knobs, seen: &Seen, repositories: &Repositories) -> Option<Own> {
    let path = seen.path.strip_prefix("/gitlab/v1/repositories/")?;
    if !knobs.has_database.load(Ordering::SeqCst) {
        return Some(Own::new(404, json!("404 page not found")));
    }
    let Some(tags) = path.strip_suffix("/tags/list/").and_then(|name| repositories.get(name)) else {
        return Some(Own::new(404, json!({"errors": [{"code": "NAME_UNKNOWN", "message": "not known"}]})));
    };
    let asked = seen.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(100);
    let most = Some(knobs.page.load(Ordering::SeqCst)).filter(|most| *most > 0).unwrap_or(asked);
    let last = seen.parameter("last").unwrap_or_default();
    let rest: Vec<(&String, &String)> = tags.iter().filter(|(name, _)| **name > last).collect();
    let page = &rest[..rest.len().min(most)];
    let entry = |(name, digest): &(&String, &String)| json!({"name": name, "digest": digest, "config_digest": peek.config_of(digest), "size_bytes": 4711});
    let entries: Vec<Value> = page.iter().map(entry).collect();
    let own = Own::new(200, entries.into());
    Some(match page.last() {
        Some((last, _)) if page.len() < rest.len() => {
            own.header("link", format!("<https://elsewhere.example/x?n={most}&last={last}>; rel=\"next\""))
        }
        _ => own,
    })
}
