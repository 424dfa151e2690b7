//! `/api/v1/registries`.

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::app::{App, Error, RegistryForm, Session};
use crate::catalog::{Registry, RegistryId, RegistryKind, Role};
use crate::http::error::Result;
use crate::http::extract::{Json, Path, id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddForm {
    name: String,
    url: String,
    kind: Option<String>,
    #[serde(default)]
    org: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: SecretString,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    schedule: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegistryView {
    id: i64,
    name: String,
    url: String,
    kind: &'static str,
    org: String,
    /// Only admins see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    has_password: bool,
    include: Vec<String>,
    exclude: Vec<String>,
    schedule: String,
    created_at: DateTime<Utc>,
    next_scan_at: Option<DateTime<Utc>>,
}

impl RegistryView {
    fn new(registry: Registry, is_admin: bool) -> Self {
        Self {
            id: registry.id.0,
            name: registry.name,
            url: registry.url,
            kind: registry.kind.as_str(),
            org: registry.org,
            username: is_admin.then_some(registry.username),
            has_password: registry.has_password,
            include: registry.include,
            exclude: registry.exclude,
            schedule: registry.schedule,
            created_at: registry.created_at,
            next_scan_at: registry.next_scan_at,
        }
    }
}

pub(super) async fn list(State(app): State<App>, session: Option<Session>) -> Result<axum::Json<Vec<RegistryView>>> {
    let is_admin = is_admin(session);
    let registries = app.registry_list().await?;
    Ok(axum::Json(registries.into_iter().map(|registry| RegistryView::new(registry, is_admin)).collect()))
}

pub(super) async fn add(State(app): State<App>, Json(form): Json<AddForm>) -> Result<impl IntoResponse> {
    let form = RegistryForm {
        name: form.name,
        url: form.url,
        kind: form.kind.as_deref().map(kind).transpose()?,
        org: form.org,
        username: form.username,
        password: form.password,
        include: form.include,
        exclude: form.exclude,
        schedule: form.schedule,
    };
    let registry = app.registry_add(&form).await?;
    let location = [(header::LOCATION, format!("/api/v1/registries/{}", registry.id))];
    Ok((StatusCode::CREATED, location, axum::Json(RegistryView::new(registry, true))))
}

pub(super) async fn get(
    State(app): State<App>,
    session: Option<Session>,
    Path(registry): Path<String>,
) -> Result<axum::Json<RegistryView>> {
    let registry = app.registry_get(RegistryId(id(&registry)?)).await?;
    Ok(axum::Json(RegistryView::new(registry, is_admin(session))))
}

pub(super) async fn delete(State(app): State<App>, Path(registry): Path<String>) -> Result<StatusCode> {
    let id = RegistryId(id(&registry)?);
    app.registry_get(id).await?;
    app.registry_delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn kind(word: &str) -> Result<RegistryKind> {
    RegistryKind::parse(word).ok_or_else(|| {
        let known: Vec<&str> = RegistryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Error::Invalid(format!("There is no kind of registry '{word}'; there are {}", known.join(", "))).into()
    })
}

fn is_admin(session: Option<Session>) -> bool {
    session.is_some_and(|session| session.user.role == Role::Admin)
}
