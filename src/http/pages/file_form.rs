//! Forms of pages with files: what a browser sends as `multipart/form-data`. Files are stored as they arrive; only the
//! other fields are kept in memory, and they have a limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;

use super::form::{TOKEN, check_token, session_of_cookie};
use crate::app::{App, Error, FileSpec, UserSession};
use crate::http::admission::BodyMemoryMeter;
use crate::http::error::Result;
use crate::http::form_parts::{LONGEST_FORM, content_of, form_of, is_form, too_long};

/// What a field takes of the limit besides its name and value, in bytes.
const FIELD: usize = 64;

/// The texts of a form by field. A field may occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FormTexts(BTreeMap<String, Vec<String>>);

impl FormTexts {
    /// The first value of a field; empty if it is missing.
    pub(super) fn text(&self, field: &str) -> &str {
        self.all(field).first().map_or("", String::as_str)
    }

    /// All values of a field.
    pub(super) fn all(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add(&mut self, field: impl Into<String>, value: impl Into<String>) {
        self.0.entry(field.into()).or_default().push(value.into());
    }

    /// Removes all values of a field.
    pub(super) fn remove(&mut self, field: &str) {
        self.0.remove(field);
    }
}

/// A form with files. If the session came from a cookie, its first field was the token.
#[derive(Debug, Default)]
pub(super) struct FileForm {
    pub texts: FormTexts,
    /// The stored files, with their fields.
    pub files: Vec<(String, FileSpec)>,
    /// Why files were not stored, with their fields.
    pub refused: Vec<(String, String)>,
}

impl FileForm {
    /// Reads a form. `is_wanted` says whether the files of a field are stored, by the texts before it.
    ///
    /// # Errors
    /// [`Error::ForeignOrigin`] before any file is stored; [`Error::TooLarge`] for long texts; [`Error::Invalid`] if the
    /// body is no form or breaks off.
    pub(super) async fn read(
        app: &App,
        session: &UserSession,
        request: Request,
        is_wanted: impl Fn(&FormTexts, &str) -> bool,
    ) -> Result<Self> {
        let meter = request.extensions().get::<Arc<BodyMemoryMeter>>().cloned();
        let meter = meter.ok_or_else(|| Error::Internal("the request has no meter".to_owned()))?;
        let mut unproven = session_of_cookie(request.extensions());
        if !is_form(request.headers()) {
            check_token(app, unproven.as_ref(), "")?;
            return Err(Error::Invalid("This form is sent as multipart/form-data".to_owned()).into());
        }
        let (mut parts, mut read, mut room) = (form_of(request).await?, Self::default(), LONGEST_FORM);
        while let Some(mut part) = parts.next_field().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let file = part.file_name().map(str::to_owned);
            room = room.checked_sub(FIELD + name.len() + file.as_ref().map_or(0, String::len)).ok_or_else(too_long)?;
            if unproven.is_some() && (name != TOKEN || file.is_some()) {
                check_token(app, unproven.as_ref(), "")?;
            }
            match file {
                // A field without a chosen file.
                Some(file) if file.is_empty() => {}
                Some(file) if is_wanted(&read.texts, &name) => match app.upload(session, &file, None, part).await {
                    Ok(upload) => {
                        let file = FileSpec::Upload { sha256: upload.sha256, name: Some(upload.name) };
                        read.files.push((name, file));
                    }
                    Err(why @ (Error::Invalid(_) | Error::TooLarge(_))) => read.refused.push((name, why.to_string())),
                    Err(why) => return Err(why.into()),
                },
                Some(_) => {}
                None => {
                    let value = text(content_of(&mut part, &meter, &mut room).await?)?;
                    if name == TOKEN {
                        check_token(app, unproven.take().as_ref(), &value)?;
                    }
                    read.texts.add(name, value);
                }
            }
        }
        // A form without fields.
        check_token(app, unproven.as_ref(), "")?;
        Ok(read)
    }
}

/// The text of a field; browsers send line breaks as CR LF.
fn text(content: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(content).map_err(|_| Error::Unprocessable("The form is not UTF-8".to_owned()))?;
    if text.contains('\0') {
        return Err(Error::Unprocessable("The form contains a NUL character".to_owned()).into());
    }
    Ok(text.replace("\r\n", "\n"))
}
