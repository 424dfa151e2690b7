//! Running jobs: from a manifest and inputs to a container, and from the container's exit to verdict and record.
//!
//! Depends on the Seed standard and on container engines, never on a database, an HTTP server or the command line.

pub mod run;

mod access;
pub mod away;
pub mod batch_rows;
pub mod build;
pub mod disk;
pub mod disk_quota;
pub mod docker;
pub mod export;
pub mod fetch;
pub mod file_removal;
pub mod halt;
pub mod held_paths;
pub mod plan;
pub mod runtime;
#[cfg(test)]
mod testing;
mod walk;
