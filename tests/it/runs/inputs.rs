//! Files that are not sent: fetched, left by earlier runs, lying on the server. And secrets.

use std::fs;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Runs, told};
use crate::support::process::Engine;

const COPIES: &str = "cat $FILE >$OUTPUT_DIR/begun; cat $INPUT_METADATA";

/// A server of files: the address that it listens on.
async fn files() -> String {
    let slow = async || (http::StatusCode::SERVICE_UNAVAILABLE, "later");
    let moved = async || axum::response::Redirect::temporary("/scene.tif?key=hunter2");
    let away = async || axum::response::Redirect::temporary("http://169.254.169.254/latest/meta-data");
    let router = Router::new()
        .route("/scene.tif", get(async || "pixels"))
        .route("/moved", get(moved))
        .route("/away", get(away))
        .route("/large", get(async || vec![0_u8; 2 * 1024 * 1024]))
        .route("/later", get(slow));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_are_fetched_by_address() {
    let options = [
        ("SILO__RUNS__PRIVATE_HOSTS", "127.0.0.1"),
        ("SILO__RUNS__UPLOAD_MIB", "1"),
        ("SILO__RUNS__RETRY_SECONDS", "3600"),
    ];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    let (base, image) = (files().await, runs.image(COPIES).await);
    let submit = async |spec: Value| told(&runs.submit(json!({"image": image, "files": {"FILE": spec}})).await);
    let right = hex::encode(Sha256::digest("pixels"));
    let (id, output) =
        submit(json!({"url": format!("{base}/moved?signature=hunter2"), "sha256": right, "name": "scene.tif"})).await;
    let run = runs.ended(&id).await;
    assert_eq!(run["status"], "successful", "{run:#}");
    assert_eq!(fs::read_to_string(output.join("begun")).unwrap(), "pixels");
    let given = &run["given"]["files"][0]["files"][0];
    assert_eq!(
        (&given["name"], &given["sha256"], &given["url"]),
        (&json!("scene.tif"), &json!(right), &json!(format!("{base}/moved")))
    );
    assert_eq!(run["asked"]["files"][0]["url"], format!("{base}/moved?*****"));
    for (path, spec, name, part) in [
        ("/scene.tif", json!({"sha256": "00"}), "missing-file", "SHA-256"),
        ("/nothing", json!({}), "missing-file", "404"),
        ("/large", json!({}), "missing-file", "larger than 1048576 bytes"),
        ("/away", json!({}), "missing-file", "runs.private_hosts"),
    ] {
        let mut spec = spec;
        spec["url"] = json!(format!("{base}{path}"));
        let run = runs.ended(&submit(spec).await.0).await;
        let error = &run["error"];
        assert_eq!(
            (&error["name"], &error["category"], &run["willRetry"]),
            (&json!(name), &json!("system"), &json!(false))
        );
        assert!(error["description"].as_str().unwrap().contains(part), "{error}");
    }
    // What may come later is tried again.
    let (id, _) = submit(json!({"url": format!("{base}/later")})).await;
    let run = runs.when(&id, |run| run["phase"] == "retry-wait").await;
    assert_eq!(
        (&run["status"], &run["willRetry"], &run["error"]["name"]),
        (&json!("running"), &json!(true), &json!("input-fetch"))
    );
    let cancelled = runs.silo.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "dismissed", "also while it waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_not_asked_unless_the_configuration_names_them() {
    let runs = Runs::on(Engine::Sqlite).await;
    let (base, image) = (files().await, runs.image(COPIES).await);
    let (id, _) =
        told(&runs.submit(json!({"image": image, "files": {"FILE": {"url": format!("{base}/scene.tif")}}})).await);
    let run = runs.ended(&id).await;
    assert!(run["error"]["description"].as_str().unwrap().contains("runs.private_hosts"), "{run:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_becomes_an_input_and_the_job_is_told_where_it_is_from() {
    let data = tempfile::tempdir().unwrap();
    let root = data.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.txt"), "from the server").unwrap();
    fs::write(data.path().join("secret"), "not for runs").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__INPUT_ROOTS", &root.display().to_string())]).await;
    let image = runs.image(COPIES).await;
    for path in [root.join("link"), data.path().join("secret"), root.join("../secret"), root.join("nothing")] {
        let form = json!({"image": image, "files": {"FILE": {"path": path}}});
        assert_eq!(runs.silo.post("/api/v1/runs", form).await.status, 400, "{}", path.display());
    }
    let (first, _) = told(&runs.submit(json!({"image": image, "files": {"FILE": {"path": root.join("a.txt")}}})).await);
    assert_eq!(runs.ended(&first).await["status"], "successful");
    let form = json!({"image": image, "files": {"FILE": {"run": first, "output": "BEGUN", "name": "again.txt"}}});
    let (second, output) = told(&runs.submit(form).await);
    assert_eq!(runs.ended(&second).await["status"], "successful");
    assert_eq!(fs::read_to_string(output.join("begun")).unwrap(), "from the server");
    let context = runs.silo.get(&format!("/api/v1/runs/{second}/logs/stdout")).await.expect(200);
    let file = &context["JOB"]["FILE"][0];
    assert_eq!(
        (&file["file_name"], &file["file_type"], &file["job"]),
        (&json!("again.txt"), &json!("PRODUCT"), &json!(first))
    );
    let wrong = json!({"image": image, "files": {"FILE": {"run": first, "output": "NOTHING"}}});
    assert_eq!(runs.silo.post("/api/v1/runs", wrong).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_reaches_the_job_and_nobody_else() {
    let mut runs = Runs::on(Engine::Sqlite).await;
    let manifest = json!({"seedVersion": "1.0.0", "job": {
        "name": "keeps-secrets", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "A job", "description": "Of a test",
        "maintainer": {"name": "Ada", "email": "ada@example.org"}, "timeout": 60,
        "interface": {"command": "${KEY} ${PLACE}", "settings": [{"name": "KEY", "secret": true}, {"name": "PLACE"}]}
    }});
    let label = manifest.to_string();
    let labels = [(silo::seed::LABEL, label.as_str())];
    let script = "[ \"$1\" = hunter2 ] && [ \"$KEY\" = hunter2 ] && [ \"$2\" = here ]";
    let image = runs.engine.script("keeps-secrets-1.0.0-seed:1.0.0", script, &labels).await;
    let form = json!({"image": image, "settings": {"KEY": "hunter2", "PLACE": "here"}, "label": "x"});
    let (id, _) = told(&runs.submit(form).await);
    let run = runs.ended(&id).await;
    assert_eq!((&run["status"], &run["given"]["settings"]["KEY"]), (&json!("successful"), &json!("*****")), "{run:#}");
    assert_eq!(
        (&run["asked"]["settings"]["KEY"], &run["asked"]["settings"]["PLACE"]),
        (&json!("*****"), &json!("here"))
    );
    assert!(!run.to_string().contains("hunter2"));
    // Done again, it is still known.
    let again = runs.silo.post(&format!("/api/v1/runs/{id}/rerun"), json!({})).await.expect(201);
    let again = runs.ended(again["id"].as_str().unwrap()).await;
    assert_eq!(again["status"], "successful");
    runs.silo.terminate().await;
    let found = runs.silo.shell("grep -rl hunter2 data log; true").await;
    assert_eq!(found.stdout, "", "in no file of the service");
}
