//! Repositories that are skipped, because the registry's listing shows no change.

use std::collections::HashMap;

use chrono::TimeDelta;
use silo::catalog::{RegistryId, RegistryKind, ScanRecord, ScanTrigger};
use tokio_util::sync::CancellationToken;

use super::seed;
use crate::support::fake_registry::{FakeRegistry, Seen};
use crate::support::kinds::docker_hub::{self, Hub};
use crate::support::kinds::harbor::FakeHarbor;
use crate::support::kinds::quay::FakeQuay;
use crate::support::kinds::zot::zot;
use crate::tasks::House;

const REPOSITORIES: [&str; 2] = ["geo/a-seed", "geo/b-seed"];

async fn scan(house: &House, id: RegistryId, trigger: ScanTrigger) -> ScanRecord {
    house.clock.advance(TimeDelta::hours(1));
    let scan = house.app.scan_request(id, trigger).await.unwrap();
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    house.app.scan_get(scan).await.unwrap()
}

/// Runs a scheduled scan; returns the number of tag lists that it requested.
async fn lists(house: &House, id: RegistryId, registry: &FakeRegistry, is_tags: fn(&Seen) -> bool) -> usize {
    registry.clear_log();
    let scan = scan(house, id, ScanTrigger::Schedule).await;
    assert_eq!((scan.counts.unchanged + scan.counts.added, scan.counts.removed), (scan.counts.tags, 0), "{scan:?}");
    registry.count(is_tags)
}

/// A kind of registry: a fake, its tag lists, and how to push and to set a repository's time.
struct Told {
    registry: FakeRegistry,
    is_tags: fn(&Seen) -> bool,
    /// A repository and a tag.
    push: Deed<str>,
    /// A repository and a time in seconds.
    say: Deed<i64>,
}

/// An action on a repository.
type Deed<T> = Box<dyn Fn(&str, &T)>;

async fn hub() -> Told {
    let registry = FakeRegistry::start().await;
    docker_hub::serve(&registry, Hub::default());
    let (one, other) = (registry.clone(), registry.clone());
    Told {
        registry,
        is_tags: docker_hub::is_tags,
        push: Box::new(move |repository, tag| drop(one.push(repository, tag, &seed(tag, "1.0.0", "A job")))),
        say: Box::new(move |repository, time| other.signal(repository, &format!("2026-11-01T00:00:{time:02}.123456Z"))),
    }
}

async fn zot_told() -> Told {
    let registry = zot(100).await;
    let (one, other) = (registry.clone(), registry.clone());
    Told {
        registry,
        is_tags: |seen| seen.query.contains("ImageList"),
        push: Box::new(move |repository, tag| drop(one.push(repository, tag, &seed(tag, "1.0.0", "A job")))),
        say: Box::new(move |repository, time| other.signal(repository, &format!("2026-11-01T00:00:{time:02}Z"))),
    }
}

async fn quay() -> Told {
    let quay = std::sync::Arc::new(FakeQuay::start().await);
    let other = std::sync::Arc::clone(&quay);
    Told {
        registry: quay.registry.clone(),
        is_tags: |seen| seen.path.ends_with("/tag/"),
        push: Box::new(move |repository, tag| drop(quay.push(repository, tag, &seed(tag, "1.0.0", "A job")))),
        say: Box::new(move |repository, time| other.changed(repository, 1_700_000_000 + time)),
    }
}

async fn kind(kind: RegistryKind, told: Told) {
    for repository in REPOSITORIES {
        (told.push)(repository, "ice");
        (told.say)(repository, &1);
    }
    let house = House::new("2026-11-01T00:00:00Z", &[]).await;
    let id = house.add_kind(kind, "geo", &told.registry.url(), "").await;
    let lists = async || lists(&house, id, &told.registry, told.is_tags).await;
    assert_eq!([lists().await, lists().await, lists().await], [2, 2, 0], "{kind:?}: one more look after what was new");

    (told.push)("geo/a-seed", "snow");
    (told.say)("geo/a-seed", &2);
    assert_eq!([lists().await, lists().await, lists().await], [1, 1, 0], "{kind:?}: one has changed");
    told.registry.clear_log();
    scan(&house, id, ScanTrigger::Manual).await;
    assert_eq!(told.registry.count(told.is_tags), 2, "{kind:?}: who asks wants to know");

    house.clock.advance(TimeDelta::hours(24));
    assert_eq!(
        [lists().await, lists().await],
        [2, 0],
        "{kind:?}: deletions do not show, so everything is listed once a day"
    );
}

#[tokio::test]
async fn docker_hub_tells_when_something_was_pushed() {
    kind(RegistryKind::DockerHub, hub().await).await;
}

#[tokio::test]
async fn zot_tells_when_something_was_pushed() {
    kind(RegistryKind::Zot, zot_told().await).await;
}

#[tokio::test]
async fn quay_tells_when_something_was_pushed() {
    kind(RegistryKind::Quay, quay().await).await;
}

#[tokio::test]
async fn harbor_is_believed_from_the_version_on_that_tells_everything() {
    let expected: HashMap<&str, usize> = HashMap::from([("v2.15.1-abc", 1), ("v2.16.0-89ef156a", 0), ("v3.0.0", 0)]);
    for (version, lists_at_last) in expected {
        let harbor = FakeHarbor::start().await;
        harbor.know("ada", "s3cret");
        harbor.push("geo/a-seed", "1.0.0", &seed("ice", "1.0.0", "Finds ice"));
        harbor.changed(version, "geo/a-seed", "2026-11-01T00:00:00Z");
        let house = House::new("2026-11-01T00:00:00Z", &[]).await;
        let id = house.add_kind(RegistryKind::Harbor, "geo", &harbor.registry.url(), "ada:s3cret").await;
        let lists = async || lists(&house, id, &harbor.registry, Seen::is_artifacts).await;
        assert_eq!([lists().await, lists().await, lists().await], [1, 1, lists_at_last], "{version}");
    }
}

#[tokio::test]
async fn problems_of_what_is_passed_over_are_told_again() {
    let registry = zot(100).await;
    registry.push("geo/a-seed", "1.0.0", &super::labelled("nonsense"));
    registry.signal("geo/a-seed", "2026-11-01T00:00:00Z");
    let house = House::new("2026-11-01T00:00:00Z", &[]).await;
    let id = house.add_kind(RegistryKind::Zot, "geo", &registry.url(), "").await;
    for _ in 0..4 {
        let scan = scan(&house, id, ScanTrigger::Schedule).await;
        let problems = house.app.scan_problems(scan.id, "", 0, 10).await.unwrap();
        assert_eq!((problems.len(), scan.counts.problems), (1, 1), "{scan:?}");
        assert_eq!(problems[0].problem.code, "label-refused");
    }
}
