//! `/api/v1/images`, and exports of their jobs.

use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderValue, header};
use serde::Deserialize;

use super::lists::{AskedPage, SortWords};
use crate::api::PageReply;
use crate::api::images::{ImageDetailReply, ImageReply, PastDigestReply};
use crate::app::{App, ExportFormat};
use crate::catalog::{CatalogueImage, ImageFilter, ImageId, ImageOrder, PastDigest, RegistryId, SortKey};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp, id};
use crate::http::file::disposition;
use crate::seed::manifest;

impl ImageDetailReply {
    fn new(image: CatalogueImage, history: Vec<PastDigest>) -> Self {
        let past = |PastDigest { digest, since, until }| PastDigestReply { digest, since, until };
        Self {
            id: image.id.0,
            reference: image.pull_reference(),
            origin: image.origin().into(),
            manifest: manifest::with_defaults(&image.facts.manifest),
            digest: image.digest,
            platforms: image.platforms,
            size: image.size,
            built_at: image.built_at,
            registry_id: image.registry_id.0,
            job_id: image.job_id.0,
            job_version_id: image.job_version_id.0,
            first_seen_at: image.first_seen_at,
            changed_at: image.changed_at,
            history: history.into_iter().map(past).collect(),
            valid: image.facts.valid,
            problems: image.facts.problems,
        }
    }
}

impl From<CatalogueImage> for ImageReply {
    fn from(image: CatalogueImage) -> Self {
        Self {
            id: image.id.0,
            reference: image.pull_reference(),
            origin: image.origin().into(),
            digest: image.digest,
            job: image.facts.job_name,
            job_version: image.facts.job_version,
            package_version: image.facts.package_version,
            title: image.facts.title,
            maintainer: image.facts.maintainer,
            organization: image.facts.maint_org,
            registry_id: image.registry_id.0,
            job_id: image.job_id.0,
            job_version_id: image.job_version_id.0,
            first_seen_at: image.first_seen_at,
            changed_at: image.changed_at,
            valid: image.facts.valid,
        }
    }
}

const SORTS: &SortWords<ImageOrder> = &[("id", ImageOrder::Id), ("changed", ImageOrder::Changed)];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ImageListQuery {
    job: Option<String>,
    job_version: Option<String>,
    registry: Option<i64>,
    digest: Option<String>,
    valid: Option<bool>,
    sort: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    QueryParameters(asked): QueryParameters<ImageListQuery>,
) -> Result<Json<PageReply<ImageReply>>> {
    let ImageListQuery { job, job_version, registry, digest, valid, sort, limit, cursor } = asked;
    let asked = AskedPage::read(SORTS, sort.as_deref(), limit, cursor.as_deref())?;
    let filter = ImageFilter { job, job_version, registry: registry.map(RegistryId), digest, valid };
    let images = app.image_page(&filter, &asked.page).await?;
    let place = |image: &CatalogueImage| match asked.page.order {
        ImageOrder::Id => (SortKey::Number(image.id.0), image.id.0),
        ImageOrder::Changed => (SortKey::Number(image.changed_at.timestamp_millis()), image.id.0),
    };
    Ok(Json(asked.view(images, place, ImageReply::from)))
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    PathParameters(image): PathParameters<String>,
) -> Result<Json<ImageDetailReply>> {
    let id = ImageId(id(&image)?);
    let image = app.image_get(id).await?;
    Ok(Json(ImageDetailReply::new(image, app.image_history(id).await?)))
}

/// A job as a tool of the Common Workflow Language.
pub(super) async fn cwl(
    RequestApp(app): RequestApp,
    PathParameters(image): PathParameters<String>,
) -> Result<impl IntoResponse> {
    export(&app, &image, ExportFormat::Cwl, "application/cwl+json", "cwl").await
}

/// A job as a Bash script.
pub(super) async fn script(
    RequestApp(app): RequestApp,
    PathParameters(image): PathParameters<String>,
) -> Result<impl IntoResponse> {
    export(&app, &image, ExportFormat::Script, "text/x-shellscript; charset=utf-8", "sh").await
}

async fn export(
    app: &App,
    image: &str,
    format: ExportFormat,
    media_type: &'static str,
    extension: &str,
) -> Result<impl IntoResponse + use<>> {
    let (image, exported) = app.image_export(ImageId(id(image)?), format).await?;
    let name = format!("{}-{}.{extension}", image.facts.job_name, image.facts.job_version);
    let media_type = HeaderValue::from_static(media_type);
    Ok(([(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, disposition(&name))], exported.text))
}
