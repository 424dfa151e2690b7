//! GHCR.

use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{ListedTag, RegistryLimits, RegistrySource, RemoteHosts};

use super::{assert_fails, detected, endpoint, limits};
use crate::support::app::{TestApp, manifest};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::kinds::ghcr::{TOKEN, is_packages, is_versions, serve};

const KIND: RegistryKind = RegistryKind::Ghcr;
const ADA: Option<(&str, &str)> = Some(("ada", TOKEN));

async fn ghcr(page: usize) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for (name, tag) in [("polar/a-seed", "1"), ("polar/a-seed", "2"), ("polar/team/b-seed", "1"), ("ada/c-seed", "1")] {
        registry.push(name, tag, &Image::new().label("of", format!("{name}:{tag}")));
    }
    serve(&registry, &["ada"], page);
    registry
}

fn open(registry: &FakeRegistry, org: &str, login: Option<(&str, &str)>) -> RegistrySource {
    RegistrySource::open(&endpoint(registry, KIND, org, login), &limits(), &RemoteHosts::default()).unwrap()
}

#[tokio::test]
async fn its_address() {
    for url in ["ghcr.io", "https://ghcr.io/", "https://ghcr.io/polar"] {
        assert_eq!(detected(url).await, KIND, "{url}");
        let endpoint = silo::registry::RegistryEndpoint { kind: KIND, ..super::super::endpoint(url, None) };
        assert_eq!(
            RegistrySource::open(&endpoint, &limits(), &RemoteHosts::default()).unwrap().host(),
            "ghcr.io",
            "{url}"
        );
    }
    assert_eq!(detected("ghcr.io.example.org").await, RegistryKind::Distribution);
}

#[tokio::test]
async fn packages_and_versions_over_pages() {
    let registry = ghcr(1).await;
    let source = open(&registry, "Polar", ADA);
    source.ping().await.unwrap();
    let listing = source.repositories().await.unwrap();
    assert_eq!(listing.items, ["polar/a-seed", "polar/team/b-seed"]);
    assert_eq!(listing.truncated, None);
    registry.tag("polar/a-seed", "latest", &source.digest("polar/a-seed", "2").await.unwrap().unwrap());
    let listing = source.tags("polar/a-seed").await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (3, None));
    for ListedTag { name, digest, .. } in listing.items {
        assert_eq!(digest, source.digest("polar/a-seed", &name).await.unwrap(), "{name}");
    }
    assert_eq!(source.tags("polar/team/b-seed").await.unwrap().items.len(), 1, "its slash is escaped");
    assert_eq!(registry.count(Seen::is_tags), 0);
}

#[tokio::test]
async fn users_are_found_once() {
    let registry = ghcr(100).await;
    let source = open(&registry, "ada", ADA);
    assert_eq!(source.repositories().await.unwrap().items, ["ada/c-seed"]);
    source.tags("ada/c-seed").await.unwrap();
    let paths: Vec<_> = registry.log().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/orgs/ada/packages", "/users/ada/packages", "/users/ada/packages/container/c-seed/versions"]);
    assert_eq!(open(&registry, "", ADA).repositories().await.unwrap().items, ["ada/c-seed"], "the token's own");
    assert_fails!(
        RegistrySource::open(&endpoint(&registry, KIND, "a/b", ADA), &limits(), &RemoteHosts::default())
            .unwrap()
            .ping()
            .await,
        NotFound,
        "a/b"
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_listed_but_tags() {
    let registry = ghcr(100).await;
    let source = open(&registry, "polar", None);
    assert_fails!(source.ping().await, LoginRequired, "classic token", "read:packages");
    assert_fails!(source.repositories().await, LoginRequired, "classic token");
    assert_eq!(registry.log().len(), 0);
    let tags = source.tags("polar/a-seed").await.unwrap().items;
    assert_eq!(
        tags.iter().map(|tag| (tag.name.as_str(), &tag.digest)).collect::<Vec<_>>(),
        [("1", &None), ("2", &None)]
    );
}

#[tokio::test]
async fn a_token_with_too_few_rights() {
    let registry = ghcr(100).await;
    registry.fault(is_packages, ALWAYS, Fault::Status(403));
    registry.fault(is_versions, ALWAYS, Fault::Status(403));
    let source = open(&registry, "polar", ADA);
    assert_fails!(source.ping().await, Forbidden, "the packages of polar", "read:packages");
    assert_eq!(source.tags("polar/a-seed").await.unwrap().items.len(), 2, "the registry itself lists tags");
    assert_eq!((registry.count(is_versions), registry.count(Seen::is_tags)), (1, 1));
}

#[tokio::test]
async fn a_wrong_token_is_sent_once() {
    let registry = ghcr(100).await;
    let source = open(&registry, "polar", Some(("ada", "hunter2")));
    assert_fails!(source.repositories().await, WrongPassword, registry.host());
    assert_fails!(source.tags("polar/a-seed").await, WrongPassword, registry.host());
    assert_fails!(source.ping().await, WrongPassword, registry.host());
    assert_eq!(registry.log().len(), 1);
}

#[tokio::test]
async fn listings_that_do_not_end_well() {
    let registry = ghcr(1).await;
    let source = open(&registry, "polar", ADA);
    registry.fault(is_packages, ALWAYS, Fault::Link("<x?page=2>; rel=\"next\"".into()));
    let truncated = source.repositories().await.unwrap().truncated;
    assert!(truncated.as_deref().is_some_and(|why| why.contains("circles")), "{truncated:?}");
    let capped = RegistryLimits { pages: 2, ..limits() };
    let capped =
        RegistrySource::open(&endpoint(&registry, KIND, "polar", ADA), &capped, &RemoteHosts::default()).unwrap();
    let truncated = capped.tags("polar/a-seed").await.unwrap().truncated;
    assert!(truncated.as_deref().is_some_and(|why| why.contains("more than 2 pages")), "{truncated:?}");
    registry.fault(is_versions, 1, Fault::Json(200, json!({"message": "hello"})));
    assert_fails!(source.tags("polar/a-seed").await, Malformed, "the versions of polar/a-seed");
    registry.fault(is_versions, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("polar/a-seed").await, Unreachable, "broke off");
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_and_not_that_it_is_forbidden() {
    let registry = ghcr(100).await;
    registry.fault(is_versions, ALWAYS, Fault::StatusWith(403, "retry-after", "60".into()));
    let source = open(&registry, "polar", ADA);
    assert_fails!(source.tags("polar/a-seed").await, Throttled, "60 s");
    assert_eq!(registry.log().len(), 1);
}

#[tokio::test]
async fn a_scan_costs_nothing_per_known_tag() {
    let registry = FakeRegistry::start().await;
    let image = Image::new().label(silo::seed::LABEL, manifest("ice", "1.0.0", "1.0.0").to_string());
    registry.push("polar/ice-1.0.0-seed", "1.0.0", &image);
    registry.require_bearer(&registry, ADA);
    serve(&registry, &[], 100);
    let silo = TestApp::start().await;
    let form = json!({
        "name": "ghcr", "url": registry.url(), "kind": "ghcr", "org": "Polar", "username": "ada", "password": TOKEN,
    });
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    let id = added["id"].as_i64().unwrap();
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!((registry.count(Seen::is_manifest), registry.count(Seen::is_blob)), (1, 1));
    assert_eq!(silo.anonymous().get("/images").await.expect(200).json().as_array().unwrap().len(), 1);

    registry.clear_log();
    silo.scan(id).await;
    let paths: Vec<_> = registry.log().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/orgs/Polar/packages", "/orgs/polar/packages/container/ice-1.0.0-seed/versions"]);
}
