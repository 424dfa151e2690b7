//! GitHub's API for packages: <https://docs.github.com/en/rest/packages/packages>.

use std::collections::BTreeMap;

use axum::response::Response;
use serde_json::{Value, json};

use crate::fake_registry::{FakeRegistry, Repositories, Seen, reply, with};

/// The accepted token.
pub const TOKEN: &str = "ghp_classic";

pub fn is_packages(seen: &Seen) -> bool {
    seen.path.ends_with("/packages")
}

pub fn is_versions(seen: &Seen) -> bool {
    seen.path.ends_with("/versions")
}

/// Adds the API beside `/v2/`: owners that are not in `users` are organizations; the token belongs to the first user.
/// Pages have at most `page` items.
pub fn serve(registry: &FakeRegistry, users: &'static [&'static str], page: usize) {
    registry.serve(move |seen, repositories| {
        let parts: Vec<&str> = seen.path.trim_start_matches('/').split('/').collect();
        let is_ours = matches!(parts.first(), Some(&("orgs" | "users" | "user")));
        is_ours.then(|| answer(seen, &parts, repositories, users, page))
    });
}

fn answer(seen: &Seen, parts: &[&str], repositories: &Repositories, users: &[&str], page: usize) -> Response {
    if seen.authorization.as_deref() != Some(&format!("Bearer {TOKEN}")) {
        return reply(401, json!({"message": "Requires authentication"}).to_string());
    }
    assert_eq!(seen.headers["x-github-api-version"], "2022-11-28");
    let is_half = |half: &str, owner: &str| (half == "users") == users.contains(&owner);
    let rows = match parts {
        ["user", "packages"] => users.first().and_then(|owner| packages(owner, repositories)),
        [half, owner, "packages"] if is_half(half, &owner.to_lowercase()) => {
            packages(&owner.to_lowercase(), repositories)
        }
        [half, owner, "packages", "container", name, "versions"] if is_half(half, owner) => {
            let name = name.replace("%2F", "/");
            repositories.get(&format!("{owner}/{name}")).map(versions)
        }
        _ => None,
    };
    rows.map_or_else(|| reply(404, json!({"message": "Not Found"}).to_string()), |rows| one_page(seen, &rows, page))
}

/// One version for each digest, with all its tags; and one without tags, as for the children of an index.
fn versions(tags: &BTreeMap<String, String>) -> Vec<Value> {
    let mut by_digest: BTreeMap<&str, Vec<&str>> = BTreeMap::from([("sha256:0", vec![])]);
    for (tag, digest) in tags {
        by_digest.entry(digest).or_default().push(tag);
    }
    let version = |(digest, tags)| json!({"id": 1, "name": digest, "metadata": {"container": {"tags": tags}}});
    by_digest.into_iter().map(version).collect()
}

/// `None`: no such owner.
fn packages(owner: &str, repositories: &Repositories) -> Option<Vec<Value>> {
    let below = format!("{owner}/");
    let names = repositories.keys().filter_map(|name| name.strip_prefix(&below));
    let rows = names.map(|name| json!({"name": name, "package_type": "container", "owner": {"login": owner}}));
    Some(rows.collect()).filter(|rows: &Vec<Value>| !rows.is_empty())
}

fn one_page(seen: &Seen, rows: &[Value], most: usize) -> Response {
    let number = |name| seen.parameter(name).and_then(|text| text.parse::<usize>().ok());
    let (size, page) = (number("per_page").unwrap_or(30).min(most), number("page").unwrap_or(1));
    let shown = rows.chunks(size).nth(page - 1).unwrap_or_default();
    let response = reply(200, json!(shown).to_string());
    if rows.len() <= size * page {
        return response;
    }
    let next = format!("https://evil.example{}?per_page={size}&page={}", seen.path, page + 1);
    with(response, "link", &format!("<{next}>; rel=\"next\""))
}
