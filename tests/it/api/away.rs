//! PostgreSQL that is stopped, or accepts connections without replying.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::app::manifest;
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::postgres_gate::{Gate, GatedDatabase};
use crate::support::process::Setup;

/// The limit is two seconds; this machine may be busy.
const SOON: Duration = Duration::from_secs(4);

async fn answers_soon(state: Gate) {
    let registry = FakeRegistry::start().await;
    let image = Image::new().label(silo::seed::LABEL, manifest("ice", "1.2.3", "1.0.0").to_string());
    registry.push("geo/ice-1.2.3-seed", "1.0.0", &image);
    let database = GatedDatabase::new().await;
    let mut silo = Setup::new().env("DATABASE_URL", database.url()).start().await;
    let id = silo.add("mine", &registry.url()).await;
    assert_eq!(silo.scan(id).await["state"], "complete");

    database.set(state);
    let ask = async |method: &str, path: &str| {
        let started = Instant::now();
        let reply = match method {
            "GET" => silo.get(path).await,
            _ => silo.post(path, json!({"username": "admin", "password": "x", "seedVersion": "1.0.0"})).await,
        };
        assert!(started.elapsed() < SOON, "{path} after {:?}", started.elapsed());
        reply
    };
    for path in ["/images", "/api/v1/registries", "/api/v1/scans", "/readyz", "/images/1"] {
        ask("GET", path).await.expect(503);
    }
    ask("POST", "/login").await.expect(503);
    // With a token, which cannot be looked up now.
    for path in ["/healthz", "/metrics", "/openapi.yaml", "/"] {
        ask("GET", path).await.expect(200);
    }
    ask("POST", "/api/v1/validate").await.expect(200);
    for kind in ["job", "image"] {
        let found = ask("GET", &format!("/api/v1/search?q=ice&kind={kind}&highlight=true")).await.expect(200);
        let (name, version) = (&found["items"][0]["name"], &found["items"][0]["jobVersion"]);
        assert_eq!((name, version), (&json!("ice"), &json!("1.2.3")), "{found:#}");
    }
    let log = silo.log();
    assert_eq!(log.matches("PostgreSQL does not answer").count(), 1, "{log}");

    database.set(Gate::Open);
    let back = Instant::now();
    while silo.get("/readyz").await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(20), "{}", silo.log());
        tokio::time::sleep(Duration::from_millis(50)).await; // because the detection is not reported
    }
    assert_eq!(silo.scan(id).await["state"], "complete");

    // Stopped during the outage, with waiting requests.
    database.set(state);
    let (one, other) = tokio::join!(silo.get("/images"), silo.get("/jobs"));
    assert_eq!((one.status, other.status), (503, 503));
    let started = Instant::now();
    assert_eq!(silo.terminate().await.code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "twice http.shutdown_seconds at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_told_soon() {
    answers_soon(Gate::Shut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_frozen_is_told_soon() {
    answers_soon(Gate::Frozen).await;
}
