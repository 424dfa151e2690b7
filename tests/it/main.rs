//! The only integration test binary: separate files in `tests/` would each be linked. The modules mirror those of
//! `src/` and the URL tree.

mod api;
mod cli;
mod demo;
mod engine;
mod needs;
mod pages;
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
mod testkit;
