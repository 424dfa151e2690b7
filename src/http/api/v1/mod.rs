//! The native API below `/api/v1`: plural nouns, cursor paging, problem documents (RFC 9457).

mod badge;
mod events;
mod feed;
mod groups;
mod hooks;
mod images;
mod jobs;
mod lists;
mod origins;
mod registries;
pub(in crate::http) mod runs;
mod scan_events;
mod scans;
pub(in crate::http) mod search;
mod session;
mod system;
mod users;
mod validate;

use http::Method;
use serde::Deserialize;

use crate::api::VersionReply;
use crate::app::Error;
use crate::http::admission::LONGEST_LOGIN;
use crate::http::error::Result;
use crate::http::routes::{RouteAccess, RouteTable};

pub(crate) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::{Admin, Anyone, Maintainer, User};
    const DELETE: Method = Method::DELETE;
    const GET: Method = Method::GET;
    const PATCH: Method = Method::PATCH;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    runs::add(routes)
        .add_capped(POST, "/api/v1/login", Anyone, session::login, LONGEST_LOGIN)
        .add(POST, "/api/v1/logout", User, session::logout)
        .add(POST, "/api/v1/tickets", User, session::ticket)
        .add(GET, "/api/v1/me", User, users::me)
        .add(PUT, "/api/v1/me/password", User, session::change_password)
        .add(GET, "/api/v1/me/sessions", User, session::list)
        .add(DELETE, "/api/v1/me/sessions", User, session::revoke_all)
        .add(DELETE, "/api/v1/me/sessions/{id}", User, session::revoke)
        .add(GET, "/api/v1/search", Anyone, search::search)
        .add(GET, "/api/v1/suggest", Anyone, search::suggest)
        .add(GET, "/api/v1/events", Anyone, events::list)
        .add(GET, "/api/v1/feed", Anyone, feed::feed)
        .add(GET, "/api/v1/version", Anyone, version)
        .add(GET, "/api/v1/images", Anyone, images::list)
        .add(GET, "/api/v1/images/{id}", Anyone, images::get)
        .add(GET, "/api/v1/images/{id}/cwl", Anyone, images::cwl)
        .add(GET, "/api/v1/images/{id}/script", Anyone, images::script)
        .add(GET, "/api/v1/jobs", Anyone, jobs::list)
        .add(GET, "/api/v1/jobs/{id}", Anyone, jobs::get)
        .add(GET, "/api/v1/jobs/{id}/origins", Anyone, origins::list)
        .add(GET, "/api/v1/jobs/{id}/compare/{versions}", Anyone, jobs::compare)
        .add(GET, "/api/v1/jobs/{id}/badge.svg", Anyone, jobs::badge)
        .add(GET, "/api/v1/users", Admin, users::list)
        .add_capped(POST, "/api/v1/users", Admin, users::add, LONGEST_LOGIN)
        .add(GET, "/api/v1/users/{id}", Admin, users::get)
        .add_capped(PATCH, "/api/v1/users/{id}", Admin, users::change, LONGEST_LOGIN)
        .add(DELETE, "/api/v1/users/{id}", Admin, users::delete)
        .add(POST, "/api/v1/validate", Anyone, validate::validate)
        .add(POST, "/api/v1/registry-kinds", Admin, registries::kind)
        .add(GET, "/api/v1/registries", Anyone, registries::list)
        .add(POST, "/api/v1/registries", Admin, registries::add)
        .add(GET, "/api/v1/registries/{id}", Anyone, registries::get)
        .add(PATCH, "/api/v1/registries/{id}", Maintainer, registries::change)
        .add(DELETE, "/api/v1/registries/{id}", Admin, registries::delete)
        .add(GET, "/api/v1/registries/{id}/repositories", User, registries::repositories)
        .add(POST, "/api/v1/registries/{id}/hook", Maintainer, hooks::make)
        .add(DELETE, "/api/v1/registries/{id}/hook", Maintainer, hooks::remove)
        .add(POST, "/api/v1/registries/{id}/scans", Maintainer, scans::request)
        .add(GET, "/api/v1/groups", Admin, groups::list)
        .add(PUT, "/api/v1/groups/{name}", Admin, groups::put)
        .add(DELETE, "/api/v1/groups/{name}", Admin, groups::delete)
        .add(GET, "/api/v1/scans", User, scans::list)
        .add(GET, "/api/v1/scans/{id}", User, scans::get)
        .add(DELETE, "/api/v1/scans/{id}", Admin, scans::cancel)
        .add(GET, "/api/v1/scans/{id}/events", User, scan_events::follow)
        .add(GET, "/api/v1/scans/{id}/problems", User, scans::problems)
        .add(GET, "/api/v1/scans/{id}/problem-counts", User, scans::problem_counts)
        .add(POST, "/api/v1/scans/{id}/confirm", Admin, scans::confirm)
        .add(GET, "/api/v1/system", Admin, system::status)
        .add(GET, "/api/v1/system/findings", Admin, system::findings)
        .add(GET, "/api/v1/system/configuration", Admin, system::configuration)
        .add(GET, "/api/v1/system/history", Admin, system::history)
        .add(POST, "/api/v1/demo", Admin, scans::load_demo)
}

async fn version() -> axum::Json<VersionReply> {
    axum::Json(VersionReply { version: env!("CARGO_PKG_VERSION").into(), seed_version: crate::seed::VERSION.into() })
}

/// Paging parameters of a list whose cursor is a number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberPagingQuery {
    limit: Option<u32>,
    cursor: Option<i64>,
}

/// Validates the number of entries of a page: 20 by default, 100 at most.
fn limit(asked: Option<u32>) -> Result<u32> {
    match asked.unwrap_or(20) {
        limit @ 1..=100 => Ok(limit),
        _ => Err(Error::Invalid("limit must be between 1 and 100".to_owned()).into()),
    }
}
