//! The HTTP front end: routes, access, errors, views. A handler is *extract → one call of `app` → view*.

mod admission;
pub mod api;
mod connection_watch;
mod connections;
mod cookies;
mod envelope;
mod error;
mod extract;
mod file;
mod form_parts;
mod hooks;
mod operations;
mod pages;
mod path_part;
mod path_spelling;
mod proxied;
mod quota_holder;
mod request_origin;
mod router;
mod routes;
mod schemas;
mod serve;
mod stream;
mod unread_body;
mod watched_socket;

use crate::app::App;

pub use connections::file_handle_finding;
pub use routes::{RouteAccess, RouteContent, RouteEntry, RouteTable};
pub use serve::{ListenerLimits, serve};

/// The OpenAPI document, served at `/openapi.yaml`.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// All routes.
pub fn routes(app: App) -> RouteTable {
    pages::add(api::v1::add(api::legacy::add(schemas::add(hooks::add(operations::add(RouteTable::new(app)))))))
}
