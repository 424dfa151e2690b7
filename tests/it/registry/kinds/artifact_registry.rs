//! Google's registries, faked: tag listings with digests, and child repositories.

use serde_json::{Map, Value, json};
use silo::catalog::RegistryKind::ArtifactRegistry;
use silo::registry::ListedTag;

use super::super::assert_fails;
use super::{add_mine, cost, images, open_kind, open_limited, open_org, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Repositories, Seen, reply};

/// A registry with Google's tag listings.
async fn google() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.serve_to_members(|seen, content| {
        let path = seen.path.strip_prefix("/v2/")?.strip_suffix("tags/list")?.trim_end_matches('/');
        Some(reply(200, listing(path, content).to_string()))
    });
    registry
}

fn listing(folder: &str, content: &Repositories) -> Value {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let below = content.keys().filter_map(|name| name.strip_prefix(&prefix));
    let mut child: Vec<&str> = below.map(|rest| rest.split('/').next().unwrap()).collect();
    child.dedup();
    let (mut tags, mut manifests) = (Vec::new(), Map::new());
    for (tag, digest) in content.get(folder).into_iter().flatten() {
        tags.push(tag);
        let entry = manifests.entry(digest).or_insert(json!({"tag": [], "timeUploadedMs": "1597767277119"}));
        entry["tag"].as_array_mut().unwrap().push(json!(tag));
    }
    json!({"name": folder, "child": child, "tags": tags, "manifest": manifests})
}

async fn with_images() -> FakeRegistry {
    let registry = google().await;
    for name in ["geo/ice/a-seed", "geo/b-seed", "sea/c-seed"] {
        registry.push(name, "1.0.0", &seed(name.rsplit('/').next().unwrap()));
    }
    registry
}

fn is_folder(seen: &Seen) -> bool {
    seen.is_tags()
}

#[tokio::test]
async fn one_listing_tells_all_digests_of_a_repository() {
    let registry = google().await;
    let digest = registry.push("geo/a-seed", "1.0.0", &Image::new());
    registry.tag("geo/a-seed", "latest", &digest);
    let other = registry.push("geo/a-seed", "2.0.0", &Image::new().label("a", "b"));
    let source = open_kind(ArtifactRegistry, &registry);
    let tag = |name: &str, digest: &str| ListedTag {
        name: name.into(),
        digest: Some(digest.into()),
        content: None,
        config: None,
    };
    let tags = source.tags("geo/a-seed").await.unwrap();
    assert_eq!(tags.items, [tag("1.0.0", &digest), tag("2.0.0", &other), tag("latest", &digest)]);
    assert_eq!((registry.count(Seen::is_tags), tags.truncated), (1, None));
}

#[tokio::test]
async fn a_digest_that_is_missing_or_no_digest_or_not_the_only_one_is_asked_for() {
    let registry = FakeRegistry::start().await;
    let (one, two) = (format!("sha256:{}", "1".repeat(64)), format!("sha256:{}", "2".repeat(64)));
    let body = json!({"tags": ["a", "b", "c", "d"], "child": [], "manifest": {
        &one: {"tag": ["a", "b"]}, &two: {"tag": ["a"]}, "nonsense": {"tag": ["c"]}}});
    registry.fault(Seen::is_tags, 1, Fault::Json(200, body));
    let tags = open_kind(ArtifactRegistry, &registry).tags("x").await.unwrap().items;
    assert_eq!(tags.iter().map(|tag| tag.digest.as_deref()).collect::<Vec<_>>(), [None, Some(&*one), None, None]);
}

#[tokio::test]
async fn a_refused_catalogue_is_replaced_by_going_down() {
    let registry = with_images().await;
    let source = open_kind(ArtifactRegistry, &registry);
    assert_eq!(source.repositories().await.unwrap().items, ["geo/b-seed", "geo/ice/a-seed", "sea/c-seed"]);
    assert_eq!(registry.count(is_folder), 0, "the catalogue is enough");
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    let listing = source.repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/b-seed", "sea/c-seed", "geo/ice/a-seed"]);
    assert_eq!((registry.count(is_folder), listing.truncated), (7, None), "root, geo, sea, ice and three images");
    registry.clear_log();
    let org = open_org(ArtifactRegistry, &registry, "geo/ice", None).repositories().await.unwrap();
    assert_eq!((org.items, registry.count(is_folder)), (vec!["geo/ice/a-seed".to_owned()], 2));
}

#[tokio::test]
async fn folders_without_end_are_cut_and_say_so() {
    let registry = google().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    registry.fault(Seen::is_tags, ALWAYS, Fault::Json(200, json!({"child": ["a"], "tags": ["t"]})));
    let listing = open_limited(ArtifactRegistry, &registry, 5).repositories().await.unwrap();
    assert!(listing.truncated.unwrap().contains("5 folders"));
    assert_eq!(registry.count(is_folder), 5);
}

#[tokio::test]
async fn an_org_with_nothing_in_it_is_no_empty_registry() {
    let registry = with_images().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    let source = open_org(ArtifactRegistry, &registry, "gone", None);
    assert_fails!(source.repositories().await, NotFound, format!("{}/gone", registry.host()), "check the org");
    assert_fails!(
        open_org(ArtifactRegistry, &registry, "../x", None).repositories().await,
        Refused,
        "cannot be a repository"
    );
    let twice = json!({"child": ["a", "a", "A?"], "tags": []});
    registry.fault(|seen| seen.path == "/v2/tags/list", ALWAYS, Fault::Json(200, twice));
    assert_eq!(open_kind(ArtifactRegistry, &registry).repositories().await.unwrap().items.len(), 0);
    assert_eq!(registry.count(|seen| seen.path == "/v2/a/tags/list"), 1);
}

#[tokio::test]
async fn a_folder_that_is_not_for_us_makes_the_listing_incomplete() {
    let registry = with_images().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    registry.fault(|seen| seen.path.starts_with("/v2/geo/ice"), ALWAYS, Fault::Status(403));
    let listing = open_kind(ArtifactRegistry, &registry).repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/b-seed", "sea/c-seed"]);
    assert!(listing.truncated.unwrap().contains("the tags of geo/ice"));
    registry.fault(Seen::is_tags, ALWAYS, Fault::Status(403));
    assert_fails!(open_kind(ArtifactRegistry, &registry).repositories().await, LoginRequired, "list");
}

#[tokio::test]
async fn a_page_that_breaks_off_or_is_none_is_an_error() {
    let registry = with_images().await;
    let source = open_kind(ArtifactRegistry, &registry);
    registry.fault(Seen::is_tags, 1, Fault::Json(200, json!({"name": "geo/b-seed"})));
    assert_fails!(source.tags("geo/b-seed").await, Malformed, "not a list");
    registry.fault(Seen::is_tags, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("geo/b-seed").await, Unreachable, "broke off");
    registry.clear_faults();
    registry.fault(Seen::is_tags, 1, Fault::StatusWith(429, "retry-after", "1".into()));
    assert_eq!(source.tags("geo/b-seed").await.unwrap().items.len(), 1, "after the wait");
    registry.fault(Seen::is_tags, ALWAYS, Fault::EndlessPages);
    let listing = open_limited(ArtifactRegistry, &registry, 4).tags("geo/b-seed").await.unwrap();
    assert!(listing.truncated.unwrap().contains("4 pages"));
}

#[tokio::test]
async fn a_key_file_is_a_password() {
    let registry = with_images().await;
    let key = "{\n  \"type\": \"service_account\",\n  \"private_key\": \"x:y\"\n}\n";
    registry.require_bearer(&registry, Some(("_json_key", key)));
    let source = open_org(ArtifactRegistry, &registry, "", Some(("_json_key", key)));
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items.len(), 3);
    assert!(source.tags("geo/b-seed").await.unwrap().items[0].digest.is_some());
    registry.clear_log();
    let wrong = open_org(ArtifactRegistry, &registry, "", Some(("_json_key", "{}")));
    assert_fails!(wrong.repositories().await, WrongPassword, "does not accept");
    assert_fails!(wrong.tags("geo/b-seed").await, WrongPassword, "does not accept");
    assert_eq!(registry.count(|seen| seen.is_token() && seen.authorization.is_some()), 1, "accounts get locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tag_costs_nothing() {
    let registry = with_images().await;
    let silo = TestApp::start().await;
    let id = add_mine(&silo, "artifact-registry", &registry.url(), "geo").await;
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [0, 2, 2], "two new digests");
    assert_eq!(registry.count(Seen::is_tags), 2);
    let host = registry.host();
    assert_eq!(images(&silo).await, [format!("{host}/geo/b-seed:1.0.0"), format!("{host}/geo/ice/a-seed:1.0.0")]);
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [0, 0, 0], "nothing new");
    registry.push("geo/b-seed", "1.0.0", &seed("bb"));
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [0, 1, 1], "a tag moved to a new digest");
}
