//! Token scopes: each vendor's token service refuses different ones.

use futures_util::future::join_all;
use serde_json::json;
use silo::registry::Error;

use super::{assert_fails, open, open_as};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::token_desk::TokenHabit;

/// A registry with one image, `geo/ice:1`, whose token service knows `ada`.
async fn registry_with(habit: TokenHabit) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.require_bearer(&registry.clone(), Some(("ada", "secret")));
    registry.tokens_as(habit);
    registry.push("geo/ice", "1", &Image::new());
    registry
}

#[tokio::test]
async fn an_account_is_greeted_and_reads_at_every_make() {
    let one = TokenHabit::OneScope(403, "repository:geo/ice:pull");
    for habit in [TokenHabit::Docker, TokenHabit::Quay, TokenHabit::Pulp, TokenHabit::Harbor, TokenHabit::GitLab, one] {
        let registry = registry_with(habit).await;
        let source = open_as(&registry, "ada", "secret");
        source.ping().await.unwrap_or_else(|why| panic!("{habit:?}: {why}"));
        let listed = source.repositories().await;
        match habit {
            TokenHabit::GitLab | TokenHabit::OneScope(..) => {
                assert_fails!(listed, Forbidden, "list its repositories", "registry:catalog:*");
            }
            _ => assert_eq!(listed.unwrap().items, ["geo/ice"], "{habit:?}"),
        }
        assert_eq!(source.tags("geo/ice").await.unwrap().items.len(), 1, "{habit:?}");
        assert!(source.digest("geo/ice", "1").await.unwrap().is_some(), "{habit:?}");
    }
}

#[tokio::test]
async fn a_stranger_reads_what_is_public_though_nobody_greets_him() {
    for habit in [TokenHabit::Quay, TokenHabit::Harbor, TokenHabit::GitLab] {
        let registry = registry_with(habit).await;
        let source = open(&registry);
        source.ping().await.unwrap_or_else(|why| panic!("{habit:?}: {why}"));
        assert_eq!(registry.count(Seen::is_ping), 1, "{habit:?}: no second greeting");
        assert_eq!(source.tags("geo/ice").await.unwrap().items.len(), 1, "{habit:?}");
    }
    let quay = registry_with(TokenHabit::Quay).await;
    assert_fails!(open(&quay).repositories().await, LoginRequired, "list");
}

#[tokio::test]
async fn who_may_pull_one_repository_is_not_told_that_the_password_is_wrong() {
    for status in [400, 401, 403] {
        let registry = registry_with(TokenHabit::OneScope(status, "repository:geo/ice:pull")).await;
        let source = open_as(&registry, "ada", "secret");
        assert_eq!(source.tags("geo/ice").await.unwrap().items.len(), 1, "{status}");
        assert_fails!(source.tags("geo/snow").await, Forbidden, "repository:geo/snow:pull");
        assert_fails!(source.repositories().await, Forbidden, "list its repositories", "registry:catalog:*");
        assert_eq!(source.tags("geo/ice").await.unwrap().items.len(), 1, "{status}: it goes on");
    }
}

/// Harbor's catalogue is restricted to administrators, whatever other permissions are granted.
#[tokio::test]
async fn a_harbor_that_was_added_as_another_kind_is_known() {
    for status in [401, 403] {
        let registry = registry_with(TokenHabit::Harbor).await;
        let body = json!({"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized to list catalog"}]});
        registry.fault(Seen::is_catalog, ALWAYS, Fault::Json(status, body));
        let account = open_as(&registry, "ada", "secret").repositories().await;
        assert_fails!(account, Forbidden, "add it with the kind harbor");
        assert_fails!(open(&registry).repositories().await, LoginRequired, "add it with the kind harbor");
    }
}

#[tokio::test]
async fn a_scope_refused_like_a_password_is_told_apart_from_one() {
    // Tokens without a scope are issued, the catalogue's scope is refused with 401.
    let registry = registry_with(TokenHabit::OneScope(401, "")).await;
    let source = open_as(&registry, "ada", "secret");
    assert_fails!(source.tags("geo/ice").await, Forbidden, "repository:geo/ice:pull");
    assert_fails!(source.repositories().await, Forbidden, "list its repositories");
    source.ping().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_shown_twice_at_most_however_many_ask() {
    let registry = registry_with(TokenHabit::Docker).await;
    let source = open_as(&registry, "ada", "hunter2");
    let names: Vec<String> = (0..20).map(|i| format!("geo/r{i}")).collect();
    for outcome in join_all(names.iter().map(|name| source.tags(name))).await {
        assert!(matches!(outcome, Err(Error::WrongPassword(_))), "{outcome:?}");
    }
    // One with a repository's scope, and one without a scope, to tell a refused scope from a wrong password.
    assert_eq!(registry.count(Seen::is_token), 2);
}
