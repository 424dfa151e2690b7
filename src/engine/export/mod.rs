//! Exports of a job for other runners: a tool of the Common Workflow Language, and a Bash script for docker. Pure.
//! Differences to a run by SILO are returned as notes, a sentence each.

mod command_words;
pub mod cwl;
pub mod script;

use std::fmt;

pub use command_words::ExportError;

use super::runtime::ImageStartConfig;
use crate::seed::model::SeedManifest;

/// The job to export.
#[derive(Clone, Copy, Debug)]
pub struct ExportSource<'a> {
    pub manifest: &'a SeedManifest,
    /// The image name for the engine.
    pub image: &'a str,
    /// Start configuration of the image, if known.
    pub config: Option<&'a ImageStartConfig>,
}

/// An exported job.
#[derive(Clone, Debug)]
pub struct ExportedJob {
    pub text: String,
    /// Differences to a run by SILO.
    pub notes: Vec<String>,
}

/// A text as one line of a comment.
struct CommentLine<'a>(&'a str);

impl fmt::Display for CommentLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        f.write_str(&line.replace(char::is_control, "\u{fffd}"))
    }
}
