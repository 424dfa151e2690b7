//! Rate limits and circuit breakers, shared by all work for one host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{Error, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts};
use tokio::sync::Notify;

use super::{assert_fails, endpoint, limits};
use crate::support::app::{TestApp, manifest, text};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Own, Seen};
use crate::support::kinds::{docker_hub, ghcr};

/// After this many failures in a row, a host gets no more requests for a while.
const MOST_FAILURES: usize = 8;

fn open(registry: &FakeRegistry, hosts: &RemoteHosts) -> RegistrySource {
    open_with(registry, hosts, &limits())
}

fn open_with(registry: &FakeRegistry, hosts: &RemoteHosts, limits: &RegistryLimits) -> RegistrySource {
    RegistrySource::open(&endpoint(&registry.url(), None), limits, hosts).unwrap()
}

/// A registry whose circuit breaker is open, and the client that opened it.
async fn gone(hosts: &RemoteHosts, limits: &RegistryLimits) -> (FakeRegistry, RegistrySource) {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_any, ALWAYS, Fault::Status(502));
    let source = open_with(&registry, hosts, limits);
    for _ in 0..MOST_FAILURES {
        assert_fails!(source.ping().await, Status, "502");
    }
    (registry, source)
}

/// One try, with almost no wait after it.
fn once() -> RegistryLimits {
    RegistryLimits { tries: 1, longest_wait: Duration::from_millis(50), ..limits() }
}

#[tokio::test]
async fn two_sources_share_what_one_host_gets() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    registry.push("a", "1", &Image::new());
    let limits = RegistryLimits { concurrency: 3, ..limits() };
    let sources = [open_with(&registry, &hosts, &limits), open_with(&registry, &hosts, &limits)];
    for source in &sources {
        source.ping().await.unwrap();
    }
    let gate = Arc::new(Notify::new());
    registry.fault(Seen::is_head, 3, Fault::Hold(Arc::clone(&gate)));
    let asked = join_all((0..12).map(|number| sources[number % 2].digest("a", "1")));
    let opened = async {
        registry.arrived(2 + 3).await;
        (0..3).for_each(|_| gate.notify_one());
    };
    let (answers, ()) = tokio::join!(asked, opened);
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|digest| digest.is_some())));
    assert_eq!(registry.peak(), 3);
}

#[tokio::test]
async fn a_harbor_gets_few_at_a_time() {
    let registry = FakeRegistry::start().await;
    registry.push("p/a", "1", &Image::new());
    let endpoint = RegistryEndpoint { kind: RegistryKind::Harbor, ..endpoint(&registry.url(), None) };
    let source =
        RegistrySource::open(&endpoint, &RegistryLimits { concurrency: 20, ..limits() }, &RemoteHosts::default())
            .unwrap();
    let gate = Arc::new(Notify::new());
    source.digest("p/a", "1").await.unwrap();
    registry.fault(Seen::is_head, 4, Fault::Hold(Arc::clone(&gate)));
    let asked = join_all((0..20).map(|_| source.digest("p/a", "1")));
    let opened = async {
        registry.arrived(2 + 4).await;
        (0..4).for_each(|_| gate.notify_one());
    };
    tokio::join!(asked, opened);
    assert_eq!(registry.peak(), 4);
}

#[tokio::test]
async fn what_a_host_asks_of_one_it_asks_of_all() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    registry.push("a", "1", &Image::new());
    let [one, other] = [open(&registry, &hosts), open(&registry, &hosts)];
    other.ping().await.unwrap();
    registry.fault(Seen::is_ping, 1, Fault::StatusWith(429, "retry-after", "3600".into()));
    assert_fails!(one.ping().await, Throttled, registry.host(), "3600 s");
    registry.clear_log();
    assert_fails!(other.tags("a").await, Throttled, registry.host(), "allows no more requests for 60 min");
    assert_eq!(registry.log().len(), 0, "nobody asks meanwhile");
    other.insist();
    other.tags("a").await.unwrap();
    open(&FakeRegistry::start().await, &hosts).ping().await.unwrap();
}

#[tokio::test]
async fn time_spent_waiting_for_a_host_is_told() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    let [one, other] = [open(&registry, &hosts), open(&registry, &hosts)];
    registry.fault(Seen::is_ping, 1, Fault::StatusWith(429, "retry-after", "1".into()));
    one.ping().await.unwrap();
    assert!(one.traffic().throttled >= Duration::from_millis(900), "{:?}", one.traffic());
    assert_eq!(other.traffic(), silo::registry::RegistryTraffic::default());
}

#[tokio::test]
async fn odd_waits_have_a_floor_and_a_ceiling() {
    let odd = |header: Option<&str>| match header {
        Some(wait) => Fault::StatusWith(429, "retry-after", wait.to_owned()),
        None => Fault::Json(
            429,
            json!({"errors": [{"code": "TOOMANYREQUESTS", "message": "retry-after: 804.8µs, allowed: 44000/minute"}]}),
        ),
    };
    let short = [Some("0"), Some("Sun, 06 Nov 1994 08:49:37 GMT"), None].map(async |header| {
        let registry = FakeRegistry::start().await;
        registry.fault(Seen::is_ping, 1, odd(header));
        let source = open(&registry, &RemoteHosts::default());
        source.ping().await.unwrap();
        assert!(source.traffic().throttled >= Duration::from_millis(900), "{header:?}: {:?}", source.traffic());
        assert_eq!(registry.log().len(), 2);
    });
    join_all(short).await;
    for header in ["99999999999999999999999999", "4294967296", "Fri, 01 Jan 2100 00:00:00 GMT"] {
        let registry = FakeRegistry::start().await;
        registry.fault(Seen::is_ping, 1, odd(Some(header)));
        let source = open(&registry, &RemoteHosts::default());
        assert_fails!(source.ping().await, Throttled, "86400 s");
        assert_fails!(source.ping().await, Throttled, "24 h");
        assert_eq!(registry.log().len(), 1, "{header}");
    }
    for header in ["soon", "-5", ""] {
        let registry = FakeRegistry::start().await;
        registry.fault(Seen::is_ping, 1, odd(Some(header)));
        open(&registry, &RemoteHosts::default()).ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_left_alone_by_all() {
    let hosts = RemoteHosts::default();
    let (registry, source) = gone(&hosts, &once()).await;
    let other = open(&registry, &hosts);
    registry.clear_log();
    for source in [&source, &other] {
        assert_fails!(
            source.ping().await,
            Unreachable,
            registry.host(),
            "8 requests in a row",
            "the next attempt is in"
        );
    }
    assert_eq!(registry.log().len(), 0);
    open(&FakeRegistry::start().await, &hosts).ping().await.unwrap();

    other.insist();
    assert_fails!(other.ping().await, Status, "502");
    assert_fails!(other.ping().await, Unreachable, "the next attempt is in");
    assert_eq!(registry.log().len(), 1, "who insists gets one try, and no more");

    registry.clear_faults();
    let third = open(&registry, &hosts);
    third.insist();
    third.ping().await.unwrap();
    source.ping().await.unwrap();
}

#[tokio::test]
async fn one_answer_among_failures_is_enough() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    let source = open_with(&registry, &hosts, &once());
    for _ in 0..3 {
        registry.fault(Seen::is_any, MOST_FAILURES - 1, Fault::Drop);
        for _ in 1..MOST_FAILURES {
            assert_fails!(source.ping().await, Unreachable, "broke off");
        }
        source.ping().await.unwrap();
    }
    // An error in the registry's own format is a reply.
    let own = json!({"errors": [{"code": "UNKNOWN", "message": "unknown error"}]});
    registry.fault(Seen::is_tags, ALWAYS, Fault::Json(500, own));
    for _ in 0..MOST_FAILURES * 2 {
        assert_fails!(source.tags("a").await, Status, "500");
    }
}

#[tokio::test]
async fn a_killed_scan_gives_back_its_permits_and_its_trial() {
    let hosts = RemoteHosts::default();
    let (registry, _) = gone(&hosts, &once()).await;
    let killed = open_with(&registry, &hosts, &once());
    killed.insist();
    registry.clear_faults();
    registry.fault(Seen::is_ping, 1, Fault::Hang);
    let arrived = registry.log().len() + 1;
    tokio::select! {
        outcome = killed.ping() => panic!("{outcome:?}"),
        () = registry.arrived(arrived) => {}
    }
    let next = open_with(&registry, &hosts, &once());
    next.ping().await.unwrap();

    registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_head, 4, Fault::Hang);
    let arrived = registry.log().len() + 4;
    tokio::select! {
        _ = join_all((0..8).map(|_| next.digest("a", "1"))) => panic!("nobody answers"),
        () = registry.arrived(arrived) => {}
    }
    assert!(join_all((0..8).map(|_| next.digest("a", "1"))).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_wrong_password_stops_its_registry_and_not_its_host() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    registry.require_basic("ada", "secret");
    let open = |password| {
        RegistrySource::open(&endpoint(&registry.url(), Some(("ada", password))), &limits(), &hosts).unwrap()
    };
    let (wrong, right) = (open("hunter2"), open("secret"));
    assert_fails!(wrong.ping().await, WrongPassword, registry.host());
    right.ping().await.unwrap();
    assert_fails!(wrong.ping().await, WrongPassword, registry.host());
    assert_eq!(registry.count(|seen| seen.authorization.is_some()), 2);
}

/// A Docker Hub with a pull quota.
struct Counting {
    registry: FakeRegistry,
    left: Arc<AtomicU64>,
}

impl Counting {
    /// With this many images in geo, and `left` of 20 pulls.
    async fn start(images: usize, left: u64) -> Self {
        let registry = FakeRegistry::start().await;
        for number in 0..images {
            let label = manifest("ice", "1.0.0", &format!("1.0.{number}")).to_string();
            let image = Image::new().label(silo::seed::LABEL, label);
            registry.push("geo/ice-1.0.0-seed", &format!("1.0.{number}"), &image);
        }
        docker_hub::serve(&registry, docker_hub::Hub::default());
        let left = Arc::new(AtomicU64::new(left));
        let (counter, content) = (Arc::clone(&left), registry.clone());
        registry.serve(move |seen, _| {
            let digest = seen.path.strip_prefix("/v2/geo/ice-1.0.0-seed/manifests/")?;
            let before = counter.load(Ordering::SeqCst);
            if !seen.is_head() {
                if before == 0 {
                    return Some(Own::new(429, json!({"errors": [{"code": "TOOMANYREQUESTS"}]})));
                }
                counter.store(before - 1, Ordering::SeqCst);
            }
            let left = counter.load(Ordering::SeqCst);
            let answer = Own::new(200, content.manifest_of(digest)).header("docker-content-digest", digest);
            Some(
                answer.header("ratelimit-limit", "20;w=21600").header("ratelimit-remaining", format!("{left};w=21600")),
            )
        });
        Self { registry, left }
    }

    fn grant(&self, left: u64) {
        self.left.store(left, Ordering::SeqCst);
    }

    fn left(&self) -> u64 {
        self.left.load(Ordering::SeqCst)
    }

    /// Numbers of pulls and of HEAD requests.
    fn asked(&self) -> (usize, usize) {
        (self.registry.count(|seen| seen.is_manifest() && !seen.is_head()), self.registry.count(Seen::is_head))
    }

    fn open(&self, hosts: &RemoteHosts, percent: u32) -> RegistrySource {
        let form = RegistryEndpoint {
            kind: RegistryKind::DockerHub,
            org: "geo".into(),
            ..endpoint(&self.registry.url(), None)
        };
        RegistrySource::open(&form, &RegistryLimits { pull_reserve: percent, ..limits() }, hosts).unwrap()
    }

    async fn digests(&self, source: &RegistrySource) -> Vec<String> {
        let tags = source.tags("geo/ice-1.0.0-seed").await.unwrap();
        tags.items.into_iter().filter_map(|tag| tag.digest).collect()
    }
}

#[tokio::test]
async fn pulls_end_before_those_that_are_left_to_others() {
    let (hub, hosts) = (Counting::start(10, 7).await, RemoteHosts::default());
    let source = hub.open(&hosts, 20); // 4 of 20
    let digests = hub.digests(&source).await;
    let mut outcomes = Vec::new();
    for digest in &digests {
        outcomes.push(source.fetch("geo/ice-1.0.0-seed", digest).await);
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    for outcome in outcomes.split_off(3) {
        assert_fails!(outcome, NoPulls, hub.registry.host(), "4 more pulls of 20 in 6 h", "scan.pull_reserve");
    }
    assert_eq!((hub.left(), hub.asked()), (4, (3, 1)), "one question without a pull");

    // Another client does not know the quota until its first request.
    hub.grant(20);
    let later = hub.open(&hosts, 20);
    let outcomes = join_all(digests.iter().map(|digest| later.fetch("geo/ice-1.0.0-seed", digest))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!((hub.left(), hub.asked()), (10, (13, 2)));
}

#[tokio::test]
async fn pulls_at_once_keep_the_reserve_too() {
    let (hub, hosts) = (Counting::start(10, 9).await, RemoteHosts::default());
    let source = hub.open(&hosts, 10); // 2 of 20
    let digests = hub.digests(&source).await;
    source.fetch("geo/ice-1.0.0-seed", &digests[0]).await.unwrap();
    let outcomes = join_all(digests.iter().map(|digest| source.fetch("geo/ice-1.0.0-seed", digest))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::NoPulls(_)))), "{outcomes:?}");
    assert_eq!((hub.left(), outcomes.iter().filter(|outcome| outcome.is_ok()).count()), (2, 6));
    // HEAD requests and listings are no pulls.
    assert_eq!(hub.digests(&source).await.len(), 10);
}

#[tokio::test]
async fn without_a_reserve_they_are_used_up() {
    let (hub, hosts) = (Counting::start(3, 2).await, RemoteHosts::default());
    let source = hub.open(&hosts, 0);
    for (number, digest) in hub.digests(&source).await.iter().enumerate() {
        let outcome = source.fetch("geo/ice-1.0.0-seed", digest).await;
        assert_eq!(outcome.is_ok(), number < 2, "{outcome:?}");
    }
    assert_eq!((hub.left(), hub.asked().0), (0, 2), "none is asked for beyond it");
}

#[tokio::test]
async fn a_scan_stops_pulling_in_time_and_the_next_goes_on() {
    let hub = Counting::start(12, 12).await;
    // Requests are sequential as long as the quota is unknown.
    let silo = TestApp::with().set("SILO__SCAN__CONCURRENCY", "1").start().await;
    let form = json!({"name": "hub", "url": hub.registry.url(), "kind": "docker-hub", "org": "geo"});
    let id = silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().unwrap();
    let last = async || {
        silo.scan(id).await;
        let scans = silo.admin().get(&format!("/api/v1/scans?registry={id}")).await.expect(200).json();
        scans["items"][0].clone()
    };
    let scan = last().await;
    assert_eq!((text(&scan["state"]), hub.left()), ("partial".to_owned(), 2), "{scan:#}");
    let why = "2 new images wait for the next scan: ";
    assert!(text(&scan["error"]).starts_with(why), "{scan:#}");
    let problems = format!("/api/v1/scans/{}/problems", scan["id"]);
    let problems = silo.admin().get(&problems).await.expect(200).json();
    assert_eq!(problems["items"].as_array().unwrap().len(), 1, "{problems:#}");
    assert_eq!(problems["items"][0]["code"], "pulls-spent");

    hub.grant(20);
    let scan = last().await;
    assert_eq!((text(&scan["state"]), hub.left()), ("complete".to_owned(), 18), "{scan:#}");
    assert_eq!(silo.anonymous().get("/images").await.expect(200).json().as_array().unwrap().len(), 12);
    let metrics = silo.anonymous().get("/metrics").await.expect(200).text;
    let labels = format!("kind=\"docker-hub\",host=\"{}\"", hub.registry.host());
    for series in [
        format!("silo_registry_requests_total{{{labels},status=\"200\"}} "),
        format!("silo_registry_quota_remaining{{{labels},of=\"pulls\"}} 18"),
        format!("silo_registry_breaker_open{{{labels}}} 0"),
    ] {
        assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
    }
}

/// Makes GitHub's API send an `ETag` with each page, and reply 304 to a matching one. Counts the requests that GitHub
/// counts.
fn name_pages(registry: &FakeRegistry, counted: &Arc<AtomicU64>) {
    let counted = Arc::clone(counted);
    registry.serve_named(
        move |seen| ghcr::is_packages(seen) || ghcr::is_versions(seen),
        move || {
            counted.fetch_add(1, Ordering::SeqCst);
        },
    );
}

#[tokio::test]
async fn pages_of_github_that_have_not_changed_do_not_count() {
    let registry = FakeRegistry::start().await;
    for name in ["polar/a-seed", "polar/b-seed", "polar/c-seed"] {
        registry.push(name, "1", &Image::new());
    }
    ghcr::serve(&registry, &[], 2);
    let counted = Arc::new(AtomicU64::new(0));
    name_pages(&registry, &counted);
    let hosts = RemoteHosts::default();
    let open = |hosts: &RemoteHosts| {
        let login = Some(("ada", ghcr::TOKEN));
        let form =
            RegistryEndpoint { kind: RegistryKind::Ghcr, org: "polar".into(), ..endpoint(&registry.url(), login) };
        RegistrySource::open(&form, &limits(), hosts).unwrap()
    };
    let list = async |source: RegistrySource| {
        registry.clear_log();
        let before = counted.load(Ordering::SeqCst);
        let repositories = source.repositories().await.unwrap().items;
        let mut tags = Vec::new();
        for repository in &repositories {
            tags.push(source.tags(repository).await.unwrap());
        }
        (repositories, tags, counted.load(Ordering::SeqCst) - before)
    };
    let conditional = || registry.count(|seen| seen.headers.contains_key("if-none-match"));

    let (repositories, tags, cost) = list(open(&hosts)).await;
    assert_eq!((repositories.len(), cost, conditional()), (3, 5, 0), "two pages of packages, three of versions");
    let again = list(open(&hosts)).await;
    assert_eq!(again, (repositories.clone(), tags, 0));
    assert_eq!((registry.log().len(), conditional()), (5, 5), "also the second page, to which only a link leads");

    registry.push("polar/b-seed", "2", &Image::new().label("is", "new"));
    let (_, tags, cost) = list(open(&hosts)).await;
    assert_eq!(
        (tags[1].items.len(), cost),
        (2, 2),
        "only what has changed is sent: a page with another link, and the one it leads to"
    );
    let (_, _, cost) = list(open(&hosts)).await;
    assert_eq!(cost, 0);
    let (_, _, cost) = list(open(&RemoteHosts::default())).await;
    assert_eq!((cost, conditional()), (6, 0), "another process knows nothing");
}

#[tokio::test]
async fn a_full_last_page_of_github_is_asked_for_anew() {
    let (registry, hosts) = (FakeRegistry::start().await, RemoteHosts::default());
    // With the untagged version they are a hundred.
    for number in 0..99 {
        registry.push("polar/a-seed", &number.to_string(), &Image::new().label("is", number.to_string()));
    }
    ghcr::serve(&registry, &[], 100);
    name_pages(&registry, &Arc::default());
    let form = RegistryEndpoint {
        kind: RegistryKind::Ghcr,
        org: "polar".into(),
        ..endpoint(&registry.url(), Some(("ada", ghcr::TOKEN)))
    };
    for _ in 0..2 {
        let source = RegistrySource::open(&form, &limits(), &hosts).unwrap();
        source.repositories().await.unwrap();
        assert_eq!(source.tags("polar/a-seed").await.unwrap().items.len(), 99);
    }
    let conditional = |seen: &Seen| seen.headers.contains_key("if-none-match");
    assert_eq!(registry.count(|seen| conditional(seen) && ghcr::is_packages(seen)), 1);
    assert_eq!(
        registry.count(|seen| conditional(seen) && ghcr::is_versions(seen)),
        0,
        "what follows is not in its name"
    );
}
