//! `/api/v1/images`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::catalog::{Image, ImageId, PastDigest};
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
    /// Bytes to pull, compressed.
    size: Option<u64>,
    built_at: Option<DateTime<Utc>>,
    registry_id: i64,
    job_id: i64,
    job_version_id: i64,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    /// Where the tag pointed before, newest first.
    history: Vec<PastDigestView>,
    valid: bool,
    /// Everything that validation found in the manifest.
    problems: Vec<Problem>,
    manifest: Value,
}

#[derive(Serialize)]
struct PastDigestView {
    digest: String,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl ImageView {
    fn new(image: Image, history: Vec<PastDigest>) -> Self {
        let past = |PastDigest { digest, since, until }| PastDigestView { digest, since, until };
        Self {
            id: image.id.0,
            reference: image.pull_reference(),
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

pub(super) async fn get(State(app): State<App>, Path(image): Path<String>) -> Result<Json<ImageView>> {
    let id = ImageId(id(&image)?);
    let image = app.image_get(id).await?;
    Ok(Json(ImageView::new(image, app.image_history(id).await?)))
}
