//! `/healthz`, `/readyz`, `/metrics`.

use crate::support::app::TestApp;

#[tokio::test]
async fn a_service_without_its_database_is_alive_but_not_ready() {
    let silo = TestApp::start().await;
    silo.anonymous().get("/readyz").await.expect(200);
    silo.app.close().await;
    silo.anonymous().get("/healthz").await.expect(200);
    silo.anonymous().get("/").await.expect(200);
    silo.anonymous().get("/metrics").await.expect(200);
    assert_eq!(silo.anonymous().get("/readyz").await.expect(503).error(), "the database does not answer");
}

#[tokio::test]
async fn metrics_have_our_series() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    silo.anonymous().get("/jobs/471147114711").await.expect(404);
    silo.anonymous().get("/no/such/471147114711").await.expect(404);
    let body = serde_json::json!({"username": "nobody", "password": "x"});
    silo.anonymous().post("/login", body).await.expect(401);
    let text = silo.anonymous().get("/metrics").await.expect(200).text;
    for series in [
        r#"silo_scans_total{state="complete"}"#,
        r#"silo_scan_requests_total{kind="layout"}"#,
        "silo_scan_problems_total",
        "silo_login_failures_total",
        "silo_index_revision",
        r#"silo_http_request_duration_seconds_bucket{method="GET",route="/jobs/{id}",status="404""#,
        r#"silo_http_request_duration_seconds_count{method="GET",route="none",status="404""#,
    ] {
        assert!(text.lines().any(|line| line.starts_with(series)), "{series} is missing in\n{text}");
    }
    assert!(!text.contains("471147114711"), "a series for each path would be series without number");
    let foreign = text.lines().find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("silo_"));
    assert_eq!(foreign, None);
}
