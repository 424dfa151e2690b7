//! The reference registry with content of every kind.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{counts, fields, manifest};
use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::LayoutBuilder;
use crate::support::process::{Engine, Setup, Silo, on_both};

const PROBLEMS: [[&str; 3]; 3] = [
    ["manifest-invalid", "broken-1.0.0-seed:1.0.0", "maintainer"],
    ["platforms-differ", "drift-1.0.0-seed:1.0.0", "different Seed manifests"],
    ["label-refused", "nameless-1.0.0-seed:1.0.0", "no job.jobVersion"],
];

/// Pushes images of every kind.
async fn fill(registry: &DockerRegistry) {
    let label = |manifest: &Value| manifest.to_string();
    let name = silo::seed::LABEL;
    let cloud = label(&manifest("cloud-mask", "1.0.0", "Marks clouds"));
    let ice = label(&manifest("ice-edge", "1.0.0", "Finds the edge of sea ice"));
    let [drift, other] =
        ["Follows drifting ice", "Another title"].map(|title| label(&manifest("drift", "1.0.0", title)));
    let mut broken = manifest("broken", "1.0.0", "Breaks the standard");
    broken["job"].as_object_mut().unwrap().shift_remove("maintainer");
    let mut nameless = manifest("nameless", "1.0.0", "Names no version");
    nameless["job"].as_object_mut().unwrap().shift_remove("jobVersion");

    let mut layout = LayoutBuilder::oci();
    layout.image("geo/cloud-mask-1.0.0-seed:1.0.0", &[(name, &cloud)]);
    layout.attested_index(
        "ice-edge-1.0.0-seed:1.0.0",
        &[("linux/amd64", &[(name, &ice)]), ("linux/arm64", &[(name, &ice)])],
    );
    layout.index("drift-1.0.0-seed:1.0.0", &[("linux/amd64", &[(name, &drift)]), ("linux/arm64", &[(name, &other)])]);
    layout.image("broken-1.0.0-seed:1.0.0", &[(name, &label(&broken))]);
    layout.image("nameless-1.0.0-seed:1.0.0", &[(name, &label(&nameless))]);
    layout.image("plain-1.0.0-seed:1.0.0", &[("maintainer", "nobody")]);
    layout.image("webserver:latest", &[(name, &cloud)]);
    let folder = TempDir::new().unwrap();
    layout.write(folder.path()).unwrap();
    for reference in [
        "geo/cloud-mask-1.0.0-seed:1.0.0",
        "ice-edge-1.0.0-seed:1.0.0",
        "drift-1.0.0-seed:1.0.0",
        "broken-1.0.0-seed:1.0.0",
        "nameless-1.0.0-seed:1.0.0",
        "plain-1.0.0-seed:1.0.0",
        "webserver:latest",
    ] {
        registry.push(folder.path(), reference).await;
    }
    layout.artifact("chart-1.0.0-seed:1.0.0");
    registry.put(&layout, "chart-1.0.0-seed:1.0.0").await;
    let mut docker = LayoutBuilder::docker();
    let old = label(&manifest("old-style", "1.0.0", "Speaks schema 2"));
    docker.image("old-style-1.0.0-seed:1.0.0", &[(name, &old)]);
    registry.put(&docker, "old-style-1.0.0-seed:1.0.0").await;
}

async fn assert_problems(silo: &Silo, scan: &Value) {
    let problems = silo.problems(scan).await;
    assert_eq!(problems.len(), PROBLEMS.len(), "{problems:#?}");
    for ([code, place, message], expected) in problems.iter().zip(PROBLEMS) {
        assert_eq!([code, place], expected[..2], "{message}");
        assert!(message.contains(expected[2]), "{message}");
    }
}

async fn everything_in_it_is_found_or_reported(engine: Engine) {
    let registry = DockerRegistry::open().await;
    fill(&registry).await;
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    let scan = silo.scan(id).await;

    assert_eq!((&scan["state"], &scan["error"], &scan["attempts"]), (&json!("complete"), &Value::Null, &json!(1)));
    let all = ["repositories", "repositoriesSkipped", "tags", "tagsDone", "added", "images", "problems"];
    assert_eq!(counts(&scan, all), [9, 1, 8, 8, 8, 5, 3], "{scan:#}");
    let note = scan["notes"][0].as_str().unwrap();
    assert!(note.contains("1 of 9 repositories were passed over because of their names"), "{note}");
    assert_problems(&silo, &scan).await;

    let host = registry.host();
    let found = silo.images("cloud").await;
    assert_eq!(fields(&found, "image"), [format!("{host}/geo/cloud-mask-1.0.0-seed:1.0.0")]);
    assert_eq!((&found[0]["title"], &found[0]["valid"]), (&json!("Marks clouds"), &json!(true)));
    let ice = silo.images("edge").await;
    let ice = silo.get(&format!("/api/v1/images/{}", ice[0]["id"])).await.expect(200);
    assert_eq!(ice["platforms"], json!(["linux/amd64", "linux/arm64"]), "the attestation is no platform");
    assert_eq!(fields(&silo.images("drift").await, "title"), ["Follows drifting ice"], "the first platform's");
    assert_eq!(fields(&silo.images("schema").await, "name"), ["old-style"]);
    let broken = silo.images("broken").await;
    assert_eq!((fields(&broken, "name"), &broken[0]["valid"]), (vec!["broken"], &json!(false)));
    for absent in ["nameless", "plain", "chart", "webserver"] {
        assert_eq!(silo.images(absent).await, Vec::<Value>::new(), "{absent}");
    }
    let table = silo.cli(&["search", "marks", "clou"]).await.expect_success();
    assert!(table.contains(&format!("{host}/geo/cloud-mask-1.0.0-seed:1.0.0")), "{table}");
}

async fn a_second_scan_costs_a_request_a_tag_and_changes_nothing(engine: Engine) {
    let registry = DockerRegistry::open().await;
    fill(&registry).await;
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    let first = silo.scan(id).await;
    let before = silo.catalogue().await;
    let second = silo.scan(id).await;

    let all = ["added", "changed", "removed", "unchanged", "images", "problems"];
    assert_eq!(counts(&second, all), [0, 0, 0, 8, 5, 3], "{second:#}");
    // A ping, the catalogue, the tags of 8 repositories, a HEAD for each of 8 tags.
    assert_eq!(counts(&second, ["requests"]), [1 + 1 + 8 + 8]);
    assert!(counts(&first, ["requests"]) > counts(&second, ["requests"]));
    assert_problems(&silo, &second).await;
    assert_eq!(silo.catalogue().await, before);
}

on_both!(everything_in_it_is_found_or_reported, a_second_scan_costs_a_request_a_tag_and_changes_nothing);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_that_ask_for_a_login_are_scanned_with_one() {
    let mut layout = LayoutBuilder::oci();
    let label = manifest("cloud-mask", "1.0.0", "Marks clouds").to_string();
    layout.image("geo/cloud-mask-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &label)]);
    let silo = Setup::new().start().await;
    let registries = [
        ("basic", DockerRegistry::htpasswd("robot", "s3cret").await),
        ("token", DockerRegistry::token("robot", "s3cret").await),
    ];
    for (name, registry) in registries {
        registry.put(&layout, "geo/cloud-mask-1.0.0-seed:1.0.0").await;
        let add = |username: &str, password: &str| json!({"name": name, "url": registry.url(), "username": username, "password": password});
        let refused = silo.post("/api/v1/registries", add("robot", "wrong")).await.expect(400);
        let words = refused["detail"].as_str().unwrap();
        assert!(words.contains("does not accept the username and password"), "{name}: {words}");
        assert!(!words.contains("wrong"), "{name}: {words}");

        let id = silo.add_with(add("robot", "s3cret")).await;
        let scan = silo.scan(id).await;
        assert_eq!((&scan["state"], counts(&scan, ["images"])), (&json!("complete"), [1]), "{name}: {scan:#}");
    }
    let basic = DockerRegistry::htpasswd("robot", "s3cret").await;
    let refused = silo.post("/api/v1/registries", json!({"name": "none", "url": basic.url()})).await.expect(400);
    let words = refused["detail"].as_str().unwrap();
    assert!(words.contains("requires a login") && words.contains("; give a username and password"), "{words}");
    assert!(!silo.log().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_went_away_keeps_its_images() {
    let mut registry = DockerRegistry::open().await;
    let mut layout = LayoutBuilder::oci();
    let label = manifest("cloud-mask", "1.0.0", "Marks clouds").to_string();
    layout.image("cloud-mask-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &label)]);
    registry.put(&layout, "cloud-mask-1.0.0-seed:1.0.0").await;
    let silo = Setup::new().impatient().start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    let before = silo.catalogue().await;

    registry.stop();
    let scan = silo.scan(id).await;
    assert_eq!(scan["state"], "failed");
    assert!(scan["error"].as_str().unwrap().contains("cannot be reached"), "{scan:#}");
    assert_eq!(silo.catalogue().await, before);

    registry.start().await;
    assert_eq!(silo.scan(id).await["state"], "complete");
    assert_eq!(silo.catalogue().await, before);
}
