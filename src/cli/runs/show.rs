//! A run's record as text for people.

use std::fmt::Write as _;

use indicatif::HumanBytes;
use serde_json::Value;

use crate::api::runs::{AttemptReply, RunReply};
use crate::api::samples::SampleListReply;
use crate::catalog::RunStatus;
use crate::cli::args::server_client::{moment, text};
use crate::cli::output::render::tame;

/// Summary of a run: status and reason, what its last attempt used, inputs, and where the rest is.
pub(super) fn record(run: &RunReply, used: Option<&SampleListReply>) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            _ = writeln!(out, "{name:<10} {}", tame(&value));
        }
    };
    let (job, image) = (&run.job, &run.image);
    line("Run", text(&run.id));
    line("Job", format!("{} {} (package {})", text(&job.name), text(&job.job_version), text(&job.package_version)));
    line("Image", text(&image.reference));
    line("Digest", maybe(&image.digest));
    line("Label", maybe(&run.label));
    line("Tags", run.tags.iter().map(|tag| text(tag)).collect::<Vec<_>>().join(", "));
    let phase = if run.finished.is_none() { format!(", {}", text(&run.phase)) } else { String::new() };
    line("Status", format!("{}{phase}", text(&run.status)));
    line("Message", text(&run.message));
    if let Some(error) = &run.error {
        let retry = if run.will_retry { "it will be retried" } else { "it will not be retried" };
        line("Error", format!("{} ({}): {retry}", text(&error.name), text(&error.category)));
    }
    line("Attempts", format!("{} of at most {}", run.attempts.len(), run.max_tries));
    for it in &run.attempts {
        line("", attempt(it));
    }
    line("Used", used.map(usage).unwrap_or_default());
    line("Created", format!("{} by {}", moment(run.created), maybe(&run.owner)));
    line("Started", run.started.map(moment).unwrap_or_default());
    line("Finished", run.finished.map(moment).unwrap_or_default());
    given_and_left(run, &mut line);
    for warning in &run.warnings {
        line("Warning", text(warning));
    }
    line("Command", text(&run.docker_run));
    line("Logs", format!("silo runs logs {}", text(&run.id)));
    out
}

/// Peak of the memory, and CPU time; empty if nothing was measured.
fn usage(used: &SampleListReply) -> String {
    let memory = used.peak_memory.map(|bytes| format!("{} of memory at most", HumanBytes(bytes)));
    let cpu = used.cpu_seconds.map(|seconds| format!("{seconds:.1} s of CPU time"));
    memory.into_iter().chain(cpu).collect::<Vec<_>>().join(", ")
}

/// A line about an attempt.
fn attempt(attempt: &AttemptReply) -> String {
    let why = attempt.error.as_ref().map(|error| format!(", {}", text(&error.name))).unwrap_or_default();
    let code = attempt.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    format!("{}: {} on {}{code}{why}", attempt.number, moment(attempt.started), maybe(&attempt.host))
}

/// Lines about inputs and outputs.
fn given_and_left(run: &RunReply, line: &mut impl FnMut(&str, String)) {
    for input in &run.given.files {
        for file in &input.files {
            let (input, name, size) = (text(&input.name), text(&file.name), file.size);
            let digest = file.sha256.get(..12).map(text).unwrap_or_default();
            line("Input", format!("{input} = {name} ({size} bytes, sha256 {digest}…)"));
        }
    }
    for (name, value) in &run.given.json {
        line("Value", format!("{} = {}", text(name), written(value)));
    }
    for (name, value) in &run.given.settings {
        line("Setting", format!("{} = {}", text(name), text(value)));
    }
    let Some(outputs) = &run.outputs else { return };
    for output in &outputs.files {
        for file in &output.files {
            line("Output", format!("{} = {} ({} bytes)", text(&output.name), text(&file.path), file.size));
        }
    }
    for (name, value) in &outputs.json {
        line("Output", format!("{name} = {value}"));
    }
}

fn maybe(value: &Option<String>) -> String {
    value.as_deref().map(text).unwrap_or_default()
}

/// A JSON value; a string without its quotes.
fn written(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => text(&other.to_string()),
    }
}

/// The result, for a command that waited.
pub(super) fn end(run: &RunReply) -> String {
    let (id, status) = (text(&run.id), text(&run.status));
    let mut out = format!("{status}: {}\n", text(&run.message));
    if RunStatus::parse(&run.status) != Some(RunStatus::Successful) {
        _ = writeln!(out, "More: silo runs show {id}; silo runs logs {id} --stderr");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::runs::{
        GivenFileReply, GivenInputReply, OutputFileReply, RunErrorReply, RunImageReply, RunInputsReply, RunJobReply,
        RunOutputReply, RunOutputsReply,
    };

    fn failed() -> RunReply {
        let at = "2026-03-01T06:14:38Z".parse().expect("a time");
        let error = RunErrorReply { name: "bad-input".into(), category: "data".into(), ..RunErrorReply::default() };
        let scene = GivenFileReply {
            name: "a.tif".into(),
            size: 7,
            sha256: "0123456789abcdef".into(),
            ..GivenFileReply::default()
        };
        let map = OutputFileReply { path: "x/map.tif".into(), size: 9, ..OutputFileReply::default() };
        RunReply {
            id: "0197".into(),
            job: RunJobReply { name: "ice".into(), job_version: "1.0.0".into(), package_version: "2.0.0".into() },
            image: RunImageReply {
                reference: "r/ice-1.0.0-seed:2.0.0".into(),
                digest: Some("sha256:ab".into()),
                platform: None,
            },
            tags: vec!["a".into(), "b".into()],
            status: "failed".into(),
            phase: "done".into(),
            message: "Bad input.\u{1b}[2J".into(),
            attempts: vec![AttemptReply {
                number: 1,
                started: at,
                host: Some("node".into()),
                exit_code: Some(3),
                error: Some(error.clone()),
                ..AttemptReply::default()
            }],
            error: Some(error),
            max_tries: 3,
            owner: Some("ada".into()),
            created: at,
            started: Some(at),
            finished: Some(at),
            warnings: vec!["It is odd.".into()],
            given: RunInputsReply {
                files: vec![GivenInputReply { name: "SCENE".into(), files: vec![scene] }],
                json: [("BANDS".to_owned(), json!("[1,2]"))].into(),
                settings: [("KEY".to_owned(), "*****".to_owned())].into(),
                ..RunInputsReply::default()
            },
            outputs: Some(RunOutputsReply {
                files: vec![RunOutputReply { name: "MAP".into(), files: vec![map] }],
                json: [("N".to_owned(), json!(4))].into_iter().collect(),
                ..RunOutputsReply::default()
            }),
            docker_run: "docker run r/ice".into(),
            ..RunReply::default()
        }
    }

    #[test]
    fn one_screen_says_it_all() {
        insta::assert_snapshot!(record(&failed(), None));
        let waiting = RunReply {
            id: "0197".into(),
            status: "running".into(),
            phase: "main".into(),
            max_tries: 1,
            ..RunReply::default()
        };
        let waiting = record(&waiting, None);
        assert!(waiting.contains("Status     running, main\n") && !waiting.contains("Error"), "{waiting}");
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let none = SampleListReply { attempt: 1, peak_memory: None, cpu_seconds: None, samples: Vec::new() };
        assert_eq!(usage(&none), "");
        let some = SampleListReply { peak_memory: Some(12 << 20), cpu_seconds: Some(3.5), ..none };
        assert_eq!(usage(&some), "12.00 MiB of memory at most, 3.5 s of CPU time");
    }
}
