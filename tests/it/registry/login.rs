//! Basic and bearer authentication: which credentials are sent, how often, and to which host.

use futures_util::future::join_all;
use serde_json::json;
use silo::registry::Error;

use super::{assert_fails, open, open_as};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};

#[tokio::test]
async fn basic() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "se:cret");
    registry.push("a", "1", &Image::new());
    let source = open_as(&registry, "ada", "se:cret");
    source.ping().await.unwrap();
    assert_eq!(registry.count(Seen::is_any), 2, "asked, and asked again with credentials");
    source.tags("a").await.unwrap();
    source.digest("a", "1").await.unwrap();
    assert_eq!(registry.count(Seen::is_any), 4, "one request a call from then on");
}

#[tokio::test]
async fn basic_without_or_with_wrong_credentials() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    assert_fails!(open(&registry).ping().await, LoginRequired, registry.host(), "username and password");
    registry.clear_log();
    let source = open_as(&registry, "ada", "hunter2");
    let error = source.ping().await.unwrap_err();
    assert!(matches!(error, Error::WrongPassword(_)) && !error.to_string().contains("hunter2"), "{error}");
    assert_eq!(registry.count(Seen::is_any), 2);
    for _ in 0..3 {
        assert_eq!(source.tags("a").await.unwrap_err(), error);
        assert_eq!(source.ping().await.unwrap_err(), error);
    }
    assert_eq!(registry.count(Seen::is_any), 2, "a wrong password is sent once, so that no account is locked");
}

#[tokio::test]
async fn bearer_with_one_token_a_scope_of_our_own() {
    let (registry, service) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.require_bearer(&service, Some(("ada", "secret")));
    for name in ["a", "b/c"] {
        registry.push(name, "1", &Image::new());
    }
    let source = open_as(&registry, "ada", "secret");
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items, ["a", "b/c"]);
    for name in ["a", "b/c"] {
        join_all((0..8).map(|_| source.digest(name, "1"))).await.into_iter().for_each(|found| {
            found.unwrap().unwrap();
        });
    }
    let scopes: Vec<_> = service.log().iter().map(|seen| seen.parameter("scope").unwrap_or_default()).collect();
    let expected = ["", "registry:catalog:*", "repository:a:pull", "repository:b/c:pull"];
    assert_eq!(scopes, expected, "one call a scope");
    assert!(service.log().iter().all(|seen| seen.parameter("service").as_deref() == Some("fake")));
    assert!(service.log().iter().all(|seen| seen.authorization.as_deref().is_some_and(|a| a.starts_with("Basic "))));
    let on_registry = registry.log();
    assert!(on_registry.iter().flat_map(|seen| &seen.authorization).all(|value| value.starts_with("Bearer ")));
    assert_eq!(on_registry.len(), 2 + 2 + 16, "ping twice, the catalogue twice, then one request a call");
}

#[tokio::test]
async fn bearer_for_everybody() {
    let registry = FakeRegistry::start().await;
    registry.require_bearer_with("/token", &registry, None, json!({"access_token": true, "expires_in": "300"}));
    registry.push("a", "1", &Image::new());
    let source = open(&registry);
    source.ping().await.unwrap();
    assert_eq!(source.tags("a").await.unwrap().items.len(), 1);
    assert!(registry.log().iter().filter(|seen| seen.is_token()).all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn bearer_without_or_with_wrong_credentials() {
    let (registry, service) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.require_bearer(&service, Some(("ada", "secret")));
    open(&registry).ping().await.unwrap();
    assert_eq!(service.count(Seen::is_token), 0, "what a stranger may read, only a request for it shows");
    assert_fails!(open(&registry).repositories().await, LoginRequired, registry.host(), "username and password");
    assert_fails!(open(&registry).tags("a").await, LoginRequired, service.host(), "username and password");
    service.clear_log();
    let source = open_as(&registry, "ada", "hunter2");
    for _ in 0..3 {
        assert_fails!(source.ping().await, WrongPassword, service.host(), "does not accept");
        assert_fails!(source.repositories().await, WrongPassword, service.host());
    }
    assert_eq!(service.count(Seen::is_token), 1, "a wrong password is sent once");
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once() {
    let registry = FakeRegistry::start().await;
    registry.require_bearer(&registry.clone(), None);
    registry.push("a", "1", &Image::new());
    let source = open(&registry);
    source.tags("a").await.unwrap();
    registry.revoke_tokens();
    registry.clear_log();
    source.tags("a").await.unwrap();
    assert_eq!((registry.count(Seen::is_tags), registry.count(Seen::is_token)), (2, 1));
    registry.fault(Seen::is_tags, ALWAYS, Fault::StatusWith(401, "www-authenticate", "Bearer realm=\"/token\"".into()));
    registry.clear_log();
    assert_fails!(source.tags("a").await, LoginRequired, "the tags of a");
    assert_eq!((registry.count(Seen::is_tags), registry.count(Seen::is_token)), (2, 1));
}

#[tokio::test]
async fn a_token_of_a_short_life_is_kept_until_it_is_refused() {
    let registry = FakeRegistry::start().await;
    for life in [0, 1, 5] {
        registry.require_bearer_with("/token", &registry, None, json!({"expires_in": life}));
        registry.push("a", "1", &Image::new());
        let source = open(&registry);
        registry.clear_log();
        source.tags("a").await.unwrap();
        source.tags("a").await.unwrap();
        assert_eq!(registry.count(Seen::is_token), 1, "{life} seconds");
        registry.revoke_tokens();
        source.tags("a").await.unwrap();
        assert_eq!(registry.count(Seen::is_token), 2, "{life} seconds");
    }
}

#[tokio::test]
async fn token_services_that_misbehave() {
    let (registry, service) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.require_bearer(&service, None);
    for (fault, part) in [
        (Fault::Html(200), "not a token"),
        (Fault::Json(200, json!({})), "without a token"),
        (Fault::Json(200, json!({"token": "a\nb"})), "cannot be sent"),
        (Fault::Endless, "more than the 65536 bytes"),
    ] {
        service.fault(Seen::is_token, 1, fault);
        assert_fails!(open_as(&registry, "ada", "x").ping().await, Malformed, service.host(), part);
    }
    service.fault(Seen::is_token, 1, Fault::Status(404));
    assert_fails!(open_as(&registry, "ada", "x").ping().await, Status, service.host(), "404");
    service.fault(Seen::is_token, ALWAYS, Fault::Status(403));
    open_as(&registry, "ada", "x").ping().await.unwrap();
    assert_fails!(open_as(&registry, "ada", "x").tags("a").await, Forbidden, service.host(), "repository:a:pull");
}

#[tokio::test]
async fn credentials_do_not_follow_a_realm_to_where_anybody_listens() {
    let registry = FakeRegistry::start().await;
    for realm in ["http://tokens.example.org/token", "ftp://127.0.0.1/token", "http://ada:x@127.0.0.1/token"] {
        registry.require_bearer_with(realm, &registry, None, json!({}));
        assert_fails!(open_as(&registry, "ada", "hunter2").ping().await, Refused, "realm", "https");
    }
    registry.require_bearer_with("http://169.254.169.254/token", &registry, None, json!({}));
    assert_fails!(open_as(&registry, "ada", "hunter2").ping().await, Refused, "169.254.169.254");
}

#[tokio::test]
async fn several_challenges_in_one_header() {
    let registry = FakeRegistry::start().await;
    registry.require_bearer(&registry.clone(), None);
    let both = "Basic realm=\"a, b\", Bearer realm=\"/token\", service=\"fake\"".to_owned();
    registry.fault(Seen::is_ping, 1, Fault::StatusWith(401, "www-authenticate", both));
    open(&registry).ping().await.unwrap();
}

#[tokio::test]
async fn a_registry_that_greets_everybody_but_asks_later() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_ping, ALWAYS, Fault::Status(200));
    let source = open_as(&registry, "ada", "secret");
    source.ping().await.unwrap();
    source.tags("a").await.unwrap();
    source.tags("a").await.unwrap();
    assert_eq!(registry.count(Seen::is_tags), 3);
    assert_fails!(open(&registry).tags("a").await, LoginRequired, registry.host());
    let wrong = open_as(&registry, "ada", "hunter2");
    registry.clear_log();
    assert_fails!(wrong.tags("a").await, WrongPassword, registry.host());
    assert_fails!(wrong.tags("a").await, WrongPassword, registry.host());
    assert_eq!(registry.count(Seen::is_tags), 2);
}
