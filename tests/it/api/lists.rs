//! Lists of `/api/v1`: jobs, images, users; the caller's account, and the server's version.

use serde_json::{Value, json};

use super::keys;
use crate::support::app::{Client, TestApp, text};

/// All entries of a list, page by page.
async fn whole(client: &Client<'_>, path: &str) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}{cursor}")).await.expect(200).json();
        entries.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return entries,
        }
    }
}

fn names(entries: &[Value], key: &str) -> Vec<String> {
    entries.iter().map(|entry| text(&entry[key])).collect()
}

async fn catalogue() -> TestApp {
    TestApp::with_jobs(&[
        ("sea", "1.0.0", "1.0.0"),
        ("ice", "1.0.0", "1.0.0"),
        ("ice", "1.10.0", "1.0.0"),
        ("ice", "1.9.0", "2.0.0"),
    ])
    .await
}

#[tokio::test]
async fn jobs_are_listed_and_shown_with_their_versions() {
    let silo = catalogue().await;
    for limit in [1, 2, 100] {
        let listed = whole(&silo.anonymous(), &format!("/api/v1/jobs?limit={limit}")).await;
        assert_eq!(names(&listed, "name"), ["ice", "sea"]);
        let back = whole(&silo.anonymous(), &format!("/api/v1/jobs?sort=-name&limit={limit}")).await;
        assert_eq!(names(&back, "name"), ["sea", "ice"]);
    }
    let listed = silo.anonymous().get("/api/v1/jobs?name=ice&registry=1&maintainer=Ada&organization=Example").await;
    let ice = listed.expect(200).json()["items"][0].clone();
    assert_eq!((text(&ice["jobVersion"]), text(&ice["packageVersion"])), ("1.10.0".into(), "1.0.0".into()));
    let path = format!("/api/v1/jobs/{}", ice["id"]);
    let shown = silo.anonymous().get(&path).await.expect(200).json();
    assert_eq!(keys(&shown)[..15], keys(&ice)[..]);
    let versions = shown["versions"].as_array().expect("a list");
    assert_eq!(names(versions, "jobVersion"), ["1.10.0", "1.9.0", "1.0.0"]);
    assert!(versions.iter().all(|version| version["images"] == 1));
    silo.anonymous().get("/api/v1/jobs/999").await.expect(404);
    silo.anonymous().get("/api/v1/jobs/x").await.expect(404);
    assert_eq!(
        silo.anonymous().get("/api/v1/jobs?name=none").await.expect(200).json(),
        json!({"items": [], "next": null})
    );
}

#[tokio::test]
async fn images_are_listed() {
    let silo = catalogue().await;
    let listed = whole(&silo.anonymous(), "/api/v1/images?limit=3").await;
    assert_eq!(listed.len(), 4);
    let mut newest = whole(&silo.anonymous(), "/api/v1/images?limit=3&sort=-changed").await;
    newest.reverse();
    assert_eq!(newest, listed);
    let one = whole(&silo.anonymous(), "/api/v1/images?job=ice&jobVersion=1.9.0&registry=1&valid=true").await;
    assert_eq!(names(&one, "packageVersion"), ["2.0.0"]);
    let digest = text(&one[0]["digest"]);
    assert_eq!(whole(&silo.anonymous(), &format!("/api/v1/images?digest={digest}")).await, one);
    let shown = silo.anonymous().get(&format!("/api/v1/images/{}", one[0]["id"])).await.expect(200).json();
    assert_eq!(shown["reference"], one[0]["reference"]);
}

#[tokio::test]
async fn users_are_listed_for_admins_and_everybody_sees_themselves() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let listed = whole(&silo.admin(), "/api/v1/users?limit=1").await;
    assert_eq!(listed.len(), 2);
    assert_eq!(keys(&listed[0]), ["id", "username", "role", "createdAt", "lastLoginAt", "sessions"]);
    let users = whole(&silo.admin(), "/api/v1/users?role=user&sort=id").await;
    let me = silo.user().get("/api/v1/me").await.expect(200).json();
    assert_eq!(users.len(), 1);
    assert!(keys(&me).into_iter().all(|key| users[0][key] == me[key]), "{users:?} {me}");
    assert!(silo.admin().get("/api/v1/users?role=boss").await.expect(400).error().contains("boss"));
    silo.user().get("/api/v1/users").await.expect(403);
    silo.anonymous().get("/api/v1/me").await.expect(401);
}

#[tokio::test]
async fn the_version_is_told() {
    let silo = TestApp::start().await;
    let told = silo.anonymous().get("/api/v1/version").await.expect(200).json();
    assert_eq!(told, json!({"version": env!("CARGO_PKG_VERSION"), "seedVersion": "1.0.0"}));
}

#[tokio::test]
async fn cursors_and_orders_that_do_not_fit_are_refused_in_words() {
    let silo = catalogue().await;
    let next = text(&silo.anonymous().get("/api/v1/jobs?limit=1").await.expect(200).json()["next"]);
    for (query, reason) in [
        ("sort=size".to_owned(), "name, -name, id, -id"),
        ("cursor=7".to_owned(), "use the `next` of a page of this list"),
        (format!("sort=-name&cursor={next}"), "sorted by `name`"),
        ("limit=0".to_owned(), "between 1 and 100"),
        ("color=red".to_owned(), "color"),
        ("registry=x".to_owned(), "registry"),
    ] {
        let why = silo.anonymous().get(&format!("/api/v1/jobs?{query}")).await.expect(400).error();
        assert!(why.contains(reason), "{query}: {why}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    let silo = catalogue().await;
    let taken = json!({"name": "geo", "url": silo.write_layout("other", &crate::support::app::jobs(&[]))});
    silo.admin().post("/api/v1/registries", taken.clone()).await.expect(409);
    silo.admin().post("/registries/add", taken).await.expect(400);
}
