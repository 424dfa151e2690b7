//! The Seed standard 1.0.0: labels, manifests, versions.
//!
//! Pure: no IO, no async, no clock, no logging, no other module of this crate. All input is untrusted: nothing here
//! panics on it, and work is bounded by its size.

pub mod bump;
pub mod comparison;
pub mod environment;
pub mod image_name;
pub mod image_reference;
mod json;
pub mod label;
pub mod listing;
pub mod manifest;
pub mod media_type;
pub mod metadata;
pub mod model;
pub mod outline;
mod problem;
pub mod resources;
mod schema;
pub mod spec;
pub mod starter;
#[cfg(test)]
mod testing;
pub mod upgrade;
pub mod validate;
pub mod version;

pub use problem::{ManifestProblem, ProblemCode, ProblemSeverity, ValidationProfile, explanation};
pub use schema::VERSION;

/// The image label that holds the manifest (Seed 1.0.0, "Discovery").
pub const LABEL: &str = "com.ngageoint.seed.manifest";
