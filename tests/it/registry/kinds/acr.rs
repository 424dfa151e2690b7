//! Azure Container Registry, faked: its API beside `/v2/`, whose tags contain digests and need their own scope.

use axum::http::Response;
use serde_json::{Value, json};
use silo::catalog::RegistryKind::Acr;

use super::super::assert_fails;
use super::{add_mine, cost, images, open_kind, open_limited, open_org, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Repositories, Seen, error, reply, with};

async fn azure() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for name in ["a-seed", "geo/b-seed", "geo/c-seed"] {
        let digest = registry.push(name, "1.0.0", &seed(name.rsplit('/').next().unwrap()));
        registry.tag(name, "latest", &digest);
    }
    registry.serve_to_members(answer);
    registry
}

/// Two entries per page.
fn answer(seen: &Seen, content: &Repositories) -> Option<Response<axum::body::Body>> {
    let path = seen.path.strip_prefix("/acr/v1/")?;
    if path == "_catalog" {
        let (page, last) = page(seen, content.keys());
        return Some(linked(seen, last, json!({"repositories": page})));
    }
    let repository = path.strip_suffix("/_tags")?;
    let Some(tags) = content.get(repository) else { return Some(error(404, "NAME_UNKNOWN")) };
    let (page, last) = page(seen, tags.keys());
    let entries: Vec<Value> =
        page.iter().map(|tag| json!({"name": tag, "digest": tags[*tag], "signed": false})).collect();
    Some(linked(seen, last, json!({"registry": "mine", "imageName": repository, "tags": entries})))
}

fn page<'a>(seen: &Seen, names: impl Iterator<Item = &'a String>) -> (Vec<&'a String>, Option<&'a String>) {
    let last = seen.parameter("last").unwrap_or_default();
    let rest: Vec<&String> = names.filter(|name| **name > last).collect();
    let next = (rest.len() > 2).then(|| rest[1]);
    (rest.into_iter().take(2).collect(), next)
}

fn linked(seen: &Seen, last: Option<&String>, body: Value) -> Response<axum::body::Body> {
    let reply = reply(200, body.to_string());
    match last {
        Some(last) => with(reply, "link", &format!("<{}?last={last}&n=2&orderby=>; rel=\"next\"", seen.path)),
        None => reply,
    }
}

fn is_own(seen: &Seen) -> bool {
    seen.path.starts_with("/acr/v1/")
}

fn names(listing: &silo::registry::SourceListing<silo::registry::ListedTag>) -> Vec<(&str, bool)> {
    listing.items.iter().map(|tag| (tag.name.as_str(), tag.digest.is_some())).collect()
}

#[tokio::test]
async fn its_own_listings_are_asked_with_tokens_of_their_own() {
    let registry = azure().await;
    registry.require_bearer(&registry, Some(("robot", "secret")));
    let source = open_org(Acr, &registry, "", Some(("robot", "secret")));
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items, ["a-seed", "geo/b-seed", "geo/c-seed"]);
    assert_eq!(names(&source.tags("geo/b-seed").await.unwrap()), [("1.0.0", true), ("latest", true)]);
    assert_eq!(registry.count(is_own), 4, "two pages of repositories, the first twice, and one of tags");
    assert_eq!(registry.count(|seen| seen.is_catalog() || seen.is_tags()), 0);
    let scopes: Vec<_> = registry.log().iter().filter_map(|seen| seen.parameter("scope")).collect();
    assert_eq!(scopes, ["registry:catalog:*", "repository:geo/b-seed:metadata_read"]);
    let digest = source.digest("geo/b-seed", "1.0.0").await.unwrap().unwrap();
    source.fetch("geo/b-seed", &digest).await.unwrap();
}

#[tokio::test]
async fn without_its_own_interface_it_is_any_registry() {
    let registry = azure().await;
    let source = open_kind(Acr, &registry);
    for status in [404, 403] {
        registry.fault(is_own, ALWAYS, Fault::Status(status));
        assert_eq!(source.repositories().await.unwrap().items.len(), 3);
        assert_eq!(names(&source.tags("a-seed").await.unwrap()), [("1.0.0", false), ("latest", false)]);
        registry.clear_faults();
    }
    assert_eq!(source.tags("gone").await.unwrap().items.len(), 0);
    registry.fault(is_own, 1, Fault::Json(404, json!({"errors": [{"code": "NOT_FOUND"}]})));
    assert_eq!(source.tags("a-seed").await.unwrap().items.len(), 2, "no such interface is not no such repository");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let registry = azure().await;
    registry.require_bearer(&registry, Some(("robot", "secret")));
    let source = open_org(Acr, &registry, "", Some(("robot", "wrong")));
    assert_fails!(source.repositories().await, WrongPassword, "does not accept");
    assert_fails!(source.tags("a-seed").await, WrongPassword, "does not accept");
    assert_eq!(registry.count(|seen| seen.authorization.is_some()), 1);
}

#[tokio::test]
async fn endless_circular_and_broken_listings_are_never_silently_short() {
    let registry = azure().await;
    registry.fault(is_own, ALWAYS, Fault::Link("<?last=a-seed>; rel=\"next\"".into()));
    assert!(open_kind(Acr, &registry).repositories().await.unwrap().truncated.unwrap().contains("repeats names"));
    registry.clear_faults();
    let listing = open_limited(Acr, &registry, 1).repositories().await.unwrap();
    assert!(listing.truncated.unwrap().contains("1 pages"));
    let source = open_kind(Acr, &registry);
    registry.fault(is_own, 1, Fault::Json(200, json!({"tags": [{"digest": "sha256:1"}]})));
    assert_fails!(source.tags("a-seed").await, Malformed, "/acr/v1/a-seed/_tags", "not a list");
    registry.fault(is_own, 1, Fault::Json(200, json!({"status": "ok"})));
    assert_fails!(source.tags("a-seed").await, Malformed, "not a list");
    registry.fault(
        is_own,
        1,
        Fault::Json(200, json!({"imageName": "a-seed", "tags": [{"name": "x"}, {"name": "not a tag"}]})),
    );
    assert_eq!(names(&source.tags("a-seed").await.unwrap()), [("x", false)]);
    registry.fault(is_own, 1, Fault::StatusWith(429, "retry-after", "1".into()));
    assert_eq!(source.tags("a-seed").await.unwrap().items.len(), 2, "after the wait");
    registry.fault(is_own, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("a-seed").await, Unreachable, "broke off");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tag_costs_nothing() {
    let registry = azure().await;
    let silo = TestApp::start().await;
    let id = add_mine(&silo, "acr", &registry.url(), "").await;
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [0, 3, 3], "six tags of three new digests");
    assert_eq!(images(&silo).await.len(), 6);
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!((cost(&registry), registry.count(is_own)), ([0, 0, 0], 5), "two pages, three listings of tags");
    registry.push("a-seed", "latest", &seed("a"));
    registry.push("a-seed", "2.0.0", &seed("aa"));
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [0, 2, 2]);
}
