//! Forms of pages: what a browser sends as `application/x-www-form-urlencoded`.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};

use crate::app::{App, Error, UserSession};
use crate::http::cookies::SessionFromCookie;
use crate::http::error::HttpFailure;

/// Name of the field with the token of the session's forms.
const TOKEN: &str = "token";

/// The fields of a form. If the session came from a cookie, the form carried its token.
pub(super) struct PageForm(Vec<(String, String)>);

impl PageForm {
    /// The value of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl FromRequest<App> for PageForm {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, app: &App) -> Result<Self, HttpFailure> {
        let is_from_cookie = request.extensions().get::<SessionFromCookie>().is_some();
        let session = request.extensions().get::<UserSession>().cloned().filter(|_| is_from_cookie);
        let body = Bytes::from_request(request, app).await?;
        let form = Self(url::form_urlencoded::parse(&body).into_owned().collect());
        if session.is_some_and(|session| !app.is_form_token(&session, form.text(TOKEN))) {
            let why = "This form belongs to an earlier session. Load its page again, and send it from there";
            return Err(Error::ForeignOrigin(why).into());
        }
        if form.0.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Error::Unprocessable("The form contains a NUL character".to_owned()).into());
        }
        Ok(form)
    }
}
