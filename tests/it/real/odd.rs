//! Two dozen registries at once, each with a different oddity or fault: none affects another, and the counts of each
//! add up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::reports::{REPOSITORY, THINGS, Thing, push};
use crate::scan::counts;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::process::{Setup, Silo};
use crate::support::token_desk::TokenHabit;

/// An odd registry, and the result of its scan.
struct Oddity {
    name: &'static str,
    make: Box<dyn Fn(&FakeRegistry) + Send>,
    state: &'static str,
}

fn fault(name: &'static str, kind: fn(&Seen) -> bool, fault: Fault, state: &'static str) -> Oddity {
    Oddity { name, make: Box::new(move |registry| registry.fault(kind, ALWAYS, fault.clone())), state }
}

fn tokens(name: &'static str, habit: TokenHabit) -> Oddity {
    let make = move |registry: &FakeRegistry| {
        registry.require_bearer(&registry.clone(), Some(("ada", "s3cret")));
        registry.tokens_as(habit);
    };
    Oddity { name, make: Box::new(make), state: "complete" }
}

/// A 503 in the registry's own error format.
fn too_busy() -> Fault {
    Fault::Json(503, json!({"errors": [{"code": "UNAVAILABLE", "message": "the storage is away"}]}))
}

fn oddities() -> Vec<Oddity> {
    let odd = |name, make: fn(&FakeRegistry)| Oddity { name, make: Box::new(make), state: "complete" };
    vec![
        odd("plain", |_| {}),
        odd("no-links", FakeRegistry::leave_out_links),
        odd("small-pages", |registry| registry.cap_pages(31)),
        odd("basic", |registry| registry.require_basic("ada", "s3cret")),
        tokens("docker", TokenHabit::Docker),
        tokens("quay", TokenHabit::Quay),
        tokens("pulp", TokenHabit::Pulp),
        tokens("harbor", TokenHabit::Harbor),
        fault("head-400", Seen::is_head, Fault::Status(400), "complete"),
        fault("head-405", Seen::is_head, Fault::Status(405), "complete"),
        fault("head-501", Seen::is_head, Fault::Status(501), "complete"),
        fault("head-500", Seen::is_head, Fault::Status(500), "complete"),
        fault("head-403", Seen::is_head, Fault::Status(403), "complete"),
        fault("no-digest", Seen::is_manifest, Fault::NoDigestHeader, "complete"),
        fault("wrong-blobs", Seen::is_blob, Fault::WrongBytes, "partial"),
        fault("torn-blobs", Seen::is_blob, Fault::Truncated, "partial"),
        fault("busy", Seen::is_manifest, Fault::Status(503), "partial"),
        fault("busy-in-words", Seen::is_manifest, too_busy(), "partial"),
        fault("proxy-404", Seen::is_manifest, Fault::Html(404), "partial"),
        fault("denied", Seen::is_manifest, Fault::Status(403), "complete"),
        fault("endless-tags", Seen::is_tags, Fault::EndlessPages, "partial"),
        fault("tags-page", Seen::is_tags, Fault::Html(200), "partial"),
        fault("catalog-page", Seen::is_catalog, Fault::Html(200), "failed"),
        fault("no-catalog", Seen::is_catalog, Fault::Status(404), "failed"),
    ]
}

async fn adds_up(silo: &Silo, Oddity { name, make, state }: Oddity) {
    let registry = FakeRegistry::start().await;
    let things = THINGS.into_iter().filter(|thing| !matches!(thing, Thing::Denied));
    for (number, thing) in things.enumerate() {
        push(&registry, REPOSITORY, number, thing);
    }
    let needs_login = matches!(name, "basic" | "docker" | "quay" | "pulp" | "harbor");
    let [username, password] = if needs_login { ["ada", "s3cret"] } else { ["", ""] };
    make(&registry);
    let form = json!({"name": name, "url": registry.url(), "kind": "distribution", "username": username, "password": password});
    let id = silo.add_with(form).await;
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        assert_eq!(scan["state"], state, "{name}: {scan:#}");
        let [tags, groups @ ..] =
            counts(&scan, ["tags", "tagsSeed", "tagsNotSeed", "tagsWithProblems", "tagsPassedOver"]);
        assert_eq!(groups.iter().sum::<u64>(), tags, "{name}: {scan:#}");
        let reasons = scan["counts"]["outcomes"].as_object().expect("counts").values();
        assert_eq!(reasons.filter_map(Value::as_u64).sum::<u64>(), tags, "{name}: {scan:#}");
        if state == "complete" {
            let seed = u64::from(name != "denied");
            assert_eq!((tags, scan["counts"]["outcomes"].get("not-reached")), (18, None), "{name}: {scan:#}");
            assert_eq!(counts(&scan, ["tagsSeed", "images"]), [seed, seed], "{name}: {scan:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_registries_are_scanned_at_once_and_all_sums_add_up() {
    let setup = Setup::new().impatient().env("SILO__SCAN__PAGES", 4).env("SILO__SCAN__WORKERS", 8);
    let setup = setup.env("SILO__SCAN__LONGEST_WAIT_SECONDS", 1);
    let silo = setup.start().await;
    let all = oddities();
    let count = all.len();
    join_all(all.into_iter().map(|oddity| adds_up(&silo, oddity))).await;
    let scans = silo.get("/api/v1/scans?limit=100").await.expect(200);
    assert_eq!(scans["items"].as_array().map(Vec::len), Some(2 * count), "each was scanned twice");
}

/// Every repository can be listed, so that no single one looks like an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_too_busy_for_every_manifest_ends_its_scan_and_says_why() {
    let silo = Setup::new().env("SILO__SCAN__TRIES", 2).env("SILO__SCAN__LONGEST_WAIT_SECONDS", 1).start().await;
    let registry = FakeRegistry::start().await;
    for number in 0..60 {
        push(&registry, &format!("geo/job{number}-1.0.0-seed"), 0, THINGS[0]);
    }
    registry.fault(Seen::is_manifest, ALWAYS, too_busy());
    let form = json!({"name": "busy", "url": registry.url(), "kind": "distribution"});
    let id = silo.add_with(form).await;
    let scan = silo.scan(id).await;
    let why = scan["error"].as_str().unwrap_or_default();
    assert_eq!(scan["state"], "partial", "{scan:#}");
    assert!(why.contains("the registry stopped answering") && why.contains("503"), "{why}");
    // Eight failures in a row, and the requests in flight by then; each is tried twice.
    let asked = registry.count(Seen::is_manifest);
    assert!(asked <= 2 * (8 + 2 * 8), "{asked} requests");
    registry.clear_faults();
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], &scan["counts"]["images"]), (&json!("complete"), &json!(60)), "{scan:#}");
}

/// Too few failures in a row to count as an outage, and then nothing: that ends after what one request may wait for by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_fails_and_then_says_nothing_is_not_waited_for_to_the_end() {
    let setup = Setup::new().env("SILO__SCAN__REQUEST_TIMEOUT_SECONDS", 1).env("SILO__SCAN__LONGEST_WAIT_SECONDS", 1);
    let silo = setup.env("SILO__SCAN__TRIES", 100).start().await;
    let registry = FakeRegistry::start().await;
    for name in ["hangs", "busy"] {
        push(&registry, &format!("geo/{name}-1.0.0-seed"), 0, THINGS[0]);
    }
    registry.fault(|seen| seen.is_manifest() && seen.path.contains("hangs"), ALWAYS, Fault::Hang);
    // A hundred tries, a second apart.
    let busy = Fault::StatusWith(503, "Retry-After", "1".to_owned());
    registry.fault(|seen| seen.is_manifest() && seen.path.contains("busy"), ALWAYS, busy);
    let form = json!({"name": "silent", "url": registry.url(), "kind": "distribution"});
    let id = silo.add_with(form).await;
    let scan = silo.scan(id).await;
    let why = scan["error"].as_str().unwrap_or_default();
    assert_eq!(scan["state"], "partial", "{scan:#}");
    assert!(why.contains("nothing could be read for 3 s"), "{why}");
}

/// Known tags are asked for by HEAD, many at once, and nothing else is heard of the registry until all of these are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_takes_no_head_is_not_taken_for_one_that_is_gone() {
    const TAGS: usize = 16;
    let silo = Setup::new().env("SILO__SCAN__CONCURRENCY", TAGS).env("SILO__SCAN__TRIES", 1).start().await;
    let registry = FakeRegistry::start().await;
    for number in 0..TAGS {
        push(&registry, REPOSITORY, number, THINGS[0]);
    }
    let form = json!({"name": "no-head", "url": registry.url(), "kind": "distribution"});
    let id = silo.add_with(form).await;
    assert_eq!(silo.scan(id).await["state"], "complete");
    registry.clear_log();
    let go_on = Arc::new(Notify::new());
    registry.fault(Seen::is_head, ALWAYS, Fault::Status(501));
    registry.fault(|seen| seen.is_manifest() && !seen.is_head(), ALWAYS, Fault::Hold(Arc::clone(&go_on)));
    let letting_go = async {
        loop {
            if registry.count(Seen::is_head) >= TAGS {
                go_on.notify_waiters();
            }
            tokio::time::sleep(Duration::from_millis(10)).await; // because the registry tells nobody what it was asked
        }
    };
    let scan = tokio::select! {
        scan = silo.scan(id) => scan,
        () = letting_go => unreachable!("it goes on for ever"),
    };
    assert_eq!(scan["state"], "complete", "{scan:#}");
}
