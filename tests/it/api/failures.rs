//! Internal errors: a status and a request id, without the cause.

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use silo::http::RouteAccess;
use sqlx::{Connection as _, Executor as _};
use tower::ServiceExt as _;

use super::keys;
use crate::support::app::{Reply, TestApp};

/// Routes that need the database, and their bodies.
const READS: [&str; 12] = [
    "/jobs",
    "/jobs/1",
    "/images",
    "/images/1",
    "/images/1/manifest",
    "/job-versions",
    "/job-versions/1",
    "/registries",
    "/registries/1",
    "/api/v1/registries",
    "/api/v1/images/1",
    "/users",
];

/// Asserts an internal error, in the form of the API that the path belongs to.
#[track_caller]
fn internal(reply: &Reply) {
    let reply = reply.clone().expect(500);
    let (body, id) = (reply.json(), reply.header("x-request-id"));
    let expected = format!("Internal error. See the log for request id {id}");
    if reply.asked.contains(" /api/") {
        let problem = json!({"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": expected, "requestId": id});
        assert_eq!((body, reply.header("content-type")), (problem, "application/problem+json"));
    } else {
        assert_eq!((body, reply.header("content-type")), (json!({"error": expected}), "application/json"));
    }
    let lower = reply.text.to_lowercase();
    for cause in ["sql", "pool", "relation", "database", "panicked", "src/"] {
        assert!(!lower.contains(cause), "{}: {}", reply.asked, reply.text);
    }
}

/// Asserts a temporary failure: with `Retry-After`, without the cause.
#[track_caller]
fn away(reply: &Reply) {
    let reply = reply.clone().expect(503);
    let (id, again) = (reply.header("x-request-id"), reply.header("retry-after"));
    assert!(again.parse::<u64>().is_ok_and(|seconds| (1..=30).contains(&seconds)), "{again}");
    assert!(reply.text.contains(id), "{}", reply.text);
    let lower = reply.text.to_lowercase();
    for cause in ["sql", "pool", "relation", "database", "panicked", "src/"] {
        assert!(!lower.contains(cause), "{}: {}", reply.asked, reply.text);
    }
}

async fn everything_fails_politely(silo: &TestApp, told: fn(&Reply)) {
    for path in READS {
        told(&silo.admin().get(path).await);
    }
    for (path, body) in [
        ("/login", json!({"username": "admin", "password": "x"})),
        ("/api/v1/login", json!({"username": "admin", "password": "x"})),
        ("/users/add", json!({"username": "bob", "password": "x"})),
        ("/registries/scan", Value::Null),
        ("/api/v1/registries/1/scans", Value::Null),
        ("/api/v1/validate", json!({"imageId": 1})),
        ("/api/v1/validate", json!({"image": "registry.example/a:1"})),
    ] {
        told(&silo.admin().post(path, body).await);
    }
    told(&silo.admin().delete("/users/delete/5").await);
    told(&silo.admin().delete("/api/v1/registries/5").await);
    silo.anonymous().get("/").await.expect(200);
    silo.anonymous().get("/healthz").await.expect(200);
    silo.anonymous().get("/readyz").await.expect(503);
}

#[tokio::test]
async fn a_closed_database_is_told_without_its_cause() {
    let silo = TestApp::start().await;
    silo.admin_token().await;
    silo.app.close().await;
    everything_fails_politely(&silo, away).await;
}

#[tokio::test]
async fn a_schema_that_vanished_is_told_without_its_cause() {
    let silo = TestApp::on_postgres().await;
    silo.admin_token().await;
    let mut behind = sqlx::PgConnection::connect_with(&silo.database().options()).await.expect("a connection");
    behind.execute("DROP SCHEMA silo CASCADE").await.expect("the schema goes");
    everything_fails_politely(&silo, internal).await;
}

#[tokio::test]
async fn a_handler_that_panics_answers() {
    async fn panics() -> &'static str {
        panic!("a secret cause")
    }
    let silo = TestApp::start().await;
    let router = silo::http::routes(silo.app.clone())
        .add(Method::GET, "/panics", RouteAccess::Anyone, panics)
        .add(Method::GET, "/api/v1/panics", RouteAccess::Anyone, panics)
        .into_router();
    for path in ["/panics", "/api/v1/panics"] {
        let request = Request::get(path).header("host", "silo").body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("a reply");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        internal(&Reply { asked: format!("GET {path}"), status: parts.status.as_u16(), headers: parts.headers, text });
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    async fn hangs() -> &'static str {
        std::future::pending().await
    }
    let silo = TestApp::with().set("SILO__HTTP__REQUEST_TIMEOUT_SECONDS", "1").start().await;
    let router =
        silo::http::routes(silo.app.clone()).add(Method::GET, "/hangs", RouteAccess::Anyone, hangs).into_router();
    let request = Request::get("/hangs").header("host", "silo").body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("a reply");
    assert_eq!(response.status(), 503);
    let body: Value =
        serde_json::from_slice(&response.into_body().collect().await.expect("a body").to_bytes()).expect("JSON");
    assert_eq!(keys(&body), ["error"]);
}
