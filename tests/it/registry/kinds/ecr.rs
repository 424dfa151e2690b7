//! Amazon ECR: the distribution API with HTTP Basic, pages of at most 1000 names, and tokens that expire after 12
//! hours, which SILO requests itself if it has AWS keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use silo::catalog::RegistryKind::Ecr;
use silo::registry::{RegistryEndpoint, RegistrySource, RemoteHosts};

use super::super::assert_fails;
use super::{add, images, limits, open_kind, open_org, pairs, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Own, Seen, basic};

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Whether it is a request to the AWS API; the second one, for this operation.
fn is_call(seen: &Seen) -> bool {
    seen.method == Method::POST && seen.path == "/"
}

fn calls(seen: &Seen, operation: &str) -> bool {
    is_call(seen) && seen.headers["x-amz-target"] == format!("AmazonEC2ContainerRegistry_V20150921.{operation}")
}

fn asks_for_a_token(seen: &Seen) -> bool {
    calls(seen, "GetAuthorizationToken")
}

/// A registry that accepts the token of its AWS API, which expires after this many seconds. Its pages have two entries.
async fn with_interface(ends_in: i64) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    registry.push("geo/a-seed", "1.0.0", &seed("a"));
    registry.serve(move |seen, all| {
        let asked: Value = is_call(seen).then(|| serde_json::from_slice(&seen.body).unwrap())?;
        if asks_for_a_token(seen) {
            let ends_at = silo::clock::Clock::system().now().timestamp() + ends_in;
            let token = STANDARD.encode("AWS:token");
            let body = json!({"authorizationData": [{"authorizationToken": token, "expiresAt": ends_at as f64 + 0.5}]});
            return Some(Own::new(200, body));
        }
        assert_eq!(asked["maxResults"], 1000);
        let page = |entries: Vec<Value>, name: &str| {
            let start: usize = asked["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
            let mut body = json!({name: entries.iter().skip(start).take(2).collect::<Vec<_>>()});
            if start + 2 < entries.len() {
                body["nextToken"] = json!((start + 2).to_string());
            }
            Own::new(200, body)
        };
        if calls(seen, "DescribeRepositories") {
            return Some(page(all.keys().map(|name| json!({"repositoryName": name})).collect(), "repositories"));
        }
        assert!(calls(seen, "DescribeImages") && asked["filter"] == json!({"tagStatus": "TAGGED"}), "{seen:?}");
        let Some(tags) = all.get(asked["repositoryName"].as_str().unwrap()) else {
            return Some(Own::new(400, says("RepositoryNotFoundException", "The repository does not exist")));
        };
        let image = |(tag, digest): (&String, &String)| json!({"imageDigest": digest, "imageTags": [tag]});
        Some(page(tags.iter().map(image).collect(), "imageDetails"))
    });
    registry
}

/// An error in the format of AWS.
fn says(code: &str, message: &str) -> Value {
    json!({"__type": code, "message": message})
}

fn open_with_keys(registry: &FakeRegistry, password: &str) -> RegistrySource {
    open_org(Ecr, registry, "", Some((KEY_ID, password)))
}

#[tokio::test]
async fn pages_are_of_1000_names_and_every_request_is_logged_in() {
    let registry = FakeRegistry::start().await;
    registry.require_basic("AWS", "token");
    for i in 0..1200 {
        registry.add_repository(&format!("r{i:04}"));
    }
    registry.push("geo/a-seed", "1.0.0", &Image::new());
    // As ECR does for larger pages.
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

/// ECR's reply to an expired token: 403 without a challenge.
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

#[tokio::test]
async fn keys_get_a_token_once_and_are_never_sent() {
    let registry = with_interface(12 * 60 * 60).await;
    let source = open_with_keys(&registry, KEY);
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items, ["geo/a-seed"]);
    assert_eq!(source.tags("geo/a-seed").await.unwrap().items.len(), 1);
    source.digest("geo/a-seed", "1.0.0").await.unwrap().unwrap();
    assert_eq!(registry.count(asks_for_a_token), 1);
    let asked = registry.log().into_iter().find(asks_for_a_token).unwrap();
    let header = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-amz-target").unwrap(), "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    assert_eq!(header("content-type").unwrap(), "application/x-amz-json-1.1");
    assert_eq!((asked.body.as_ref(), header("x-amz-security-token")), (&b"{}"[..], None));
    let time = header("x-amz-date").unwrap();
    let scope = format!("{}/us-east-1/ecr/aws4_request", &time[..8]);
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="
    );
    let authorization = asked.authorization.clone().unwrap();
    let signature = authorization.strip_prefix(&expected).unwrap_or_else(|| panic!("{authorization}"));
    assert!(signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit()), "{signature}");
    let others = registry.log().into_iter().filter(|seen| !is_call(seen));
    let others: Vec<_> = others.map(|seen| seen.authorization).collect();
    assert_eq!(others[0], None, "the greeting");
    assert!(others[1..].iter().all(|value| *value == Some(basic("AWS", "token"))), "{others:?}");
    let is_told =
        |seen: &Seen| format!("{seen:?}").contains(KEY) || format!("{seen:?}").contains(&STANDARD.encode(KEY));
    assert_eq!(registry.count(is_told), 0);
}

#[tokio::test]
async fn a_session_token_is_signed_along() {
    let registry = with_interface(60).await;
    open_with_keys(&registry, &format!("{KEY}:IQoJb3JpZ2lu/session==")).ping().await.unwrap();
    let asked = registry.log().into_iter().find(asks_for_a_token).unwrap();
    assert_eq!(asked.headers["x-amz-security-token"], "IQoJb3JpZ2lu/session==");
    assert!(
        asked
            .authorization
            .unwrap()
            .contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,")
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_when_it_is_refused() {
    let registry = with_interface(4).await;
    let source = open_with_keys(&registry, KEY);
    source.ping().await.unwrap();
    source.digest("geo/a-seed", "1.0.0").await.unwrap().unwrap();
    assert_eq!(registry.count(asks_for_a_token), 1, "one of a short life is kept until it is refused");
    let registry = with_interface(3600).await;
    let source = open_with_keys(&registry, KEY);
    source.ping().await.unwrap();
    registry.fault(Seen::is_head, 1, Fault::StatusWith(401, "www-authenticate", "Basic realm=\"ecr\"".into()));
    source.digest("geo/a-seed", "1.0.0").await.unwrap().unwrap();
    assert_eq!(registry.count(asks_for_a_token), 2, "one was taken back");
}

#[tokio::test]
async fn what_amazon_says_of_keys_is_told() {
    let registry = with_interface(3600).await;
    let refuse = |status: u16, body: Value| {
        registry.clear_faults();
        registry.clear_log();
        registry.fault(asks_for_a_token, ALWAYS, Fault::Json(status, body));
    };
    refuse(400, says("UnrecognizedClientException", "The security token included in the request is invalid."));
    let source = open_with_keys(&registry, KEY);
    assert_fails!(source.ping().await, WrongPassword, "UnrecognizedClientException", "correct the keys");
    assert_fails!(source.digest("geo/a-seed", "1").await, WrongPassword, "is invalid");
    assert_eq!(registry.count(asks_for_a_token), 1, "not asked again");
    refuse(400, says("com.amazon.coral.service#InvalidSignatureException", "Signature expired"));
    assert_fails!(
        open_with_keys(&registry, KEY).ping().await,
        WrongPassword,
        "answers InvalidSignatureException",
        "clock"
    );
    refuse(400, says("AccessDeniedException", "User is not authorized"));
    assert_fails!(open_with_keys(&registry, KEY).ping().await, Forbidden, "AccessDeniedException", "that right");
    refuse(400, says("ThrottlingException", "Rate exceeded"));
    assert_fails!(open_with_keys(&registry, KEY).ping().await, Throttled, "Rate exceeded");
    for broken in
        [json!({}), json!({"authorizationData": []}), json!({"authorizationData": [{"authorizationToken": ""}]})]
    {
        refuse(200, broken);
        assert_fails!(open_with_keys(&registry, KEY).ping().await, Malformed, registry.host(), "without a token");
    }
    refuse(500, json!("?"));
    assert_fails!(open_with_keys(&registry, KEY).ping().await, Status, registry.host());
}

#[tokio::test]
async fn keys_are_not_for_public_images() {
    let keys = super::super::endpoint("public.ecr.aws", Some((KEY_ID, KEY)));
    let error = RegistrySource::open(&RegistryEndpoint { kind: Ecr, ..keys }, &limits(), &RemoteHosts::default())
        .err()
        .expect("a refusal");
    assert_fails!(Err::<(), _>(error), Refused, "ecr-public get-login-password");
}

#[tokio::test]
async fn its_interface_lists_tags_with_digests_over_pages() {
    let registry = with_interface(3600).await;
    for (repository, tag) in [("geo/a-seed", "1.0.1"), ("geo/a-seed", "1.0.2"), ("geo/b-seed", "1"), ("x", "1")] {
        registry.push(repository, tag, &Image::new().label("of", tag));
    }
    let signature = format!("sha256-{}.sig", "0".repeat(64));
    registry.push("geo/a-seed", &signature, &Image::new());
    let source = open_with_keys(&registry, KEY);
    let repositories = source.repositories().await.unwrap();
    assert_eq!(
        (repositories.items.as_slice(), repositories.truncated),
        (&["geo/a-seed", "geo/b-seed", "x"].map(str::to_owned)[..], None)
    );
    let tags = source.tags("geo/a-seed").await.unwrap();
    let digests = &registry.repositories()["geo/a-seed"];
    let expected: Vec<_> = ["1.0.0", "1.0.1", "1.0.2"].map(|tag| (tag, Some(digests[tag].as_str()))).into();
    assert_eq!((pairs(&tags), &tags.truncated), (expected, &None));
    assert_eq!(registry.count(is_call), 4, "two pages each, and no login");
    assert!(source.tags("gone").await.unwrap().items.is_empty());
    assert_eq!(registry.count(|seen| !is_call(seen)), 0);
}

#[tokio::test]
async fn what_the_keys_may_not_list_the_distribution_api_does() {
    let registry = with_interface(3600).await;
    let source = open_with_keys(&registry, KEY);
    let denied = says("AccessDeniedException", "User is not authorized to perform: ecr:DescribeImages");
    let refusals = [
        Fault::Json(400, denied),
        // Imitations of ECR, and proxies before it, have other error messages.
        Fault::Json(400, says("UnknownOperationException", "not implemented")),
        Fault::Json(403, json!({"message": "Missing Authentication Token"})),
        Fault::Html(403),
        Fault::Html(404),
        Fault::Html(405),
        Fault::Status(501),
        Fault::Json(200, json!([])),
        Fault::Html(200),
    ];
    for refusal in refusals {
        registry.clear_faults();
        registry.fault(|seen| is_call(seen) && !asks_for_a_token(seen), ALWAYS, refusal.clone());
        assert_eq!(source.repositories().await.unwrap().items, ["geo/a-seed"], "{refusal:?}");
        assert_eq!(pairs(&source.tags("geo/a-seed").await.unwrap()), [("1.0.0", None)], "{refusal:?}");
    }
    registry.clear_faults();
    registry.fault(is_call, ALWAYS, Fault::Json(400, says("ThrottlingException", "Rate exceeded")));
    assert_fails!(source.tags("geo/a-seed").await, Throttled, "Rate exceeded");
}

#[tokio::test]
async fn a_service_scans_with_keys() {
    let (silo, registry) = (TestApp::start().await, with_interface(3600).await);
    let id = add(&silo, "ecr", &registry.url(), "", json!({"username": KEY_ID, "password": KEY})).await;
    silo.scan(id).await;
    assert_eq!(images(&silo).await, [format!("{}/geo/a-seed:1.0.0", registry.host())]);
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(registry.count(Seen::is_any), 2, "the lists of repositories and tags: an unchanged tag costs nothing");
    assert_eq!(registry.count(is_call), 2);
}
