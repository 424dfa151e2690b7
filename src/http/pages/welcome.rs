//! The start page while there is no registry: three steps, and which of them are done.

use askama::Template;
use axum::response::Response;

use super::filters;
use super::form::PageForm;
use super::{PageFrame, reply, see_other};
use crate::app::{App, UserSession};
use crate::http::error::Result;
use crate::http::extract::RequestApp;

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    frame: PageFrame,
    /// Of the forms of the session, if there is one.
    token: String,
}

pub(super) fn show(app: &App, frame: PageFrame, session: Option<&UserSession>) -> Result<Response> {
    let token = session.map(|session| app.form_token(session)).unwrap_or_default();
    reply(&WelcomePage { frame, token })
}

/// Adds the registry of the demo, and scans it.
pub(super) async fn load_demo(RequestApp(app): RequestApp, _form: PageForm) -> Result<Response> {
    app.demo_start().await?;
    Ok(see_other("/"))
}
