//! The HTTP door: routes, access, errors, views. A handler is *extract → one call of `app` → view*.

pub mod api;
mod envelope;
mod error;
mod extract;
mod file;
mod hooks;
mod operations;
mod routes;
mod schemas;
mod serve;
mod stream;

pub use routes::{Access, Route, Routes, routes};
pub use serve::serve;

/// The HTTP contract, as served at `/openapi.yaml`.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");
