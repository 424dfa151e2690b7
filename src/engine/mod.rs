//! Running jobs: from a manifest and inputs to a container, and from the container's exit to verdict and record.
//!
//! Depends on the Seed standard and on container engines, never on a database, an HTTP server or the command line.

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
