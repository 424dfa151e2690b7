//! Verdict of a run, with stable error names: the manifest's for its exit codes, Scale's for the rest. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outputs::{OutputCode, OutputProblem, RunOutputs};
use crate::seed::model::{ErrorCategory, SeedManifest};
use crate::seed::resources::ResourceKind;

/// How a container exited, as the engine reports it, or why it was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunEnding {
    /// As the engine reports it: 128 + signal number if a signal ended the process. `None` if the container was gone
    /// before its exit code was read.
    pub exit_code: Option<i64>,
    /// Whether the kernel's OOM killer ended a process of the container.
    pub oom: bool,
    /// The time limit at which the run was stopped.
    pub timed_out: Option<Duration>,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

impl RunEnding {
    /// The signal that ended the process, derived from the exit code.
    pub fn signal(&self) -> Option<i64> {
        self.exit_code.map(|code| code - 128).filter(|signal| (1..=64).contains(signal))
    }
}

/// Result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunVerdict {
    Successful,
    Failed(RunError),
    /// It was cancelled.
    Dismissed,
}

/// A named error of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// Stable name, for programs.
    pub name: String,
    pub title: String,
    pub description: String,
    pub category: RunErrorCategory,
    /// Exit code of the process, if it had one.
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub oom: bool,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

impl RunError {
    /// Whether the run is retried after this attempt, counted from 1.
    pub fn will_retry(&self, attempt: u32, max_tries: u32) -> bool {
        self.retryable && attempt < max_tries
    }
}

/// The party responsible for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunErrorCategory {
    /// The inputs.
    Data,
    /// The algorithm or its packaging.
    Job,
    /// The executing system; the job may be fine.
    System,
}

impl RunErrorCategory {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Job => "job",
            Self::System => "system",
        }
    }
}

/// The verdict of a run that got to its container. Outputs are checked only if the exit code is 0.
pub fn judge(manifest: &SeedManifest, ending: RunEnding, outputs: Option<&RunOutputs>) -> RunVerdict {
    let error = |name: &str, title: &str, description: String| RunError {
        name: name.to_owned(),
        title: title.to_owned(),
        description,
        category: RunErrorCategory::Job,
        exit_code: ending.exit_code,
        signal: ending.signal(),
        oom: ending.oom,
        retryable: false,
    };
    if ending.cancelled {
        return RunVerdict::Dismissed;
    }
    if let Some(limit) = ending.timed_out {
        return RunVerdict::Failed(error("timeout", "Time limit exceeded", at_limit(manifest, limit)));
    }
    let code = match ending.exit_code {
        None => {
            return RunVerdict::Failed(
                SystemFailure::EngineLost.error("The container disappeared before its exit code was known."),
            );
        }
        Some(0) => {
            let problem = outputs.and_then(|outputs| outputs.problems.first());
            let all = || outputs.map(|outputs| described(&outputs.problems)).unwrap_or_default();
            return problem.map_or(RunVerdict::Successful, |problem| {
                let (name, title) = output_error_name(problem.code);
                RunVerdict::Failed(error(name, title, all()))
            });
        }
        Some(code) => code,
    };
    if let Some(known) = manifest.job.errors.iter().find(|known| known.code == code) {
        let title = known.title.clone().filter(|title| !title.is_empty()).unwrap_or_else(|| known.name.clone());
        let category = match known.category {
            ErrorCategory::Data => RunErrorCategory::Data,
            ErrorCategory::Job => RunErrorCategory::Job,
        };
        let description = known.description.clone().unwrap_or_default();
        return RunVerdict::Failed(RunError { category, ..error(&known.name, &title, description) });
    }
    if ending.oom {
        let asks = manifest.job.resources.scalar.iter().any(|it| ResourceKind::of(&it.name) == ResourceKind::Mem);
        let whose = match asks {
            true => "the limit comes from its manifest",
            false => "its manifest sets no limit, so the limit comes from the run",
        };
        let description = format!("The job used more memory than allocated; {whose}.");
        return RunVerdict::Failed(error("oom-killed", "Out of memory", description));
    }
    if let Some(signal) = ending.signal() {
        let title = format!("Ended by signal {signal}{}", signal_name(signal));
        let description = format!("This follows from the exit code {code}, for which the manifest has no name.");
        return RunVerdict::Failed(error(&format!("signal-{signal}"), &title, description));
    }
    let hint = match code {
        126 => " Shells use this code if a program may not be executed.",
        127 => " Shells use this code if a program does not exist.",
        _ => "",
    };
    let description = format!("The job ended with exit code {code}, for which its manifest has no name.{hint}");
    RunVerdict::Failed(error("algorithm-unknown", "Unknown error of the job", description))
}

/// Describes a time limit and where it comes from: a run's limit is the shorter of the requested and the server's.
fn at_limit(manifest: &SeedManifest, limit: Duration) -> String {
    let (seconds, own) = (limit.as_secs(), manifest.job.timeout);
    if i64::try_from(seconds) == Ok(own) {
        return format!("The job was stopped at its time limit of {own} seconds, which its manifest sets.");
    }
    let own = match own {
        1.. => format!("its manifest allows {own}"),
        _ => "its manifest sets none".to_owned(),
    };
    format!(
        "The job was stopped at the time limit of this run, {seconds} seconds; {own}. The run's limit is the \
         requested one (timeoutSeconds, --timeout), or the server's maximum (runs.longest_hours), minus the time for \
         fetching inputs."
    )
}

fn output_error_name(code: OutputCode) -> (&'static str, &'static str) {
    match code {
        OutputCode::MissingRequiredOutput => ("missing-required-output", "A required output is missing"),
        OutputCode::UnexpectedMultipleOutputs => {
            ("unexpected-multiple-outputs", "Several files for a single-file output")
        }
        OutputCode::InvalidResultsManifest => ("invalid-results-manifest", "seed.outputs.json is not valid"),
        OutputCode::UnreadableOutput => ("unreadable-output", "An output cannot be read"),
        OutputCode::TooLargeOutput => ("too-large-output", "The job wrote too much"),
    }
}

fn described(problems: &[OutputProblem]) -> String {
    const MOST: usize = 20;
    let sentences = problems.iter().take(MOST).map(|problem| format!("{}: {}", problem.subject, problem.message));
    let more = problems.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("{more} more."));
    sentences.chain(rest).collect::<Vec<_>>().join(" ")
}

fn signal_name(signal: i64) -> String {
    const NAMES: [(i64, &str); 11] = [
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
        (4, "ILL"),
        (6, "ABRT"),
        (7, "BUS"),
        (8, "FPE"),
        (9, "KILL"),
        (11, "SEGV"),
        (13, "PIPE"),
        (15, "TERM"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| format!(" ({name})")).unwrap_or_default()
}

/// Errors of the system around a job; the names are Scale's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemFailure {
    /// Temporary: the registry does not answer, or limits requests.
    Pull,
    /// The image or platform does not exist, or the registry refuses the credentials.
    PullRefused,
    PullTimeout,
    /// The engine does not start the container.
    Launch,
    /// The engine or the container disappeared.
    EngineLost,
    /// The service was stopped while the job ran.
    HostLost,
    /// The disk of inputs, logs or outputs fails or is full.
    Disk,
    /// Capturing the outputs took too long.
    Capture,
    /// An input does not exist any more.
    MissingFile,
    /// The source of an input does not deliver it now.
    InputFetch,
    /// The time limit was reached before the job began.
    TimeLimit,
    /// The image holds another manifest than the run was planned with.
    OtherManifest,
    /// Must be fixed by the operator.
    MissingMount,
    MissingSetting,
    Unknown,
}

impl SystemFailure {
    pub const ALL: [Self; 15] = [
        Self::Pull,
        Self::PullRefused,
        Self::PullTimeout,
        Self::Launch,
        Self::EngineLost,
        Self::HostLost,
        Self::Disk,
        Self::Capture,
        Self::MissingFile,
        Self::InputFetch,
        Self::TimeLimit,
        Self::OtherManifest,
        Self::MissingMount,
        Self::MissingSetting,
        Self::Unknown,
    ];

    /// The error without a retry.
    pub fn permanent_error(self, description: impl Into<String>) -> RunError {
        RunError { retryable: false, ..self.error(description) }
    }

    /// The named error; `description`: a sentence about what happened.
    pub fn error(self, description: impl Into<String>) -> RunError {
        let (name, title, retryable) = match self {
            Self::Pull => ("pull", "The image cannot be pulled", true),
            Self::PullRefused => ("pull", "The image cannot be pulled", false),
            Self::PullTimeout => ("pull-timeout", "Pulling the image took too long", true),
            Self::Launch => ("docker-task-launch", "The engine does not start the container", true),
            Self::EngineLost => ("docker-terminated", "The engine lost the container", true),
            Self::HostLost => ("node-lost", "The machine stopped while the job ran", true),
            Self::Disk => ("filesystem-io", "The disk cannot be read or written", true),
            Self::Capture => ("capture-timeout", "Reading the outputs took too long", false),
            Self::MissingFile => ("missing-file", "An input file no longer exists", false),
            Self::InputFetch => ("input-fetch", "An input cannot be fetched", true),
            Self::TimeLimit => ("timeout", "Time limit exceeded", false),
            Self::OtherManifest => ("manifest-differs", "The image has another manifest", false),
            Self::MissingMount => ("missing-mount", "A mount is missing", false),
            Self::MissingSetting => ("missing-setting", "A setting is missing", false),
            Self::Unknown => ("unknown", "Something unexpected went wrong", true),
        };
        RunError {
            name: name.to_owned(),
            title: title.to_owned(),
            description: description.into(),
            category: RunErrorCategory::System,
            exit_code: None,
            signal: None,
            oom: false,
            retryable,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

    fn manifest() -> SeedManifest {
        let errors = json!([{"code": 10, "name": "no-orbit", "title": "No orbit", "description": "It is gone.", "category": "data"},
            {"code": 11, "name": "crash"}, {"code": 0, "name": "never"}, {"code": 139, "name": "known-crash"}]);
        let job = json!({"name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "", "description": "",
            "maintainer": {"name": "m", "email": "e"}, "timeout": 60, "errors": errors});
        serde_json::from_value(json!({"seedVersion": "1.0.0", "job": job})).expect("it fits the types")
    }

    fn failed(ending: RunEnding) -> RunError {
        match judge(&manifest(), ending, None) {
            RunVerdict::Failed(error) => error,
            other => panic!("{ending:?}: {other:?}"),
        }
    }

    fn exit(code: i64) -> RunEnding {
        RunEnding { exit_code: Some(code), ..RunEnding::default() }
    }

    #[test]
    fn exit_codes_have_names() {
        let table = [
            (exit(10), "no-orbit", "No orbit", RunErrorCategory::Data),
            (exit(11), "crash", "crash", RunErrorCategory::Job),
            (exit(1), "algorithm-unknown", "Unknown error of the job", RunErrorCategory::Job),
            (exit(255), "algorithm-unknown", "Unknown error of the job", RunErrorCategory::Job),
            (exit(-1), "algorithm-unknown", "Unknown error of the job", RunErrorCategory::Job),
            (exit(139), "known-crash", "known-crash", RunErrorCategory::Job),
            (exit(137), "signal-9", "Ended by signal 9 (KILL)", RunErrorCategory::Job),
            (exit(128 + 34), "signal-34", "Ended by signal 34", RunErrorCategory::Job),
            (RunEnding { oom: true, ..exit(137) }, "oom-killed", "Out of memory", RunErrorCategory::Job),
            (RunEnding { oom: true, ..exit(10) }, "no-orbit", "No orbit", RunErrorCategory::Data),
            (RunEnding { timed_out: LIMIT, ..exit(143) }, "timeout", "Time limit exceeded", RunErrorCategory::Job),
            // A job that exits with 0 after SIGTERM is not complete.
            (RunEnding { timed_out: LIMIT, ..exit(0) }, "timeout", "Time limit exceeded", RunErrorCategory::Job),
            (RunEnding { timed_out: LIMIT, ..exit(10) }, "timeout", "Time limit exceeded", RunErrorCategory::Job),
        ];
        for (ending, name, title, category) in table {
            let error = failed(ending);
            assert_eq!((&*error.name, &*error.title, error.category), (name, title, category), "{ending:?}");
            assert_eq!((error.exit_code, error.retryable), (ending.exit_code, false));
        }
        assert!(failed(exit(127)).description.ends_with("a program does not exist."));
        assert_eq!(failed(exit(137)).signal, Some(9));
        let lost = failed(RunEnding::default());
        assert_eq!((&*lost.name, lost.category, lost.retryable), ("docker-terminated", RunErrorCategory::System, true));
    }

    #[test]
    fn a_limit_is_told_as_whose_it_is() {
        let told =
            |seconds| failed(RunEnding { timed_out: Some(Duration::from_secs(seconds)), ..exit(143) }).description;
        assert_eq!(told(60), "The job was stopped at its time limit of 60 seconds, which its manifest sets.");
        let shorter = told(5);
        assert!(shorter.contains("of this run, 5 seconds; its manifest allows 60."), "{shorter}");
        assert!(shorter.contains("timeoutSeconds"), "{shorter}");
        let mut manifest = manifest();
        manifest.job.timeout = 0;
        assert!(at_limit(&manifest, Duration::from_secs(7)).contains("7 seconds; its manifest sets none."));
        // A default is not reported as the manifest's own value.
        let oom = failed(RunEnding { oom: true, ..exit(137) }).description;
        assert!(oom.contains("its manifest sets no limit"), "{oom}");
    }

    #[test]
    fn zero_is_success_where_the_outputs_are_there() {
        let judged = |outputs: &RunOutputs| judge(&manifest(), exit(0), Some(outputs));
        assert_eq!(judged(&RunOutputs::default()), RunVerdict::Successful);
        // A child was killed, and its parent continued.
        assert_eq!(judge(&manifest(), RunEnding { oom: true, ..exit(0) }, None), RunVerdict::Successful);
        assert_eq!(judge(&manifest(), RunEnding { cancelled: true, ..exit(137) }, None), RunVerdict::Dismissed);
        let problem =
            |code, subject: &str| OutputProblem { code, subject: subject.to_owned(), message: "no.".to_owned() };
        let problems =
            vec![problem(OutputCode::UnexpectedMultipleOutputs, "A"), problem(OutputCode::MissingRequiredOutput, "B")];
        let RunVerdict::Failed(error) = judged(&RunOutputs { problems, ..RunOutputs::default() }) else {
            panic!("it failed")
        };
        assert_eq!((&*error.name, &*error.description), ("unexpected-multiple-outputs", "A: no. B: no."));
        assert_eq!((error.category, error.exit_code, error.retryable), (RunErrorCategory::Job, Some(0), false));
    }

    #[test]
    fn only_the_systems_errors_are_retried() {
        for failure in SystemFailure::ALL {
            let error = failure.error("It happened.");
            assert_eq!((error.category, error.exit_code), (RunErrorCategory::System, None));
            assert_eq!(error.will_retry(1, 3), error.retryable, "{failure:?}");
            assert!(!error.will_retry(3, 3));
        }
        assert!(SystemFailure::Pull.error("").retryable && !SystemFailure::PullRefused.error("").retryable);
        assert!(!failed(exit(1)).will_retry(1, 3));
    }
}
