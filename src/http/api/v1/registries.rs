//! `/api/v1/registries`.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;

use super::limit;
use crate::api::PageReply;
use crate::api::registries::{
    LastScanReply, RegistryAddForm, RegistryChangeForm, RegistryCheckReply, RegistryKindForm, RegistryKindReply,
    RegistryLossReply, RegistryReply, RepositoryReply,
};
use crate::app::{
    CheckedRegistry, Error, RegistryAccessChange, RegistryChange, RegistryCheck, RegistryForm, RegistryStatus,
    UserSession, ca_fingerprints, visibility_named,
};
use crate::catalog::{
    RegistryId, RegistryKind, RegistryLoss, RegistryMembers, RegistrySize, ScanRecord, ScannedRepository, UserRole,
    VerifiedMarks,
};
use crate::http::error::Result;
use crate::http::extract::{JsonBody, PathParameters, QueryParameters, RequestApp, id};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoryListQuery {
    /// Only those whose last scan failed.
    #[serde(default)]
    failing: bool,
    limit: Option<u32>,
    /// A name.
    #[serde(default)]
    cursor: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialQuery {
    /// Check only; add, change and delete nothing.
    #[serde(default)]
    dry_run: bool,
}

fn registry_reply(status: RegistryStatus, is_admin: bool) -> RegistryReply {
    let RegistryStatus { registry, last_scan, size, members } = status;
    RegistryReply {
        ca_fingerprints: ca_fingerprints(&registry),
        id: registry.id.0,
        name: registry.name,
        url: registry.url,
        kind: registry.kind.as_str().into(),
        org: registry.org,
        username: is_admin.then_some(registry.username),
        has_password: registry.has_password,
        has_hook: registry.has_hook,
        has_client_certificate: !registry.client_certificate.is_empty(),
        include: registry.include,
        exclude: registry.exclude,
        repositories: registry.repositories,
        schedule: registry.schedule,
        created_at: registry.created_at,
        next_scan_at: registry.next_scan_at,
        last_scan: last_scan.map(last_scan_reply),
        images: size.images,
        failing_repositories: size.failing_repositories,
        verified: registry.verified.registry,
        verified_namespaces: registry.verified.namespaces,
        visibility: registry.visibility.as_str().into(),
        members: is_admin.then_some(members.users),
        member_groups: is_admin.then_some(members.groups),
        maintainers: is_admin.then_some(members.maintainers),
        notes: Vec::new(),
    }
}

fn last_scan_reply(scan: ScanRecord) -> LastScanReply {
    let (state, held) = (scan.state.as_str().into(), scan.counts.held);
    LastScanReply { id: scan.id.0, state, finished_at: scan.finished_at, held }
}

fn repository_reply(repository: ScannedRepository) -> RepositoryReply {
    let ScannedRepository { name, listed_at, tags, failures, failing_since, failure } = repository;
    RepositoryReply { name, tags, listed_at, failures, failing_since, failure }
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: Option<UserSession>,
) -> Result<axum::Json<Vec<RegistryReply>>> {
    let is_admin = is_admin(session);
    let registries = app.registry_status_list().await?;
    Ok(axum::Json(registries.into_iter().map(|registry| registry_reply(registry, is_admin)).collect()))
}

/// The kind of the registry at an address, which need not be added.
pub(super) async fn kind(
    RequestApp(app): RequestApp,
    JsonBody(form): JsonBody<RegistryKindForm>,
) -> Result<axum::Json<RegistryKindReply>> {
    Ok(axum::Json(RegistryKindReply { kind: app.registry_kind(&form.url).await?.as_str().into() }))
}

pub(super) async fn add(
    RequestApp(app): RequestApp,
    QueryParameters(TrialQuery { dry_run }): QueryParameters<TrialQuery>,
    JsonBody(form): JsonBody<RegistryAddForm>,
) -> Result<Response> {
    let form = RegistryForm {
        name: form.name,
        url: form.url,
        kind: form.kind.as_deref().map(kind_named).transpose()?,
        org: form.org,
        username: form.username,
        password: form.password,
        ca: form.ca,
        client_certificate: form.client_certificate,
        client_key: form.client_key,
        include: form.include,
        exclude: form.exclude,
        repositories: form.repositories,
        schedule: form.schedule,
        verified: VerifiedMarks { registry: form.verified, namespaces: form.verified_namespaces },
        visibility: form.visibility.as_deref().map(visibility_named).transpose()?.unwrap_or_default(),
        members: RegistryMembers { users: form.members, groups: form.member_groups, maintainers: form.maintainers },
    };
    if dry_run {
        return Ok(checked(app.registry_check(&form).await?));
    }
    let CheckedRegistry { registry, notes } = app.registry_add(&form).await?;
    let location = [(header::LOCATION, format!("/api/v1/registries/{}", registry.id))];
    let RegistryForm { members, .. } = form;
    let status = RegistryStatus { registry, last_scan: None, size: RegistrySize::default(), members };
    let view = RegistryReply { notes, ..registry_reply(status, true) };
    Ok((StatusCode::CREATED, location, axum::Json(view)).into_response())
}

fn checked(RegistryCheck { kind, host, notes }: RegistryCheck) -> Response {
    axum::Json(RegistryCheckReply { kind: kind.as_str().into(), host, notes }).into_response()
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: Option<UserSession>,
    PathParameters(registry): PathParameters<String>,
) -> Result<axum::Json<RegistryReply>> {
    let registry = app.registry_status(RegistryId(id(&registry)?)).await?;
    Ok(axum::Json(registry_reply(registry, is_admin(session))))
}

pub(super) async fn repositories(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
    QueryParameters(asked): QueryParameters<RepositoryListQuery>,
) -> Result<axum::Json<PageReply<RepositoryReply>>> {
    let limit = limit(asked.limit)?;
    let found = app.registry_repositories(RegistryId(id(&registry)?), asked.failing, &asked.cursor, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.name.clone());
    Ok(axum::Json(PageReply { items: found.into_iter().map(repository_reply).collect(), next }))
}

pub(super) async fn change(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(registry): PathParameters<String>,
    QueryParameters(TrialQuery { dry_run }): QueryParameters<TrialQuery>,
    JsonBody(form): JsonBody<RegistryChangeForm>,
) -> Result<Response> {
    let access = RegistryAccessChange {
        visibility: form.visibility.as_deref().map(visibility_named).transpose()?,
        members: form.members,
        groups: form.member_groups,
        maintainers: form.maintainers,
    };
    let change = RegistryChange {
        url: form.url,
        org: form.org,
        username: form.username,
        password: form.password.into(),
        ca: form.ca,
        client_certificate: form.client_certificate,
        client_key: form.client_key.into(),
        include: form.include,
        exclude: form.exclude,
        repositories: form.repositories,
        schedule: form.schedule,
        verified: form.verified,
        verified_namespaces: form.verified_namespaces,
        access,
    };
    let is_admin = session.user.role == UserRole::Admin;
    if !is_admin && !change.is_for_maintainers() {
        return Err(session.refused(UserRole::Admin).into());
    }
    let id = RegistryId(id(&registry)?);
    if dry_run {
        return Ok(checked(app.registry_check_change(id, &change).await?));
    }
    let notes = app.registry_change(id, &change).await?.notes;
    let view = RegistryReply { notes, ..registry_reply(app.registry_status(id).await?, is_admin) };
    Ok(axum::Json(view).into_response())
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathParameters(registry): PathParameters<String>,
    QueryParameters(TrialQuery { dry_run }): QueryParameters<TrialQuery>,
) -> Result<Response> {
    let id = RegistryId(id(&registry)?);
    if dry_run {
        let RegistryLoss { images, jobs } = app.registry_loss(id).await?;
        return Ok(axum::Json(RegistryLossReply { images, jobs }).into_response());
    }
    app.registry_get(id).await?;
    app.registry_delete(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn kind_named(word: &str) -> Result<RegistryKind> {
    RegistryKind::parse(word).ok_or_else(|| {
        let known: Vec<&str> = RegistryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Error::Invalid(format!("There is no kind of registry '{word}'; there are {}", known.join(", "))).into()
    })
}

fn is_admin(session: Option<UserSession>) -> bool {
    session.is_some_and(|session| session.user.role == UserRole::Admin)
}
