//! What removes images at once: `/admin/registries/{id}/held` confirms a held scan, `/delete` deletes the registry.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::scan_problems::ScanProblemRow;
use crate::app::{App, Error, RegistryStatus, UserSession};
use crate::catalog::{RegistryId, RegistryLoss, ScanId, ScanRecord, ScanState};
use crate::http::error::Result;
use crate::http::extract::{PathId, QueryParameters, RequestApp, id};
use crate::http::pages::form::PageForm;
use crate::http::pages::frame::PageSection;
use crate::http::pages::{PageFrame, filters, reply, reply_to_form, see_other};

#[derive(Template)]
#[template(path = "admin_held.html")]
struct HeldScanPage {
    frame: PageFrame,
    token: String,
    id: RegistryId,
    name: String,
    scan: ScanId,
    held: u64,
    /// Tags that the registry had before.
    known: u64,
    /// What vanished, by repository.
    vanished: Vec<ScanProblemRow>,
    /// Number after which the next page of these begins.
    next: Option<i64>,
    problem: Option<&'static str>,
}

impl HeldScanPage {
    /// # Errors
    /// [`Error::Conflict`] if the registry's last scan is not held.
    async fn read(app: &App, frame: PageFrame, session: &UserSession, id: RegistryId, after: i64) -> Result<Self> {
        const LIMIT: u32 = 50;
        let RegistryStatus { registry, last_scan, .. } = app.registry_status(id).await?;
        let Some(scan) = last_scan.filter(|scan| scan.state == ScanState::Held) else {
            let text = "The last scan of this registry is not held, so there is nothing to confirm";
            return Err(Error::Conflict(text.to_owned()).into());
        };
        let found = app.scan_problems(scan.id, "tags-vanished", after, LIMIT).await?;
        let ScanRecord { counts, .. } = &scan;
        Ok(Self {
            token: app.form_token(session),
            frame: frame.in_section(PageSection::Admin),
            id,
            name: registry.name,
            scan: scan.id,
            held: counts.held,
            known: counts.held + counts.unchanged + counts.changed,
            next: found.last().filter(|_| found.len() == LIMIT as usize).map(|last| last.seq),
            vanished: found.into_iter().map(ScanProblemRow::from).collect(),
            problem: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldQuery {
    #[serde(default)]
    after: i64,
}

pub(super) async fn show_held(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
    QueryParameters(HeldQuery { after }): QueryParameters<HeldQuery>,
) -> Result<Response> {
    reply(&HeldScanPage::read(&app, frame, &session, id, after).await?)
}

/// Confirms the scan that the form shows, if the registry's name was typed.
pub(super) async fn confirm(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(registry): PathId<RegistryId>,
    form: PageForm,
) -> Result<Response> {
    let registry = app.registry_get(registry).await?;
    if form.text("name").trim() != registry.name {
        let page = HeldScanPage::read(&app, frame, &session, registry.id, 0).await?;
        let page = HeldScanPage { problem: Some("This is not the name of the registry"), ..page };
        return reply_to_form(Error::Invalid(String::new()), &page);
    }
    app.scan_confirm(ScanId(id(form.text("scan"))?)).await?;
    Ok(see_other(&format!("/admin/registries/{}?done=confirmed", registry.id)))
}

#[derive(Template)]
#[template(path = "admin_registry_delete.html")]
struct RegistryDeletePage {
    frame: PageFrame,
    token: String,
    id: RegistryId,
    name: String,
    loss: RegistryLoss,
}

pub(super) async fn show_delete(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    session: UserSession,
    PathId(id): PathId<RegistryId>,
) -> Result<Response> {
    let registry = app.registry_get(id).await?;
    reply(&RegistryDeletePage {
        token: app.form_token(&session),
        frame: frame.in_section(PageSection::Admin),
        id: registry.id,
        loss: app.registry_loss(registry.id).await?,
        name: registry.name,
    })
}

pub(super) async fn delete(
    RequestApp(app): RequestApp,
    PathId(id): PathId<RegistryId>,
    _form: PageForm,
) -> Result<Response> {
    let registry = app.registry_get(id).await?;
    app.registry_delete(registry.id).await?;
    Ok(see_other("/admin/registries?done=deleted"))
}
