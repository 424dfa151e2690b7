//! `/api/v1/validate`: its input forms, and that the API, the command line and scans give the same report on a
//! manifest.

use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};
use silo::seed::LABEL;

use super::keys;
use super::native::problem;
use crate::support::app::{Reply, TestApp, jobs, manifest, text};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, OCI_INDEX, Seen, child};

const PATH: &str = "/api/v1/validate";

/// A manifest without any problem.
fn good() -> Value {
    let mut manifest = manifest("my-job", "1.0.0", "0.1.0");
    manifest["job"]["errors"] = json!([{"code": 1, "name": "out-of-luck"}]);
    manifest
}

/// The problem codes of a report.
#[track_caller]
fn codes(report: &Value) -> Vec<String> {
    report["problems"].as_array().expect("a report has problems").iter().map(|problem| text(&problem["code"])).collect()
}

/// Sends a multipart form; each part is a head (after `form-data`) and a body.
async fn send_form(silo: &TestApp, parts: &[(&str, &str)]) -> Reply {
    let parts: String = parts
        .iter()
        .map(|(head, body)| format!("--edge\r\nContent-Disposition: form-data{head}\r\n\r\n{body}\r\n"))
        .collect();
    send_as(silo, "multipart/form-data; boundary=edge", format!("{parts}--edge--\r\n")).await
}

async fn send_as(silo: &TestApp, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    silo.anonymous().send(Method::POST, PATH, &[("content-type", content_type)], body.into()).await
}

#[tokio::test]
async fn a_report_tells_everything() {
    let silo = TestApp::start().await;
    let report = silo.anonymous().post(PATH, good()).await.expect(200).json();
    assert_eq!(keys(&report), ["valid", "profile", "strict", "imageName", "problems", "omitted"]);
    assert_eq!(
        (&report["valid"], &report["profile"], &report["strict"]),
        (&json!(true), &json!("spec"), &json!(false))
    );
    let mut bad = good();
    bad["job"]["name"] = json!("my_job");
    let report = silo.anonymous().post(PATH, bad).await.expect(200).json();
    assert_eq!((&report["valid"], &report["imageName"]), (&json!(false), &Value::Null));
    let first = &report["problems"][0];
    assert_eq!(keys(first), ["code", "severity", "path", "line", "column", "message", "help"]);
    let found = (&first["code"], &first["severity"], &first["path"]);
    assert_eq!(found, (&json!("bad-name"), &json!("error"), &json!("/job/name")));
}

#[tokio::test]
async fn the_rules_are_chosen_in_the_address() {
    let silo = TestApp::start().await;
    for (query, profile, strict) in [
        ("", "spec", false),
        ("?profile=spec", "spec", false),
        ("?profile=seed-cli&strict=false", "seed-cli", false),
        ("?strict=true&profile=scale", "scale", true),
    ] {
        let report = silo.anonymous().post(&format!("{PATH}{query}"), good()).await.expect(200).json();
        assert_eq!((&report["profile"], &report["strict"]), (&json!(profile), &json!(strict)), "{query}");
    }
    let null_scalar = {
        let mut manifest = good();
        manifest["job"]["resources"]["scalar"] = Value::Null;
        manifest
    };
    for (query, valid) in [("", true), ("?strict=true", false)] {
        let report = silo.anonymous().post(&format!("{PATH}{query}"), null_scalar.clone()).await.expect(200).json();
        assert_eq!(report["valid"], valid, "{query}: {report}");
    }
    for (query, allowed) in [
        ("?profile=", ["spec", "seed-cli", "scale"].as_slice()),
        ("?profile=Spec", &["spec", "seed-cli", "scale"]),
        ("?profile=seed_cli", &["spec", "seed-cli", "scale"]),
        ("?strict=", &["true", "false"]),
        ("?strict=1", &["true", "false"]),
        ("?strict", &["true", "false"]),
        ("?rules=spec", &["profile", "strict"]),
        ("?strict=true&strict=true", &["strict"]),
    ] {
        for word in allowed {
            problem(&silo.anonymous().post(&format!("{PATH}{query}"), good()).await, 400, word);
        }
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let silo = TestApp::start().await;
    let expected = silo.anonymous().post(PATH, good()).await.expect(200).json();
    for content_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=edge",
        "multipart/form-datax",
    ] {
        assert_eq!(send_as(&silo, content_type, good().to_string()).await.expect(200).json(), expected);
    }
    let named = send_as(&silo, "text/plain", r#"{"imageId":1}"#).await;
    problem(&named, 404, "No image");
}

#[tokio::test]
async fn what_is_no_manifest_at_all_is_judged_too() {
    let silo = TestApp::start().await;
    let deep = "[".repeat(100_000);
    let texts = ["", " ", "{", "nonsense", "null", "7", "[]", "{}", "{} {}", "\u{feff}{}", "{\"a\":1e999}", &deep];
    // Ambiguous or unknown keys do not name an image.
    let unnamed = [r#"{"image":"a","imageId":1}"#, r#"{"image":"a","x":1}"#, r#"{"Image":"a"}"#, r#""image""#];
    let bytes = [&b"\xff\xfe"[..], b"\0", b"{\"a\":\"\xff\"}", b"\x1f\x8b\x08"];
    for body in texts.iter().chain(&unnamed).map(|text| text.as_bytes()).chain(bytes) {
        let report = silo.anonymous().post_text(PATH, body).await.expect(200).json();
        let sample = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(report["valid"], false, "{sample}");
        assert!(!codes(&report).is_empty(), "{sample}");
    }
}

#[tokio::test]
async fn a_form_holds_the_manifest() {
    let silo = TestApp::start().await;
    let good = good().to_string();
    let expected = silo.anonymous().post_text(PATH, good.clone()).await.expect(200).json();
    let file = "; name=\"upload\"; filename=\"seed.manifest.json\"";
    for parts in [
        &[("; name=\"manifest\"", good.as_str())][..],
        &[("; name=\"manifest\"; filename=\"x\"", &good)],
        &[(file, &good)],
        &[("; name=\"note\"", "hello"), (file, &good)],
        &[(file, "nonsense"), ("; name=\"manifest\"", &good)],
        &[("; name=\"manifest\"", &good), ("; name=\"manifest\"", "nonsense"), (file, "nonsense")],
        &[(file, &good), (file, "nonsense")],
    ] {
        assert_eq!(send_form(&silo, parts).await.expect(200).json(), expected, "{parts:?}");
    }
    for parts in [&[][..], &[("; name=\"note\"", good.as_str())], &[("", &good)]] {
        problem(&send_form(&silo, parts).await, 422, "part named `manifest`");
    }
    assert_eq!(send_form(&silo, &[(file, "")]).await.expect(200).json()["valid"], false, "an empty file is a manifest");
    // JSON that would name an image as a body is a manifest as a form file.
    assert_eq!(send_form(&silo, &[(file, r#"{"imageId":1}"#)]).await.expect(200).json()["valid"], false);
}

#[tokio::test]
async fn forms_that_cannot_be_read_are_refused() {
    let silo = TestApp::start().await;
    problem(&send_as(&silo, "multipart/form-data", "x").await, 400, "boundary");
    for body in [
        "",
        "--other--\r\n",
        "--edge\r\nContent-Disposition: form-data; name=\"manifest\"\r\n\r\n{}",
        "--edge\r\nContent-Disposition: form-data; name=\"manifest\"\r\n",
        "nonsense",
    ] {
        problem(&send_as(&silo, "Multipart/Form-Data; boundary=edge", body).await, 400, "form");
    }
}

#[tokio::test]
async fn long_bodies_are_413_in_every_form() {
    let silo = TestApp::start().await;
    let long = "x".repeat((1 << 20) + 1);
    problem(&silo.anonymous().post_text(PATH, long.clone()).await, 413, "1048576");
    let after = [("; name=\"manifest\"", "{}"), ("; name=\"note\"", long.as_str())];
    problem(&send_form(&silo, &after).await, 413, "1048576");
    problem(&send_form(&silo, &[("; name=\"manifest\"", &long)]).await, 413, "1048576");
    let longest = format!("{{{}}}", " ".repeat((1 << 20) - 2));
    silo.anonymous().post_text(PATH, longest).await.expect(200);
}

#[tokio::test]
async fn names_that_cannot_be_used_are_422() {
    let silo = TestApp::start().await;
    for (body, names) in [
        (r#"{"imageId":"7"}"#, "imageId"),
        (r#"{"imageId":7.5}"#, "imageId"),
        (r#"{"imageId":9223372036854775808}"#, "imageId"),
        (r#"{"imageId":null}"#, "imageId"),
        (r#"{"imageId":[[[]]]}"#, "imageId"),
        (r#"{"image":7}"#, "image"),
        (r#"{"image":null}"#, "image"),
        (r#"{"image":{"name":"a"}}"#, "image"),
        (r#"{"image":"a\u0000b/c:1"}"#, "NUL"),
    ] {
        problem(&silo.anonymous().post_text(PATH, body).await, 422, names);
    }
    for id in ["0", "-1", "9223372036854775807"] {
        problem(&silo.anonymous().post_text(PATH, format!(r#"{{"imageId":{id}}}"#)).await, 404, "No image found");
    }
}

#[tokio::test]
async fn only_registries_that_were_added_are_asked() {
    let (silo, stranger) = (TestApp::start().await, FakeRegistry::start().await);
    stranger.push("geo/a-seed", "1", &Image::new().label(LABEL, good().to_string()));
    for (image, status, says) in [
        (format!("{}/geo/a-seed:1", stranger.host()), 404, "an admin can add it"),
        ("127.0.0.1:1/x".to_owned(), 404, "127.0.0.1:1"),
        ("a-seed:1".to_owned(), 404, "a-seed:1"),
        (String::new(), 404, "HOST/REPOSITORY:TAG"),
        ("/a:1".to_owned(), 404, "an admin can add it"),
        ("h/a:b:c".to_owned(), 400, "More than one colon in image name"),
        ("h/../b".to_owned(), 400, "names no image"),
        ("h/A".to_owned(), 400, "names no image"),
    ] {
        problem(&silo.anonymous().post(PATH, json!({"image": image})).await, status, says);
    }
    assert_eq!(stranger.count(Seen::is_any), 0, "a registry that nobody added was asked");
}

#[tokio::test]
async fn an_image_of_a_registry_is_judged_without_being_catalogued() {
    let (silo, registry) = (TestApp::start().await, FakeRegistry::start().await);
    let body = json!({"name": "geo", "url": registry.url()});
    silo.admin().post("/api/v1/registries", body).await.expect(201);
    let ask =
        async |image: &str| silo.anonymous().post(PATH, json!({"image": format!("{}/{image}", registry.host())})).await;

    let mut bad = good();
    bad["job"]["name"] = json!("my_job");
    registry.push("geo/bad-seed", "1", &Image::new().label(LABEL, bad.to_string()));
    assert_eq!(codes(&ask("geo/bad-seed:1").await.expect(200).json()), ["bad-name"]);
    registry.push("geo/bad-seed", "latest", &Image::new().label(LABEL, good().to_string()));
    assert_eq!(ask("geo/bad-seed").await.expect(200).json()["valid"], true, "no tag means latest");

    registry.push("geo/plain-seed", "1", &Image::new());
    let report = ask("geo/plain-seed:1").await.expect(200).json();
    assert_eq!((&report["valid"], codes(&report)), (&json!(false), vec!["no-label".to_owned()]));

    registry.push_artifact("geo/chart-seed", "1", "application/vnd.cncf.helm.config.v1+json");
    problem(&ask("geo/chart-seed:1").await, 404, "not a container image");
    problem(&ask("geo/bad-seed:2").await, 404, "There is no image");
    registry.fault(Seen::is_manifest, ALWAYS, Fault::Status(500));
    problem(&ask("geo/bad-seed:3").await, 502, "500");
    assert_eq!(codes(&ask("geo/bad-seed:1").await.expect(200).json()), ["bad-name"], "what was read a moment ago");
}

#[tokio::test]
async fn an_unreadable_label_is_judged() {
    let (silo, registry) = (TestApp::start().await, FakeRegistry::start().await);
    let body = json!({"name": "geo", "url": registry.url()});
    silo.admin().post("/api/v1/registries", body).await.expect(201);
    for (tag, label) in ["", "nonsense", "[]", "\"{\\\"a\\\":\"", "<no value>"].iter().enumerate() {
        registry.push("geo/odd-seed", &tag.to_string(), &Image::new().label(LABEL, *label));
        let image = format!("{}/geo/odd-seed:{tag}", registry.host());
        let report = silo.anonymous().post(PATH, json!({"image": image})).await.expect(200).json();
        assert_eq!((&report["valid"], codes(&report)), (&json!(false), vec!["unreadable-label".to_owned()]), "{label}");
    }
}

/// As in scans.
#[tokio::test]
async fn of_several_platforms_the_first_readable_label_counts() {
    let (silo, registry) = (TestApp::start().await, FakeRegistry::start().await);
    let body = json!({"name": "geo", "url": registry.url()});
    silo.admin().post("/api/v1/registries", body).await.expect(201);
    let mut bad = good();
    bad["job"]["title"] = json!(7);
    let labels = [None, Some("nonsense".to_owned()), Some(bad.to_string()), Some(good().to_string())];
    let children: Vec<Value> = labels
        .into_iter()
        .zip(["amd64", "arm64", "s390x", "riscv64"])
        .map(|(label, platform)| {
            let image = Image::new().platform("linux", platform);
            let image = label.map_or(image.clone(), |label| image.label(LABEL, label));
            child(&registry.add(&image), &format!("linux/{platform}"))
        })
        .collect();
    registry.push_manifest(
        "geo/many-seed",
        "1",
        &json!({"mediaType": OCI_INDEX, "schemaVersion": 2, "manifests": children}),
    );
    let image = format!("{}/geo/many-seed:1", registry.host());
    let asked = silo.anonymous().post(PATH, json!({"image": image})).await.expect(200).json();
    assert_eq!(codes(&asked), ["wrong-type"]);
    silo.scan(1).await;
    let scanned = silo.anonymous().get("/api/v1/images/1").await.expect(200).json();
    assert_eq!(scanned["problems"], asked["problems"]);
}

#[tokio::test]
async fn an_image_of_a_layout_has_no_host() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    let reference = text(&silo.anonymous().get("/api/v1/images/1").await.expect(200).json()["reference"]);
    assert_eq!(reference, "geo/my-job-1.0.0-seed:0.1.0");
    let report = silo.anonymous().post(PATH, json!({"image": reference})).await.expect(200).json();
    assert_eq!(report["valid"], true);
    problem(&silo.anonymous().post(PATH, json!({"image": "geo/my-job-1.0.0-seed:0.2.0"})).await, 404, "geo");
    // On disk, with a name without a namespace.
    let mut layout = jobs(&[]);
    layout.image("bare-1.0.0-seed:1.0.0", &[(LABEL, &good().to_string())]);
    let registry = silo.add_layout("bare", &layout).await;
    silo.scan(registry).await;
    silo.anonymous().post(PATH, json!({"image": "bare-1.0.0-seed:1.0.0"})).await.expect(200);
}

/// A manifest as escaped by old build tools for a label.
fn quoted(manifest: &str) -> String {
    Value::from(manifest).to_string().replace('$', "\\$").replace('/', "\\/")
}

/// A valid manifest with one value replaced.
fn with(pointer: &str, value: Value) -> String {
    let (object, key) = pointer.rsplit_once('/').expect("a pointer below the root");
    let mut manifest = good();
    manifest.pointer_mut(object).expect("the object is there")[key] = value;
    manifest.to_string()
}

/// A manifest of version 0.1.0.
fn old() -> String {
    let outputs = json!({"files": [{"name": "MAPS", "mediaType": "image/tiff", "pattern": "*.tif", "count": "*"}]});
    let mut manifest: Value = serde_json::from_str(&with("/seedVersion", json!("0.1.0"))).expect("JSON");
    manifest["job"]["interface"]["outputs"] = outputs;
    manifest["job"]["errors"] = json!([{"code": 1, "title": "Out of luck", "category": "job"}]);
    manifest.to_string()
}

/// Manifests that identify a job, each with a code that its report must contain; empty for a valid one.
fn manifests() -> Vec<(&'static str, String)> {
    let pretty = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        serde_json::to_string_pretty(&value).expect("JSON")
    };
    let interface = |value: Value| with("/job/interface", value);
    vec![
        ("", good().to_string()),
        ("", pretty(&good().to_string())),
        ("bad-name", pretty(&with("/job/name", json!("my_job")))),
        ("bad-version", with("/job/jobVersion", json!("1.0"))),
        ("missing-field", r#"{"job":{"name":"least","jobVersion":"1.0.0","packageVersion":"1.0.0"}}"#.to_owned()),
        ("unknown-field", with("/job/interface/a~b", json!({"a": [1, {"b": "\u{1b}[2J"}]}))),
        ("wrong-type", pretty(&with("/job/timeout", json!("60")))),
        ("unsupported-version", with("/seedVersion", json!("1.0.1"))),
        ("old-version", old()),
        ("null-scalar", with("/job/resources/scalar", Value::Null)),
        ("duplicate-key", good().to_string().replacen("\"job\":{", "\"job\":{\"title\":\"twice\",", 1)),
        ("name-collision", interface(json!({"inputs": {"files": [{"name": "A-B"}, {"name": "a_b"}]}}))),
        ("reserved-name", interface(json!({"settings": [{"name": "output-dir"}, {"name": "ALLOCATED_CPUS"}]}))),
        ("escaping-pattern", interface(json!({"outputs": {"files": [{"name": "A", "pattern": "../*"}]}}))),
        ("unset-variable", pretty(&interface(json!({"command": "run ${NOTHING/#/-n } \"é\" $"})))),
        ("bad-exit-code", with("/job/errors", json!([{"code": 0, "name": "ok"}, {"code": 0, "name": "ok"}]))),
        ("control-character", with("/job/title", json!("a \u{7} and \u{1F980}"))),
        // More problems than a report lists.
        ("wrong-type", with("/job/tags", Value::from(vec![1; 500]))),
        ("docker-name", with("/job/name", json!("My-Job"))),
    ]
}

/// Profiles and strictness; scans use the first.
const RULES: [(&str, bool); 6] =
    [("spec", false), ("spec", true), ("seed-cli", false), ("seed-cli", true), ("scale", false), ("scale", true)];

#[tokio::test]
async fn every_door_gives_the_same_report() {
    let (silo, registry, unscanned) =
        (TestApp::start().await, FakeRegistry::start().await, FakeRegistry::start().await);
    for registry in [&registry, &unscanned] {
        let body = json!({"name": registry.host(), "url": registry.url()});
        silo.admin().post("/api/v1/registries", body).await.expect(201);
    }
    let manifests = manifests();
    for (n, (_, manifest)) in manifests.iter().enumerate() {
        // Every third label is in the old form, every third also in single quotes.
        let label = match n % 3 {
            0 => manifest.clone(),
            1 => quoted(manifest),
            _ => format!("'{}'", quoted(manifest)),
        };
        for registry in [&registry, &unscanned] {
            registry.push("geo/job-seed", &format!("{n:02}"), &Image::new().label(LABEL, label.clone()));
        }
    }
    silo.scan(1).await;
    for (n, (code, manifest)) in manifests.iter().enumerate() {
        let scanned = silo.anonymous().get(&format!("/api/v1/images/{}", n + 1)).await.expect(200).json();
        let [known, unknown] =
            [&registry, &unscanned].map(|registry| format!("{}/geo/job-seed:{n:02}", registry.host()));
        assert_eq!(scanned["reference"], known);
        for (profile, strict) in RULES {
            let path = format!("{PATH}?profile={profile}&strict={strict}");
            let ask = async |body: String| silo.anonymous().post_text(&path, body).await.expect(200).json();
            let report = ask(manifest.clone()).await;
            for (door, found) in [
                ("imageId", ask(json!({"imageId": n + 1}).to_string()).await),
                ("image of the catalogue", ask(json!({"image": known}).to_string()).await),
                ("image of a registry", ask(json!({"image": unknown}).to_string()).await),
                ("silo validate", command_line(&silo.folder().join("seed.manifest.json"), manifest, profile, strict)),
            ] {
                assert_eq!(found, report, "{door}: {manifest} by {profile}, strict: {strict}");
            }
            assert!(code.is_empty() || codes(&report).iter().any(|found| found == code), "{code}: {report}");
            if (profile, strict) == RULES[0] {
                let expected = (&report["valid"], &report["problems"]);
                assert_eq!((&scanned["valid"], &scanned["problems"]), expected, "a scan: {manifest}");
                assert!(!code.is_empty() || report["valid"] == true, "{report}");
            }
        }
    }
}

/// The output of `silo validate --json`.
fn command_line(file: &Path, manifest: &str, profile: &str, strict: bool) -> Value {
    std::fs::write(file, manifest).expect("a file");
    let told = Command::new(env!("CARGO_BIN_EXE_silo"))
        .args(["validate", "--json", "--profile", profile])
        .args(strict.then_some("--strict"))
        .arg(file)
        .output()
        .expect("silo runs");
    serde_json::from_slice(&told.stdout).expect("a report")
}
