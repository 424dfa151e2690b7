//! Registry faults during a scan: reported within the timeouts, and nothing is removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{counts, registry_of, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::process::{Engine, Setup, Silo, on_both};

/// A fault, and the scan's report on it.
struct Case {
    name: &'static str,
    kind: fn(&Seen) -> bool,
    fault: Fault,
    state: &'static str,
    /// The code of a problem, and a part of its message.
    problem: (&'static str, &'static str),
}

const SILENT: &str = "gave no complete answer within 3 s";

fn is_tags_of_ice(seen: &Seen) -> bool {
    seen.path == "/v2/ice-1.0.0-seed/tags/list"
}

fn cases(elsewhere: &FakeRegistry) -> Vec<Case> {
    let case = |name, kind, fault, state, problem| Case { name, kind, fault, state, problem };
    let link = format!("<{}/v2/_catalog?last=x>; rel=\"next\"", elsewhere.url());
    let unknown = Fault::Json(404, json!({"errors": [{"code": "BLOB_UNKNOWN", "message": "not known"}]}));
    vec![
        case("silent", Seen::is_catalog, Fault::Hang, "failed", ("listing-failed", SILENT)),
        case("trickle", Seen::is_catalog, Fault::Trickle, "failed", ("listing-failed", SILENT)),
        case("page", Seen::is_catalog, Fault::Html(200), "failed", ("listing-failed", "answers with a web page")),
        case("greeting", Seen::is_ping, Fault::Html(200), "failed", ("listing-failed", "answers with a web page")),
        case("busy", Seen::is_catalog, Fault::Status(503), "failed", ("listing-failed", "answered 503")),
        case("torn", Seen::is_catalog, Fault::Truncated, "failed", ("listing-failed", "broke off")),
        case("flood", Seen::is_catalog, Fault::Endless, "failed", ("listing-failed", "")),
        case("nonsense", Seen::is_catalog, Fault::WrongBytes, "failed", ("listing-failed", "not a list")),
        case("endless", Seen::is_catalog, Fault::EndlessPages, "partial", ("listing-truncated", "")),
        case("linked", Seen::is_catalog, Fault::Link(link), "partial", ("listing-truncated", "")),
        case("tags-silent", is_tags_of_ice, Fault::Hang, "partial", ("tags-failed", SILENT)),
        case("tags-404", is_tags_of_ice, Fault::Html(404), "partial", ("tags-failed", "")),
        case("tags-endless", is_tags_of_ice, Fault::EndlessPages, "partial", ("listing-truncated", "")),
        case("tag-busy", Seen::is_manifest, Fault::Status(503), "partial", ("digest-failed", "answered 503")),
        case(
            "tag-404",
            Seen::is_manifest,
            Fault::Html(404),
            "partial",
            ("digest-failed", "without a registry's error code"),
        ),
        case("head-silent", Seen::is_head, Fault::Hang, "partial", ("digest-failed", SILENT)),
        case("config-silent", Seen::is_blob, Fault::Hang, "partial", ("content-failed", SILENT)),
        case("config-torn", Seen::is_blob, Fault::Truncated, "partial", ("content-failed", "broke off")),
        case("config-flood", Seen::is_blob, Fault::Endless, "complete", ("content-failed", "bytes allowed")),
        case(
            "config-wrong",
            Seen::is_blob,
            Fault::WrongBytes,
            "complete",
            ("content-failed", "does not match its digest"),
        ),
        case(
            "config-404",
            Seen::is_blob,
            Fault::Html(404),
            "partial",
            ("content-failed", "without a registry's error code"),
        ),
        case("config-gone", Seen::is_blob, unknown, "complete", ("content-failed", "does not have")),
    ]
}

async fn nothing_is_removed_and_the_next_scan_finds_all(engine: Engine) {
    let setup = Setup::on(engine).await.impatient().env("SILO__SCAN__PAGES", 4).env("SILO__SCAN__WORKERS", 8);
    let silo = setup.start().await;
    let elsewhere = FakeRegistry::start().await;
    // Concurrently: each registry has only its own fault.
    join_all(cases(&elsewhere).into_iter().map(|case| survives(&silo, case))).await;
    assert_eq!(elsewhere.log().len(), 0, "a link does not lead to another host");
}

async fn survives(silo: &Silo, Case { name, kind, fault, state, problem }: Case) {
    let registry = registry_of(&["ice", "snow"]).await;
    let id = silo.add(name, &registry.url()).await;
    assert_eq!(silo.scan(id).await["state"], "complete", "{name}");
    let before = images_of(silo, &registry).await;
    assert_eq!(before.len(), 2, "{name}");

    registry.delete_repository("snow-1.0.0-seed");
    registry.push("hail-1.0.0-seed", "1.0.0", &seed("hail", "1.0.0", name));
    registry.fault(kind, ALWAYS, fault);
    let scan = silo.scan(id).await;
    assert_eq!(scan["state"], state, "{name}: {scan:#}");
    let problems = silo.problems(&scan).await;
    let told = problems.iter().any(|[code, _, message]| code == problem.0 && message.contains(problem.1));
    assert!(told, "{name}: {problems:#?}");
    if state == "complete" {
        // The registry did reply, with something unusable: images that it no longer lists are removed.
        assert_eq!(counts(&scan, ["added", "removed"]), [0, 1], "{name}: {scan:#}");
    } else {
        assert_eq!(scan["counts"]["removed"], 0, "{name}");
        assert!(scan["error"].is_string(), "{name}: {scan:#}");
        let after = images_of(silo, &registry).await;
        assert!(before.iter().all(|image| after.contains(image)), "{name}: {before:#?} became {after:#?}");
    }

    registry.clear_faults();
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["images"])), (&json!("complete"), [2]), "{name}: {scan:#}");
    let found = silo.images("hail").await;
    assert!(found.iter().any(|row| row["title"] == name), "{name}: {found:#?}");
}

/// The catalogue's images of a registry.
async fn images_of(silo: &Silo, registry: &FakeRegistry) -> Vec<Value> {
    let images = silo.get("/images").await.expect(200);
    let rows = images.as_array().expect("a list").iter();
    rows.filter(|row| row["Registry"] == registry.host()).cloned().collect()
}

async fn a_registry_that_dies_half_way_is_not_waited_for(engine: Engine) {
    let names: Vec<String> = (0..40).map(|number| format!("job{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let registry = registry_of(&names).await;
    let silo = Setup::on(engine).await.impatient().start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    let before = silo.catalogue().await;

    // A ping, the catalogue, some of 40 lists of tags and of 40 digests; then no more.
    let (answered, asked) = (Arc::new(AtomicUsize::new(0)), registry.log().len());
    let is_late = move |_: &Seen| answered.fetch_add(1, Ordering::SeqCst) >= 52;
    registry.fault(is_late, ALWAYS, Fault::Hang);
    let scan = silo.scan(id).await;
    assert_eq!(scan["state"], "partial");
    assert!(scan["error"].as_str().unwrap().contains("the registry stopped answering"), "{scan:#}");
    assert_eq!(counts(&scan, ["removed", "images"]), [0, 40], "{scan:#}");
    assert!((1..40).contains(&counts(&scan, ["unchanged"])[0]), "{scan:#}");
    assert!(silo.problems(&scan).await.iter().any(|[code, ..]| code == "registry-gone"));
    assert!(registry.log().len() - asked < 52 + 30, "it goes on asking: {}", registry.log().len() - asked);
    assert_eq!(silo.catalogue().await, before);
}

async fn a_password_that_stops_working_is_tried_once(engine: Engine) {
    let registry = registry_of(&["ice", "snow"]).await;
    registry.require_basic("robot", "s3cret");
    let silo = Setup::on(engine).await.impatient().start().await;
    let form = json!({"name": "mine", "url": registry.url(), "username": "robot", "password": "s3cret"});
    let id = silo.add_with(form).await;
    silo.scan(id).await;
    let before = silo.catalogue().await;

    registry.require_basic("robot", "changed");
    registry.clear_log();
    let scan = silo.scan(id).await;
    assert_eq!(scan["state"], "failed");
    assert!(scan["error"].as_str().unwrap().contains("does not accept the username and password"), "{scan:#}");
    assert_eq!(registry.count(|seen| seen.authorization.is_some()), 1, "more tries would lock the account");
    assert_eq!(silo.catalogue().await, before);
}

on_both!(
    nothing_is_removed_and_the_next_scan_finds_all,
    a_registry_that_dies_half_way_is_not_waited_for,
    a_password_that_stops_working_is_tried_once,
);
