//! SILO finds Seed images in container registries, understands their manifests, and lets people and frameworks
//! search them.
//!
//! The rooms, and what each may use, are described in `ARCHITECTURE.md`; a test keeps them to it.

// They panic when nobody reads any more; `cli` has its own.
#![deny(clippy::print_stdout, clippy::print_stderr)]

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
pub mod seed;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod xml;

/// Searches, and the making of an index, are many short-lived texts and lists, which it hands out faster than the C
/// library's; and what a scan or an index took goes back to the system afterwards.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
