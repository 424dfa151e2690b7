//! Docker Hub.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{Error, ListedTag, RegistryLimits, RegistrySource, RemoteHosts, pull_host};

use super::{assert_fails, detected, endpoint, limits};
use crate::support::app::{TestApp, manifest};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::kinds::docker_hub::{Hub, is_login, is_repositories, is_tags, serve};

const KIND: RegistryKind = RegistryKind::DockerHub;
const ADA: Option<(&str, &str)> = Some(("ada", "dckr_pat_secret"));

async fn hub(hub: Hub) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for (name, tag) in [("geo/a-seed", "1"), ("geo/a-seed", "2"), ("geo/b-seed", "1"), ("other/c-seed", "1")] {
        registry.push(name, tag, &Image::new().label("of", format!("{name}:{tag}")));
    }
    serve(&registry, hub);
    registry
}

fn open(registry: &FakeRegistry, login: Option<(&str, &str)>) -> RegistrySource {
    RegistrySource::open(&endpoint(registry, KIND, "geo", login), &limits(), &RemoteHosts::default()).unwrap()
}

#[tokio::test]
async fn its_addresses() {
    for host in ["docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"] {
        for url in [host.to_owned(), format!("https://{host}"), format!("https://{host}/u/geo/")] {
            assert_eq!(detected(&url).await, KIND, "{url}");
            let endpoint = super::super::endpoint(&url, None);
            let source = RegistrySource::open(
                &silo::registry::RegistryEndpoint { kind: KIND, ..endpoint },
                &limits(),
                &RemoteHosts::default(),
            )
            .unwrap();
            assert_eq!(source.host(), "docker.io", "{url}");
        }
        assert_eq!(pull_host(host), "docker.io");
    }
    assert_eq!(detected("https://hub.docker.com.example.org").await, RegistryKind::Distribution);
    assert_eq!(pull_host("registry.example.org"), "registry.example.org");
}

#[tokio::test]
async fn a_404_that_is_not_its_own_says_nothing_about_tags() {
    let registry = hub(Hub::default()).await;
    let source = open(&registry, None);
    for fault in [Fault::Status(404), Fault::Html(404)] {
        registry.fault(is_tags, 1, fault);
        assert_fails!(source.tags("geo/a-seed").await, Status, "404", "the tags of geo/a-seed");
    }
    assert_eq!(source.tags("geo/a-seed").await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_namespace_is_listed_over_pages_with_digests() {
    let registry = hub(Hub { page: 1, ..Hub::default() }).await;
    let source = open(&registry, None);
    source.ping().await.unwrap();
    let listing = source.repositories().await.unwrap();
    assert_eq!((listing.items.as_slice(), listing.truncated), (&["geo/a-seed".into(), "geo/b-seed".into()][..], None));
    let digest = source.digest("geo/a-seed", "2").await.unwrap();
    let listing = source.tags("geo/a-seed").await.unwrap();
    assert_eq!(listing.items[1], ListedTag { name: "2".into(), digest, content: None, config: None });
    assert_eq!((listing.items.len(), listing.truncated), (2, None));
    assert_eq!(source.tags("geo/none").await.unwrap().items, [], "a repository that is gone");
    assert_eq!(registry.count(Seen::is_catalog), 0);
    assert!(registry.log().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn a_namespace_cannot_be_left_out() {
    let registry = hub(Hub::default()).await;
    for (org, says) in [("", "--org geointseed"), ("geo/a", "'geo/a' cannot be a namespace"), ("..", "cannot be")] {
        let source =
            RegistrySource::open(&endpoint(&registry, KIND, org, None), &limits(), &RemoteHosts::default()).unwrap();
        assert_fails!(source.ping().await, Refused, says);
        assert_fails!(source.repositories().await, Refused, says);
    }
    assert_eq!(registry.log().len(), 0);
    let source =
        RegistrySource::open(&endpoint(&registry, KIND, "nobody", None), &limits(), &RemoteHosts::default()).unwrap();
    assert_fails!(source.ping().await, NotFound, "the namespace nobody", "org");
}

#[tokio::test]
async fn a_login_is_exchanged_once_and_renewed_when_it_is_refused() {
    let registry = hub(Hub { login: ADA, ..Hub::default() }).await;
    let source = open(&registry, ADA);
    let all = join_all((0..8).map(|_| source.tags("geo/a-seed"))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(registry.count(is_login), 1, "all wait for the same token");
    registry.fault(is_tags, 1, Fault::Status(401));
    source.tags("geo/a-seed").await.unwrap();
    assert_eq!(registry.count(is_login), 2);
    let login = registry.log().into_iter().find(is_login).unwrap();
    assert_eq!((login.authorization, login.headers["content-type"].to_str().unwrap()), (None, "application/json"));
}

#[tokio::test]
async fn a_token_is_kept_while_it_lives() {
    for (answer, logins) in [
        (json!({"access_token": "t"}), 1),
        (json!({"access_token": "t", "expires_in": 600}), 1),
        (json!({"access_token": "t", "expires_in": 1}), 1),
    ] {
        let registry = hub(Hub::default()).await;
        registry.fault(is_login, ALWAYS, Fault::Json(200, answer.clone()));
        let source = open(&registry, ADA);
        for _ in 0..3 {
            source.tags("geo/a-seed").await.unwrap();
        }
        assert_eq!(registry.count(is_login), logins, "{answer}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let registry = hub(Hub { login: ADA, ..Hub::default() }).await;
    let source = open(&registry, Some(("ada", "hunter2")));
    for outcome in join_all((0..8).map(|_| source.tags("geo/a-seed"))).await {
        assert!(matches!(&outcome, Err(Error::WrongPassword(why)) if !why.contains("hunter2")), "{outcome:?}");
    }
    assert_fails!(source.ping().await, WrongPassword, "username and password");
    assert_eq!(registry.log().len(), 1);
    assert_fails!(open(&registry, None).ping().await, LoginRequired, "username and password");
    // A new token that is refused at once is not replaced by a second one.
    let source = open(&registry, ADA);
    registry.fault(is_tags, ALWAYS, Fault::Status(401));
    registry.clear_log();
    assert_fails!(source.tags("geo/a-seed").await, WrongPassword, registry.host());
    assert_fails!(source.repositories().await, WrongPassword, registry.host());
    assert_eq!(registry.log().len(), 2, "a login and a refusal");
}

#[tokio::test]
async fn a_login_goes_nowhere_else() {
    let (registry, elsewhere) = (hub(Hub { login: ADA, ..Hub::default() }).await, FakeRegistry::start().await);
    registry.fault(is_login, ALWAYS, Fault::Redirect(elsewhere.url()));
    assert_fails!(open(&registry, ADA).ping().await, Refused, "redirects a login");
    assert_eq!(elsewhere.log().len(), 0);
}

#[tokio::test]
async fn tags_without_a_digest_are_asked_for_by_head() {
    let registry = hub(Hub { no_digest: &["1", "2"], one_image: &["2"], ..Hub::default() }).await;
    let source = open(&registry, None);
    let tags = source.tags("geo/a-seed").await.unwrap().items;
    assert_eq!(tags.iter().map(|tag| tag.digest.is_some()).collect::<Vec<_>>(), [false, true]);
    let look = source.look("geo/a-seed", "1").await.unwrap().unwrap();
    assert_eq!((Some(look.digest), look.manifest), (source.digest("geo/a-seed", "1").await.unwrap(), None));
    assert!(registry.log().iter().filter(|seen| seen.is_manifest()).all(Seen::is_head), "a GET is a pull");
    assert_eq!(source.look("geo/a-seed", "9").await.unwrap(), None);
    let pulls = registry.log().iter().filter(|seen| seen.is_manifest() && !seen.is_head()).count();
    assert_eq!(pulls, 1, "that a tag is gone, only a GET tells");
}

#[tokio::test]
async fn listings_that_do_not_end_well() {
    let page =
        |count: usize, name: &str, next: &str| json!({"count": count, "next": next, "results": [{"name": name}]});
    for (name, bodies, says) in [
        ("cursor", vec![page(9, "a", "x?page=2"), page(9, "b", "x?page=2"), page(9, "c", "x?page=2")], "circles"),
        ("page", vec![page(9, "a", "x?page=2"), page(9, "a", "x?page=3")], "circles"),
        ("short", vec![page(9, "a", "x?page=7")], "ended after 1 of 9"),
    ] {
        let registry = hub(Hub::default()).await;
        for body in bodies {
            registry.fault(is_repositories, 1, Fault::Json(200, body));
        }
        let truncated = open(&registry, None).repositories().await.unwrap().truncated;
        assert!(truncated.as_deref().is_some_and(|why| why.contains(says)), "{name}: {truncated:?}");
    }
    let registry = hub(Hub::default()).await;
    registry.fault(is_repositories, 1, Fault::Json(200, page(1, "a", "x?page=7")));
    let listing = open(&registry, None).repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (1, None), "past the end is the end");
}

#[tokio::test]
async fn pages_are_capped() {
    let registry = hub(Hub { page: 1, ..Hub::default() }).await;
    let limits = RegistryLimits { pages: 1, ..limits() };
    let source =
        RegistrySource::open(&endpoint(&registry, KIND, "geo", None), &limits, &RemoteHosts::default()).unwrap();
    for truncated in
        [source.repositories().await.unwrap().truncated, source.tags("geo/a-seed").await.unwrap().truncated]
    {
        assert!(truncated.as_deref().is_some_and(|why| why.contains("more than 1 pages")), "{truncated:?}");
    }
    assert_eq!(registry.log().len(), 2);
}

#[tokio::test]
async fn answers_that_are_none() {
    let registry = hub(Hub::default()).await;
    let source = open(&registry, None);
    registry.fault(is_tags, 1, Fault::Json(200, json!([])));
    assert_fails!(source.tags("geo/a-seed").await, Malformed, "the tags of geo/a-seed", "kind");
    registry.fault(is_tags, 1, Fault::Html(200));
    assert_fails!(source.tags("geo/a-seed").await, Malformed, "the tags of geo/a-seed");
    registry.fault(is_tags, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("geo/a-seed").await, Unreachable, "broke off");
    registry.fault(is_repositories, ALWAYS, Fault::Status(503));
    assert_fails!(source.repositories().await, Status, "the repositories of geo");
}

#[tokio::test]
async fn quotas_are_kept() {
    let registry = hub(Hub::default()).await;
    let impatient = RegistryLimits { longest_wait: Duration::ZERO, ..limits() };
    let open =
        || RegistrySource::open(&endpoint(&registry, KIND, "geo", None), &impatient, &RemoteHosts::default()).unwrap();

    registry.fault(is_tags, 1, Fault::StatusWith(429, "retry-after", "60".into()));
    assert_fails!(open().tags("geo/a-seed").await, Throttled, "60 s");
    assert_eq!(registry.count(is_tags), 1);

    registry.fault(is_tags, 1, Fault::Header("x-ratelimit-remaining", "0".into()));
    open().tags("geo/a-seed").await.unwrap();
    let source = open();
    let digests = [source.digest("geo/a-seed", "1").await, source.digest("geo/a-seed", "2").await];
    let digests = digests.map(|digest| digest.unwrap().unwrap());
    registry.fault(Seen::is_manifest, ALWAYS, Fault::Header("ratelimit-remaining", "0;w=21600".into()));
    source.fetch("geo/a-seed", &digests[0]).await.unwrap();
    registry.clear_log();
    for _ in 0..2 {
        assert_fails!(source.fetch("geo/a-seed", &digests[1]).await, NoPulls, "allows 0 more pulls", "6 h");
    }
    let log = registry.log();
    assert!(log.len() == 1 && log[0].is_head(), "the last pull was used, and none is asked for beyond it: {log:?}");
    source.digest("geo/a-seed", "1").await.unwrap();
    source.tags("geo/a-seed").await.unwrap();
}

#[tokio::test]
async fn a_scan_costs_nothing_per_known_tag() {
    let registry = FakeRegistry::start().await;
    let push = |version: &str| {
        let image = Image::new().label(silo::seed::LABEL, manifest("ice", "1.0.0", version).to_string());
        registry.push("geo/ice-1.0.0-seed", version, &image);
    };
    push("1.0.0");
    registry.push("geo/other", "1", &Image::new());
    registry.require_bearer(&registry, None);
    serve(&registry, Hub { login: ADA, ..Hub::default() });
    let silo = TestApp::start().await;
    let form = json!({
        "name": "hub", "url": registry.url(), "kind": "docker-hub", "org": "geo", "username": "ada", "password": "dckr_pat_secret",
    });
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    let id = added["id"].as_i64().unwrap();
    let manifests =
        || (registry.count(Seen::is_head), registry.count(Seen::is_manifest), registry.count(Seen::is_blob));

    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(manifests(), (0, 1, 1), "a new digest costs a manifest and a config");
    assert_eq!(silo.anonymous().get("/images").await.expect(200).json().as_array().unwrap().len(), 1);

    registry.clear_log();
    silo.scan(id).await;
    let paths: Vec<_> = registry.log().into_iter().map(|seen| seen.path).collect();
    let repositories = "/v2/namespaces/geo/repositories";
    assert_eq!(paths, ["/v2/auth/token", repositories, &format!("{repositories}/ice-1.0.0-seed/tags")]);

    push("1.1.0");
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(manifests(), (0, 1, 1));
    assert_eq!(silo.anonymous().get("/images").await.expect(200).json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn adding_it_without_a_namespace_is_explained() {
    let silo = TestApp::start().await;
    let form = json!({"name": "hub", "url": "https://hub.docker.com"});
    let why = silo.admin().post("/registries/add", form).await.expect(400).error();
    assert!(why.contains("--org geointseed"), "found out by its address, and told before anything is sent: {why}");
}

#[tokio::test]
async fn an_image_is_read_with_the_credentials_of_its_namespace() {
    let registry = FakeRegistry::start().await;
    let image = Image::new().label(silo::seed::LABEL, manifest("ice", "1.0.0", "1.0.0").to_string());
    for name in ["geo/ice-1.0.0-seed", "polar/ice-1.0.0-seed"] {
        registry.push(name, "1.0.0", &image);
    }
    registry.require_bearer(&registry, ADA);
    serve(&registry, Hub::default());
    let silo = TestApp::start().await;
    let url = registry.url();
    for mut form in [json!({"name": "geo", "org": "geo"}), json!({"name": "polar", "org": "polar", "username": "ada"})]
    {
        form["url"] = url.as_str().into();
        form["kind"] = "docker-hub".into();
        form["password"] = if form["name"] == "polar" { "dckr_pat_secret".into() } else { "".into() };
        registry.fault(is_login, 1, Fault::Json(200, json!({"access_token": "any"})));
        silo.admin().post("/api/v1/registries", form).await.expect(201);
    }
    let path = |org: &str| format!("/images/manifest/{}/{org}/ice-1.0.0-seed:1.0.0", registry.host());
    assert_eq!(silo.anonymous().get(&path("polar")).await.expect(200).json()["job"]["name"], "ice");
    let why = silo.anonymous().get(&path("geo")).await;
    assert_ne!(why.status, 200, "{}", why.text);
}
