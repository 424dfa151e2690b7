//! Limits of runs and of files for them: told before a run is requested, and checked when it is.

use std::path::PathBuf;

use super::super::App;
use super::RunOptions;
use crate::engine::plan::{PlanCode, PlanProblem};

/// Most characters of a label, and of a tag; most tags of a run.
const LONGEST_LABEL: usize = 200;
const LONGEST_TAG: usize = 100;
const MOST_TAGS: usize = 20;
/// Most attempts that a form may request.
const MOST_TRIES: u32 = 10;
/// The highest priority.
const HIGHEST: u8 = 9;
/// Priority of a run whose form gives none.
pub(super) const PRIORITY: u8 = 4;

/// What a request for a run may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Bytes of one uploaded file.
    pub upload_bytes: u64,
    /// Bytes of all files that a user has uploaded, and that runs of the user fetch.
    pub user_bytes: u64,
    /// Days after which an unused upload is removed.
    pub keep_uploads_days: u32,
    /// Folders of the server that files may be taken from.
    pub input_roots: Vec<PathBuf>,
    /// Folders of the server that may be mounted.
    pub mount_roots: Vec<PathBuf>,
    /// The longest time of an attempt, in seconds.
    pub timeout_seconds: u64,
    /// Attempts of a run that asks for no number of them.
    pub tries: u32,
    pub most_tries: u32,
    /// Priority of a run that asks for none.
    pub priority: u8,
    pub highest_priority: u8,
    /// Runs of one user that are queued or running.
    pub active_runs: u32,
    /// Characters.
    pub longest_label: usize,
    pub most_tags: usize,
    /// Characters.
    pub longest_tag: usize,
}

impl App {
    /// The limits of this server.
    pub fn run_limits(&self) -> RunLimits {
        const MIB: u64 = 1024 * 1024;
        let settings = &self.settings().runs;
        RunLimits {
            upload_bytes: u64::from(settings.upload_mib) * MIB,
            user_bytes: u64::from(settings.uploads_per_user_mib) * MIB,
            keep_uploads_days: settings.keep_uploads_days,
            input_roots: settings.input_roots.clone(),
            mount_roots: settings.mount_roots.clone(),
            timeout_seconds: u64::from(settings.longest_hours) * 3600,
            tries: settings.tries,
            most_tries: MOST_TRIES,
            priority: PRIORITY,
            highest_priority: HIGHEST,
            active_runs: settings.per_user_active,
            longest_label: LONGEST_LABEL,
            most_tags: MOST_TAGS,
            longest_tag: LONGEST_TAG,
        }
    }
}

/// What is wrong with the options of a run; the subjects are the fields of its form.
pub(super) fn option_problems(options: &RunOptions) -> Vec<PlanProblem> {
    let label = options.label.as_deref().unwrap_or_default();
    let is_tag = |tag: &String| {
        !tag.trim().is_empty() && tag.chars().count() <= LONGEST_TAG && !tag.chars().any(char::is_control)
    };
    let tags = options.tags.as_deref().unwrap_or_default();
    let checks = [
        (
            "label",
            label.chars().count() <= LONGEST_LABEL && !label.chars().any(char::is_control),
            format!("it must have at most {LONGEST_LABEL} characters, and no control characters."),
        ),
        (
            "tags",
            tags.len() <= MOST_TAGS && tags.iter().all(is_tag),
            format!("there may be at most {MOST_TAGS}, each of 1 to {LONGEST_TAG} characters."),
        ),
        (
            "priority",
            options.priority.is_none_or(|priority| priority <= HIGHEST),
            format!("it must be from 0 to {HIGHEST}."),
        ),
        (
            "maxTries",
            options.max_tries.is_none_or(|tries| (1..=MOST_TRIES).contains(&tries)),
            format!("it must be from 1 to {MOST_TRIES}."),
        ),
        ("timeoutSeconds", options.timeout_seconds != Some(0), "it must be at least 1.".to_owned()),
    ];
    let wrong = checks.into_iter().filter(|(_, is_right, _)| !is_right);
    let problem = |(subject, _, message): (&str, bool, String)| PlanProblem {
        code: PlanCode::BadValue,
        subject: subject.to_owned(),
        message,
        help: String::new(),
    };
    wrong.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_with_options_is_told() {
        let wrong = RunOptions {
            timeout_seconds: Some(0),
            max_tries: Some(11),
            priority: Some(10),
            label: Some("a\nb".to_owned()),
            tags: Some(vec![" ".to_owned()]),
        };
        let subjects: Vec<String> = option_problems(&wrong).into_iter().map(|it| it.subject).collect();
        assert_eq!(subjects, ["label", "tags", "priority", "maxTries", "timeoutSeconds"]);
        let right = RunOptions {
            timeout_seconds: Some(1),
            max_tries: Some(10),
            priority: Some(9),
            label: Some("l".repeat(200)),
            tags: Some(vec!["t".repeat(100); 20]),
        };
        assert_eq!(option_problems(&right), []);
        assert_eq!(option_problems(&RunOptions::default()), []);
    }
}
