//! Multipart forms: their texts are kept in memory, their files are not.

use axum::extract::multipart::{Field, MultipartRejection};
use axum::extract::{FromRequest as _, Multipart, Request};
use http::{HeaderMap, header};

use super::admission::BodyMemoryMeter;
use super::error::Result;
use crate::app::Error;

/// Longest texts of a form in all, in bytes: larger values belong in files.
pub(super) const LONGEST_FORM: usize = 2 * 1024 * 1024;

/// Whether the body of a request is a multipart form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// The parts of a form, in order.
///
/// # Errors
/// [`Error::Invalid`] if the body is no multipart form.
pub(super) async fn form_of(request: Request) -> Result<Multipart> {
    let unreadable = |why: MultipartRejection| Error::Invalid(why.body_text());
    Ok(Multipart::from_request(request, &()).await.map_err(unreadable)?)
}

/// The content of a part; its memory is taken from the meter, and its bytes from `room`.
///
/// # Errors
/// [`Error::TooLarge`] if it is longer than `room`; [`Error::Unavailable`] without memory.
pub(super) async fn content_of(field: &mut Field<'_>, meter: &BodyMemoryMeter, room: &mut usize) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(piece) = field.chunk().await? {
        *room = room.checked_sub(piece.len()).ok_or_else(too_long)?;
        meter.take(piece.len()).await?;
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// The error for texts that are too long.
pub(super) fn too_long() -> Error {
    Error::TooLarge(format!(
        "The request is longer than {LONGEST_FORM} bytes, or was interrupted; send large values as files"
    ))
}
