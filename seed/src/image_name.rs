//! Formats and parses Seed image names, `<job name>-<job version>-seed:<package version>`, and checks Docker's limits.
//!
//! Parsing does not apply the standard's rules for the parts; validation does.

use std::fmt;
use std::str::FromStr;

use super::version;

/// Longest name that is parsed, in bytes. Docker's limits for repository and tag are far below.
pub const MAX_BYTES: usize = 1024;

/// The name of a Seed image, with an optional registry and organisation.
///
/// Formatting and parsing round-trip for every valid job name: it contains no dots, so no part of it can be mistaken
/// for the job version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// Registry and organisation, such as `registry.example.org:5000/geo`; empty if absent.
    pub prefix: String,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
}

impl ImageName {
    /// The standard's image name of a job ("Image Naming"), without a registry.
    pub fn of(job_name: &str, job_version: &str, package_version: &str) -> Self {
        let [job_name, job_version, package_version] = [job_name, job_version, package_version].map(str::to_owned);
        Self { prefix: String::new(), job_name, job_version, package_version }
    }
}

/// Why a text is not the name of a Seed image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotASeedImage {
    #[error("the name has {bytes} bytes, and no image's name has more than {MAX_BYTES}")]
    TooLong { bytes: usize },
    #[error("there is nothing before a `/`: the form is [registry/][organisation/]{FORM}")]
    EmptyPrefix,
    #[error("there is no tag: add the package version after a colon, as in {FORM}")]
    NoTag,
    #[error("the name does not end in `-seed`: the form is {FORM}")]
    NoSuffix,
    #[error("there is no job version, three numbers as in 1.0.0, before `-seed`: the form is {FORM}")]
    NoJobVersion,
    #[error("there is no job name before the job version: the form is {FORM}")]
    NoJobName,
}

const FORM: &str = "<job name>-<job version>-seed:<package version>";

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            write!(f, "{}/", self.prefix)?;
        }
        write!(f, "{}-{}-seed:{}", self.job_name, self.job_version, self.package_version)
    }
}

impl FromStr for ImageName {
    type Err = NotASeedImage;

    /// Parses an image reference; a digest after `@` is ignored.
    fn from_str(text: &str) -> Result<Self, NotASeedImage> {
        let text = text.split_once('@').map_or(text, |(name, _)| name);
        if text.len() > MAX_BYTES {
            return Err(NotASeedImage::TooLong { bytes: text.len() });
        }
        let (prefix, last) = match text.rsplit_once('/') {
            Some((prefix, _)) if prefix.split('/').any(str::is_empty) => return Err(NotASeedImage::EmptyPrefix),
            Some((prefix, last)) => (prefix, last),
            None => ("", text),
        };
        let (name, tag) = last.rsplit_once(':').filter(|(_, tag)| !tag.is_empty()).ok_or(NotASeedImage::NoTag)?;
        let name = name.strip_suffix("-seed").ok_or(NotASeedImage::NoSuffix)?;
        let (job_name, job_version) = split_version(name)?;
        Ok(Self { prefix: prefix.to_owned(), ..Self::of(job_name, job_version, tag) })
    }
}

/// Splits job name and version at the leftmost dash that is followed by a valid version: a pre-release may itself
/// contain dashes and versions.
fn split_version(name: &str) -> Result<(&str, &str), NotASeedImage> {
    let mut splits = name.match_indices('-').map(|(at, _)| (&name[..at], &name[at + 1..]));
    match splits.find(|(_, rest)| version::is_valid(rest)) {
        Some(("", _)) => Err(NotASeedImage::NoJobName),
        Some(split) => Ok(split),
        None if version::is_valid(name) => Err(NotASeedImage::NoJobName),
        None => Err(NotASeedImage::NoJobVersion),
    }
}

/// Whether a text is a valid path component of a Docker repository name: lower-case letters and digits, separated by
/// one `.`, one or two `_`, or any number of `-` (grammar of distribution references).
pub fn is_docker_component(text: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_separator = |run: &[u8]| matches!(run, b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-');
    let bytes = text.as_bytes();
    bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.chunk_by(|a, b| plain(a) == plain(b)).all(|run| plain(&run[0]) || is_separator(run))
}

/// Whether a text is a valid Docker tag: 1 to 128 letters, digits, `.`, `_` and `-`, not starting with `.` or `-`.
pub fn is_docker_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_names() {
        let table = [
            ("my-job-1.0.0-seed:2.0.0", ["", "my-job", "1.0.0", "2.0.0"]),
            ("localhost:5000/geo/ice-9.4.1-seed:0.1.0", ["localhost:5000/geo", "ice", "9.4.1", "0.1.0"]),
            (
                "r.example.org/a/b/j-1-1.0.0-rc.1-x+5-seed:1.0.0",
                ["r.example.org/a/b", "j-1", "1.0.0-rc.1-x+5", "1.0.0"],
            ),
            ("j-1.0.0-2.0.0-seed:1.0.0", ["", "j", "1.0.0-2.0.0", "1.0.0"]),
            ("j-01.0.0-2.0.0-seed:1.0.0", ["", "j-01.0.0", "2.0.0", "1.0.0"]),
            ("j-1.0.0-seed-seed:latest", ["", "j", "1.0.0-seed", "latest"]),
            ("geo/j-1.0.0-seed:1.0.0@sha256:0f", ["geo", "j", "1.0.0", "1.0.0"]),
            ("--1.0.0-seed:1", ["", "-", "1.0.0", "1"]),
        ];
        for (text, [prefix, job_name, job_version, tag]) in table {
            let expected = ImageName { prefix: prefix.to_owned(), ..ImageName::of(job_name, job_version, tag) };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        let table = [
            ("", NotASeedImage::NoTag),
            ("j-1.0.0-seed", NotASeedImage::NoTag),
            ("j-1.0.0-seed:", NotASeedImage::NoTag),
            ("host:5000/j-1.0.0-seed", NotASeedImage::NoTag),
            ("j-1.0.0-seed@sha256:0f", NotASeedImage::NoTag),
            ("j-1.0.0:1.0.0", NotASeedImage::NoSuffix),
            ("j-1.0.0-SEED:1.0.0", NotASeedImage::NoSuffix),
            ("j-1.0-seed:1.0.0", NotASeedImage::NoJobVersion),
            ("j-seed:1.0.0", NotASeedImage::NoJobVersion),
            ("-seed:1.0.0", NotASeedImage::NoJobVersion),
            ("1.0.0-seed:1.0.0", NotASeedImage::NoJobName),
            ("geo/-1.0.0-seed:1.0.0", NotASeedImage::NoJobName),
            ("/j-1.0.0-seed:1.0.0", NotASeedImage::EmptyPrefix),
            ("https://host/j-1.0.0-seed:1.0.0", NotASeedImage::EmptyPrefix),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<ImageName>(), Err(error), "{text}");
        }
        let long = format!("{}-seed:1", "-1.0.0".repeat(1_000_000));
        assert_eq!(long.parse::<ImageName>(), Err(NotASeedImage::TooLong { bytes: 6_000_007 }));
        let message = "j:1".parse::<ImageName>().unwrap_err().to_string();
        assert_eq!(
            message,
            "the name does not end in `-seed`: the form is <job name>-<job version>-seed:<package version>"
        );
    }

    #[test]
    fn knows_what_docker_takes() {
        for text in ["a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c-1.0.0-seed"] {
            assert!(is_docker_component(text), "{text}");
        }
        for text in ["", "A", "a..b", "a___b", "a._b", "a-.b", "-a", "a-", ".a", "a_", "a/b", "a b", "ä", "a\n", "a+b"]
        {
            assert!(!is_docker_component(text), "{text}");
        }
        for text in ["a", "_", "1.0.0-rc.1", "A.b-", &"x".repeat(128)] {
            assert!(is_docker_tag(text), "{text}");
        }
        for text in ["", ".a", "-a", "1.0.0+5", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(!is_docker_tag(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn writing_what_was_read_gives_the_text(text in "([a-c:/]{0,3}/)?[a-z0-9.-]{0,4}-?1\\.0\\.0[a-z0.+-]{0,3}(-seed)?:[a-z0-9.:-]{0,5}") {
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn reading_what_was_written_gives_the_name(
            prefix in "([a-z.]{1,5}(:[0-9]{1,4})?(/[a-z]{1,3}){0,2})?",
            job_name in "[A-Za-z0-9-]{1,10}",
            job_version in "[0-9]\\.[1-9][0-9]?\\.[0-9](-[a-z-]{1,4}(\\.[0-9a-z-]{0,2}[a-z])?)?(\\+[0-9a-z-]{1,3})?",
            package_version in "[0-9]\\.[0-9]\\.[0-9](-[a-z]{1,4})?",
        ) {
            prop_assert!(version::is_valid(&job_version));
            let name = ImageName { prefix, ..ImageName::of(&job_name, &job_version, &package_version) };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn never_panics(text in "(\\PC|[-:/@.0-9]|-seed|1\\.0\\.0|:1){0,12}") {
            let _ = text.parse::<ImageName>();
            let _ = (is_docker_component(&text), is_docker_tag(&text));
        }

        /// A second implementation of the grammar: split at separators, then check that every piece is non-empty.
        #[test]
        fn components_are_runs_with_separators(text in "[aB0._-]{0,8}") {
            let pieces = text.split(['.', '_', '-']).collect::<Vec<_>>();
            let runs: Vec<&str> = text.split(|c: char| c.is_ascii_alphanumeric()).filter(|run| !run.is_empty()).collect();
            let ends = [pieces.first(), pieces.last()].iter().all(|end| end.is_some_and(|end| !end.is_empty()));
            let separated = runs.iter().all(|run| [".", "_", "__"].contains(run) || run.trim_matches('-').is_empty());
            prop_assert_eq!(is_docker_component(&text), ends && separated && !text.contains('B'));
        }
    }
}
