//! The record of a run: what was run, with which inputs, its result, whether it is retried, and where logs and
//! outputs are. `silo run --json` and the API return the same document.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outputs::RunOutputs;
use super::verdict::{RunError, RunVerdict};
pub use crate::catalog::{RunPhase as Phase, RunStatus as Status};
use crate::engine::plan::RunPlan;
use crate::engine::plan::request::RunRequest;
use crate::seed::environment::variable_name;
use crate::seed::metadata::SeedMetadata;
use crate::seed::model::SeedManifest;

/// The record of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    pub id: String,
    pub job: JobName,
    pub image: ImageUsed,
    /// The manifest at the time of the run.
    pub manifest: Value,
    /// The given inputs, secrets masked; files after they were read.
    pub given: RecordedInputs,
    /// The container, secrets masked: image, command, environment, binds and limits; see
    /// [`crate::engine::plan::container::ContainerSpec`].
    pub container: Value,
    /// The container as a shell command line.
    pub docker_run: String,
    pub status: Status,
    pub phase: Phase,
    /// Percent, 0 to 100.
    pub progress: u8,
    /// The current or last event.
    pub message: String,
    /// Error of the run, or of its last attempt.
    pub error: Option<RunError>,
    pub warnings: Vec<String>,
    pub attempts: Vec<AttemptRecord>,
    pub max_tries: u32,
    pub will_retry: bool,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub finished: Option<DateTime<Utc>>,
    pub updated: DateTime<Utc>,
    pub outputs: Option<RunOutputs>,
    /// The request to a service, without secrets; null for `silo run`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub asked: Value,
    /// The run's folder on the executing host.
    pub folder: Option<PathBuf>,
    #[serde(flatten)]
    pub ticket: RunMetadata,
}

/// Name and versions of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobName {
    pub name: String,
    pub job_version: String,
    pub package_version: String,
}

/// The requested image, and the one that it resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageUsed {
    pub reference: String,
    pub digest: Option<String>,
    pub platform: Option<String>,
}

/// Inputs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedInputs {
    pub files: Vec<GivenInput>,
    /// By input, with the manifest's types; old records hold the texts of the variables.
    pub json: BTreeMap<String, Value>,
    /// By setting; secrets are masked.
    pub settings: BTreeMap<String, String>,
    /// Folders of the host, by mount.
    pub mounts: BTreeMap<String, String>,
}

impl RecordedInputs {
    /// The inputs of a plan, with the files as read.
    pub fn of(manifest: &SeedManifest, request: &RunRequest, plan: &RunPlan, files: Vec<GivenInput>) -> Self {
        let environment = &plan.container.environment;
        let settings = manifest.job.interface.settings.iter().filter_map(|setting| {
            let variable = variable_name(&setting.name);
            let value = environment.iter().find(|it| it.name == variable)?;
            Some((setting.name.clone(), value.value.to_string()))
        });
        let mounts = request.mounts.iter().map(|(name, path)| (name.clone(), path.display().to_string()));
        Self { files, json: plan.json.clone(), settings: settings.collect(), mounts: mounts.collect() }
    }
}

/// A file input of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenInput {
    pub name: String,
    pub files: Vec<GivenFile>,
}

/// A file of an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenFile {
    /// Name in the container.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
    /// By file name extension.
    pub media_type: Option<String>,
    pub modified: Option<DateTime<Utc>>,
    /// Facts from the service that stores the file.
    #[serde(flatten)]
    pub facts: FileFacts,
}

/// What a service knows about a file: its origin, and metadata from jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// URL to download it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<DateTime<Utc>>,
    /// Set for the output of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<RunProduct>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<SeedMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<FileWorkspace>,
    /// Set for the output of a run: inputs of the first run of the chain, in the format of `INPUT_METADATA`.
    #[serde(skip)]
    pub chain: Option<Value>,
}

/// Where a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileWorkspace {
    /// Uploads of users.
    Uploads,
    /// Outputs of runs.
    Runs,
    /// Files on the server's disk.
    Server,
    /// Fetched by URL.
    Web,
    /// The local disk of a `silo run`.
    Local,
}

/// The run that a file is an output of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProduct {
    pub run: String,
    /// Name and version of the job.
    pub job: String,
    pub output: String,
}

/// Fields that a service adds for its users. They do not affect the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
}

/// Record of an attempt. Its logs are in a folder of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    pub started: DateTime<Utc>,
    pub finished: Option<DateTime<Utc>>,
    /// Host of the engine.
    pub host: Option<String>,
    /// Product and version of the engine.
    pub engine: Option<String>,
    pub container_id: Option<String>,
    pub phases: Vec<PhaseRecord>,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub oom: bool,
    pub timed_out: bool,
    pub error: Option<RunError>,
    /// Bytes printed, including those beyond the log limit.
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    /// Whether output was beyond the log limit.
    pub truncated: bool,
    /// The most memory that its container was seen to use, in bytes; `None`: it was not measured.
    #[serde(default)]
    pub peak_memory: Option<u64>,
    /// CPU time until the last measurement, of all cores.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
}

impl AttemptRecord {
    /// An attempt that begins.
    pub fn new(number: u32, started: DateTime<Utc>) -> Self {
        Self {
            number,
            started,
            finished: None,
            host: None,
            engine: None,
            container_id: None,
            phases: Vec::new(),
            exit_code: None,
            signal: None,
            oom: false,
            timed_out: false,
            error: None,
            stdout_bytes: 0,
            stderr_bytes: 0,
            truncated: false,
            peak_memory: None,
            cpu_seconds: None,
        }
    }
}

/// Record of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRecord {
    pub name: Phase,
    pub started: DateTime<Utc>,
    pub finished: Option<DateTime<Utc>>,
    pub message: Option<String>,
}

impl RunRecord {
    /// The record of a planned run that has not started.
    pub fn new(
        id: impl Into<String>,
        manifest: &SeedManifest,
        plan: &RunPlan,
        given: RecordedInputs,
        now: DateTime<Utc>,
    ) -> Self {
        let job = &manifest.job;
        Self {
            id: id.into(),
            job: JobName {
                name: job.name.clone(),
                job_version: job.job_version.clone(),
                package_version: job.package_version.clone(),
            },
            image: ImageUsed {
                reference: plan.container.image.to_string(),
                digest: None,
                platform: plan.container.platform.clone(),
            },
            manifest: manifest.to_value(),
            given,
            container: serde_json::to_value(&plan.container).expect("a container is JSON"),
            docker_run: plan.docker_run(),
            status: Status::Accepted,
            phase: Phase::Queued,
            progress: 0,
            message: String::new(),
            error: None,
            warnings: plan.warnings.clone(),
            attempts: Vec::new(),
            max_tries: 1,
            will_retry: false,
            created: now,
            started: None,
            finished: None,
            updated: now,
            outputs: None,
            asked: Value::Null,
            folder: None,
            ticket: RunMetadata::default(),
        }
    }

    /// Updates container and warnings if another plan is run than was planned first.
    pub fn show(&mut self, plan: &RunPlan) {
        self.container = serde_json::to_value(&plan.container).expect("a container is JSON");
        self.docker_run = plan.docker_run();
        self.warn(plan.warnings.iter().cloned());
    }

    /// Adds warnings that it does not have yet.
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// Begins an attempt. `number` counts from 1.
    pub fn begin_attempt(&mut self, number: u32, now: DateTime<Utc>) {
        self.attempts.push(AttemptRecord::new(number, now));
        self.enter(Phase::Stage, now);
        // The outputs of the attempt before are removed now, and the next job may use their names.
        self.outputs = None;
    }

    /// Enters a phase.
    pub fn enter(&mut self, phase: Phase, now: DateTime<Utc>) {
        self.phase = phase;
        self.progress = self.progress.max(phase.progress());
        self.updated = now;
        if !matches!(phase, Phase::Queued | Phase::Done) {
            self.status = Status::Running;
            self.started.get_or_insert(now);
        }
        if let Some(attempt) = self.attempts.last_mut() {
            if let Some(last) = attempt.phases.last_mut() {
                last.finished.get_or_insert(now);
            }
            if !matches!(phase, Phase::Done | Phase::RetryWait) {
                attempt.phases.push(PhaseRecord { name: phase, started: now, finished: None, message: None });
            }
        }
    }

    /// Ends the last attempt: the run ends, or waits for a retry.
    pub fn end(&mut self, verdict: RunVerdict, now: DateTime<Utc>) {
        let error = match &verdict {
            RunVerdict::Failed(error) => Some(error.clone()),
            RunVerdict::Successful | RunVerdict::Dismissed => None,
        };
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.finished = Some(now);
            attempt.error.clone_from(&error);
        }
        self.will_retry = error.as_ref().is_some_and(|error| error.will_retry(number, self.max_tries));
        self.message = match &verdict {
            RunVerdict::Successful => "The job was successful.".to_owned(),
            RunVerdict::Dismissed => "The job was stopped.".to_owned(),
            RunVerdict::Failed(error) if error.description.is_empty() => format!("{}.", error.title),
            RunVerdict::Failed(error) => format!("{}. {}", error.title, error.description),
        };
        self.error = error;
        if self.will_retry {
            return self.enter(Phase::RetryWait, now);
        }
        self.status = match verdict {
            RunVerdict::Successful => Status::Successful,
            RunVerdict::Failed(_) => Status::Failed,
            RunVerdict::Dismissed => Status::Dismissed,
        };
        self.enter(Phase::Done, now);
        self.finished = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::engine::run::verdict::SystemFailure;
    use crate::engine::testing;

    fn record() -> (RunRecord, DateTime<Utc>) {
        let (manifest, request, plan) = testing::planned("/runs/7".as_ref());
        let now = DateTime::from_timestamp_millis(1_772_345_678_000).expect("a time");
        let given = RecordedInputs::of(&manifest, &request, &plan, Vec::new());
        (RunRecord { max_tries: 2, ..RunRecord::new("7", &manifest, &plan, given, now) }, now)
    }

    fn attempt(record: &mut RunRecord, now: DateTime<Utc>) {
        record.attempts.push(AttemptRecord::new(record.attempts.len() as u32 + 1, now));
        for (minute, phase) in [Phase::Pull, Phase::Stage, Phase::Main].into_iter().enumerate() {
            record.enter(phase, now + TimeDelta::minutes(minute as i64));
        }
    }

    #[test]
    fn a_run_that_fails_twice_tells_it_all() {
        let (mut record, now) = record();
        let later = |minutes| now + TimeDelta::minutes(minutes);
        assert_eq!((record.status, record.phase, record.progress), (Status::Accepted, Phase::Queued, 0));
        attempt(&mut record, later(1));
        record.end(RunVerdict::Failed(SystemFailure::EngineLost.error("It is gone.")), later(4));
        assert_eq!((record.status, record.phase, record.will_retry), (Status::Running, Phase::RetryWait, true));
        assert_eq!(record.finished, None);
        attempt(&mut record, later(10));
        record.end(RunVerdict::Failed(SystemFailure::EngineLost.error("It is gone.")), later(14));
        assert_eq!((record.status, record.phase, record.will_retry), (Status::Failed, Phase::Done, false));
        assert_eq!((record.progress, record.started, record.finished), (100, Some(later(1)), Some(later(14))));
        assert_eq!(record.message, "The engine lost the container. It is gone.");
        let phases = &record.attempts[0].phases;
        let finished: Vec<_> = phases.iter().map(|phase| phase.finished).collect();
        assert_eq!(finished, [Some(later(2)), Some(later(3)), Some(later(4))]);
        let text = serde_json::to_string(&record).expect("a record is JSON");
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(serde_json::from_str::<RunRecord>(&text).expect("it can be read"), record);
        // Their contents are tested in their own modules.
        (record.manifest, record.container) = (Value::Null, Value::Null);
        insta::assert_json_snapshot!(record);
    }

    #[test]
    fn ends_have_their_words() {
        for (verdict, status) in
            [(RunVerdict::Successful, Status::Successful), (RunVerdict::Dismissed, Status::Dismissed)]
        {
            let (mut record, now) = record();
            attempt(&mut record, now);
            record.end(verdict, now);
            assert_eq!((record.status, record.phase, record.error.is_none()), (status, Phase::Done, true));
            assert_eq!((record.finished, record.attempts[0].finished), (Some(now), Some(now)));
        }
    }
}
