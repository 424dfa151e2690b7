//! The name of a Seed image, `<job name>-<job version>-seed:<package version>`, written and read.

use std::fmt;
use std::str::FromStr;

/// A Seed image's name, with what may stand before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// Registry and organisation, as in `registry.example.org:5000/geo`; empty where there is none.
    pub prefix: String,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
}

/// Why a text names no Seed image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotASeedImage {}

impl fmt::Display for ImageName {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for ImageName {
    type Err = NotASeedImage;

    fn from_str(_: &str) -> Result<Self, NotASeedImage> {
        todo!()
    }
}

/// Whether Docker takes a text as one component of a repository name.
pub fn is_docker_component(_text: &str) -> bool {
    todo!()
}

/// Whether Docker takes a text as a tag.
pub fn is_docker_tag(_text: &str) -> bool {
    todo!()
}
