//! Fills the replies about runs.

use crate::api::WireWord;
use crate::api::runs::{
    AttemptReply, GivenFileReply, GivenInputReply, OutputFileReply, OutputProblemReply, PhaseReply, RunErrorNameReply,
    RunErrorReply, RunImageReply, RunInputsReply, RunJobReply, RunOutputReply, RunOutputsReply, RunProductReply,
    RunReply, RunSummaryReply,
};
use crate::api::samples::SampleReply;
use crate::catalog::{RunPhase, RunSummary};
use crate::engine::run::outputs::{CapturedFile, CapturedOutput, OutputProblem, RunOutputs};
use crate::engine::run::record::{
    AttemptRecord, FileFacts, GivenFile, GivenInput, ImageUsed, JobName, PhaseRecord, RecordedInputs, RunMetadata,
    RunProduct, RunRecord,
};
use crate::engine::run::samples::ResourceSample;
use crate::engine::run::verdict::RunError;
use crate::http::error::word_of;

impl From<RunSummary> for RunSummaryReply {
    fn from(run: RunSummary) -> Self {
        Self {
            will_retry: run.phase == RunPhase::RetryWait,
            id: run.id,
            owner: run.owner,
            job: run.job_name,
            job_version: run.job_version,
            package_version: run.package_version,
            image: run.image,
            status: run.status.as_str().into(),
            phase: run.phase.as_str().into(),
            progress: run.progress,
            message: run.message,
            error: run.error_name.map(|name| RunErrorNameReply { name, category: run.error_category }),
            attempts: run.attempts,
            max_tries: run.max_tries,
            priority: run.priority,
            label: run.label,
            tags: run.tags,
            batch: run.batch_id,
            batch_row: run.batch_row,
            rerun_of: run.rerun_of,
            created: run.created_at,
            started: run.started_at,
            finished: run.finished_at,
            updated: run.updated_at,
            purged: run.purged_at,
        }
    }
}

impl From<RunRecord> for RunReply {
    fn from(record: RunRecord) -> Self {
        // Every field is named, so that none is added to the record and forgotten here.
        let RunRecord {
            id,
            job: JobName { name, job_version, package_version },
            image: ImageUsed { reference, digest, platform },
            manifest,
            given: RecordedInputs { files, json, settings, mounts },
            container,
            docker_run,
            status,
            phase,
            progress,
            message,
            error,
            warnings,
            attempts,
            max_tries,
            will_retry,
            created,
            started,
            finished,
            updated,
            outputs,
            asked,
            folder,
            ticket: RunMetadata { owner, label, tags, priority, batch, rerun_of },
        } = record;
        Self {
            id,
            job: RunJobReply { name, job_version, package_version },
            image: RunImageReply { reference, digest, platform },
            manifest,
            given: RunInputsReply { files: all(files), json, settings, mounts },
            container,
            docker_run,
            status: status.as_str().into(),
            phase: phase.as_str().into(),
            progress,
            message,
            error: error.map(RunErrorReply::from),
            warnings,
            attempts: all(attempts),
            max_tries,
            will_retry,
            created,
            started,
            finished,
            updated,
            outputs: outputs.map(RunOutputsReply::from),
            asked,
            folder,
            owner,
            label,
            tags,
            priority,
            batch,
            rerun_of,
        }
    }
}

fn all<T, R: From<T>>(some: Vec<T>) -> Vec<R> {
    some.into_iter().map(R::from).collect()
}

impl From<GivenInput> for GivenInputReply {
    fn from(GivenInput { name, files }: GivenInput) -> Self {
        Self { name, files: all(files) }
    }
}

impl From<GivenFile> for GivenFileReply {
    fn from(file: GivenFile) -> Self {
        let GivenFile { name, path, source, size, sha256, media_type, modified, facts } = file;
        // The chain is for the next run's inputs, and not sent.
        let FileFacts { id, url, created, product, metadata, workspace, chain: _ } = facts;
        let product = product.map(|RunProduct { run, job, output }| RunProductReply { run, job, output });
        let workspace = workspace.as_ref().map(word_of);
        Self { name, path, source, size, sha256, media_type, modified, id, url, created, product, metadata, workspace }
    }
}

impl From<RunError> for RunErrorReply {
    fn from(error: RunError) -> Self {
        let RunError { name, title, description, category, exit_code, signal, oom, retryable } = error;
        Self { name, title, description, category: word_of(&category), exit_code, signal, oom, retryable }
    }
}

impl From<AttemptRecord> for AttemptReply {
    fn from(attempt: AttemptRecord) -> Self {
        let AttemptRecord {
            number,
            started,
            finished,
            host,
            engine,
            container_id,
            phases,
            exit_code,
            signal,
            oom,
            timed_out,
            error,
            stdout_bytes,
            stderr_bytes,
            truncated,
            peak_memory,
            cpu_seconds,
        } = attempt;
        Self {
            number,
            started,
            finished,
            host,
            engine,
            container_id,
            phases: all(phases),
            exit_code,
            signal,
            oom,
            timed_out,
            error: error.map(RunErrorReply::from),
            stdout_bytes,
            stderr_bytes,
            truncated,
            peak_memory,
            cpu_seconds,
        }
    }
}

impl From<PhaseRecord> for PhaseReply {
    fn from(PhaseRecord { name, started, finished, message }: PhaseRecord) -> Self {
        Self { name: WireWord::from(name.as_str()), started, finished, message }
    }
}

impl From<RunOutputs> for RunOutputsReply {
    fn from(outputs: RunOutputs) -> Self {
        let RunOutputs { files, json, extra, input_metadata, bytes, problems, warnings } = outputs;
        let (files, extra, problems) = (all(files), all(extra), all(problems));
        Self { files, json, extra, input_metadata, bytes, problems, warnings }
    }
}

impl From<CapturedOutput> for RunOutputReply {
    fn from(CapturedOutput { name, files }: CapturedOutput) -> Self {
        Self { name, files: all(files) }
    }
}

impl From<CapturedFile> for OutputFileReply {
    fn from(CapturedFile { path, size, sha256, media_type, metadata }: CapturedFile) -> Self {
        Self { path, size, sha256, media_type, metadata, url: None }
    }
}

impl From<OutputProblem> for OutputProblemReply {
    fn from(OutputProblem { code, subject, message }: OutputProblem) -> Self {
        Self { code: word_of(&code), subject, message }
    }
}

impl From<ResourceSample> for SampleReply {
    fn from(sample: ResourceSample) -> Self {
        let ResourceSample { time, readings, cpu_seconds, memory, received, sent, read, written } = sample;
        Self { time, readings, cpu_seconds, memory, received, sent, read, written }
    }
}
