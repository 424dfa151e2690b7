//! Quay.

use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{FetchedContent, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts};

use super::super::{assert_fails, endpoint, limits};
use super::{TestApp, add, config, names, outcome, seed};
use crate::support::fake_registry::{ALWAYS, Fault, Image, OCI_INDEX, Seen, basic, child};
use crate::support::kinds::quay::FakeQuay;

fn open(quay: &FakeQuay, login: Option<(&str, &str)>) -> RegistrySource {
    super::open(RegistryKind::Quay, &quay.registry.url(), "geo", login)
}

#[tokio::test]
async fn a_labelled_image_costs_one_request_and_an_unchanged_tag_none() {
    let quay = FakeQuay::start().await;
    quay.push("geo/ice-seed", "1.0.0", &seed("ice"));
    quay.push("geo/snow-seed", "1.0.0", &seed("snow").docker());
    quay.push("sea/fish-seed", "1.0.0", &seed("fish"));
    let silo = TestApp::start().await;
    let id = add(&silo, "quay", &quay.registry.url(), "geo", json!({})).await;
    for (labels, all) in [(2, 5), (0, 3)] {
        quay.registry.clear_log();
        silo.scan(id).await;
        let (state, images) = outcome(&silo, id).await;
        assert_eq!((state.as_str(), images.len()), ("complete", 2), "{images:?}");
        let seen = (quay.registry.count(Seen::is_labels), quay.registry.count(Seen::is_any));
        assert_eq!(seen, (labels, all), "a listing of repositories, two of tags, and the labels");
    }
}

#[tokio::test]
async fn without_labels_the_image_itself_is_read() {
    let quay = FakeQuay::start().await;
    quay.push("geo/plain", "1", &Image::new().label("maintainer", "ada"));
    let chart = quay.registry.push_artifact("geo/chart", "1", "application/vnd.cncf.helm.config.v1+json");
    quay.describe("geo/chart", "1", &chart);
    let source = open(&quay, None);
    for name in ["geo/plain", "geo/chart"] {
        quay.registry.clear_log();
        let digest = source.tags(name).await.unwrap().items.remove(0).digest.unwrap();
        match (name, source.fetch(name, &digest).await.unwrap()) {
            ("geo/plain", read) => assert_eq!(config(Some(&read)).labels["maintainer"], "ada"),
            (_, read) => assert_eq!(read, FetchedContent::Other("application/vnd.cncf.helm.config.v1+json".to_owned())),
        }
        assert_eq!((quay.registry.count(Seen::is_labels), quay.registry.count(Seen::is_manifest)), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn labels_put_on_by_hand_do_not_count() {
    let quay = FakeQuay::start().await;
    let digest = quay.push("geo/a", "1", &Image::new());
    quay.label(&digest, silo::seed::LABEL, "{}");
    let source = open(&quay, None);
    source.tags("geo/a").await.unwrap();
    assert!(config(Some(&source.fetch("geo/a", &digest).await.unwrap())).labels.is_empty());
}

#[tokio::test]
async fn a_list_and_what_no_listing_named_are_read_the_common_way() {
    let quay = FakeQuay::start().await;
    let children = [child(&quay.registry.add(&Image::new().label("key", "value")), "linux/amd64")];
    let notes = json!({silo::seed::LABEL: "{}"});
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children, "annotations": notes});
    let digest = quay.registry.push_manifest("geo/a", "1", &list);
    quay.describe("geo/a", "1", &digest);
    let source = open(&quay, None);
    source.tags("geo/a").await.unwrap();
    let read = source.fetch("geo/a", &digest).await.unwrap();
    assert_eq!(config(Some(&read)).labels.keys().collect::<Vec<_>>(), ["key"]);
    let unlisted = quay.push("geo/b", "1", &seed("b"));
    source.fetch("geo/b", &unlisted).await.unwrap();
    quay.push("geo/b", "1", &seed("b"));
    quay.change("geo/b", |tag| tag["is_manifest_list"] = json!(null));
    source.tags("geo/b").await.unwrap();
    source.fetch("geo/b", &unlisted).await.unwrap();
    assert_eq!(quay.registry.count(Seen::is_labels), 0);
}

#[tokio::test]
async fn a_namespace_is_mandatory() {
    let quay = FakeQuay::start().await;
    for org in ["", "/"] {
        let source = super::open(RegistryKind::Quay, &quay.registry.url(), org, None);
        assert_fails!(source.ping().await, Refused, "one namespace", "org");
        assert_fails!(source.repositories().await, Refused, "one namespace");
    }
    assert_eq!(quay.registry.count(Seen::is_any), 0);
}

#[tokio::test]
async fn repositories_page_by_page() {
    let quay = FakeQuay::start().await;
    for i in 0..8 {
        quay.push(&format!("geo/r{i}"), "1", &Image::new());
    }
    quay.push("geo/UPPER", "1", &Image::new());
    let source = open(&quay, None);
    source.ping().await.unwrap();
    quay.registry.clear_log();
    let listing = source.repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (8, None));
    assert_eq!(quay.registry.count(Seen::is_any), 3);
    assert!(quay.registry.log().iter().all(|seen| seen.parameter("public").as_deref() == Some("true")));
    quay.is_stuck();
    assert!(source.repositories().await.unwrap().truncated.unwrap().contains("circles"));
}

#[tokio::test]
async fn tags_page_by_page() {
    let quay = FakeQuay::start().await;
    for i in 0..150 {
        quay.push("geo/a", &format!("v{i}"), &Image::new());
    }
    for tag in [format!("sha256-{}.att", "0".repeat(64)), "bad tag".to_owned()] {
        quay.push("geo/a", &tag, &Image::new());
    }
    let source = open(&quay, None);
    let listing = source.tags("geo/a").await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (150, None));
    assert_eq!(quay.registry.count(Seen::is_quay_tags), 2);
    quay.change("geo/a", |tag| tag["manifest_digest"] = json!("sha256:12"));
    assert!(source.tags("geo/a").await.unwrap().items.iter().all(|tag| tag.digest.is_none()));

    quay.is_endless();
    let few = RegistryLimits { pages: 4, ..limits() };
    let form = RegistryEndpoint { kind: RegistryKind::Quay, org: "geo".into(), ..endpoint(&quay.registry.url(), None) };
    let listing = RegistrySource::open(&form, &few, &RemoteHosts::default()).unwrap().tags("geo/a").await.unwrap();
    assert_eq!(names(&listing.items), ["t1", "t2", "t3", "t4"]);
    assert!(listing.truncated.unwrap().contains("4 pages"));
    let again = Fault::Json(200, json!({"tags": [{"name": "x"}], "has_additional": true}));
    quay.registry.fault(Seen::is_quay_tags, ALWAYS, again);
    let listing = source.tags("geo/a").await.unwrap();
    assert_eq!(names(&listing.items), ["x"]);
    assert!(listing.truncated.unwrap().contains("circles"));
}

#[tokio::test]
async fn an_oauth_token_is_a_bearer_here_and_a_password_there() {
    let quay = FakeQuay::start().await;
    quay.allow("t0ken");
    quay.registry.require_bearer(&quay.registry, Some(("$oauthtoken", "t0ken")));
    quay.push("geo/secret", "1", &Image::new());
    quay.hide("geo/secret");
    for username in ["$oauthtoken", ""] {
        quay.registry.clear_log();
        let source = open(&quay, Some((username, "t0ken")));
        source.ping().await.unwrap();
        assert_eq!(source.repositories().await.unwrap().items, ["geo/secret"]);
        let digest = source.tags("geo/secret").await.unwrap().items.remove(0).digest.unwrap();
        source.fetch("geo/secret", &digest).await.unwrap();
        for seen in quay.registry.log() {
            match seen.authorization.as_deref() {
                Some("Bearer t0ken") => assert!(seen.is_quay(), "{seen:?}"),
                Some(value) if value == basic("$oauthtoken", "t0ken") => assert!(seen.is_token(), "{seen:?}"),
                _ => assert!(!seen.is_quay(), "{seen:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_sent_once() {
    let quay = FakeQuay::start().await;
    quay.allow("t0ken");
    quay.registry.require_bearer(&quay.registry, Some(("$oauthtoken", "t0ken")));
    let sent = || quay.registry.count(|seen| seen.authorization.is_some());
    let source = open(&quay, Some(("", "hunter2")));
    for _ in 0..3 {
        assert_fails!(source.repositories().await, WrongPassword, quay.registry.host());
        assert_fails!(source.tags("geo/a").await, WrongPassword, quay.registry.host());
    }
    assert_eq!(sent(), 1);
    quay.registry.clear_log();
    let source = open(&quay, Some(("", "hunter2")));
    for _ in 0..3 {
        assert_fails!(source.ping().await, WrongPassword, quay.registry.host());
    }
    assert_eq!(sent(), 1);
}

#[tokio::test]
async fn a_robot_sees_its_own_and_what_is_public() {
    let quay = FakeQuay::start().await;
    quay.registry.require_bearer(&quay.registry, Some(("geo+silo", "secret")));
    let digest = quay.push("geo/secret", "1", &Image::new());
    quay.hide("geo/secret");
    quay.push("geo/public", "1", &Image::new());
    let source = open(&quay, Some(("geo+silo", "secret")));
    source.ping().await.unwrap();
    let listing = source.repositories().await.unwrap();
    assert_eq!((listing.items, listing.truncated), (vec!["geo/public".to_owned(), "geo/secret".to_owned()], None));
    assert!(source.tags("geo/public").await.unwrap().items[0].digest.is_some(), "the interface shows it to all");
    assert_eq!(source.tags("geo/secret").await.unwrap().items[0].digest, None, "only /v2/ does");
    assert_eq!(source.digest("geo/secret", "1").await.unwrap(), Some(digest));
    assert!(quay.registry.log().iter().filter(|seen| seen.is_quay()).all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn a_robot_without_a_catalogue_is_told_what_would_help() {
    let quay = FakeQuay::start().await;
    quay.registry.require_bearer(&quay.registry, Some(("geo+silo", "secret")));
    quay.push("geo/public", "1", &Image::new());
    quay.registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(403));
    let source = open(&quay, Some(("geo+silo", "secret")));
    let listing = source.repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/public"]);
    let why = listing.truncated.unwrap();
    assert!(why.contains("only public") && why.contains("OAuth") && why.contains("$oauthtoken"), "{why}");
    quay.registry.fault(Seen::is_quay_repositories, ALWAYS, Fault::Status(401));
    assert_fails!(source.repositories().await, Forbidden, quay.registry.host(), "OAuth", "$oauthtoken");
    quay.registry.clear_faults();
    quay.registry.fault(Seen::is_quay_repositories, ALWAYS, Fault::Status(401));
    let listing = source.repositories().await.unwrap();
    assert_eq!(
        (listing.items, listing.truncated),
        (vec!["geo/public".to_owned()], None),
        "nothing is open to strangers"
    );
    source.ping().await.unwrap();

    quay.registry.clear_faults();
    quay.registry.fault(Seen::is_catalog, ALWAYS, Fault::Html(200));
    assert_fails!(source.repositories().await, NotARegistry, "web page");
    quay.registry.clear_faults();
    quay.registry.fault(Seen::is_quay_repositories, ALWAYS, Fault::Html(200));
    assert!(source.repositories().await.unwrap().truncated.unwrap().contains("Quay"));
    quay.registry.clear_faults();

    let wrong = open(&quay, Some(("geo+silo", "hunter2")));
    quay.registry.clear_log();
    for _ in 0..2 {
        assert_fails!(wrong.repositories().await, WrongPassword, quay.registry.host());
    }
    assert_eq!(quay.registry.count(|seen| seen.authorization.is_some()), 1);
}

#[tokio::test]
async fn answers_that_are_none() {
    let quay = FakeQuay::start().await;
    let digest = quay.push("geo/a", "1", &seed("a"));
    let host = quay.registry.host();
    let source = open(&quay, None);
    for fault in [Fault::Html(200), Fault::Json(200, json!({})), Fault::Json(200, json!([1]))] {
        quay.registry.fault(Seen::is_quay, 3, fault);
        assert_fails!(source.repositories().await, Malformed, host, "Quay");
        assert_fails!(source.tags("geo/a").await, Malformed, host, "Quay");
        assert_fails!(source.ping().await, Malformed, host, "Quay");
    }
    quay.registry.clear_faults();
    source.tags("geo/a").await.unwrap();
    quay.registry.fault(Seen::is_labels, 1, Fault::Html(200));
    assert_fails!(source.fetch("geo/a", &digest).await, Malformed, host, "the labels of geo/a", "Quay");
    for status in [401, 403, 404] {
        source.tags("geo/a").await.unwrap();
        quay.registry.fault(Seen::is_labels, 1, Fault::Status(status));
        assert_eq!(config(Some(&source.fetch("geo/a", &digest).await.unwrap())).labels.len(), 1, "read: {status}");
    }
    quay.registry.fault(Seen::is_quay_tags, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("geo/a").await, Unreachable, "broke off");
    quay.registry.clear_faults();
    quay.registry.fault(Seen::is_quay_tags, 1, Fault::StatusWith(429, "retry-after", "0".into()));
    assert_eq!(source.tags("geo/a").await.unwrap().items.len(), 1, "tried again");
    assert_eq!(source.tags("geo/gone").await.unwrap().items.len(), 0, "/v2/ says that it is gone");
    quay.registry.fault(Seen::is_quay_tags, 1, Fault::StatusWith(429, "retry-after", "3600".into()));
    assert_fails!(source.tags("geo/a").await, Throttled, "3600 s");
}
