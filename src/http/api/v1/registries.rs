//! `/api/v1/registries`.

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::app::{App, Error, RegistryChange, RegistryForm, Session, ca_fingerprints};
use crate::catalog::{Registry, RegistryId, RegistryKind, Role};
use crate::http::error::Result;
use crate::http::extract::{Json, Path, id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
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
    ca: String,
    #[serde(default)]
    client_certificate: String,
    #[serde(default)]
    client_key: SecretString,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    schedule: String,
}

/// A merge patch (RFC 7396): what is absent stays, null takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ChangeForm {
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    org: Option<String>,
    #[serde(default, deserialize_with = "given")]
    username: Option<String>,
    #[serde(default, deserialize_with = "given")]
    password: Option<SecretString>,
    #[serde(default, deserialize_with = "given")]
    ca: Option<String>,
    #[serde(default, deserialize_with = "given")]
    client_certificate: Option<String>,
    #[serde(default, deserialize_with = "given")]
    client_key: Option<SecretString>,
    #[serde(default, deserialize_with = "given")]
    include: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    exclude: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    schedule: Option<String>,
}

/// A value that is there: null is the empty one.
fn given<'de, D, T>(from: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(from).map(|value| Some(value.unwrap_or_default()))
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
    has_client_certificate: bool,
    /// Of the certificates of its own authorities.
    ca_fingerprints: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    schedule: String,
    created_at: DateTime<Utc>,
    next_scan_at: Option<DateTime<Utc>>,
}

impl RegistryView {
    fn new(registry: Registry, is_admin: bool) -> Self {
        Self {
            ca_fingerprints: ca_fingerprints(&registry),
            id: registry.id.0,
            name: registry.name,
            url: registry.url,
            kind: registry.kind.as_str(),
            org: registry.org,
            username: is_admin.then_some(registry.username),
            has_password: registry.has_password,
            has_client_certificate: !registry.client_certificate.is_empty(),
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
        ca: form.ca,
        client_certificate: form.client_certificate,
        client_key: form.client_key,
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

pub(super) async fn change(
    State(app): State<App>,
    Path(registry): Path<String>,
    Json(form): Json<ChangeForm>,
) -> Result<axum::Json<RegistryView>> {
    let change = RegistryChange {
        url: form.url,
        org: form.org,
        username: form.username,
        password: form.password,
        ca: form.ca,
        client_certificate: form.client_certificate,
        client_key: form.client_key,
        include: form.include,
        exclude: form.exclude,
        schedule: form.schedule,
    };
    let registry = app.registry_change(RegistryId(id(&registry)?), &change).await?;
    Ok(axum::Json(RegistryView::new(registry, true)))
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
