//! Running jobs: from a manifest and inputs to a container, and from what the job left behind to a report.
//!
//! Knows the standard and container engines; knows no database, no HTTP server and no command line.

mod access;
pub mod attempt;
pub mod away;
pub mod build;
pub mod command;
pub mod compare;
pub mod container;
mod context;
pub mod disk;
pub mod docker;
mod docker_run;
pub mod execute;
pub mod export;
pub mod fetch;
pub mod file_removal;
pub mod folder;
pub mod halt;
pub mod hold;
pub mod inputs;
pub mod leftovers;
pub mod logs;
mod marks;
pub mod outputs;
pub mod plan;
pub mod record;
pub mod removal;
pub mod request;
pub mod room;
pub mod runtime;
#[cfg(test)]
mod testing;
pub mod verdict;
mod walk;
