//! The HTTP front end: routes, access, errors, views. A handler is *extract → one call of `app` → view*.

mod admission;
pub mod api;
mod connections;
mod envelope;
mod error;
mod extract;
mod file;
mod holder;
mod hooks;
mod line;
mod operations;
mod proxied;
mod routes;
mod schemas;
mod serve;
mod spelling;
mod stream;
mod unread_body;
mod watch;

pub use connections::too_few_handles;
pub use routes::{Access, Route, Routes, routes};
pub use serve::{Limits, serve};

/// The OpenAPI document, served at `/openapi.yaml`.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");
