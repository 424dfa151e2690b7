//! Detection of a registry's kind.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use silo::catalog::RegistryKind;
use silo::registry::{RegistryLimits, RegistrySource, RemoteHosts};

use super::super::{assert_fails, endpoint, limits};
use crate::support::app::TestApp;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Own, Seen};
use crate::support::kinds::gitlab::FakeGitLab;

const HARBOR: &str = "/api/v2.0/systeminfo";
const ZOT: &str = "/v2/_oci/ext/discover";
const QUAY: &str = "/api/v1/discovery";

async fn kind_of(url: &str) -> RegistryKind {
    RegistrySource::detect(&endpoint(url, Some(("ada", "secret"))), &limits(), &RemoteHosts::default()).await.unwrap()
}

/// A registry with this reply at a path.
async fn with(path: &'static str, answer: Own) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.serve(move |seen, _| (seen.path == path).then(|| answer.clone()));
    registry
}

fn harbor() -> Value {
    json!({"auth_mode": "db_auth", "self_registration": false, "harbor_version": "v2.11.0"})
}

fn zot() -> Value {
    json!({"name": "zot", "extensions": [{"name": "_zot", "url": "https://…", "endpoints": ["/v2/_zot/ext/search"]}]})
}

fn quay() -> Value {
    json!({"swagger": "2.0", "paths": {"/api/v1/user/": {}, "/api/v1/repository": {}}})
}

#[tokio::test]
async fn each_kind_is_known_by_what_only_it_answers() {
    for (path, answer, kind) in [
        (HARBOR, Own::new(200, harbor()), RegistryKind::Harbor),
        (HARBOR, Own::new(200, json!({"auth_mode": "oidc_auth"})), RegistryKind::Harbor),
        (ZOT, Own::new(200, zot()), RegistryKind::Zot),
        (QUAY, Own::new(200, quay()), RegistryKind::Quay),
        ("/v2/", Own::new(200, json!({})).header("x-artifactory-id", "1"), RegistryKind::Artifactory),
        ("/v2/", Own::new(401, json!({})).header("server", "Nexus/3.70.1-02 (OSS)"), RegistryKind::Nexus),
    ] {
        let registry = with(path, answer).await;
        assert_eq!(kind_of(&registry.url()).await, kind, "{path}");
        assert!(registry.count(Seen::is_any) <= 4, "{:?}", registry.log());
        assert_eq!(registry.count(|seen| seen.authorization.is_some()), 0, "probes give nothing away");
    }
    let gitlab = FakeGitLab::start().await;
    assert_eq!(kind_of(&gitlab.registry.url()).await, RegistryKind::GitLab);
    assert_eq!((gitlab.registry.count(Seen::is_any), gitlab.web.count(Seen::is_any)), (1, 0));
}

#[tokio::test]
async fn one_that_wants_a_login_is_asked_all_the_same() {
    let registry = with(HARBOR, Own::new(200, harbor())).await;
    registry.require_basic("ada", "secret");
    assert_eq!(kind_of(&registry.url()).await, RegistryKind::Harbor);
    assert_eq!(registry.count(|seen| seen.authorization.is_some()), 0);
}

#[tokio::test]
async fn near_misses_are_no_kind() {
    for (path, answer) in [
        (HARBOR, Own::new(200, json!({"version": "v2.11.0"}))),
        (HARBOR, Own::new(200, json!({"auth_mode": true}))),
        (HARBOR, Own::new(200, json!([harbor()]))),
        (HARBOR, Own::new(403, harbor())),
        (ZOT, Own::new(200, json!({"extensions": [{"name": "_oci"}, {"name": "_zotero"}]}))),
        (ZOT, Own::new(200, json!({"extensions": null}))),
        (ZOT, Own::new(404, zot())),
        (QUAY, Own::new(200, json!({"paths": {"/api/v1/registries": {}}}))),
        (QUAY, Own::new(200, json!({"paths": ["/api/v1/repository"]}))),
    ] {
        let registry = with(path, answer.clone()).await;
        assert_eq!(kind_of(&registry.url()).await, RegistryKind::Distribution, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_from_elsewhere_does_not_count() {
    let elsewhere = with(HARBOR, Own::new(200, harbor())).await;
    for path in ["/v2/", HARBOR] {
        let registry = FakeRegistry::start().await;
        let to = format!("{}{HARBOR}", elsewhere.url());
        registry.fault(move |seen| seen.path == path, ALWAYS, Fault::Redirect(to));
        assert_eq!(kind_of(&registry.url()).await, RegistryKind::Distribution);
    }
    assert_eq!(elsewhere.count(Seen::is_any), 0);
}

#[tokio::test]
async fn hostile_and_slow_ones_cost_one_short_try_each() {
    let faults = [
        Fault::Hang,
        Fault::Drop,
        Fault::Trickle,
        Fault::Endless,
        Fault::Html(200),
        Fault::Truncated,
        Fault::Status(500),
        Fault::StatusWith(429, "retry-after", "1".to_owned()),
    ];
    // Concurrently: each slow one takes the full timeout of detection.
    join_all(faults.map(async |fault| {
        let registry = with(HARBOR, Own::new(200, harbor())).await;
        registry.fault(|seen| !seen.is_ping(), ALWAYS, fault.clone());
        assert_eq!(kind_of(&registry.url()).await, RegistryKind::Distribution, "{fault:?}");
        assert!(registry.count(Seen::is_any) <= 4, "{fault:?}: {:?}", registry.log());
    }))
    .await;
}

#[tokio::test]
async fn who_does_not_answer_is_asked_no_more() {
    let silent = FakeRegistry::start().await;
    silent.fault(Seen::is_any, ALWAYS, Fault::Hang);
    let impatient = RegistryLimits { request_timeout: Duration::from_millis(200), ..limits() };
    let kind =
        RegistrySource::detect(&endpoint(&silent.url(), None), &impatient, &RemoteHosts::default()).await.unwrap();
    assert_eq!((kind, silent.count(|seen| !seen.is_ping())), (RegistryKind::Distribution, 0));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(kind_of(&format!("http://{dead}")).await, RegistryKind::Distribution);
    assert_eq!(kind_of("http://169.254.169.254").await, RegistryKind::Distribution, "never dialled");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let refused = RegistrySource::detect(
        &endpoint("https://ada:hunter2@r.example.org", None),
        &limits(),
        &RemoteHosts::default(),
    )
    .await;
    assert_fails!(refused, Refused, "username and password fields");
}

#[tokio::test]
async fn a_plain_registry_is_plain() {
    let registry = DockerRegistry::open().await;
    assert_eq!(kind_of(&registry.url()).await, RegistryKind::Distribution);
}

#[tokio::test]
async fn what_is_found_is_kept_unless_the_admin_says_otherwise() {
    let registry = with(ZOT, Own::new(200, zot())).await;
    let silo = TestApp::start().await;
    let form = json!({"name": "found", "url": registry.url()});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    assert_eq!(added["kind"], "zot");
    registry.clear_log();
    let form = json!({"name": "said", "url": registry.url(), "kind": "distribution"});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    assert_eq!(added["kind"], "distribution");
    assert_eq!(registry.count(|seen| !seen.is_ping() && !seen.is_catalog()), 0, "nothing is probed");
}
