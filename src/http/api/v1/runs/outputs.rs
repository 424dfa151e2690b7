//! Outputs of runs: a list, and single files.

use axum::Json;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;

use crate::api::PageReply;
use crate::api::runs::{EarlierOutputReply, OutputFileReply, OutputListReply, RunOutputReply};
use crate::app::{EarlierOutput, Error, RunOutputFile, UserSession};
use crate::engine::run::outputs::CapturedFile;
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp, words};
use crate::http::file::{ServedFile, serve};
use crate::http::path_part::run_file_path;

pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Json<OutputListReply>> {
    let outputs = app.run_outputs(&session, &id).await?;
    let file = |left: CapturedFile| OutputFileReply { url: Some(run_file_path(&id, &left.path)), ..left.into() };
    let files = outputs.files.into_iter();
    Ok(Json(OutputListReply {
        files: files
            .map(|it| RunOutputReply { name: it.name, files: it.files.into_iter().map(file).collect() })
            .collect(),
        json: outputs.json,
        extra: outputs.extra.into_iter().map(file).collect(),
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EarlierOutputQuery {
    /// Separated by commas; any of them.
    #[serde(default)]
    media_type: String,
    cursor: Option<String>,
}

/// Outputs of the user's own runs.
pub(super) async fn earlier(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<EarlierOutputQuery>,
) -> Result<Json<PageReply<EarlierOutputReply>>> {
    let media_types: Vec<String> = words("mediaType", &asked.media_type)?.into_iter().map(str::to_owned).collect();
    let page = app.run_earlier_outputs(&session, &media_types, asked.cursor.as_deref()).await?;
    let view = |earlier: EarlierOutput| {
        let EarlierOutput { run, job, job_version, label, finished, output, file } = earlier;
        let file = OutputFileReply { url: Some(run_file_path(&run, &file.path)), ..file.into() };
        EarlierOutputReply { run, job, job_version, label, finished, output, file }
    };
    Ok(Json(PageReply { items: page.items.into_iter().map(view).collect(), next: page.next }))
}

/// The file of an output that has exactly one.
pub(super) async fn only(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, name)): PathParameters<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let files = app.run_folder(&session, &id).await?.output(&name)?;
    match &files[..] {
        [] => Err(Error::NotFound(format!("Run {id} left no file for output {name}")).into()),
        [file] => download(file, &headers).await,
        several => Err(Error::Invalid(format!(
            "Output {name} has {} files: ask for one of them, /api/v1/runs/{id}/outputs/{name}/0 and so on",
            several.len()
        ))
        .into()),
    }
}

pub(super) async fn one(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, name, index)): PathParameters<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let files = app.run_folder(&session, &id).await?.output(&name)?;
    let place = index.parse::<usize>().ok().and_then(|index| files.get(index));
    let file = place.ok_or_else(|| {
        let many = files.len();
        Error::NotFound(format!("Output {name} of run {id} has {many} files, counted from 0; there is no file {index}"))
    })?;
    download(file, &headers).await
}

pub(super) async fn file(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, path)): PathParameters<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let file = app.run_folder(&session, &id).await?.file(&path)?;
    download(&file, &headers).await
}

async fn download(file: &RunOutputFile, headers: &HeaderMap) -> Result<Response> {
    let name = file.left.path.rsplit('/').next().unwrap_or_default();
    let media_type = file.left.media_type.as_deref().unwrap_or("application/octet-stream");
    let served = ServedFile { path: &file.path, media_type, tag: file.left.sha256.as_deref(), save_as: Some(name) };
    serve(served, headers).await
}
