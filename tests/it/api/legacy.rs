//! The legacy API: names, order of keys, texts.

use serde_json::{Value, json};

use super::keys;
use crate::support::app::{TestApp, jobs, manifest, text};

const SIMPLE_IMAGE: [&str; 13] = [
    "ID",
    "RegistryId",
    "Name",
    "Registry",
    "Org",
    "JobName",
    "Title",
    "Maintainer",
    "Email",
    "MaintOrg",
    "Description",
    "JobVersion",
    "PackageVersion",
];
const IMAGE: [&str; 17] = [
    "ID",
    "RegistryId",
    "JobId",
    "JobVersionId",
    "FullName",
    "ShortName",
    "Title",
    "Maintainer",
    "Email",
    "MaintOrg",
    "JobVersion",
    "PackageVersion",
    "Description",
    "Registry",
    "Org",
    "Manifest",
    "Seed",
];
const JOB: [&str; 11] = [
    "ID",
    "Name",
    "LatestJobVersion",
    "LatestPackageVersion",
    "Title",
    "Maintainer",
    "Email",
    "MaintOrg",
    "Description",
    "ImageIDs",
    "JobVersions",
];
const JOB_VERSION: [&str; 6] = ["ID", "JobName", "JobId", "JobVersion", "LatestPackageVersion", "Images"];

/// Twelve jobs (so that ids sort differently as numbers and as texts), the first with three images.
async fn filled() -> TestApp {
    let mut list = vec![("alpha", "9.0.0", "1.0.0"), ("alpha", "10.0.0", "1.0.0"), ("alpha", "10.0.0", "1.1.0")];
    let names: Vec<String> = (2..=12).map(|n| format!("job-{n}")).collect();
    list.extend(names.iter().map(|name| (name.as_str(), "1.0.0", "0.1.0")));
    TestApp::with_jobs(&list).await
}

#[tokio::test]
async fn the_index_is_the_old_services() {
    let silo = TestApp::start().await;
    let expected = [
        ("Index", "GET", "/"),
        ("AddRegistry", "POST", "/registries/add"),
        ("DeleteRegistry", "DELETE", "/registries/delete/{id}"),
        ("ListRegistries", "GET", "/registries"),
        ("ScanRegistries", "GET", "/registries/scan"),
        ("Registry", "GET", "/registries/{id}"),
        ("ScanRegistry", "GET", "/registries/{id}/scan"),
        ("ListImages", "GET", "/images"),
        ("SearchImages", "GET", "/images/search/{query}"),
        ("SearchJobs", "GET", "/jobs/search/{query}"),
        ("Image", "GET", "/images/{id}"),
        ("ImageManifest", "GET", "/images/{id:[0-9]+}/manifest"),
        ("JITImageManifest", "GET", "/images/manifest/{registry}/{image:.+}"),
        ("ListJobs", "GET", "/jobs"),
        ("Job", "GET", "/jobs/{id}"),
        ("JobVersions", "GET", "/jobs/{id}/job-versions"),
        ("ListJobVersions", "GET", "/job-versions"),
        ("JobVersion", "GET", "/job-versions/{id}"),
        ("Login", "POST", "/login"),
        ("User", "GET", "/users/{id}"),
        ("AddUser", "POST", "/users/add"),
        ("DeleteUser", "DELETE", "/users/delete/{id}"),
        ("ListUsers", "GET", "/users"),
        ("PreflightOptions", "OPTIONS", "/*"),
    ];
    let entries: Vec<String> = expected
        .iter()
        .map(|(name, method, pattern)| format!(r#"{{"Name":"{name}","Method":"{method}","Pattern":"{pattern}"}}"#))
        .collect();
    let reply = silo.anonymous().get("/").await.expect(200);
    assert_eq!(reply.text, format!("[{}]", entries.join(",")));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn an_empty_catalogue_is_empty_and_not_null() {
    let silo = TestApp::start().await;
    for (path, expected) in [
        ("/registries", "[]"),
        ("/images", "[]"),
        ("/jobs", "[]"),
        ("/job-versions", "[]"),
        ("/images/search/x", "[]"),
        ("/images/search/+", "[]"),
        ("/jobs/search/x", "{}"),
        ("/jobs/search/+", "[]"),
    ] {
        assert_eq!(silo.anonymous().get(path).await.expect(200).text, expected, "{path}");
    }
}

#[tokio::test]
async fn keys_stand_in_the_old_order() {
    let silo = filled().await;
    let get = async |path: &str| silo.anonymous().get(path).await.expect(200).json();
    assert_eq!(keys(&get("/images").await[0]), SIMPLE_IMAGE);
    assert_eq!(keys(&get("/images/search/alpha").await[0]), SIMPLE_IMAGE);
    assert_eq!(keys(&get("/images/1").await), IMAGE);
    assert_eq!(keys(&get("/jobs").await[0]), JOB);
    assert_eq!(keys(&get("/jobs/1").await), JOB);
    assert_eq!(keys(&get("/jobs/search/alpha").await["1"]), JOB);
    assert_eq!(keys(&get("/jobs/1").await["JobVersions"][0]), JOB_VERSION);
    assert_eq!(keys(&get("/jobs/1").await["JobVersions"][0]["Images"][0]), SIMPLE_IMAGE);
    assert_eq!(keys(&get("/jobs/1/job-versions").await[0]), JOB_VERSION);
    assert_eq!(keys(&get("/job-versions").await[0]), JOB_VERSION);
    assert_eq!(keys(&get("/job-versions/1").await), JOB_VERSION);
    assert_eq!(keys(&get("/registries").await[0]), ["ID", "Name", "Url", "Org"]);
    assert_eq!(keys(&get("/registries/1").await), ["ID", "Name", "Url", "Org", "Username", "Password"]);
}

#[tokio::test]
async fn nothing_is_null() {
    fn no_null(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => items.iter().all(no_null),
            Value::Object(fields) => fields.values().all(no_null),
            _ => true,
        }
    }
    let mut layout = jobs(&[("full", "1.0.0", "0.1.0")]);
    // The minimal manifest of a job.
    let least = json!({"job": {"name": "bare", "jobVersion": "1.0.0", "packageVersion": "1.0.0"}}).to_string();
    layout.image("bare-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &least)]);
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    for path in [
        "/images",
        "/jobs",
        "/job-versions",
        "/jobs/search/bare",
        "/images/search/bare",
        "/registries",
        "/registries/1",
    ] {
        let reply = silo.anonymous().get(path).await.expect(200);
        assert!(no_null(&reply.json()), "{}", reply.text);
    }
    let jobs = silo.anonymous().get("/jobs").await.json();
    let bare = jobs.as_array().unwrap().iter().find(|job| job["Name"] == "bare").expect("the bare job");
    assert_eq!((bare["Title"].as_str(), bare["JobVersions"][0]["Images"][0]["Org"].as_str()), (Some(""), Some("")));
}

#[tokio::test]
async fn jobs_versions_and_images_belong_together() {
    let silo = filled().await;
    let get = async |path: &str| silo.anonymous().get(path).await.expect(200).json();
    let alpha = get("/jobs").await[0].clone();
    assert_eq!(alpha["Name"], "alpha");
    assert_eq!(
        (text(&alpha["LatestJobVersion"]), text(&alpha["LatestPackageVersion"])),
        ("10.0.0".into(), "1.1.0".into())
    );
    let versions: Vec<String> =
        alpha["JobVersions"].as_array().unwrap().iter().map(|v| text(&v["JobVersion"])).collect();
    assert_eq!(versions, ["10.0.0", "9.0.0"], "by version, not by text");
    assert_eq!(alpha["JobVersions"][0]["LatestPackageVersion"], "1.1.0");
    assert_eq!(alpha["JobVersions"][0]["JobId"], alpha["ID"]);
    assert_eq!(alpha["ImageIDs"].as_array().map(Vec::len), Some(3));
    assert_eq!(get(&format!("/jobs/{}", alpha["ID"])).await, alpha);
    assert_eq!(get(&format!("/jobs/{}/job-versions", alpha["ID"])).await, alpha["JobVersions"]);
    for version in alpha["JobVersions"].as_array().unwrap() {
        assert_eq!(get(&format!("/job-versions/{}", version["ID"])).await, *version);
    }
    for list in ["/jobs", "/images", "/job-versions"] {
        let ids: Vec<i64> =
            get(list).await.as_array().unwrap().iter().map(|item| item["ID"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted() && !ids.is_empty(), "{list} is ordered by id: {ids:?}");
    }
    for image in get("/images").await.as_array().unwrap() {
        let alone = get(&format!("/images/{}", image["ID"])).await;
        assert_eq!((&alone["FullName"], &alone["ShortName"]), (&image["Name"], &image["JobName"]));
        for key in SIMPLE_IMAGE.iter().filter(|key| !["Name", "JobName"].contains(key)) {
            assert_eq!(alone[*key], image[*key], "{key}");
        }
    }
}

#[tokio::test]
async fn a_job_search_is_an_object_keyed_by_id() {
    let silo = filled().await;
    let found = silo.anonymous().get("/jobs/search/job").await.expect(200).json();
    let found_keys = keys(&found);
    assert_eq!(found_keys.len(), 12);
    assert!(found_keys.is_sorted(), "as texts: {found_keys:?}");
    for (key, job) in found.as_object().unwrap() {
        assert_eq!(*key, job["ID"].to_string());
        assert_eq!(silo.anonymous().get(&format!("/jobs/{key}")).await.json(), *job);
    }
    let all = silo.anonymous().get("/jobs").await.text;
    assert_eq!(silo.anonymous().get("/jobs/search/+").await.expect(200).text, all);
    assert_eq!(silo.anonymous().get("/jobs/search/%2B").await.expect(200).text, all);
    let all = silo.anonymous().get("/images").await.text;
    assert_eq!(silo.anonymous().get("/images/search/+").await.expect(200).text, all);
    for empty in ["%20", "++", "-", "%3F"] {
        assert_eq!(silo.anonymous().get(&format!("/jobs/search/{empty}")).await.expect(200).text, "{}", "{empty}");
    }
}

#[tokio::test]
async fn image_searches_are_ranked() {
    let silo = filled().await;
    let first = async |query: &str| {
        let found = silo.anonymous().get(&format!("/images/search/{query}")).await.expect(200).json();
        text(&found[0]["Name"])
    };
    assert_eq!(first("job-7-1.0.0").await, "job-7-1.0.0-seed:0.1.0");
    assert_eq!(first("ALPHA").await, first("alpha").await);
    assert!(first("alph").await.starts_with("alpha-"), "unfinished words");
}

#[tokio::test]
async fn keys_of_requests_match_in_any_case() {
    let silo = TestApp::start().await;
    let url = silo.write_layout("x", &jobs(&[])).display().to_string();
    for (n, (name, url_key)) in
        [("name", "url"), ("Name", "Url"), ("NAME", "URL"), ("nAmE", "uRl")].into_iter().enumerate()
    {
        let body = json!({name: format!("r{n}"), url_key: url, "ID": 77, "unknown": {"a": [null]}, "org": null});
        let added = silo.admin().post("/registries/add", body).await.expect(201).json();
        assert_eq!(
            added,
            json!({"ID": n + 1, "Name": format!("r{n}"), "Url": url, "Org": "", "Username": "", "Password": ""})
        );
    }
    let doubled = format!(r#"{{"name":"first","NAME":"last","url":"{url}"}}"#);
    let added = silo.admin().post_text("/registries/add", doubled).await.expect(201).json();
    assert_eq!(added["Name"], "last", "of two the last one counts, as it did");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""] {
        let body = json!({"username": "admin", "password": "wrong"}).to_string();
        let headers = [("content-type", content_type)];
        silo.anonymous().send(http::Method::POST, "/login", &headers, body.into()).await.expect(401);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_422() {
    let silo = TestApp::start().await;
    for path in ["/login", "/registries/add", "/users/add"] {
        for body in ["", "{", r#"{"name""#, r#"{"name":"#] {
            let reply = silo.admin().post_text(path, body).await.expect(422);
            assert_eq!(reply.text, r#"{"error":"unexpected end of JSON input"}"#, "{path} {body}");
        }
        for body in ["nonsense", "[]", "7", r#"{"username":7,"name":7}"#, "{} {}", "{'a':1}"] {
            let reply = silo.admin().post_text(path, body).await.expect(422);
            assert_eq!(keys(&reply.json()), ["error"], "one document: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_registry_is_added_seen_and_deleted() {
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &jobs(&[("my-job", "1.0.0", "0.1.0")])).await;
    silo.scan(registry).await;
    assert_eq!(silo.anonymous().get("/jobs").await.json().as_array().map(Vec::len), Some(1));
    let url = silo.folder().join("layouts/geo").display().to_string();
    let again = silo.admin().post("/registries/add", json!({"name": "geo", "url": url})).await.expect(400);
    assert_eq!(again.text, r#"{"error":"Registry already exists with name geo"}"#);
    for _ in 0..2 {
        let gone = silo.admin().delete(&format!("/registries/delete/{registry}")).await.expect(200);
        assert_eq!(gone.text, r#"{"result":"success"}"#, "also when it is gone already");
    }
    for (path, expected) in [
        ("/registries", "[]"),
        ("/images", "[]"),
        ("/jobs", "[]"),
        ("/job-versions", "[]"),
        ("/jobs/search/my-job", "{}"),
    ] {
        assert_eq!(silo.anonymous().get(path).await.expect(200).text, expected, "{path}");
    }
    let next = silo.add_layout("geo", &jobs(&[])).await;
    assert!(next > registry, "an id is never given twice");
}

#[tokio::test]
async fn a_manifest_comes_with_its_defaults_and_its_text() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    let image = silo.anonymous().get("/images/1").await.expect(200).json();
    assert_eq!(text(&image["Manifest"]), manifest("my-job", "1.0.0", "0.1.0").to_string(), "byte for byte");
    let seed = silo.anonymous().get("/images/1/manifest").await.expect(200).json();
    assert_eq!(seed, image["Seed"]);
    assert_eq!(seed["job"]["interface"]["inputs"], json!({}), "filled in");
    let scalar = &seed["job"]["resources"]["scalar"][0];
    assert_eq!(scalar.to_string(), r#"{"name":"cpus","value":1}"#);
}

#[tokio::test]
async fn a_manifest_is_only_read_from_registries_that_were_added() {
    let silo = TestApp::start().await;
    for (path, status, says) in [
        ("/images/manifest/hub.docker.com/org/name-1.0.0-seed:1.0.0", 404, "hub.docker.com"),
        ("/images/manifest/127.0.0.1:1/x", 404, "127.0.0.1:1"),
        ("/images/manifest/h/a:b:c", 400, "More than one colon in image name"),
        ("/images/manifest/h/a%2F..%2Fb", 400, "names no image"),
        ("/images/manifest/h/A", 400, "names no image"),
        ("/images/manifest/h/a:%20", 400, "names no image"),
    ] {
        let why = silo.anonymous().get(path).await.expect(status).error();
        assert!(why.contains(says), "{path}: {why}");
    }
}
