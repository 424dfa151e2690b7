//! `/api/v1/runs/{id}/archive`: a run's record, logs and outputs as one file.

use axum::response::{IntoResponse, Response};
use http::header;
use serde::Deserialize;

use crate::app::{ArchiveFormat, UserSession};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::file::SANDBOX;
use crate::http::stream::StreamOpener;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveQuery {
    #[serde(default)]
    format: ArchiveFormatWord,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ArchiveFormatWord {
    #[default]
    Tar,
    Zip,
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(asked): QueryParameters<ArchiveQuery>,
    opening: StreamOpener,
) -> Result<Response> {
    let run = app.run_folder(&session, &id).await?;
    let (form, media_type, end) = match asked.format {
        ArchiveFormatWord::Tar => (ArchiveFormat::Tar, "application/x-tar", "tar"),
        ArchiveFormatWord::Zip => (ArchiveFormat::Zip, "application/zip", "zip"),
    };
    let body = opening.body(run.archive(form).await?)?;
    let name = format!("attachment; filename=\"{id}.{end}\"");
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
    ];
    Ok((headers, body).into_response())
}
