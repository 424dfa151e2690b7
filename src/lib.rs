//! SILO finds Seed images in container registries, understands their manifests, and lets people and frameworks
//! search them.
//!
//! `ARCHITECTURE.md` describes the rooms and what each may use; a test checks it.

// `println!` panics if nobody reads standard output any more; `cli` has a function of its own.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![deny(clippy::dbg_macro, clippy::todo, clippy::too_many_lines, clippy::unwrap_used)]

pub mod api;
pub mod app;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod engine;
pub mod http;
pub mod lock;
pub mod registry;
pub mod scan;
pub mod search;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod xml;

/// The Seed standard: a room that is a crate of its own.
pub use seed_standard as seed;

/// Searches and indexing allocate many short-lived texts and lists, for which mimalloc is faster than the C library; it
/// also returns the memory of a finished scan or indexing to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
