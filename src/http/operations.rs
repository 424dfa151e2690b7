//! Routes for operators: liveness, readiness, metrics, the OpenAPI document.

use axum::Extension;
use axum::response::IntoResponse;
use http::{Method, header};

use super::connections::file_handle_finding;
use super::error::Result;
use super::routes::{RouteAccess, RouteTable};
use super::stream::StreamSlots;
use crate::app::{App, DiagnosticFinding, Error};
use crate::http::extract::RequestApp;
use crate::telemetry;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    routes
        .add(Method::GET, "/healthz", RouteAccess::Anyone, healthz)
        .add(Method::GET, "/readyz", RouteAccess::Anyone, readyz)
        .add(Method::GET, "/metrics", RouteAccess::Anyone, metrics)
        .add(Method::GET, "/openapi.yaml", RouteAccess::Anyone, openapi)
}

/// The findings of `silo doctor` about this installation and this process.
pub(super) async fn examined(app: &App) -> Vec<DiagnosticFinding> {
    let mut findings = app.system_findings().await;
    findings.push(file_handle_finding(app.settings().http.connections));
    findings
}

/// Liveness: the process answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness: the process can do its work.
async fn readyz(RequestApp(app): RequestApp) -> Result<&'static str> {
    app.ready().await.map_err(Error::Unavailable)?;
    Ok("ready\n")
}

async fn metrics(RequestApp(app): RequestApp, Extension(places): Extension<StreamSlots>) -> impl IntoResponse {
    app.describe_metrics().await;
    ::metrics::gauge!("silo_streams_open").set(places.taken() as f64);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::metrics().render())
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], super::OPENAPI)
}
