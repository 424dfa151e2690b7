//! `/registries`.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::success;
use super::views::{LegacyRegistryDetailView, LegacyRegistryView};
use crate::app::{App, RegistryForm, ScanOutcome, UserSession};
use crate::catalog::{RegistryId, ScanId, ScanTrigger, UserRole};
use crate::http::error::Result;
use crate::http::extract::{CaseInsensitiveJson, PathParameters, RequestApp, id};

pub(super) async fn add(
    RequestApp(app): RequestApp,
    body: CaseInsensitiveJson,
) -> Result<(StatusCode, Json<LegacyRegistryDetailView>)> {
    let form = RegistryForm {
        name: body.text("name")?,
        url: body.text("url")?,
        org: body.text("org")?,
        username: body.text("username")?,
        password: SecretString::from(body.text("password")?),
        ..RegistryForm::default()
    };
    let registry = app.registry_add(&form).await?.registry;
    Ok((StatusCode::CREATED, Json(LegacyRegistryDetailView::new(registry, true))))
}

pub(super) async fn list(RequestApp(app): RequestApp) -> Result<Json<Vec<LegacyRegistryView>>> {
    Ok(Json(app.registry_list().await?.into_iter().map(LegacyRegistryView::from).collect()))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: Option<UserSession>,
    PathParameters(registry): PathParameters<String>,
) -> Result<Json<LegacyRegistryDetailView>> {
    let is_admin = session.is_some_and(|session| session.user.role == UserRole::Admin);
    let registry = app.registry_get(RegistryId(id(&registry)?)).await?;
    Ok(Json(LegacyRegistryDetailView::new(registry, is_admin)))
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
) -> Result<Json<Value>> {
    app.registry_delete(RegistryId(id(&registry)?)).await?;
    Ok(success())
}

pub(super) async fn scan_all(RequestApp(app): RequestApp) -> Result<Response> {
    let scans: Vec<ScanId> = app.scan_request_all().await?.into_iter().map(|asked| asked.scan).collect();
    scan_reply(&app, &scans, "application/txt; charset=UTF-8", "/api/v1/scans".to_owned()).await
}

pub(super) async fn scan_one(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
) -> Result<Response> {
    let scan = app.scan_request(RegistryId(id(&registry)?), ScanTrigger::Manual).await?;
    scan_reply(&app, &[scan], "application/text; charset=UTF-8", format!("/api/v1/scans/{scan}")).await
}

/// Old clients take the reply for the end of the scan, and proxies limit long waits: so it waits a little. If the scan
/// has ended by then, the reply is empty; else it says that the scan goes on, and where its state is.
async fn scan_reply(app: &App, scans: &[ScanId], finished_type: &'static str, location: String) -> Result<Response> {
    let most = Duration::from_secs(u64::from(app.settings().scan.wait_seconds));
    let location = [(header::LOCATION, location)];
    Ok(match app.scan_wait(scans, most).await? {
        ScanOutcome::Ended => {
            (StatusCode::ACCEPTED, location, [(header::CONTENT_TYPE, finished_type)], "").into_response()
        }
        ScanOutcome::GoesOn => {
            (StatusCode::ACCEPTED, location, Json(json!({ "message": "Scanning Registries" }))).into_response()
        }
    })
}
