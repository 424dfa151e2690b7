//! The API of Docker Hub: <https://docs.docker.com/reference/api/hub/latest/>.

use std::collections::BTreeMap;

use axum::response::Response;
use serde_json::{Value, json};

use crate::fake_registry::{FakeRegistry, Peek, Repositories, Seen, reply};

/// Configuration of the API.
#[derive(Clone, Default)]
pub struct Hub {
    /// Page size, whatever the request says; 0: as requested.
    pub page: usize,
    /// Required identifier and secret; `None`: no authentication.
    pub login: Option<(&'static str, &'static str)>,
    /// Tags whose entries have no digest.
    pub no_digest: &'static [&'static str],
    /// Those of them whose only image has a digest.
    pub one_image: &'static [&'static str],
}

pub fn is_login(seen: &Seen) -> bool {
    seen.path == "/v2/auth/token"
}

pub fn is_repositories(seen: &Seen) -> bool {
    seen.path.starts_with("/v2/namespaces/") && seen.path.ends_with("/repositories")
}

pub fn is_tags(seen: &Seen) -> bool {
    seen.path.starts_with("/v2/namespaces/") && seen.path.ends_with("/tags")
}

/// Adds the API beside `/v2/`. Each login revokes the token before it.
pub fn serve(registry: &FakeRegistry, hub: Hub) {
    let mut logins = 0;
    let peek = registry.peek();
    registry.serve(move |seen, repositories| {
        if is_login(seen) {
            logins += 1;
            return Some(hub.log_in(seen, logins));
        }
        let path = seen.path.strip_prefix("/v2/namespaces/")?;
        let token = format!("Bearer hub-{logins}");
        if hub.login.is_some() && seen.authorization.as_deref() != Some(&token) {
            return Some(reply(401, json!({"detail": "Unauthorized"}).to_string()));
        }
        Some(hub.list(&peek, seen, path, repositories))
    });
}

impl Hub {
    fn log_in(&self, seen: &Seen, number: usize) -> Response {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let shown = self.login.map(|(identifier, secret)| json!({"identifier": identifier, "secret": secret}));
        if seen.method != "POST" || shown != Some(body) {
            return reply(401, json!({"detail": "Incorrect authentication credentials"}).to_string());
        }
        reply(200, json!({"access_token": format!("hub-{number}")}).to_string())
    }

    fn list(&self, peek: &Peek, seen: &Seen, path: &str, repositories: &Repositories) -> Response {
        let parts: Vec<&str> = path.split('/').collect();
        let rows: Option<Vec<Value>> = match parts.as_slice() {
            [namespace, "repositories"] => {
                let below = format!("{namespace}/");
                let names: Vec<_> = repositories.keys().filter_map(|name| name.strip_prefix(&below)).collect();
                let row = |name: &&str| {
                    let last_updated = peek.signal(&format!("{namespace}/{name}"));
                    json!({"name": name, "namespace": namespace, "is_private": false, "last_updated": last_updated})
                };
                (!names.is_empty()).then(|| names.iter().map(row).collect())
            }
            [namespace, "repositories", name, "tags"] => {
                repositories.get(&format!("{namespace}/{name}")).map(|tags| self.tags(tags))
            }
            _ => None,
        };
        rows.map_or_else(
            || reply(404, json!({"message": "object not found"}).to_string()),
            |rows| self.page(seen, &rows),
        )
    }

    fn tags(&self, tags: &BTreeMap<String, String>) -> Vec<Value> {
        let row = |(tag, digest): (&String, &String)| {
            let mut row =
                json!({"name": tag, "digest": digest, "images": [{"architecture": "amd64", "digest": digest}]});
            if self.no_digest.contains(&tag.as_str()) {
                row["digest"] = Value::Null;
                row["images"] = json!([{"architecture": "amd64"}, {"architecture": "arm64"}]);
            }
            if self.one_image.contains(&tag.as_str()) {
                row["images"] = json!([{"architecture": "amd64", "digest": digest}]);
            }
            row
        };
        tags.iter().map(row).collect()
    }

    fn page(&self, seen: &Seen, rows: &[Value]) -> Response {
        let number = |name| seen.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let size = if self.page == 0 { number("page_size").unwrap_or(10) } else { self.page };
        let page = number("page").unwrap_or(1);
        let Some(shown) = rows.chunks(size).nth(page - 1).or((page == 1).then_some(&[])) else {
            return reply(404, json!({"message": "page not found"}).to_string());
        };
        let next = (rows.len() > size * page)
            .then(|| format!("https://evil.example{}?page={}&page_size={size}", seen.path, page + 1));
        reply(200, json!({"count": rows.len(), "next": next, "previous": null, "results": shown}).to_string())
    }
}
