//! A job for those who run containers by other means: as a tool of the Common Workflow Language, and as a script for docker.
//! Pure. What cannot be said there is told as notes, a sentence each.

pub mod cwl;
pub mod script;
mod words;

use std::fmt;

pub use words::NotExpressed;

use super::runtime::Config;
use crate::seed::model::Manifest;

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub manifest: &'a Manifest,
    /// The image's name, as an engine takes it.
    pub image: &'a str,
    /// What is known of the image besides its manifest.
    pub config: Option<&'a Config>,
}

/// A job in another form.
#[derive(Clone, Debug)]
pub struct Exported {
    pub text: String,
    /// What is not as a run by SILO is.
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
