//! Paging of catalogues and tag lists.

use serde_json::json;
use silo::registry::RegistryLimits;

use super::{assert_fails, limits, open, open_as, open_with};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};

/// Adds empty repositories `r0000`, `r0001`, …
fn fill(registry: &FakeRegistry, count: usize) {
    for i in 0..count {
        registry.add_repository(&format!("r{i:04}"));
    }
}

#[tokio::test]
async fn one_request_a_page() {
    let registry = FakeRegistry::start().await;
    fill(&registry, 2500);
    let source = open(&registry);
    source.ping().await.unwrap();
    let listing = source.repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (2500, None));
    let queries: Vec<_> = registry.log().iter().filter(|s| s.is_catalog()).map(|s| s.query.clone()).collect();
    assert_eq!(queries, ["n=1000", "last=r0999&n=1000", "last=r1999&n=1000"]);
    assert_eq!(source.traffic().requests, 4);
    assert!(source.traffic().bytes > 2500 * 5);
}

#[tokio::test]
async fn full_pages_without_links_are_probed() {
    let registry = FakeRegistry::start().await;
    registry.leave_out_links();
    fill(&registry, 2000);
    let listing = open(&registry).repositories().await.unwrap();
    assert_eq!((listing.items.len(), listing.truncated), (2000, None));
    assert_eq!(registry.count(Seen::is_catalog), 3, "the last one finds nothing new");
}

#[tokio::test]
async fn pages_shrink_where_a_registry_wants_it() {
    let registry = FakeRegistry::start().await;
    registry.cap_pages(300);
    fill(&registry, 600);
    assert_eq!(open(&registry).repositories().await.unwrap().items.len(), 600);
    let sizes: Vec<_> = registry.log().iter().filter_map(|seen| seen.parameter("n")).collect();
    assert_eq!(sizes, ["1000", "500", "250", "250", "250"]);
}

#[tokio::test]
async fn only_the_query_of_a_link_is_followed() {
    let (registry, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    fill(&registry, 3);
    let link = format!("<{}/evil?last=r0001&n=1000>; rel=\"next\"", other.url());
    registry.fault(Seen::is_catalog, 1, Fault::Link(link));
    assert_eq!(open(&registry).repositories().await.unwrap().items.len(), 3);
    assert_eq!(registry.log().last().unwrap().query, "last=r0001&n=1000");
    assert_eq!(registry.log().last().unwrap().path, "/v2/_catalog");
    assert_eq!(other.count(Seen::is_any), 0);
}

#[tokio::test]
async fn endless_pages_and_circles_are_truncated_and_say_so() {
    let registry = FakeRegistry::start().await;
    fill(&registry, 3);
    registry.fault(Seen::is_catalog, ALWAYS, Fault::EndlessPages);
    let listing = open_with(&registry, &RegistryLimits { pages: 7, ..limits() }).repositories().await.unwrap();
    assert_eq!(listing.items.len(), 7);
    assert!(listing.truncated.unwrap().contains("7 pages"));
    registry.clear_faults();
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Link("<?last=r0000>; rel=next".into()));
    registry.clear_log();
    let listing = open(&registry).repositories().await.unwrap();
    assert!(listing.truncated.unwrap().contains("repeats names"));
    assert_eq!(registry.count(Seen::is_catalog), 2);
}

#[tokio::test]
async fn names_that_no_repository_has_are_dropped() {
    let registry = FakeRegistry::start().await;
    for name in ["good/name-seed", "../../etc/passwd", "UPPER", "a?b=c", "a b", "a//b", "a/../b"] {
        registry.add_repository(name);
    }
    assert_eq!(open(&registry).repositories().await.unwrap().items, ["good/name-seed"]);
    registry.fault(Seen::is_catalog, 1, Fault::Json(200, json!({"repositories": ["a", "b", "a"]})));
    assert_eq!(open(&registry).repositories().await.unwrap().items, ["a", "b"]);
    registry.fault(Seen::is_catalog, 1, Fault::Json(200, json!({"repositories": null})));
    assert_eq!(open(&registry).repositories().await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_page_that_is_none_is_no_empty_listing() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    registry.fault(Seen::is_catalog, 1, Fault::Json(200, json!({"status": "ok"})));
    assert_fails!(open(&registry).repositories().await, Malformed, host, "not a list");
    registry.fault(Seen::is_catalog, 1, Fault::Html(200));
    assert_fails!(open(&registry).repositories().await, NotARegistry, host, "web page");
    registry.fault(Seen::is_catalog, 1, Fault::Endless);
    assert_fails!(open(&registry).repositories().await, Malformed, host, "more than the 33554432 bytes");
    registry.fault(Seen::is_tags, 1, Fault::Html(404));
    assert_fails!(open(&registry).tags("a").await, NotFound, host, "the tags of a");
}

#[tokio::test]
async fn a_catalogue_that_is_not_for_us_is_explained() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    for (status, part) in [(401, "username and password"), (403, "username and password")] {
        registry.fault(Seen::is_catalog, 1, Fault::Status(status));
        assert_fails!(
            open(&registry).repositories().await,
            LoginRequired,
            host,
            "requires a login to list its repositories",
            part
        );
    }
    registry.fault(Seen::is_catalog, 1, Fault::Status(403));
    assert_fails!(open_as(&registry, "a", "b").repositories().await, Forbidden, host, "list its repositories");
    registry.fault(Seen::is_catalog, 1, Fault::Status(404));
    assert_fails!(open(&registry).repositories().await, NotFound, host, "list its repositories", "/v2/_catalog");
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(405));
    assert_fails!(open(&registry).repositories().await, NotFound, host, "list its repositories");
    registry.clear_faults();
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(418));
    assert_fails!(open(&registry).repositories().await, Status, host, "418");
}

#[tokio::test]
async fn a_listing_that_breaks_half_way_is_an_error() {
    let registry = FakeRegistry::start().await;
    fill(&registry, 1500);
    registry.fault(|seen| seen.query.contains("last="), ALWAYS, Fault::Status(500));
    assert_fails!(open(&registry).repositories().await, Status, registry.host(), "500");
}

#[tokio::test]
async fn tags_without_attachments() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1.0.0", &Image::new());
    let attachment = digest.replace(':', "-");
    for tag in ["latest", &attachment, &format!("{attachment}.sig"), &format!("{attachment}.att"), "bad tag", "-x"] {
        registry.tag("a", tag, &digest);
    }
    let listing = open(&registry).tags("a").await.unwrap();
    let names: Vec<_> = listing.items.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["1.0.0", "latest"]);
    assert!(listing.items.iter().all(|tag| tag.digest.is_none()));
}

#[tokio::test]
async fn a_repository_without_tags_or_none_at_all_is_empty() {
    let registry = FakeRegistry::start().await;
    registry.add_repository("empty");
    for name in ["empty", "gone"] {
        let listing = open(&registry).tags(name).await.unwrap();
        assert_eq!((listing.items.len(), listing.truncated), (0, None), "{name}");
    }
}

#[tokio::test]
async fn names_are_checked_before_they_stand_in_a_url() {
    let registry = FakeRegistry::start().await;
    let source = open(&registry);
    for name in ["../x", "a?b", "A", ""] {
        assert_fails!(source.tags(name).await, Refused, "cannot be a repository");
    }
    assert_fails!(source.digest("a", "../b").await, Refused, "neither a tag");
    assert_fails!(source.fetch("a", "sha256:12").await, Refused, "not a digest");
    assert_eq!(registry.count(Seen::is_any), 0);
}
