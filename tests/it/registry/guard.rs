//! Protection against redirects and links of registries to other hosts. The tables of addresses are tested beside their
//! code.

use serde_json::json;
use silo::registry::{PrivateNetworkPolicy, RegistryLimits, RegistrySource, RemoteHosts};

use super::{assert_fails, endpoint, limits, open, open_as, open_with};
use crate::support::app::{TestApp, manifest};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::tls::{Authority, Clients, Front};

/// A private network without a route from this machine, in case a request is not blocked.
const ELSEWHERE: &str = "10.255.255.1";

#[tokio::test]
async fn a_private_registry_leads_to_no_other_private_host() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    for to in [
        format!("http://{ELSEWHERE}:9000/bucket"),
        format!("http://[::ffff:{ELSEWHERE}]/"),
        "http://192.168.77.1/".into(),
    ] {
        registry.clear_faults();
        registry.fault(Seen::is_blob, ALWAYS, Fault::Redirect(to.clone()));
        let source = open_as(&registry, "ada", "secret");
        assert_fails!(source.fetch("a", &digest).await, Refused, "private network", "to scan.private_hosts");
        assert_eq!(registry.count(Seen::is_blob), 1, "{to} is not asked again");
        registry.clear_log();
    }
}

#[tokio::test]
async fn a_listed_host_may_be_led_to() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_blob, ALWAYS, Fault::Redirect(format!("http://{ELSEWHERE}/")));
    let refused_by = async |hosts: &[&str], allowed: bool| {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let private = PrivateNetworkPolicy::new(allowed, &hosts).unwrap();
        // There is no reply; the attempt itself is what counts.
        let limits =
            RegistryLimits { private, tries: 1, connect_timeout: std::time::Duration::from_millis(50), ..limits() };
        let error = open_with(&registry, &limits).fetch("a", &digest).await.unwrap_err();
        matches!(error, silo::registry::Error::Refused(_))
    };
    assert!(refused_by(&[], true).await);
    assert!(refused_by(&["192.168.0.0/16", "minio"], true).await);
    assert!(!refused_by(&["10.255.0.0/16"], true).await);
    assert!(!refused_by(&[ELSEWHERE], true).await);
    assert!(refused_by(&[ELSEWHERE], false).await, "none is none");
}

#[tokio::test]
async fn private_addresses_can_be_forbidden_altogether() {
    let registry = FakeRegistry::start().await;
    let private = PrivateNetworkPolicy::new(false, &[]).unwrap();
    let source = open_with(&registry, &RegistryLimits { private, ..limits() });
    assert_fails!(source.ping().await, Refused, "127.0.0.1", "scan.allow_private");
    assert_fails!(source.tags("a").await, Refused, "127.0.0.1", "scan.allow_private");
    let silo = TestApp::with().set("SILO__SCAN__ALLOW_PRIVATE", "false").start().await;
    for url in [registry.url(), registry.url().replace("127.0.0.1", "localhost")] {
        let added = silo.admin().post("/registries/add", json!({"name": "mine", "url": url})).await.expect(400);
        assert!(added.error().contains("scan.allow_private"), "{}", added.text);
    }
    assert_eq!(registry.count(Seen::is_any), 0);
}

#[tokio::test]
async fn a_realm_may_be_on_another_port_and_not_at_another_private_host() {
    let authority = Authority::new("ours");
    let (registry, service) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let front = Front::start(&authority, Clients::Anybody, service.host()).await;
    let realm = |realm: &str| registry.require_bearer_with(realm, &service, Some(("ada", "secret")), json!({}));
    let ping = async || {
        let tls = silo::registry::TlsSettings { ca: authority.certificate.clone(), ..Default::default() };
        let endpoint = silo::registry::RegistryEndpoint { tls, ..endpoint(&registry.url(), Some(("ada", "secret"))) };
        RegistrySource::open(&endpoint, &limits(), &RemoteHosts::default()).unwrap().ping().await
    };
    realm(&format!("{}/token", front.url()));
    ping().await.unwrap();
    assert_eq!(service.count(Seen::is_token), 1);
    service.clear_log();
    for (to, part) in [
        (format!("https://{ELSEWHERE}/token"), "scan.private_hosts"),
        (format!("https://[64:ff9b::{ELSEWHERE}]/token"), "scan.private_hosts"),
        ("https://169.254.169.254/token".to_owned(), "never used for registries"),
        ("https://metadata.google.internal/token".to_owned(), "never used for registries"),
        (format!("http://{ELSEWHERE}/token"), "must use https"),
        (format!("https://eve:x@{}/token", front.host()), "must use https"),
        ("file:///etc/passwd".to_owned(), "must use https"),
    ] {
        realm(&to);
        assert_fails!(ping().await, Refused, part);
    }
    assert_eq!((service.count(Seen::is_any), registry.count(|seen| seen.authorization.is_some())), (0, 1));
}

#[tokio::test]
async fn a_link_leads_nowhere_else() {
    let registry = FakeRegistry::start().await;
    for name in ["a", "b"] {
        registry.push(name, "1", &Image::new());
    }
    registry.fault(Seen::is_catalog, 1, Fault::Link(format!("<http://{ELSEWHERE}/v2/_catalog?last=a>; rel=\"next\"")));
    assert_eq!(open(&registry).repositories().await.unwrap().items, ["a", "b"]);
    assert_eq!(registry.count(Seen::is_catalog), 2);
}

#[tokio::test]
async fn the_configuration_must_make_sense() {
    let setup = crate::support::process::Setup::new().env("SILO__SCAN__PRIVATE_HOSTS", "minio,http://minio:9000");
    let exit = setup.start_error().await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains("scan.private_hosts") && exit.stderr.contains("'http://minio:9000'"), "{exit:?}");
    crate::support::process::Setup::new().env("SILO__SCAN__PRIVATE_HOSTS", "minio,10.0.0.0/8").start().await;
}

/// `GET /images/manifest/…` queries registered hosts, each image with the credentials of its own registry.
#[tokio::test]
async fn an_image_is_asked_with_the_credentials_of_its_registry() {
    let (silo, registry, stranger) = (TestApp::start().await, FakeRegistry::start().await, FakeRegistry::start().await);
    for repository in ["geo/a-seed", "art/a-seed"] {
        let label = manifest("a", "1.0.0", "1.0.0").to_string();
        registry.push(repository, "1.0.0", &Image::new().label(silo::seed::LABEL, label.clone()));
        stranger.push(repository, "1.0.0", &Image::new().label(silo::seed::LABEL, label));
    }
    for (name, org) in [("ada", "geo"), ("bob", "art")] {
        registry.require_basic(name, "secret");
        let form = json!({"name": org, "url": registry.url(), "org": org, "username": name, "password": "secret"});
        silo.admin().post("/registries/add", form).await.expect(201);
    }
    registry.clear_log();
    let get = async |host: String, image: &str| {
        silo.anonymous().get(&format!("/images/manifest/{host}/{image}:1.0.0")).await.status
    };
    assert_eq!(get(registry.host(), "art/a-seed").await, 200);
    let shown = || registry.log().into_iter().filter_map(|seen| seen.authorization).collect::<Vec<_>>();
    let bob = crate::support::fake_registry::basic("bob", "secret");
    assert!(!shown().is_empty() && shown().iter().all(|value| *value == bob), "{:?}", shown());
    registry.clear_log();
    registry.require_basic("ada", "secret");
    assert_eq!(get(registry.host(), "geo/a-seed").await, 200);
    let ada = crate::support::fake_registry::basic("ada", "secret");
    assert!(!shown().is_empty() && shown().iter().all(|value| *value == ada), "{:?}", shown());

    assert_eq!(get(stranger.host(), "geo/a-seed").await, 404);
    assert_eq!(get("169.254.169.254".to_owned(), "geo/a-seed").await, 404);
    assert_eq!(stranger.count(Seen::is_any), 0);
}

/// The password of a registry is only used for its included repositories.
#[tokio::test]
async fn a_stranger_reads_no_image_that_is_not_included() {
    let silo = TestApp::with().manual_clock().set("SILO__AUTH__REMOTE_IMAGES_PER_MINUTE", "3").start().await;
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    let label = manifest("a", "1.0.0", "1.0.0").to_string();
    for repository in ["geo/a-seed", "geo/old-seed", "geo/private", "art/a-seed"] {
        for tag in ["1", "2", "3", "4"] {
            registry.push(repository, tag, &Image::new().label(silo::seed::LABEL, label.clone()));
        }
    }
    let form = json!({"name": "geo", "url": registry.url(), "org": "geo", "username": "ada", "password": "secret",
        "exclude": ["geo/old-*"]});
    silo.admin().post("/api/v1/registries", form).await.expect(201);
    registry.clear_log();
    let host = registry.host();
    for image in ["geo/old-seed:1", "geo/private:1", "art/a-seed:1"] {
        let path = format!("/images/manifest/{host}/{image}");
        let why = silo.anonymous().get(&path).await.expect(404).error();
        assert!(why.contains("includes the repository"), "{image}: {why}");
        let body = json!({"image": format!("{host}/{image}")});
        silo.admin().post("/api/v1/validate", body).await.expect(404);
    }
    assert_eq!(registry.count(Seen::is_any), 0, "what is not included was asked for");

    let path = |tag: &str| format!("/images/manifest/{host}/geo/a-seed:{tag}");
    silo.anonymous().get(&path("1")).await.expect(200);
    let asked = registry.count(Seen::is_any);
    for _ in 0..5 {
        silo.anonymous().get(&path("1")).await.expect(200);
    }
    assert_eq!(registry.count(Seen::is_any), asked, "what was read is kept for a moment");
    silo.anonymous().get(&path("2")).await.expect(200);
    silo.anonymous().post("/api/v1/validate", json!({"image": format!("{host}/geo/a-seed:3")})).await.expect(200);
    let refused = silo.anonymous().get(&path("4")).await.expect(429);
    assert_eq!(refused.header("retry-after"), "20");
    silo.anonymous().get(&path("1")).await.expect(200);
    silo.admin().get(&path("4")).await.expect(200);
}

#[tokio::test]
async fn images_of_registries_may_want_a_login() {
    let silo = TestApp::with().set("SILO__AUTH__OPEN_REMOTE_IMAGES", "false").start().await;
    let registry = FakeRegistry::start().await;
    registry.push(
        "geo/a-seed",
        "1",
        &Image::new().label(silo::seed::LABEL, manifest("a", "1.0.0", "1.0.0").to_string()),
    );
    silo.admin().post("/api/v1/registries", json!({"name": "geo", "url": registry.url()})).await.expect(201);
    registry.clear_log();
    let path = format!("/images/manifest/{}/geo/a-seed:1", registry.host());
    let body = json!({"image": format!("{}/geo/a-seed:1", registry.host())});
    silo.anonymous().get(&path).await.expect(401);
    silo.anonymous().post("/api/v1/validate", body.clone()).await.expect(401);
    assert_eq!(registry.count(Seen::is_any), 0);
    silo.user().get(&path).await.expect(200);
    silo.user().post("/api/v1/validate", body).await.expect(200);
}
