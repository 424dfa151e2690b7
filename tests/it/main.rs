//! The one integration binary (each file in `tests/` would link its own). The tree mirrors the rooms and the URL tree.

mod api;
mod cli;
mod demo;
mod engine;
mod problems;
mod real;
mod registry;
mod rooms;
mod runs;
mod scan;
mod search;
mod store;
mod support;
mod tasks;
