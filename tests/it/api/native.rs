//! `/api/v1`: search, pages, registries, problem documents.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::keys;
use crate::support::app::{Reply, TestApp, jobs, text};

const PROBLEM: [&str; 5] = ["type", "title", "status", "detail", "requestId"];

/// The problem document of a reply, whose text contains `names`.
#[track_caller]
pub(super) fn problem(reply: &Reply, status: u16, names: &str) {
    let reply = reply.clone().expect(status);
    let body = reply.json();
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(keys(&body), PROBLEM);
    assert_eq!((&body["status"], &body["requestId"]), (&json!(status), &json!(reply.header("x-request-id"))));
    assert!(reply.error().contains(names), "{} does not name {names}", reply.text);
}

#[tokio::test]
async fn a_search_is_a_ranking() {
    let silo = TestApp::with_jobs(&[
        ("flood-map", "1.0.0", "1.0.0"),
        ("flood-map", "2.0.0", "1.0.0"),
        ("flood-map-lite", "1.0.0", "1.0.0"),
        ("other", "1.0.0", "1.0.0"),
    ])
    .await;
    let found = silo.anonymous().get("/api/v1/search?q=flood-map").await.expect(200).json();
    assert_eq!(keys(&found), ["total", "items", "next"]);
    assert_eq!((&found["total"], &found["next"]), (&json!(2), &Value::Null));
    let names: Vec<String> = found["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect();
    assert_eq!(names, ["flood-map", "flood-map-lite"], "the exact name first");
    let first = &found["items"][0];
    assert_eq!((&first["kind"], &first["jobVersion"], &first["valid"]), (&json!("job"), &json!("2.0.0"), &json!(true)));
    assert_eq!(first["image"], "geo/flood-map-2.0.0-seed:1.0.0");
    let image = silo.anonymous().get(&format!("/api/v1/images/{}", first["imageId"])).await.expect(200).json();
    assert_eq!((&image["reference"], &image["jobId"]), (&first["image"], &first["id"]));

    let images = silo.anonymous().get("/api/v1/search?q=flood-map&kind=image").await.expect(200).json();
    assert_eq!(images["total"], 3);
    assert!(
        images["items"].as_array().unwrap().iter().all(|item| item["kind"] == "image" && item["id"] == item["imageId"])
    );
    for nothing in ["", "+", "%20", "zebra"] {
        let found = silo.anonymous().get(&format!("/api/v1/search?q={nothing}")).await.expect(200);
        assert_eq!(found.text, r#"{"total":0,"items":[],"next":null}"#);
    }
}

#[tokio::test]
async fn the_pages_of_a_search_are_the_whole_ranking() {
    let names: Vec<String> = (0..23).map(|n| format!("job-{n}")).collect();
    let list: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), "1.0.0", "1.0.0")).collect();
    let silo = TestApp::with_jobs(&list).await;
    for kind in ["job", "image"] {
        let whole =
            silo.anonymous().get(&format!("/api/v1/search?q=job&kind={kind}&limit=100")).await.expect(200).json();
        let expected: Vec<i64> =
            whole["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect();
        assert_eq!(expected.len(), 23);
        for limit in [1, 5, 22, 23] {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/api/v1/search?q=job&kind={kind}&limit={limit}{cursor}");
                let page = silo.anonymous().get(&path).await.expect(200).json();
                assert_eq!(page["total"], 23);
                walked.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
                assert!(walked.len() <= 23, "the pages repeat themselves: {walked:?}");
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(walked, expected, "{kind}, {limit} a page");
        }
        assert_eq!(expected.iter().collect::<HashSet<_>>().len(), 23);
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_used_are_named() {
    let silo = TestApp::start().await;
    for (path, names) in [
        ("/api/v1/search?q=a&limit=0", "limit"),
        ("/api/v1/search?q=a&limit=101", "limit"),
        ("/api/v1/search?q=a&limit=-1", "limit"),
        ("/api/v1/search?q=a&limit=x", "limit"),
        ("/api/v1/search?q=a&kind=cat", "cat"),
        ("/api/v1/search?q=a&kinds=job", "kinds"),
        ("/api/v1/search?q=a&q=b", "q"),
        ("/api/v1/search?q=a&cursor=x", "cursor"),
        ("/api/v1/search?q=a&cursor=", "cursor"),
        ("/api/v1/search?q=a&cursor=N2Y4MDAwMDAuMQ", "cursor"), // infinity
        ("/api/v1/scans?limit=0", "limit"),
        ("/api/v1/scans?cursor=x", "cursor"),
        ("/api/v1/scans?registry=x", "registry"),
        ("/api/v1/scans?page=1", "page"),
        ("/api/v1/scans/1/problems?limit=1000", "limit"),
        ("/api/v1/scans/1/problems?cursor=x", "cursor"),
    ] {
        problem(&silo.user().get(path).await, 400, names);
    }
}

#[tokio::test]
async fn a_registry_with_rules_of_its_own() {
    let silo = TestApp::start().await;
    let mut layout = jobs(&[("my-job", "1.0.0", "0.1.0"), ("old", "1.0.0", "0.1.0")]);
    let label = crate::support::app::manifest("odd", "1.0.0", "1.0.0").to_string();
    layout.image("geo/odd-name:1", &[(silo::seed::LABEL, &label)]);
    let url = silo.write_layout("geo", &layout).display().to_string();
    let body = json!({"name": "geo", "url": url, "include": ["*"], "exclude": ["*/old-*"], "schedule": "0 3 * * *"});
    let added = silo.admin().post("/api/v1/registries", body).await.expect(201);
    assert_eq!(added.header("location"), "/api/v1/registries/1");
    let registry = added.json();
    assert_eq!((&registry["kind"], &registry["hasPassword"]), (&json!("layout"), &json!(false)));
    assert_eq!((&registry["include"], &registry["schedule"]), (&json!(["*"]), &json!("0 3 * * *")));
    assert_eq!(silo.admin().get("/api/v1/registries/1").await.expect(200).json(), registry);

    let scan = silo.admin().post("/api/v1/registries/1/scans", Value::Null).await.expect(202);
    silo.scan(1).await;
    silo.user().get(scan.header("location")).await.expect(200);
    let names: HashSet<String> =
        silo.anonymous().get("/jobs").await.json().as_array().unwrap().iter().map(|job| text(&job["Name"])).collect();
    assert_eq!(names, ["my-job".to_owned(), "odd".to_owned()].into());

    silo.admin().delete("/api/v1/registries/1").await.expect(204);
    problem(&silo.admin().delete("/api/v1/registries/1").await, 404, "No registry found");
    assert_eq!(silo.anonymous().get("/jobs").await.text, "[]");
}

#[tokio::test]
async fn a_registry_that_cannot_be_added_is_told_why() {
    let silo = TestApp::start().await;
    let url = silo.write_layout("geo", &jobs(&[])).display().to_string();
    let with = |key: &str, value: Value| {
        let mut body = json!({"name": "geo", "url": url});
        body[key] = value;
        body
    };
    for (body, names) in [
        (with("include", json!(["[a"])), "[a"),
        (with("exclude", json!(["ok", "{b"])), "{b"),
        (with("schedule", json!("every day")), "every day"),
        (with("schedule", json!("61 * * * *")), "61"),
        (with("schedule", json!("0 0 31 2 *")), "0 0 31 2 *"),
        (with("password", json!("pw")), "user name"),
        (with("name", json!("")), "name"),
        (with("url", json!("")), "url"),
    ] {
        problem(&silo.admin().post("/api/v1/registries", body).await, 400, names);
    }
    for (body, names) in [
        (with("passwort", json!("x")), "passwort"),
        (with("include", json!("*")), "include"),
        (with("name", json!(7)), "7"),
        (json!({"name": "geo"}), "url"),
        (json!([]), ""),
    ] {
        problem(
            &silo.admin().post("/api/v1/registries", body).await,
            422,
            if names == "include" { "sequence" } else { names },
        );
    }
    silo.admin().post("/api/v1/registries", json!({"name": "geo", "url": url})).await.expect(201);
    problem(&silo.admin().post("/api/v1/registries", json!({"name": "geo", "url": url})).await, 409, "geo");
}

#[tokio::test]
async fn a_login_of_the_native_interface_is_strict() {
    let silo = TestApp::start().await;
    for (body, names) in [
        (json!({"username": "admin"}), "password"),
        (json!({"Username": "admin", "password": "x"}), "Username"),
        (json!({"username": "admin", "password": "x", "remember": true}), "remember"),
    ] {
        problem(&silo.anonymous().post("/api/v1/login", body).await, 422, names);
    }
}

#[tokio::test]
async fn an_image_tells_what_is_wrong_with_its_manifest() {
    let mut layout = jobs(&[]);
    let least = json!({"job": {"name": "bare", "jobVersion": "1.0.0", "packageVersion": "1.0.0"}}).to_string();
    layout.image("bare-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &least)]);
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    let image = silo.anonymous().get("/api/v1/images/1").await.expect(200).json();
    assert_eq!(image["valid"], false);
    let missing = image["problems"]
        .as_array()
        .unwrap()
        .iter()
        .any(|problem| problem["severity"] == "error" && problem["path"] == "/job");
    assert!(missing, "{}", image["problems"]);
    let first = &image["problems"][0];
    assert_eq!(keys(first), ["code", "severity", "path", "line", "column", "message", "help"]);
    assert!(first["line"] == 1 && first["column"].as_u64() >= Some(1) && !text(&first["help"]).is_empty(), "{first}");
    assert_eq!(silo.anonymous().get("/api/v1/search?q=bare").await.json()["items"][0]["valid"], false);
}
