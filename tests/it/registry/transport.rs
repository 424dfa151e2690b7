//! Retries, pauses, redirects, and endless replies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use silo::registry::{Error, FetchedContent, RegistryLimits};
use tokio::sync::Notify;

use super::{assert_fails, limits, open, open_as, open_with};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};

#[tokio::test]
async fn what_passes_is_tried_again() {
    for fault in [429, 408, 500, 502, 503, 504].map(Fault::Status).into_iter().chain([Fault::Drop, Fault::Truncated]) {
        let registry = FakeRegistry::start().await;
        let digest = registry.push("a", "1", &Image::new());
        registry.fault(|seen| seen.is_blob(), 2, fault.clone());
        assert!(matches!(open(&registry).fetch("a", &digest).await, Ok(FetchedContent::Image(_))), "{fault:?}");
        assert_eq!(registry.count(Seen::is_blob), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn what_stays_ends_in_words() {
    let registry = FakeRegistry::start().await;
    let (host, digest) = (registry.host(), registry.push("a", "1", &Image::new()));
    for (fault, tries) in [(503, 3), (429, 3), (418, 1)].map(|(status, tries)| (Fault::Status(status), tries)) {
        registry.clear_faults();
        registry.clear_log();
        registry.fault(Seen::is_blob, ALWAYS, fault.clone());
        match open(&registry).fetch("a", &digest).await {
            Err(Error::Throttled(text)) => {
                assert!(text.contains(&host) && (text.contains("429") || text.contains("503")), "{text}");
            }
            Err(Error::Status(text)) => assert!(text.contains(&host), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(registry.count(Seen::is_blob), tries, "{fault:?}");
    }
    for fault in [Fault::Drop, Fault::Truncated] {
        registry.clear_faults();
        registry.fault(Seen::is_blob, ALWAYS, fault);
        assert_fails!(open(&registry).fetch("a", &digest).await, Unreachable, host, "broke off");
    }
}

#[tokio::test]
async fn a_retry_after_is_heeded_up_to_a_limit() {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_ping, 1, Fault::StatusWith(429, "retry-after", "1".into()));
    open(&registry).ping().await.unwrap();
    assert_eq!(registry.count(Seen::is_ping), 2);
    registry.clear_log();
    for status in [429, 503] {
        registry.fault(Seen::is_ping, 1, Fault::StatusWith(status, "retry-after", "3600".into()));
        assert_fails!(open(&registry).ping().await, Throttled, registry.host(), "3600 s");
    }
    assert_eq!(registry.count(Seen::is_ping), 2);
}

#[tokio::test]
async fn a_body_that_trickles_ends_at_the_time_out() {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_ping, ALWAYS, Fault::Trickle);
    let source = open_with(&registry, &RegistryLimits { request_timeout: Duration::from_millis(300), ..limits() });
    assert_fails!(source.ping().await, Timeout, registry.host(), "no complete answer");
    assert_eq!(registry.count(Seen::is_ping), 1);
}

#[tokio::test]
async fn no_more_requests_in_flight_than_allowed() {
    let registry = FakeRegistry::start().await;
    registry.push("a", "1", &Image::new());
    let source = open_with(&registry, &RegistryLimits { concurrency: 2, ..limits() });
    source.ping().await.unwrap();
    let gate = Arc::new(Notify::new());
    registry.fault(Seen::is_head, 2, Fault::Hold(Arc::clone(&gate)));
    let asked = join_all((0..10).map(|_| source.digest("a", "1")));
    let opened = async {
        registry.arrived(3).await;
        gate.notify_one();
        gate.notify_one();
    };
    let (answers, ()) = tokio::join!(asked, opened);
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|digest| digest.is_some())));
    assert_eq!(registry.peak(), 2);
}

#[tokio::test]
async fn credentials_stay_at_home_when_a_redirect_leads_away() {
    let (registry, store) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.require_basic("ada", "secret");
    let digest = registry.push("a", "1", &Image::new().label("k", "v"));
    // The same content at another host.
    store.push("a", "1", &Image::new().label("k", "v"));
    let path = |seen: &Seen| seen.is_blob() && seen.authorization.is_some();
    let source = open_as(&registry, "ada", "secret");
    source.fetch("a", &digest).await.unwrap();
    let blob = registry.log().into_iter().find(path).unwrap().path;
    registry.fault(Seen::is_blob, 1, Fault::Redirect(format!("{}{blob}?signature=x", store.url())));
    assert!(matches!(source.fetch("a", &digest).await.unwrap(), FetchedContent::Image(_)));
    assert_eq!(store.count(Seen::is_blob), 1);
    assert!(store.log().iter().all(|seen| seen.authorization.is_none()));
    registry.clear_log();
    registry.fault(Seen::is_blob, 1, Fault::Redirect(blob));
    source.fetch("a", &digest).await.unwrap();
    assert_eq!(registry.count(path), 2, "at home they are kept");
}

#[tokio::test]
async fn redirects_have_an_end_and_do_not_lead_everywhere() {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Redirect("/v2/_catalog".into()));
    assert_fails!(open(&registry).repositories().await, Refused, registry.host(), "more than 5 times");
    assert_eq!(registry.count(Seen::is_catalog), 6);
    for (to, part) in [
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("http://[::ffff:169.254.169.254]/", "never used for registries"),
        ("file:///etc/passwd", "not http"),
        ("http://ada:hunter2@127.0.0.1/", "user name"),
    ] {
        registry.clear_faults();
        registry.fault(Seen::is_catalog, ALWAYS, Fault::Redirect(to.into()));
        assert_fails!(open(&registry).repositories().await, Refused, part);
    }
    registry.clear_faults();
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(302));
    assert_fails!(open(&registry).repositories().await, Malformed, "redirects without an address");
}

#[tokio::test]
async fn long_explanations_of_errors_are_cut() {
    let registry = FakeRegistry::start().await;
    let message = "x\u{7}".repeat(500);
    let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]});
    registry.fault(Seen::is_tags, 1, Fault::Json(418, body));
    let text = open(&registry).tags("a").await.unwrap_err().to_string();
    assert!(text.len() < 500 && !text.contains('\u{7}'), "{text}");
}

#[tokio::test]
async fn clones_share_what_was_found_out_and_counted() {
    let registry = FakeRegistry::start().await;
    registry.push("a", "1", &Image::new());
    let source = open(&registry);
    source.ping().await.unwrap();
    source.clone().tags("a").await.unwrap();
    assert_eq!(source.traffic().requests, 2);
    assert_eq!(registry.count(Seen::is_any), 2);
}
