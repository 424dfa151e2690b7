//! Amazon's registry: the distribution API with Basic, pages of at most 1000 names, and tokens that end after 12 hours.

use serde_json::json;
use silo::catalog::RegistryKind::Ecr;

use super::super::assert_fails;
use super::{open_kind, open_org};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen, basic};

#[tokio::test]
async fn pages_are_of_1000_names_and_every_request_is_logged_in() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    for i in 0..1200 {
        registry.add_repository(&format!("r{i:04}"));
    }
    registry.push("geo/a-seed", "1.0.0", &Image::new());
    // As ECR does to who asks for more.
    let too_many = |seen: &Seen| seen.parameter("n").is_some_and(|n| n.parse::<u32>().unwrap() > 1000);
    registry.fault(too_many, ALWAYS, Fault::Status(405));
    let source = open_org(Ecr, &registry, "", Some(("AWS", "token")));
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items.len(), 1201);
    assert_eq!(registry.count(Seen::is_catalog), 2, "none is refused");
    assert_eq!(source.tags("geo/a-seed").await.unwrap().items.len(), 1);
    let login = basic("AWS", "token");
    assert_eq!(registry.count(|seen| seen.authorization.as_deref() != Some(&login)), 1, "but the first");
}

#[tokio::test]
async fn an_old_token_is_explained_and_sent_no_more() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    let source = open_org(Ecr, &registry, "", Some(("AWS", "yesterday")));
    assert_fails!(source.ping().await, WrongPassword, "12 hours", "aws ecr get-login-password");
    assert_fails!(source.repositories().await, WrongPassword, "12 hours");
    assert_fails!(source.tags("a").await, WrongPassword, "12 hours");
    assert_eq!(registry.count(|seen| seen.authorization.is_some()), 1);
    assert_fails!(open_kind(Ecr, &registry).ping().await, LoginRequired, "12 hours");
}

#[tokio::test]
async fn a_refusal_is_explained_too() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    let source = open_org(Ecr, &registry, "", Some(("AWS", "token")));
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    assert_fails!(source.repositories().await, Forbidden, "list its repositories", "12 hours");
    registry.clear_faults();
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(500));
    let failure = source.repositories().await.unwrap_err().to_string();
    assert!(!failure.contains("12 hours"), "{failure}");
}

/// As ECR answers to a token that ended: 403, and no challenge.
#[tokio::test]
async fn a_token_that_ended_is_a_wrong_password() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    let source = open_org(Ecr, &registry, "", Some(("AWS", "token")));
    let message = "Your authorization token has expired. Reauthenticate and try again.";
    let denied = Fault::Json(403, json!({"errors": [{"code": "DENIED", "message": message}]}));
    registry.fault(|seen| seen.authorization.is_some(), ALWAYS, denied);
    assert_fails!(source.ping().await, WrongPassword, message, "12 hours");
    registry.clear_faults();
    source.ping().await.unwrap();
    registry.fault(
        Seen::is_tags,
        ALWAYS,
        Fault::Json(403, json!({"errors": [{"code": "DENIED", "message": message}]})),
    );
    assert_fails!(source.tags("a").await, WrongPassword, message, "12 hours");
}
