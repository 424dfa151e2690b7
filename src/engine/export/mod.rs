//! Exports of a job for other runners: a tool of the Common Workflow Language, and a Bash script for docker. Pure.
//! Differences to a run by SILO are returned as notes, a sentence each.

pub mod cwl;
pub mod script;
mod words;

use std::fmt;

pub use words::NotExpressed;

use super::runtime::Config;
use crate::seed::model::SeedManifest;

/// The job to export.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub manifest: &'a SeedManifest,
    /// The image name for the engine.
    pub image: &'a str,
    /// Start configuration of the image, if known.
    pub config: Option<&'a Config>,
}

/// An exported job.
#[derive(Clone, Debug)]
pub struct Exported {
    pub text: String,
    /// Differences to a run by SILO.
    pub notes: Vec<String>,
}

/// A text as one line of a comment.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        f.write_str(&line.replace(char::is_control, "\u{fffd}"))
    }
}
