//! Forms of pages: what a browser sends as `application/x-www-form-urlencoded`, or as `multipart/form-data` if the form
//! has a small file. All of it is in memory.

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use http::{Extensions, StatusCode};

use crate::app::{App, Error, UserSession};
use crate::http::cookies::SessionFromCookie;
use crate::http::error::HttpFailure;
use crate::http::form_parts::is_form;

/// Name of the field with the token of the session's forms.
pub(super) const TOKEN: &str = "token";

/// The fields of a form. If the session came from a cookie, the form carried its token.
pub(super) struct PageForm(Vec<(String, String)>);

impl PageForm {
    /// The value of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The values of a field that may be there several times, such as checkboxes.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The fields whose names begin so, with the rest of their names.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl FromRequest<App> for PageForm {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, app: &App) -> Result<Self, HttpFailure> {
        let session = session_of_cookie(request.extensions());
        let is_in_parts = is_form(request.headers());
        let form = Self(if is_in_parts { parts(request).await? } else { fields(request, app).await? });
        check_token(app, session.as_ref(), form.text(TOKEN))?;
        if form.0.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Error::Unprocessable("The form contains a NUL character".to_owned()).into());
        }
        Ok(form)
    }
}

async fn fields(request: Request, app: &App) -> Result<Vec<(String, String)>, HttpFailure> {
    let body = Bytes::from_request(request, app).await?;
    Ok(url::form_urlencoded::parse(&body).into_owned().collect())
}

/// The parts of a form; a file is the text in it.
async fn parts(request: Request) -> Result<Vec<(String, String)>, HttpFailure> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|why| Error::Invalid(why.body_text()))?;
    let mut fields = Vec::new();
    while let Some(part) = form.next_field().await.map_err(unread)? {
        let name = part.name().unwrap_or_default().to_owned();
        let value = String::from_utf8(part.bytes().await.map_err(unread)?.into());
        let value = value.map_err(|_| Error::Unprocessable(format!("{name} is not UTF-8: save the file as UTF-8")))?;
        fields.push((name, value));
    }
    Ok(fields)
}

fn unread(why: MultipartError) -> HttpFailure {
    match why.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::TooLarge("The form is longer than this page takes: send it in parts".to_owned()).into()
        }
        _ => why.into(),
    }
}

/// The session whose token a form of the request must carry: one that came from a cookie.
pub(super) fn session_of_cookie(request: &Extensions) -> Option<UserSession> {
    request.get::<SessionFromCookie>().and_then(|_| request.get::<UserSession>().cloned())
}

/// # Errors
/// [`Error::ForeignOrigin`] for a form without the token of this session.
pub(super) fn check_token(app: &App, session: Option<&UserSession>, token: &str) -> Result<(), Error> {
    let why = "This form belongs to an earlier session. Load its page again, and send it from there";
    match session {
        Some(session) if !app.is_form_token(session, token) => Err(Error::ForeignOrigin(why)),
        _ => Ok(()),
    }
}
