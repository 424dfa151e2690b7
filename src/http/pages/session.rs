//! `/session`: log in and out.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use secrecy::SecretString;
use serde::Deserialize;

use super::filters;
use super::form::PageForm;
use super::frame::PageSection;
use super::next_page::own_path;
use super::{PageFrame, reply, reply_to_form, see_other};
use crate::app::{App, Error, RequestCaller, UserSession};
use crate::catalog::SessionKind;
use crate::http::cookies::SessionCookie;
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::proxied::PublicUrl;

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    frame: PageFrame,
    /// Where to go after the login; empty for the start page.
    next: String,
    /// The name that was tried.
    username: String,
    /// What was wrong with the last attempt.
    problem: Option<String>,
    /// Whether others on the network can read the password.
    is_readable: bool,
    /// Of forms of the session, if there is one.
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionQuery {
    #[serde(default)]
    next: String,
}

/// The form to log in; for users who are logged in, the one to log out.
pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    url: PublicUrl,
    session: Option<UserSession>,
    QueryParameters(SessionQuery { next }): QueryParameters<SessionQuery>,
) -> Result<Response> {
    let token = session.map(|session| app.form_token(&session)).unwrap_or_default();
    reply(&SessionPage {
        next: own_path(&next).unwrap_or_default().to_owned(),
        username: String::new(),
        problem: None,
        is_readable: !url.is_https() && !url.is_loopback(),
        token,
        frame: frame.in_section(PageSection::Account),
    })
}

/// Logs in. The session is a new one, and replaces that of the browser.
pub(super) async fn log_in(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    caller: RequestCaller,
    url: PublicUrl,
    (headers, uri): (HeaderMap, Uri),
    form: PageForm,
) -> Result<Response> {
    let next = own_path(form.text("next")).unwrap_or_default();
    let (username, password) = (form.text("username"), SecretString::from(form.text("password")));
    let token = match app.login(username, &password, &caller, SessionKind::Page, "").await {
        Ok((token, _)) => token,
        Err(why @ (Error::Unauthenticated(_) | Error::Throttled { .. })) => {
            let page = SessionPage {
                next: next.to_owned(),
                username: username.to_owned(),
                problem: Some(match &why {
                    Error::Unauthenticated(_) => "This name and password do not belong together".to_owned(),
                    other => other.to_string(),
                }),
                is_readable: !url.is_https() && !url.is_loopback(),
                token: String::new(),
                frame: frame.in_section(PageSection::Account),
            };
            return reply_to_form(why, &page);
        }
        Err(why) => return Err(why.into()),
    };
    // A program's token is not the browser's session.
    if let Some(old) = caller.session.as_ref().filter(|_| !headers.contains_key(header::AUTHORIZATION)) {
        app.logout(old).await?;
    }
    let cookie = SessionCookie::of(&headers, &uri, &app).keeping(&token);
    let cookie = cookie.ok_or_else(|| Error::Internal("the session cookie is no header".to_owned()))?;
    Ok(([(header::SET_COOKIE, cookie)], see_other(if next.is_empty() { "/" } else { next })).into_response())
}

/// Logs out; also without a session, so that a browser's old cookie goes.
pub(super) async fn log_out(
    RequestApp(app): RequestApp,
    session: Option<UserSession>,
    (headers, uri): (HeaderMap, Uri),
    _form: PageForm,
) -> Result<Response> {
    if let Some(session) = &session {
        app.logout(session).await?;
    }
    Ok(logged_out(&app, &headers, &uri))
}

/// The reply after the browser's session has ended: takes the cookie away, and clears what the browser kept.
pub(super) fn logged_out(app: &App, headers: &HeaderMap, uri: &Uri) -> Response {
    let mut response = see_other("/session");
    if let Some(cookie) = SessionCookie::of(headers, uri, app).removed() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    let all = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert(HeaderName::from_static("clear-site-data"), all);
    response
}
