//! Running jobs: from a manifest and inputs to a container, and from the container's exit to verdict and record.
//!
//! Depends on the Seed standard and on container engines, never on a database, an HTTP server or the command line.

mod access;
pub mod away;
pub mod build;
mod checkpoint;
pub mod command;
pub mod compare;
pub mod container;
pub mod disk;
pub mod disk_quota;
pub mod docker;
mod docker_run;
pub mod execute;
pub mod export;
pub mod fetch;
pub mod file_removal;
pub mod folder;
pub mod halt;
pub mod held_paths;
mod input_metadata;
pub mod inputs;
pub mod logs;
pub mod orphans;
pub mod outputs;
pub mod plan;
pub mod record;
pub mod removal_guard;
pub mod request;
pub mod runtime;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod verdict;
mod walk;
