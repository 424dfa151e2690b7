//! One job by its name: its versions, their comparison, exports for other runners, the badge.

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::native::problem;
use crate::support::app::{TestApp, manifest, text};
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::layout::LayoutBuilder;

/// The manifest of a version of `ndvi`.
fn ndvi(job_version: &str, package_version: &str, email: &str) -> Value {
    let mut whole = manifest("ndvi", job_version, package_version);
    whole["job"]["maintainer"] = json!({"name": email, "email": email});
    whole["job"]["interface"] = json!({
        "command": "${RED} ${OUTPUT_DIR}",
        "inputs": {"files": [{"name": "RED", "mediaTypes": ["image/tiff"]}]},
        "outputs": {"files": [{"name": "INDEX", "pattern": "*.tif"}]},
    });
    whole
}

fn image(manifest: &Value) -> Image {
    Image::new().label(LABEL, manifest.to_string())
}

/// Three versions of `ndvi`, one of them in two places, and a higher one of another maintainer.
async fn catalogue(silo: &TestApp) -> FakeRegistry {
    silo.admin_token().await;
    let registry = FakeRegistry::start().await;
    registry.push("geo/ndvi-1.2.0-seed", "1.0.0", &image(&ndvi("1.2.0", "1.0.0", "ada@example.org")));
    registry.push("geo/ndvi-1.10.0-seed", "1.0.0", &image(&ndvi("1.10.0", "1.0.0", "ada@example.org")));
    let mut latest = ndvi("1.10.0", "1.10.0", "ada@example.org");
    latest["job"]["interface"]["inputs"]["files"][0]["required"] = json!(false);
    latest["job"]["timeout"] = json!(90);
    registry.push("geo/ndvi-1.10.0-seed", "1.10.0", &image(&latest));
    registry.push("mirror/ndvi-1.10.0-seed", "1.10.0", &image(&latest));
    registry.push("other/ndvi-9.0.0-seed", "1.0.0", &image(&ndvi("9.0.0", "1.0.0", "mal@example.org")));
    let form = json!({"name": "hub", "url": registry.url(), "include": ["*"]});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    silo.scan(added["id"].as_i64().expect("an id")).await;
    registry
}

async fn versions_are_complete(silo: TestApp) {
    let registry = catalogue(&silo).await;
    let client = silo.anonymous();
    let job = client.get("/api/v1/jobs/ndvi").await.expect(200).json();
    assert_eq!((text(&job["jobVersion"]), text(&job["packageVersion"])), ("1.10.0".into(), "1.10.0".into()));
    assert_eq!(client.get(&format!("/api/v1/jobs/{}", job["id"])).await.expect(200).json(), job);
    let origins = client.get("/api/v1/jobs/ndvi/origins").await.expect(200).json();
    assert_eq!(client.get(&format!("/api/v1/jobs/{}/origins", job["id"])).await.expect(200).json(), origins);

    let mut told = Vec::new();
    for version in job["versions"].as_array().expect("versions") {
        for package in version["packages"].as_array().expect("packages") {
            let places = package["images"].as_u64().expect("a number");
            let represents = package["origin"]["representative"] == true;
            told.push((text(&version["jobVersion"]), text(&package["packageVersion"]), places, represents));
        }
    }
    let expected = [
        ("9.0.0", "1.0.0", 1, false),
        ("1.10.0", "1.10.0", 2, true),
        ("1.10.0", "1.0.0", 1, true),
        ("1.2.0", "1.0.0", 1, true),
    ];
    assert_eq!(told, expected.map(|(job, package, places, own)| (job.to_owned(), package.to_owned(), places, own)));

    let latest = &job["versions"][1]["packages"][0];
    assert_eq!(latest["image"], format!("{}/geo/ndvi-1.10.0-seed:1.10.0", registry.host()));
    assert_eq!((&latest["imageId"], &latest["image"]), (&job["imageId"], &job["image"]), "the one that the job shows");
    let whole = client.get(&format!("/api/v1/images/{}", latest["imageId"])).await.expect(200).json();
    for field in ["digest", "platforms", "size", "builtAt", "firstSeenAt", "changedAt", "valid", "origin"] {
        assert_eq!(latest[field], whole[field], "{field}");
    }
    problem(&client.get("/api/v1/jobs/none").await, 404, "No job found with that name");
    problem(&client.get("/api/v1/jobs/999").await, 404, "No job found with that ID");
}

#[tokio::test]
async fn a_job_has_all_its_versions_and_packages() {
    versions_are_complete(TestApp::start().await).await;
}

#[tokio::test]
async fn a_job_has_all_its_versions_and_packages_on_postgres() {
    versions_are_complete(TestApp::on_postgres().await).await;
}

async fn versions_are_compared(silo: TestApp) {
    let _registry = catalogue(&silo).await;
    let client = silo.anonymous();
    let compared = client.get("/api/v1/jobs/ndvi/compare/1.2.0..1.10.0").await.expect(200).json();
    let side = |side: &str| (text(&compared[side]["jobVersion"]), text(&compared[side]["packageVersion"]));
    assert_eq!(side("old"), ("1.2.0".into(), "1.0.0".into()));
    assert_eq!(side("new"), ("1.10.0".into(), "1.10.0".into()), "the highest package");
    assert_eq!(
        compared["changes"],
        json!([
            {"section": "about", "field": "job.jobVersion", "old": "1.2.0", "new": "1.10.0"},
            {"section": "about", "field": "job.packageVersion", "old": "1.0.0", "new": "1.10.0"},
            {"section": "inputs", "field": "job.interface.inputs.files[RED].required", "old": true, "new": false},
            {"section": "resources", "field": "job.timeout", "old": 60, "new": 90},
        ])
    );
    let job = client.get("/api/v1/jobs/ndvi").await.expect(200).json();
    let by_id = format!("/api/v1/jobs/{}/compare/1.2.0:1.0.0..1.10.0:1.10.0", job["id"]);
    assert_eq!(client.get(&by_id).await.expect(200).json(), compared);
    let same = client.get("/api/v1/jobs/ndvi/compare/1.2.0..1.2.0").await.expect(200).json();
    assert_eq!(same["changes"], json!([]));
    for (versions, names) in [("1.2.0", "OLD..NEW"), ("..1.2.0", "OLD..NEW"), ("1.2.0..", "OLD..NEW")] {
        problem(&client.get(&format!("/api/v1/jobs/ndvi/compare/{versions}")).await, 400, names);
    }
    for versions in ["1.2.0..7.0.0", "1.2.0:9.9.9..1.10.0"] {
        problem(&client.get(&format!("/api/v1/jobs/ndvi/compare/{versions}")).await, 404, "no such version");
    }
    problem(&client.get("/api/v1/jobs/none/compare/1.0.0..2.0.0").await, 404, "No job found with that name");
}

#[tokio::test]
async fn two_versions_are_compared_field_by_field() {
    versions_are_compared(TestApp::start().await).await;
}

#[tokio::test]
async fn two_versions_are_compared_field_by_field_on_postgres() {
    versions_are_compared(TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn an_image_is_exported_for_other_runners() {
    let silo = TestApp::start().await;
    let registry = catalogue(&silo).await;
    let mut layout = LayoutBuilder::oci();
    let mut broken = manifest("broken", "1.0.0", "1.0.0");
    broken["job"]["timeout"] = json!("soon");
    layout.image("geo/broken-seed:1", &[(LABEL, &broken.to_string())]);
    layout.image("geo/on-disk-seed:1", &[(LABEL, &manifest("on-disk", "1.0.0", "1.0.0").to_string())]);
    let disk = silo.add_layout("disk", &layout).await;
    silo.scan(disk).await;
    let client = silo.anonymous();
    let image_of = async |name: &str| client.get(&format!("/api/v1/jobs/{name}")).await.expect(200).json();

    let ndvi = image_of("ndvi").await;
    let digest = text(&ndvi["versions"][1]["packages"][0]["digest"]);
    let pinned = format!("{}/geo/ndvi-1.10.0-seed@{digest}", registry.host());
    let tool = client.get(&format!("/api/v1/images/{}/cwl", ndvi["imageId"])).await.expect(200);
    assert_eq!(
        tool.header("content-disposition"),
        "attachment; filename=\"ndvi-1.10.0.cwl\"; filename*=UTF-8''ndvi-1.10.0.cwl"
    );
    assert_eq!((&tool.json()["class"], &tool.json()["id"]), (&json!("CommandLineTool"), &json!("ndvi")));
    assert_eq!(tool.json()["requirements"]["DockerRequirement"]["dockerPull"], pinned);
    let script = client.get(&format!("/api/v1/images/{}/script", ndvi["imageId"])).await.expect(200);
    assert!(script.text.starts_with("#!/bin/bash\n") && script.text.contains(&pinned), "{}", script.text);
    assert!(script.header("content-disposition").starts_with("attachment; filename=\"ndvi-1.10.0.sh\""));

    let on_disk = image_of("on-disk").await;
    let tool = client.get(&format!("/api/v1/images/{}/cwl", on_disk["imageId"])).await.expect(200).json();
    assert_eq!(
        tool["requirements"]["DockerRequirement"]["dockerPull"], "geo/on-disk-seed:1",
        "there is no registry to ask"
    );
    let broken = image_of("broken").await;
    for word in ["cwl", "script"] {
        let path = format!("/api/v1/images/{}/{word}", broken["imageId"]);
        problem(&client.get(&path).await, 400, "The manifest of geo/broken-seed:1 is not valid");
        client.get(&format!("/api/v1/images/999/{word}")).await.expect(404);
        client.get(&format!("/api/v1/images/x/{word}")).await.expect(400);
    }

    for (name, words, colour) in [("ndvi", "1.10.0 valid", "#0b6746"), ("broken", "1.0.0 invalid", "#b3261e")] {
        let badge = client.get(&format!("/api/v1/jobs/{name}/badge.svg")).await.expect(200);
        assert!(badge.text.contains(&format!(">{words}</text>")) && badge.text.contains(colour), "{}", badge.text);
        assert_eq!(badge.header("cache-control"), "public, max-age=300");
        assert_eq!(badge.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(badge.header("cross-origin-resource-policy"), "cross-origin");
    }
    client.get("/api/v1/jobs/none/badge.svg").await.expect(404);
}

/// Names, and their spellings in addresses.
const ODD_NAMES: [(&str, &[&str]); 11] = [
    ("a/b", &["a~2Fb", "a%2Fb"]),
    ("..", &["~2E~2E"]),
    (".", &["~2E"]),
    ("17", &["~317"]),
    ("~2F", &["~7E2F"]),
    ("~x", &["~7Ex", "~x"]),
    ("\"><i>", &["%22%3E%3Ci%3E"]),
    ("a b+c%20d?e#f", &["a%20b+c%2520d%3Fe%23f", "a%20b%2Bc%2520d%3Fe%23f"]),
    ("a\u{202E}b", &["a%E2%80%AEb"]),
    ("a//b/../c", &["a~2F~2Fb~2F~2E~2E~2Fc"]),
    ("compare", &["compare"]),
];

async fn odd_names_have_addresses(silo: TestApp) {
    let long = "é".repeat(255);
    let mut layout = LayoutBuilder::oci();
    let names = ODD_NAMES.iter().map(|(name, _)| *name).chain([long.as_str()]);
    for (number, name) in names.enumerate() {
        layout.image(&format!("geo/odd-{number}-seed:1"), &[(LABEL, &manifest(name, "1.0.0", "1.0.0").to_string())]);
    }
    let registry = silo.add_layout("odd", &layout).await;
    silo.scan(registry).await;
    let client = silo.anonymous();
    let encoded: String = url::form_urlencoded::byte_serialize(long.as_bytes()).collect();
    let long = [(long.as_str(), vec![encoded.as_str()])];
    let all = ODD_NAMES.iter().map(|(name, spellings)| (*name, spellings.to_vec())).chain(long);
    for (name, spellings) in all {
        for spelling in spellings {
            let job = client.get(&format!("/api/v1/jobs/{spelling}")).await.expect(200).json();
            assert_eq!(job["name"], name, "{spelling}");
            client.get(&format!("/api/v1/jobs/{spelling}/compare/1.0.0..1.0.0")).await.expect(200);
            client.get(&format!("/api/v1/jobs/{spelling}/badge.svg")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn every_name_has_an_address() {
    odd_names_have_addresses(TestApp::start().await).await;
}

#[tokio::test]
async fn every_name_has_an_address_on_postgres() {
    odd_names_have_addresses(TestApp::on_postgres().await).await;
}
