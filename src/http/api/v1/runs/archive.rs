//! Everything of a run as one file.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use serde::Deserialize;

use crate::app::{App, ArchiveForm, Session};
use crate::http::error::Result;
use crate::http::extract::{Path, Query};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveQuery {
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Tar,
    Zip,
}

pub(super) async fn get(
    State(app): State<App>,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<ArchiveQuery>,
) -> Result<Response> {
    let run = app.run_folder(&session, &id).await?;
    let (form, media_type, end) = match asked.format {
        Format::Tar => (ArchiveForm::Tar, "application/x-tar", "tar"),
        Format::Zip => (ArchiveForm::Zip, "application/zip", "zip"),
    };
    let pieces = run.archive(form)?;
    let body = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let name = format!("attachment; filename=\"{id}.{end}\"");
    Ok(([(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, name)], Body::from_stream(body))
        .into_response())
}
