//! zot.

use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::RegistrySource;

use super::super::assert_fails;
use super::{open, pairs};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Own, Seen};
use crate::support::kinds::zot::{is_search, zot};

fn source(registry: &FakeRegistry) -> RegistrySource {
    open(RegistryKind::Zot, &registry.url(), "", None)
}

#[tokio::test]
async fn repositories_and_tags_come_from_the_search_page_by_page() {
    let registry = zot(2).await;
    let one = registry.push("geo/a-seed", "1.0.0", &Image::new());
    for tag in ["2.0.0", "3.0.0"] {
        registry.tag("geo/a-seed", tag, &one);
    }
    registry.tag("geo/a-seed", &format!("sha256-{}.sig", "0".repeat(64)), &one);
    registry.tag("geo/a-seed", "4.0.0", "no digest");
    for name in ["geo/b-seed", "geo/c-seed", "NOT A NAME"] {
        registry.add_repository(name);
    }
    let source = source(&registry);
    let listing = source.repositories().await.unwrap();
    assert_eq!(
        (listing.items, listing.truncated),
        (["geo/a-seed", "geo/b-seed", "geo/c-seed"].map(str::to_owned).to_vec(), None)
    );
    assert_eq!(registry.count(is_search), 2);
    let listing = source.tags("geo/a-seed").await.unwrap();
    let one = Some(one.as_str());
    assert_eq!(pairs(&listing), [("1.0.0", one), ("2.0.0", one), ("3.0.0", one), ("4.0.0", None)]);
    assert_eq!(listing.truncated, None);
    assert_eq!(registry.count(is_search), 5);
    assert_eq!(registry.count(|seen| seen.is_catalog() || seen.is_tags()), 0);
    assert_eq!(source.tags("geo/gone").await.unwrap().items, []);
}

#[tokio::test]
async fn who_logs_in_is_logged_in_there_too() {
    let registry = zot(10).await;
    registry.add_repository("geo/a-seed");
    for bearer in [false, true] {
        match bearer {
            true => registry.require_bearer(&registry, Some(("ada", "secret"))),
            false => registry.require_basic("ada", "secret"),
        }
        let source = open(RegistryKind::Zot, &registry.url(), "", Some(("ada", "secret")));
        assert_eq!(source.repositories().await.unwrap().items, ["geo/a-seed"]);
        let source = open(RegistryKind::Zot, &registry.url(), "", Some(("ada", "wrong")));
        assert_fails!(source.repositories().await, WrongPassword, "username and password");
    }
    assert_eq!(registry.count(Seen::is_catalog), 0);
}

#[tokio::test]
async fn without_search_the_distribution_api_is_asked() {
    let registry = FakeRegistry::start().await;
    registry.push("geo/a-seed", "1.0.0", &Image::new());
    let source = source(&registry);
    assert_eq!(source.repositories().await.unwrap().items, ["geo/a-seed"]);
    assert_eq!(pairs(&source.tags("geo/a-seed").await.unwrap()), [("1.0.0", None)]);
    assert_eq!((registry.count(is_search), registry.count(Seen::is_tags)), (1, 1), "it is not asked for again");
}

#[tokio::test]
async fn a_search_that_objects_is_not_believed() {
    let registry = zot(10).await;
    registry.push("geo/a-seed", "1.0.0", &Image::new());
    for objection in [
        Fault::Status(403),
        Fault::Html(200),
        Fault::Json(422, json!({"errors": [{"message": "no such field"}], "data": null})),
        Fault::Json(200, json!({"errors": [{"message": "no such field"}], "data": null})),
        Fault::Json(
            200,
            json!({"errors": [{"message": "half"}], "data": {"RepoListWithNewestImage": {"Page": {"TotalCount": 0}, "Results": []}}}),
        ),
        Fault::Json(200, json!({"data": {"RepoListWithNewestImage": null}})),
    ] {
        registry.fault(is_search, 1, objection.clone());
        assert_eq!(source(&registry).repositories().await.unwrap().items, ["geo/a-seed"], "{objection:?}");
    }
    assert_eq!(registry.count(Seen::is_catalog), 6);
    registry.fault(is_search, 1, Fault::Json(200, json!({"data": {"ImageList": [{"Tag": "1"}]}})));
    assert_fails!(source(&registry).tags("geo/a-seed").await, Malformed, "zot's search for geo/a-seed/tags/list");
    registry.fault(is_search, 3, Fault::Truncated);
    assert_fails!(source(&registry).repositories().await, Unreachable, "broke off");
    registry.fault(is_search, 3, Fault::Status(503));
    assert_fails!(source(&registry).repositories().await, Throttled, "503");
    registry.fault(is_search, 1, Fault::StatusWith(429, "retry-after", "900".to_owned()));
    assert_fails!(source(&registry).repositories().await, Throttled, "900 s");
}

#[tokio::test]
async fn a_listing_that_is_short_or_endless_says_so() {
    let registry = zot(10).await;
    let page = |names: Vec<String>| {
        let results: Vec<_> = names.into_iter().map(|name| json!({"Name": name})).collect();
        Own::new(
            200,
            json!({"data": {"RepoListWithNewestImage": {"Page": {"TotalCount": 1_000_000}, "Results": results}}}),
        )
    };
    let truncated = || async { source(&registry).repositories().await.unwrap().truncated.unwrap() };
    registry.serve_to_members(move |seen, _| is_search(seen).then(|| page(Vec::new())));
    assert!(truncated().await.contains("before the count"));
    registry.serve_to_members(move |seen, _| is_search(seen).then(|| page(vec!["a".to_owned()])));
    assert!(truncated().await.contains("repeats names"), "the same page again");
    registry.clear_log();
    registry.serve_to_members(move |seen, _| {
        let offset = seen.query.split("offset%3A").nth(1)?.split("%2C").next()?.to_owned();
        is_search(seen).then(|| page(vec![format!("r{offset}")]))
    });
    assert!(truncated().await.contains("20 pages"));
    assert_eq!(registry.count(is_search), 20);
}

#[tokio::test]
async fn an_unchanged_tag_costs_nothing_and_a_new_digest_one_request() {
    let registry = zot(10).await;
    let silo = TestApp::start().await;
    let form = json!({"name": "zot", "url": registry.url(), "kind": "zot"});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    let id = added["id"].as_i64().unwrap();
    for (round, (push, cost)) in [(true, 1), (false, 0), (true, 1)].into_iter().enumerate() {
        if push {
            registry.push("geo/a-1.0.0-seed", "1.0.0", &Image::new().label("n", round));
        }
        registry.clear_log();
        silo.scan(id).await;
        assert_eq!(registry.count(|seen| seen.is_manifest() || seen.is_blob()), cost);
        assert_eq!(registry.count(is_search), 2, "repositories and tags");
    }
    registry.fault(is_search, ALWAYS, Fault::Status(404));
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(registry.count(Seen::is_head), 1, "without search, a look at each tag");
}
