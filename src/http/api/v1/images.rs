//! `/api/v1/images`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::catalog::{Image, ImageId};
use crate::http::error::Result;
use crate::http::extract::{Path, id};
use crate::seed::{Problem, manifest};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageView {
    id: i64,
    /// What `docker pull` takes.
    reference: String,
    digest: String,
    platforms: Vec<String>,
    registry_id: i64,
    job_id: i64,
    job_version_id: i64,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    valid: bool,
    /// Everything that validation found in the manifest.
    problems: Vec<Problem>,
    manifest: Value,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        Self {
            id: image.id.0,
            reference: image.pull_reference(),
            manifest: manifest::with_defaults(&image.facts.manifest),
            digest: image.digest,
            platforms: image.platforms,
            registry_id: image.registry_id.0,
            job_id: image.job_id.0,
            job_version_id: image.job_version_id.0,
            first_seen_at: image.first_seen_at,
            changed_at: image.changed_at,
            valid: image.facts.valid,
            problems: image.facts.problems,
        }
    }
}

pub(super) async fn get(State(app): State<App>, Path(image): Path<String>) -> Result<Json<ImageView>> {
    Ok(Json(app.image_get(ImageId(id(&image)?)).await?.into()))
}
