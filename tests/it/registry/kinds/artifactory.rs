//! Artifactory, faked: a list of repository keys, and for each a registry below a path that it does not know.

use serde_json::{Value, json};
use silo::catalog::RegistryKind::Artifactory;
use silo::registry::{RegistryEndpoint, RegistrySource, RemoteHosts};

use super::super::{assert_fails, endpoint, limits};
use super::{add_mine, cost, images, open_kind, open_org, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen, reply};

/// The host, and its registries `geo-local` and `sea-remote`.
struct Art {
    host: FakeRegistry,
    geo: FakeRegistry,
    sea: FakeRegistry,
}

async fn artifactory() -> Art {
    let art =
        Art { host: FakeRegistry::start().await, geo: FakeRegistry::start().await, sea: FakeRegistry::start().await };
    art.geo.push("team/a-seed", "1.0.0", &seed("a"));
    art.geo.push("b-seed", "1.0.0", &seed("b"));
    art.sea.push("c-seed", "1.0.0", &seed("c"));
    for (key, registry) in [("geo-local", &art.geo), ("sea-remote", &art.sea), ("all", &art.geo)] {
        art.host.mount(&format!("/artifactory/api/docker/{key}"), registry);
    }
    art.host.serve_to_members(|seen, _| is_keys(seen).then(|| reply(200, keys().to_string())));
    art
}

fn keys() -> Value {
    json!([
        {"key": "geo-local", "type": "LOCAL", "packageType": "Docker", "url": "http://elsewhere.example/geo-local"},
        {"key": "sea-remote", "type": "REMOTE", "packageType": "Docker"},
        {"key": "all", "type": "VIRTUAL", "packageType": "Docker"},
        {"key": "jars", "type": "LOCAL", "packageType": "Maven"},
        {"key": "../x", "type": "LOCAL", "packageType": "Docker"},
    ])
}

fn is_keys(seen: &Seen) -> bool {
    seen.path == "/artifactory/api/repositories"
}

fn is_catalog(seen: &Seen) -> bool {
    seen.path.ends_with("/v2/_catalog")
}

fn at(art: &Art, path: &str) -> RegistrySource {
    let url = format!("{}{path}", art.host.url());
    RegistrySource::open(
        &RegistryEndpoint { kind: Artifactory, ..endpoint(&url, None) },
        &limits(),
        &RemoteHosts::default(),
    )
    .unwrap()
}

const ALL: [&str; 3] = ["geo-local/b-seed", "geo-local/team/a-seed", "sea-remote/c-seed"];

#[tokio::test]
async fn all_keys_are_walked_over() {
    let art = artifactory().await;
    let source = open_kind(Artifactory, &art.host);
    source.ping().await.unwrap();
    assert_eq!(art.host.log()[0].query, "packageType=docker");
    let listing = source.repositories().await.unwrap();
    assert_eq!((listing.items, listing.truncated), (ALL.map(str::to_owned).to_vec(), None));
    assert_eq!(art.host.count(is_catalog), 2, "not the virtual one, which shows the same again");
    for name in ALL {
        let tags = source.tags(name).await.unwrap().items;
        assert_eq!(tags.len(), 1, "{name}");
        let digest = source.digest(name, "1.0.0").await.unwrap().unwrap();
        assert_eq!(source.look(name, "1.0.0").await.unwrap().unwrap().digest, digest);
        source.fetch(name, &digest).await.unwrap();
    }
    assert_fails!(source.tags("b-seed").await, Refused, "the key is missing");
}

#[tokio::test]
async fn one_key_is_given_by_the_address_or_the_org() {
    let art = artifactory().await;
    for path in ["/geo-local", "/artifactory/api/docker/geo-local", "/artifactory/api/docker/geo-local/v2/"] {
        assert_eq!(at(&art, path).repositories().await.unwrap().items, ALL[..2], "{path}");
    }
    for org in ["geo-local", "geo-local/team"] {
        let source = open_org(Artifactory, &art.host, org, None);
        source.ping().await.unwrap();
        assert_eq!(source.repositories().await.unwrap().items, ALL[..2]);
    }
    assert_eq!(open_org(Artifactory, &art.host, "all", None).repositories().await.unwrap().items.len(), 2, "if wanted");
    assert_eq!(art.host.count(is_keys), 0);
    let other = RegistryEndpoint {
        org: "team".into(),
        kind: Artifactory,
        ..endpoint(&format!("{}/geo-local", art.host.url()), None)
    };
    assert_fails!(RegistrySource::open(&other, &limits(), &RemoteHosts::default()).map(|_| ()), Refused, "geo-local/");
}

/// Links of virtual repositories lack their path (`/v2/_catalog?…` instead of
/// `/artifactory/api/docker/{key}/v2/_catalog?…`), like those of the fake, which does not know its mount.
#[tokio::test]
async fn links_that_lost_their_path_are_followed_on_ours() {
    let art = artifactory().await;
    for i in 0..2300 {
        art.geo.add_repository(&format!("r{i:04}"));
    }
    let listing = at(&art, "/geo-local").repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (2302, None));
    let pages: Vec<_> = art.host.log().into_iter().filter(is_catalog).collect();
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| page.path == "/artifactory/api/docker/geo-local/v2/_catalog"), "{pages:#?}");
    assert_eq!(pages[1].query, "last=r0998&n=1000");
}

#[tokio::test]
async fn a_key_that_is_not_for_us_makes_the_listing_incomplete() {
    let art = artifactory().await;
    art.host.fault(|seen| seen.path.contains("sea-remote") && is_catalog(seen), ALWAYS, Fault::Status(403));
    let listing = open_kind(Artifactory, &art.host).repositories().await.unwrap();
    assert_eq!(listing.items, ALL[..2]);
    assert!(listing.truncated.unwrap().contains("the repositories of sea-remote"));
    art.host.clear_faults();
    art.host.fault(is_catalog, ALWAYS, Fault::Status(500));
    assert_fails!(open_kind(Artifactory, &art.host).repositories().await, Status, "500");
}

#[tokio::test]
async fn what_is_no_artifactory_is_explained() {
    let art = artifactory().await;
    let source = open_kind(Artifactory, &art.host);
    art.host.fault(is_keys, 1, Fault::Status(404));
    assert_fails!(source.ping().await, NotFound, "the keys of its Docker repositories");
    art.host.fault(is_keys, 1, Fault::Json(200, json!({"key": "x"})));
    assert_fails!(source.repositories().await, Malformed, "unknown form");
    art.host.fault(is_keys, 1, Fault::Json(200, json!([])));
    assert_fails!(source.ping().await, NotFound, "no Docker repositories", "org");
    art.host.fault(is_keys, 1, Fault::Status(401));
    assert_fails!(source.repositories().await, LoginRequired, "username and password");
    art.host.fault(is_keys, 1, Fault::StatusWith(429, "retry-after", "1".into()));
    assert_eq!(source.repositories().await.unwrap().items, ALL, "after the wait");
    art.host.fault(is_keys, ALWAYS, Fault::Truncated);
    assert_fails!(source.repositories().await, Unreachable, "broke off");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let art = artifactory().await;
    for registry in [&art.host, &art.geo, &art.sea] {
        registry.require_basic("robot", "secret");
    }
    let right = open_org(Artifactory, &art.host, "", Some(("robot", "secret")));
    assert_eq!(right.repositories().await.unwrap().items, ALL);
    art.host.clear_log();
    assert_fails!(
        open_org(Artifactory, &art.host, "", Some(("robot", "x"))).repositories().await,
        WrongPassword,
        "password"
    );
    assert_eq!(art.host.count(|seen| seen.authorization.is_some()), 1);
    art.host.clear_log();
    let one = open_org(Artifactory, &art.host, "geo-local", Some(("robot", "x")));
    assert_fails!(one.repositories().await, WrongPassword, "password");
    assert_fails!(one.tags("geo-local/b-seed").await, WrongPassword, "password");
    assert_eq!(art.host.count(|seen| seen.authorization.is_some()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_named_as_they_are_pulled() {
    let art = artifactory().await;
    let silo = TestApp::start().await;
    let id = add_mine(&silo, "artifactory", &art.host.url(), "").await;
    art.host.clear_log();
    silo.scan(id).await;
    assert_eq!(images(&silo).await, ALL.map(|name| format!("{}/{name}:1.0.0", art.host.host())));
    assert_eq!(cost(&art.host), [3, 0, 3], "manifest and config a new tag");
    art.host.clear_log();
    silo.scan(id).await;
    assert_eq!((cost(&art.host), art.host.count(Seen::is_head)), ([3, 0, 0], 3), "one HEAD a known tag");
}
