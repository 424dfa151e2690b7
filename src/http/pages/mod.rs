//! The pages: HTML made by the server, the fourth door beside the REST interface, the legacy interface and the command
//! line. Complete without JavaScript.
//!
//! A page is one handler, *extract → one call of `app` → template*:
//!
//! ```text
//! #[derive(Template)]
//! #[template(path = "job.html", blocks = ["main"])]
//! struct JobPage {
//!     frame: PageFrame,          // what layout.html needs; every template has it
//!     …
//! }
//!
//! pub(super) async fn show(RequestApp(app): RequestApp, frame: PageFrame, …) -> Result<Response> {
//!     let job = app.…await?;     // an error becomes a page with its text and the request id
//!     reply(&JobPage { frame, … })
//! }
//! ```
//!
//! A template begins with `{% extends "layout.html" %}` and fills the blocks `title` (plain text, without "SILO"),
//! `main`, and, if needed, `head` (links such as feeds). In templates:
//! - links and form addresses of our own: `{{ frame.url("/search") }}`, which adds the prefix of a proxy; files of
//!   `assets/`: `{{ frame.asset("silo.css") }}`; jobs: `{{ frame.job_url(name) }}`; other paths with texts of
//!   others: `http/path_part.rs`;
//! - texts of others (manifests, registries, users): `{{ text|shown }}` in elements, where control and bidi characters
//!   become visible boxes, and `{{ text|plain }}` in attributes and in `<title>` (`use super::filters;` beside the
//!   struct). The value of a form field stays as it is;
//! - links of manifests: only `http`, `https` and `mailto`, with `rel="nofollow noopener"`.
//!
//! The content security policy forbids inline scripts and styles: no `style=""`, no `on…=""`.
//! Every action is a form with `POST`, added with `RouteTable::add_form`: the handler reads it as `form::PageForm`, does
//! one thing, and redirects with [`see_other`], or shows the page again with [`reply_to_form`]. A form has
//! `<input type="hidden" name="token" value="{{ token }}">`, from `App::form_token`. A form with files is added with
//! `RouteTable::add_file_form`, has the token as its first field, and is read with `file_form::FileForm`.
//!
//! Routes are added in [`add`] with `RouteTable::add_page`. Security headers and error pages come from the envelope.

mod account;
mod admin;
mod assets;
mod batch;
mod batch_form;
mod charts;
mod errors;
mod facets;
mod file_form;
mod filters;
mod form;
pub(super) mod frame;
mod help;
mod hits;
mod job;
mod news;
pub(super) mod next_page;
mod page_headers;
mod plots;
mod ports;
mod preview;
mod problems;
mod run;
mod run_form;
mod run_state;
mod runs;
mod search;
mod session;
mod shown_time;
mod system;
mod validate;
mod welcome;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::header;

use super::error::{HttpFailure, Result};
use super::routes::{RouteAccess, RouteTable};
use crate::app::Error;

pub(super) use errors::with_error_page;
pub(super) use frame::PageFrame;
use next_page::see_other;
pub(super) use page_headers::add_page_headers;

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Admin, Anyone, User};
    let routes = admin::add(batch::add(preview::add(validate::add(runs::add(run::add(job::add(routes)))))));
    run_form::add(routes)
        .add_negotiated("/", Anyone, search::home)
        .add_page("/search", Anyone, search::search)
        .add_page("/new", Anyone, news::news)
        .add_page("/help", Anyone, help::help)
        .add_page("/help/problems", Anyone, problems::problems)
        .add_page("/assets/{hash}/{name}", Anyone, assets::asset)
        .add_page("/session", Anyone, session::show)
        .add_form("/session", Anyone, session::log_in)
        .add_form("/session/end", Anyone, session::log_out)
        .add_page("/account", User, account::show)
        .add_form("/account/password", User, account::change_password)
        .add_form("/account/sessions", User, account::end_all_sessions)
        .add_form("/account/sessions/{id}", User, account::end_session)
        .add_page("/admin/system", Admin, system::show)
        .add_form("/admin/demo", Admin, welcome::load_demo)
}

/// A rendered template as a reply.
///
/// # Errors
/// [`Error::Internal`] if the template cannot be rendered.
fn reply(page: &impl Template) -> Result<Response> {
    let html = page.render().map_err(|why| Error::Internal(format!("a page cannot be rendered: {why}")))?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// The page of a form with what is wrong with it: the status and headers of the error.
fn reply_to_form(why: Error, page: &impl Template) -> Result<Response> {
    let page = reply(page)?;
    let (mut parts, _) = HttpFailure::from(why).into_response().into_parts();
    // Else the envelope would make a page of the error.
    parts.extensions.remove::<HttpFailure>();
    parts.headers.extend(page.headers().clone());
    Ok(Response::from_parts(parts, page.into_body()))
}
