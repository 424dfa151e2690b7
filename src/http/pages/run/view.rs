//! What the page of a run shows.

use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::log_view::LogView;
use super::outputs::{GivenView, NamedValue, OutputsView};
use super::run_path;
use super::terminal_text::TerminalText;
use crate::app::RunDetail;
use crate::catalog::RunPhase;
use crate::engine::plan::docker_run::quoted;
use crate::engine::run::record::{AttemptRecord, PhaseRecord, RunRecord};
use crate::engine::run::verdict::RunError;
use crate::http::pages::job::{TimeView, bytes};
use crate::http::pages::plots::RunPlots;
use crate::http::pages::preview::RunPreviews;
use crate::http::pages::run_state::{duration, ending, fault, phase_words, status_sign, status_word};
use crate::http::pages::{PageFrame, filters};
use crate::http::path_part::job_version_path;

/// Most attempts that are listed; the newest ones.
const MOST_ATTEMPTS: usize = 50;

#[derive(Template)]
#[template(path = "run.html", blocks = ["main"])]
pub(super) struct RunPage {
    frame: PageFrame,
    /// Of the forms of this session.
    token: String,
    id: String,
    run_url: String,
    title: String,
    job_name: String,
    job_version: String,
    package_version: String,
    job_url: String,
    /// The form of a run, with this run's inputs.
    change_url: String,
    status: &'static str,
    sign: &'static str,
    phase: &'static str,
    is_final: bool,
    /// Such as `attempt 1 of 3`; empty before the first.
    attempt: String,
    /// Of a run that has ended.
    took: String,
    progress: u8,
    message: String,
    owner: String,
    label: String,
    tags: Vec<TagRow>,
    failure: Option<RunFailure>,
    last_words: Vec<TerminalText>,
    stderr_url: String,
    warnings: Vec<String>,
    stages: Vec<RunStage>,
    attempts: Vec<AttemptRow>,
    given: GivenView,
    container: ContainerView,
    outputs: Option<OutputsView>,
    archive_url: String,
    facts: RunFacts,
    /// When its files were deleted.
    purged: Option<TimeView>,
    has_files: bool,
    log: Option<LogView>,
    plots: Option<RunPlots>,
    previews: Option<RunPreviews>,
    /// Changes of the run as events, until it ends.
    events_url: Option<String>,
}

struct TagRow {
    url: String,
    tag: String,
}

/// Why a run, or its last attempt, failed.
struct RunFailure {
    title: String,
    description: String,
    fault: &'static str,
    name: String,
    /// Exit code, signal, memory; may be empty.
    ending: String,
    retry_at: Option<TimeView>,
}

/// A phase of the last attempt.
struct RunStage {
    name: &'static str,
    /// Empty while it goes on.
    took: String,
}

/// An attempt.
struct AttemptRow {
    number: u32,
    started: TimeView,
    took: String,
    engine: String,
    /// Its error, or what it printed.
    result: String,
}

/// The container.
struct ContainerView {
    command: String,
    environment: Vec<NamedValue>,
    binds: Vec<NamedValue>,
    limits: Vec<NamedValue>,
    docker_run: String,
}

/// Facts of the run, in the side column.
struct RunFacts {
    image: String,
    digest: String,
    platform: String,
    created: TimeView,
    started: Option<TimeView>,
    finished: Option<TimeView>,
    priority: String,
    batch: String,
    batch_url: String,
    /// The run that this one repeats.
    rerun_of: Option<(String, String)>,
}

/// The job's title, or its name.
pub(super) fn title(record: &RunRecord) -> String {
    let title = record.manifest["job"]["title"].as_str().map(str::trim).unwrap_or_default();
    if title.is_empty() { record.job.name.clone() } else { title.to_owned() }
}

impl RunPage {
    pub(super) fn new(
        frame: PageFrame,
        token: String,
        detail: RunDetail,
        (log, last_words): (Option<LogView>, Vec<TerminalText>),
        shown: Option<(RunPlots, RunPreviews)>,
    ) -> Self {
        let RunDetail { record, summary, retry_at, files } = detail;
        let id = record.id.clone();
        let run_url = frame.url(&run_path(&id));
        let job = &record.job;
        let job_path = job_version_path(&job.name, &job.job_version, &job.package_version);
        let has_files = files.is_some();
        let (plots, previews) = shown.unzip();
        let outputs = record.outputs.as_ref();
        let took = record.started.zip(record.finished).map(|(started, finished)| duration(finished - started));
        Self {
            job_url: frame.url(&job_path),
            change_url: frame.url(&format!("{job_path}/run?from={id}")),
            stderr_url: format!("{run_url}/log/stderr"),
            archive_url: frame.url(&format!("/api/v1/runs/{id}/archive?format=zip")),
            events_url: (!record.status.is_final()).then(|| frame.url(&format!("/api/v1/runs/{id}/events"))),
            title: title(&record),
            job_name: job.name.clone(),
            job_version: job.job_version.clone(),
            package_version: job.package_version.clone(),
            status: status_word(record.status),
            sign: status_sign(record.status),
            phase: phase_words(record.phase),
            is_final: record.status.is_final(),
            attempt: match record.attempts.len() {
                0 => String::new(),
                number => format!("attempt {number} of {}", record.max_tries),
            },
            took: took.unwrap_or_default(),
            progress: record.progress,
            message: record.message.clone(),
            owner: summary.owner,
            label: summary.label,
            tags: summary.tags.into_iter().map(|tag| tag_row(&frame, tag)).collect(),
            failure: record.error.as_ref().map(|error| failure(error, retry_at)),
            last_words,
            warnings: record.warnings.clone(),
            stages: record.attempts.last().map(stages).unwrap_or_default(),
            attempts: record.attempts.iter().rev().take(MOST_ATTEMPTS).map(attempt_row).collect(),
            given: GivenView::of(&frame, &record.given),
            container: container(&record),
            outputs: outputs.map(|outputs| OutputsView::of(&frame, has_files.then_some(&*id), outputs)),
            facts: facts(&frame, &record),
            purged: summary.purged_at.map(TimeView::of),
            has_files,
            log,
            plots,
            previews: previews.filter(|previews| !previews.is_empty()),
            id,
            run_url,
            token,
            frame,
        }
    }

    /// The heading of the browser's window: what is going on comes first.
    fn heading(&self) -> String {
        format!("{}: {}", self.status, self.title)
    }
}

fn tag_row(frame: &PageFrame, tag: String) -> TagRow {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("tag", &tag).finish();
    TagRow { url: frame.url(&format!("/runs?{query}")), tag }
}

fn failure(error: &RunError, retry_at: Option<DateTime<Utc>>) -> RunFailure {
    RunFailure {
        title: error.title.clone(),
        description: error.description.clone(),
        fault: fault(error.category.as_str()),
        name: error.name.clone(),
        ending: ending(error),
        retry_at: retry_at.map(TimeView::of),
    }
}

fn stages(attempt: &AttemptRecord) -> Vec<RunStage> {
    let stage = |phase: &PhaseRecord| RunStage {
        name: match phase.name {
            RunPhase::Queued => "queue",
            RunPhase::Pull => "pull",
            RunPhase::Stage => "inputs",
            RunPhase::Main => "job",
            RunPhase::Capture => "outputs",
            RunPhase::Cancelling => "stop",
            RunPhase::RetryWait => "wait",
            RunPhase::Done => "end",
        },
        took: phase.finished.map(|finished| duration(finished - phase.started)).unwrap_or_default(),
    };
    attempt.phases.iter().map(stage).collect()
}

fn attempt_row(attempt: &AttemptRecord) -> AttemptRow {
    let printed = bytes(attempt.stdout_bytes + attempt.stderr_bytes);
    let printed = format!("printed {printed}{}", if attempt.truncated { ", not all of it was kept" } else { "" });
    AttemptRow {
        number: attempt.number,
        started: TimeView::of(attempt.started),
        took: attempt.finished.map(|finished| duration(finished - attempt.started)).unwrap_or_default(),
        engine: attempt.engine.clone().unwrap_or_default(),
        result: match &attempt.error {
            Some(error) if ending(error).is_empty() => format!("{}; {printed}", error.title),
            Some(error) => format!("{} ({}); {printed}", error.title, ending(error)),
            None => printed,
        },
    }
}

fn facts(frame: &PageFrame, record: &RunRecord) -> RunFacts {
    let ticket = &record.ticket;
    let batch = ticket.batch.clone().unwrap_or_default();
    RunFacts {
        image: record.image.reference.clone(),
        digest: record.image.digest.clone().unwrap_or_default(),
        platform: record.image.platform.clone().unwrap_or_default(),
        created: TimeView::of(record.created),
        started: record.started.map(TimeView::of),
        finished: record.finished.map(TimeView::of),
        priority: ticket.priority.map(|priority| priority.to_string()).unwrap_or_default(),
        batch_url: frame.url(&format!("/batch/{batch}")),
        batch,
        rerun_of: ticket.rerun_of.clone().map(|id| (frame.url(&run_path(&id)), id)),
    }
}

fn container(record: &RunRecord) -> ContainerView {
    let spec = &record.container;
    let words = |name: &str| spec[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let command: Vec<_> = words("entrypoint").chain(words("command")).map(quoted).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let bind = |bind: &Value| {
        let mode = if bind["readOnly"] == true { "read only" } else { "read and write" };
        NamedValue::new(text(&bind["target"]), &format!("{}, {mode}", text(&bind["source"])))
    };
    let variable = |variable: &Value| NamedValue::new(text(&variable["name"]), &text(&variable["value"]));
    ContainerView {
        command: command.join(" "),
        environment: list("environment").iter().map(variable).collect(),
        binds: list("binds").iter().map(bind).collect(),
        limits: limits(spec),
        docker_run: record.docker_run.clone(),
    }
}

/// Limits that are set.
fn limits(spec: &Value) -> Vec<NamedValue> {
    let size = |name: &str| spec[name].as_u64().map(bytes);
    let number = |name: &str| Some(&spec[name]).filter(|value| value.is_number() && **value != 0).map(Value::to_string);
    let seconds = spec["timeoutSeconds"].as_i64().and_then(chrono::TimeDelta::try_seconds);
    let all = [
        ("Memory", size("memory")),
        ("CPU", number("cpus")),
        ("Shared memory", size("sharedMemory")),
        ("GPU", number("gpus")),
        ("Processes", number("processes")),
        ("Time", seconds.map(duration)),
        ("Network", spec["network"].as_str().map(str::to_owned)),
        ("User", spec["user"].as_str().map(str::to_owned)),
    ];
    all.into_iter().filter_map(|(name, value)| Some(NamedValue::new(name, &value?))).collect()
}
