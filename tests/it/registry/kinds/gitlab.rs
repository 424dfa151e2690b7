//! GitLab.

use std::sync::atomic::Ordering;

use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::RegistrySource;

use super::super::assert_fails;
use super::{open, pairs};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, Fault, Image, Own, Seen};
use crate::support::kinds::gitlab::{FakeGitLab, TOKEN, USER};

fn source(gitlab: &FakeGitLab, org: &str) -> RegistrySource {
    open(RegistryKind::GitLab, &gitlab.registry.url(), org, Some((USER, TOKEN)))
}

/// A group `geo` with three projects.
async fn geo() -> FakeGitLab {
    let gitlab = FakeGitLab::start().await;
    gitlab.add_group("geo");
    gitlab.add_project("geo/team/a-seed");
    for repository in ["geo/team/a-seed", "geo/team/a-seed/base", "geo/b-seed", "other/c-seed"] {
        gitlab.registry.push(repository, "1.0.0", &Image::new().label("of", repository));
    }
    gitlab
}

#[tokio::test]
async fn a_group_or_a_project_is_listed_by_the_api_beside_the_token_service() {
    let gitlab = geo().await;
    let listing = source(&gitlab, "geo").repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/b-seed", "geo/team/a-seed", "geo/team/a-seed/base"]);
    assert_eq!(listing.truncated, None);
    assert_eq!(gitlab.web.count(FakeGitLab::is_api), 1);
    let listing = source(&gitlab, "geo/team/a-seed").repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/team/a-seed", "geo/team/a-seed/base"]);
    let asked: Vec<String> = gitlab.web.log().into_iter().filter(FakeGitLab::is_api).map(|seen| seen.path).collect();
    assert_eq!(asked[1], "/api/v4/groups/geo%2Fteam%2Fa-seed/registry/repositories");
    assert_eq!(asked[2], "/api/v4/projects/geo%2Fteam%2Fa-seed/registry/repositories");
    assert_eq!(gitlab.registry.count(FakeGitLab::is_api), 0);
    assert_fails!(source(&gitlab, "gone").repositories().await, NotFound, "gone", "read_registry");
}

#[tokio::test]
async fn the_access_token_goes_to_gitlab_only() {
    let gitlab = geo().await;
    let source = source(&gitlab, "geo");
    source.repositories().await.unwrap();
    source.tags("geo/b-seed").await.unwrap();
    let is_told = |seen: &Seen| seen.authorization.as_ref().is_some_and(|value| value.contains(TOKEN));
    assert_eq!(gitlab.registry.count(is_told), 0);
    let elsewhere = FakeGitLab::start().await;
    gitlab.web.fault(FakeGitLab::is_api, ALWAYS, Fault::Redirect(format!("{}/api/v4/x/y", elsewhere.web.url())));
    assert!(source.repositories().await.is_err());
    assert_eq!(elsewhere.web.count(|seen| seen.authorization.is_some()), 0);
    assert_eq!(elsewhere.web.count(Seen::is_any), 1);
}

#[tokio::test]
async fn without_a_group_the_catalogue_is_asked() {
    let gitlab = geo().await;
    assert_eq!(source(&gitlab, "").repositories().await.unwrap().items.len(), 4);
    assert_eq!((gitlab.registry.count(Seen::is_catalog), gitlab.web.count(FakeGitLab::is_api)), (2, 0));
}

#[tokio::test]
async fn pages_are_followed_with_their_headers_and_without() {
    let gitlab = FakeGitLab::start().await;
    gitlab.add_group("geo");
    for number in 0..205 {
        gitlab.registry.add_repository(&format!("geo/r{number:03}"));
    }
    for no_headers in [false, true] {
        gitlab.knobs.no_page_headers.store(no_headers, Ordering::SeqCst);
        gitlab.web.clear_log();
        let listing = source(&gitlab, "geo").repositories().await.unwrap();
        assert_eq!((listing.items.len(), listing.truncated), (205, None), "{no_headers}");
        assert_eq!(gitlab.web.count(FakeGitLab::is_api), 3);
    }
}

#[tokio::test]
async fn endless_and_circling_pages_are_told() {
    let gitlab = geo().await;
    let full =
        |from: usize| json!((from..from + 100).map(|n| json!({"path": format!("geo/r{n}")})).collect::<Vec<_>>());
    gitlab.web.serve(move |seen, _| {
        let page: usize = seen.parameter("page").map_or(1, |page| page.parse().unwrap());
        FakeGitLab::is_api(seen).then(|| Own::new(200, full(page * 100)).header("x-next-page", (page + 1).to_string()))
    });
    let listing = source(&gitlab, "geo").repositories().await.unwrap();
    assert_eq!(listing.items.len(), 2000);
    assert!(listing.truncated.unwrap().contains("20 pages"));
    gitlab
        .web
        .serve(move |seen, _| FakeGitLab::is_api(seen).then(|| Own::new(200, full(0)).header("x-next-page", "2")));
    let listing = source(&gitlab, "geo").repositories().await.unwrap();
    assert!(listing.truncated.unwrap().contains("repeats names"));
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let gitlab = geo().await;
    let list = || async { source(&gitlab, "geo").repositories().await };
    gitlab.web.fault(FakeGitLab::is_api, 1, Fault::Json(200, json!({"message": "hello"})));
    assert_fails!(list().await, Malformed, "GitLab's list of the repositories of geo");
    gitlab.web.fault(FakeGitLab::is_api, 3, Fault::Truncated);
    assert_fails!(list().await, Unreachable, "broke off");
    gitlab.web.fault(FakeGitLab::is_api, 1, Fault::StatusWith(429, "retry-after", "900".to_owned()));
    assert_fails!(list().await, Throttled, "900 s");
    gitlab.web.clear_log();
    gitlab.web.fault(FakeGitLab::is_api, ALWAYS, Fault::Status(401));
    assert_fails!(list().await, WrongPassword, "access token");
    assert_eq!(gitlab.web.count(FakeGitLab::is_api), 1, "not tried again");
    gitlab.web.clear_faults();
    gitlab.web.fault(FakeGitLab::is_api, 1, Fault::Status(403));
    assert_fails!(list().await, Forbidden, "geo");
    let anonymous = open(RegistryKind::GitLab, &gitlab.registry.url(), "geo", None);
    assert_fails!(anonymous.repositories().await, LoginRequired, "username and password");
}

#[tokio::test]
async fn tags_come_with_digests_page_by_page() {
    let gitlab = geo().await;
    let one = gitlab.registry.push("geo/b-seed", "1.0.0", &Image::new().label("n", "1"));
    let two = gitlab.registry.push("geo/b-seed", "2.0.0", &Image::new().label("n", "2"));
    gitlab.registry.tag("geo/b-seed", "3.0.0", "no digest");
    gitlab.registry.tag("geo/b-seed", "not a tag", &one);
    gitlab.registry.tag("geo/b-seed", &format!("sha256-{}.sig", "0".repeat(64)), &one);
    gitlab.knobs.page.store(2, Ordering::SeqCst);
    let source = source(&gitlab, "geo");
    let listing = source.tags("geo/b-seed").await.unwrap();
    let expected = [("1.0.0", Some(one.as_str())), ("2.0.0", Some(two.as_str())), ("3.0.0", None)];
    assert_eq!((pairs(&listing), &listing.truncated), (expected.to_vec(), &None));
    assert_eq!(gitlab.registry.count(FakeGitLab::is_own_tags), 3);
    assert_eq!(gitlab.registry.count(Seen::is_tags), 0);
    assert_eq!(source.tags("geo/gone").await.unwrap().items, []);
}

#[tokio::test]
async fn a_registry_without_the_listing_is_asked_for_it_once() {
    let gitlab = geo().await;
    gitlab.knobs.has_database.store(false, Ordering::SeqCst);
    let source = source(&gitlab, "geo");
    for repository in ["geo/b-seed", "geo/team/a-seed"] {
        assert_eq!(pairs(&source.tags(repository).await.unwrap()), [("1.0.0", None)]);
    }
    assert_eq!((gitlab.registry.count(FakeGitLab::is_own_tags), gitlab.registry.count(Seen::is_tags)), (1, 2));
}

#[tokio::test]
async fn a_listing_of_tags_that_misbehaves_is_told() {
    let gitlab = geo().await;
    let tags = || async { source(&gitlab, "geo").tags("geo/b-seed").await };
    gitlab.registry.fault(FakeGitLab::is_own_tags, 1, Fault::Json(200, json!([{"digest": 1}])));
    assert_fails!(tags().await, Malformed, "GitLab's list of the tags of geo/b-seed");
    gitlab.registry.fault(FakeGitLab::is_own_tags, 3, Fault::Status(503));
    assert_fails!(tags().await, Throttled, "503");
    gitlab.registry.fault(FakeGitLab::is_own_tags, 1, Fault::Html(200));
    assert_eq!(tags().await.unwrap().items.len(), 1, "a web page is no such listing, and /v2/ works");
    gitlab.registry.serve_to_members(|seen, _| {
        let page = seen.parameter("page").map_or(1, |page| page.parse().unwrap());
        let link = format!("<?page={}>; rel=\"next\"", page + 1);
        let body = json!([{"name": format!("t{page}")}]);
        FakeGitLab::is_own_tags(seen).then(|| Own::new(200, body).header("link", link))
    });
    let listing = tags().await.unwrap();
    assert!(listing.truncated.unwrap().contains("20 pages"));
}

#[tokio::test]
async fn an_unchanged_tag_costs_nothing_and_a_new_digest_one_request() {
    let gitlab = geo().await;
    let silo = TestApp::start().await;
    let form = json!({
        "name": "gitlab", "url": gitlab.registry.url(), "org": "Geo/Team/a-seed", "kind": "gitlab",
        "username": USER, "password": TOKEN,
    });
    gitlab.add_group("Geo/Team/a-seed");
    gitlab.web.serve(|seen, _| {
        let body = json!([{"path": "geo/team/a-seed"}]);
        FakeGitLab::is_api(seen).then(|| Own::new(200, body))
    });
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    let registry = added["id"].as_i64().unwrap();
    let read = |seen: &Seen| seen.is_manifest() || seen.is_blob();
    for (round, (new, cost)) in [(true, 1), (false, 0), (true, 1)].into_iter().enumerate() {
        if new {
            gitlab.registry.push("geo/team/a-seed", "1.0.0", &Image::new().label("n", round));
        }
        gitlab.registry.clear_log();
        silo.scan(registry).await;
        assert_eq!(gitlab.registry.count(read), cost);
        assert_eq!(gitlab.registry.count(FakeGitLab::is_own_tags), 1);
    }
}
