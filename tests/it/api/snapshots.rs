//! Snapshots of the main replies, so that changes are seen in review. Accept changes with
//! `INSTA_UPDATE=always tests/run --test it api::snapshots`.

use serde_json::{Value, json};

use crate::support::app::{TestApp, jobs};

/// Replaces values that differ from run to run.
fn redacted(mut value: Value, folder: &str) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                let is_set = !value.is_null();
                *value = match key.as_str() {
                    "createdAt" | "startedAt" | "finishedAt" | "firstSeenAt" | "changedAt" | "expiresAt"
                    | "nextScanAt"
                        if is_set =>
                    {
                        json!("[time]")
                    }
                    "requestId" => json!("[id]"),
                    "token" => json!("[token]"),
                    "score" | "bytes" => json!("[number]"),
                    _ => redacted(value.take(), folder),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = redacted(item.take(), folder)),
        Value::String(text) => *text = text.replace(folder, "[folder]"),
        _ => {}
    }
    value
}

#[tokio::test]
async fn sqlite() {
    replies(TestApp::start().await).await;
}

#[tokio::test]
async fn postgres() {
    replies(TestApp::on_postgres().await).await;
}

/// Identical on both databases.
async fn replies(silo: TestApp) {
    let folder = silo.folder().display().to_string();
    let mut layout = jobs(&[("my-job", "1.0.0", "0.1.0"), ("my-job", "1.0.0", "0.2.0"), ("other", "2.0.0", "1.0.0")]);
    layout.image("geo/bad-seed:1", &[(silo::seed::LABEL, "nonsense")]);
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    for (name, path) in [
        ("index", "/"),
        ("registries", "/registries"),
        ("registry", "/registries/1"),
        ("images", "/images"),
        ("image", "/images/2"),
        ("image-manifest", "/images/2/manifest"),
        ("images-search", "/images/search/my-job"),
        ("jobs", "/jobs"),
        ("job", "/jobs/1"),
        ("jobs-search", "/jobs/search/other"),
        ("job-versions", "/job-versions"),
        ("job-version", "/job-versions/1"),
        ("users", "/users"),
        ("error", "/jobs/x"),
        ("v1-search", "/api/v1/search?q=my-job"),
        ("v1-search-images", "/api/v1/search?q=my-job&kind=image&limit=1"),
        ("v1-image", "/api/v1/images/2"),
        ("v1-registries", "/api/v1/registries"),
        ("v1-registry", "/api/v1/registries/1"),
        ("v1-scans", "/api/v1/scans"),
        ("v1-scan", "/api/v1/scans/1"),
        ("v1-scan-problems", "/api/v1/scans/1/problems"),
        ("v1-problem", "/api/v1/scans/x"),
    ] {
        let reply = silo.admin().get(path).await.json();
        // The cursor contains a score.
        let mut reply = redacted(reply, &folder);
        if reply["next"].is_string() {
            reply["next"] = json!("[cursor]");
        }
        insta::assert_json_snapshot!(name, reply);
    }
}
