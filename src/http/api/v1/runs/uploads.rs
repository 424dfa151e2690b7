//! `/api/v1/uploads`, and multipart forms with files: files are written to disk as they arrive.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::forms::RunSubmitForm;
use crate::api::PageReply;
use crate::api::runs::{KnownUploadReply, UploadReply};
use crate::app::{App, Error, FileSpec, UploadPosition, UserSession};
use crate::catalog::UploadedFile;
use crate::http::admission::BodyMemoryMeter;
use crate::http::api::v1::limit;
use crate::http::error::Result;
use crate::http::extract::{self, PathParameters, QueryParameters, RequestApp};
use crate::http::file::{ServedFile, serve};
use crate::http::form_parts::{LONGEST_FORM, content_of, form_of, is_form, too_long};

/// Prefix of the names of parts with files; the input's name follows.
const FILES: &str = "files.";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The user's own uploads, newest first. A cursor is the time of the last one in milliseconds, and its digest.
pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<UploadListQuery>,
) -> Result<Json<PageReply<KnownUploadReply>>> {
    let limit = limit(asked.limit)?;
    let after = asked.cursor.as_deref().map(position).transpose()?;
    let uploads = app.upload_list(&session, after.as_ref(), limit).await?;
    let next = uploads.last().filter(|_| uploads.len() == limit as usize);
    let next = next.map(|last| format!("{}.{}", last.created_at.timestamp_millis(), last.sha256));
    let view = |UploadedFile { sha256, name, size, created_at, used_at, .. }: UploadedFile| KnownUploadReply {
        sha256,
        name,
        size,
        created: created_at,
        used: used_at,
    };
    Ok(Json(PageReply { items: uploads.into_iter().map(view).collect(), next }))
}

fn position(cursor: &str) -> std::result::Result<UploadPosition, Error> {
    let read = cursor.split_once('.').and_then(|(millis, sha256)| {
        let created_at = DateTime::from_timestamp_millis(millis.parse().ok()?)?;
        Some(UploadPosition { created_at, sha256: sha256.to_owned() })
    });
    read.filter(|position| !position.sha256.contains('\0'))
        .ok_or_else(|| Error::Invalid("cursor is invalid; use the `next` of a page of this list".to_owned()))
}

/// Returns an uploaded file to the user who uploaded it.
pub(super) async fn file(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(sha256): PathParameters<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let (upload, path) = app.upload_file(&session, &sha256).await?;
    let media_type = "application/octet-stream";
    serve(ServedFile { path: &path, media_type, tag: Some(&upload.sha256), save_as: Some(&upload.name) }, &headers)
        .await
}

/// Stores the body as a file; of a multipart form, the file in its first part.
pub(super) async fn upload(
    RequestApp(app): RequestApp,
    session: UserSession,
    QueryParameters(asked): QueryParameters<UploadQuery>,
    request: Request,
) -> Result<Response> {
    let upload = if is_form(request.headers()) {
        let mut form = form_of(request).await?;
        let no_file = || Error::Invalid("The form has no part with a file and its name".to_owned());
        let field = form.next_field().await?.ok_or_else(no_file)?;
        let name = field.file_name().map(str::to_owned).ok_or_else(no_file)?;
        app.upload(&session, &name, None, field).await?
    } else {
        let name = if asked.name.is_empty() { "file" } else { &asked.name };
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        app.upload(&session, name, length, request.into_body().into_data_stream()).await?
    };
    Ok((StatusCode::CREATED, Json(reply(upload))).into_response())
}

fn reply(UploadedFile { sha256, name, size, .. }: UploadedFile) -> UploadReply {
    UploadReply { sha256, name, size }
}

/// Reads a run's form: JSON, or multipart with that JSON in the part `request` and files in the parts `files.INPUT`.
pub(super) async fn submitted(app: &App, session: &UserSession, request: Request) -> Result<RunSubmitForm> {
    let meter = request.extensions().get::<Arc<BodyMemoryMeter>>().cloned();
    let meter = meter.ok_or_else(|| Error::Internal("the request has no meter".to_owned()))?;
    if !is_form(request.headers()) {
        let request = meter.read(request);
        let body = axum::body::to_bytes(request.into_body(), LONGEST_FORM).await.map_err(|_| too_long())?;
        return read(&body).await;
    }
    let mut form = form_of(request).await?;
    let (mut submitted, mut files, mut room) = (None, Vec::new(), LONGEST_FORM);
    while let Some(mut field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "request" {
            let text = content_of(&mut field, &meter, &mut room).await?;
            submitted = Some(read(&text).await?);
        } else if let Some(input) = name.strip_prefix(FILES) {
            let file = field.file_name().unwrap_or("file").to_owned();
            let upload = app.upload(session, &file, None, field).await?;
            files.push((input.to_owned(), FileSpec::Upload { sha256: upload.sha256, name: Some(file) }));
        } else {
            return Err(Error::Invalid(format!(
                "The form has a part '{name}'; known are request, and {FILES}INPUT for the file of an input"
            ))
            .into());
        }
    }
    let mut submitted = submitted
        .ok_or_else(|| Error::Invalid("The form has no part 'request', which describes the run".to_owned()))?;
    submitted.add_files(files);
    Ok(submitted)
}

async fn read(body: &[u8]) -> Result<RunSubmitForm> {
    let request = Request::new(Body::from(body.to_vec()));
    let extract::JsonBody(form) =
        <extract::JsonBody<RunSubmitForm> as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    Ok(form)
}
