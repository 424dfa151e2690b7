//! The verdict of an attempt: by the job's exit and outputs, or by what kept the job from running.

use super::AttemptRequest;
use super::attempt_error::Error;
use super::job_exit::JobExit;
use super::outputs::RunOutputs;
use super::stop_reason::StopReason;
use super::verdict::{RunEnding, RunError, RunVerdict, SystemFailure, judge};
use crate::engine::plan::RunPlan;
use crate::engine::runtime;

/// How the job ended.
pub(super) fn ending(plan: &RunPlan, main: &JobExit) -> RunEnding {
    RunEnding {
        exit_code: Some(main.ended.exit_code),
        oom: main.ended.oom,
        timed_out: (main.stopped == Some(StopReason::TimedOut)).then(|| plan.container.timeout.unwrap_or_default()),
        cancelled: main.stopped == Some(StopReason::Cancelled),
    }
}

/// The verdict of the attempt.
pub(super) fn verdict(
    job: AttemptRequest<'_>,
    main: &Result<JobExit, Error>,
    outputs: Option<&RunOutputs>,
) -> RunVerdict {
    let manifest = job.manifest;
    let why = match main {
        Ok(main) if main.stopped == Some(StopReason::OutputTooLarge) => {
            // Its outputs show why it was stopped; the exit code only shows that it was.
            let ending = RunEnding { exit_code: Some(0), ..ending(job.plan, main) };
            return named(judge(manifest, ending, outputs), |error| error.exit_code = Some(main.ended.exit_code));
        }
        Ok(main) => return judge(manifest, ending(job.plan, main), outputs),
        Err(why) => why,
    };
    let failure = match why {
        Error::Cancelled => return RunVerdict::Dismissed,
        Error::Engine(runtime::Error::Command { exit_code, reason }) => {
            let ending = RunEnding { exit_code: Some(*exit_code), ..RunEnding::default() };
            let tell =
                |error: &mut RunError| error.description = format!("{} The engine says: {reason}", error.description);
            return named(judge(manifest, ending, None), tell);
        }
        Error::Engine(why) => failure(why),
        Error::Input(_) => SystemFailure::MissingFile,
        Error::OtherManifest { .. } => SystemFailure::OtherManifest,
        Error::DiskFull { .. } | Error::Folder { .. } => SystemFailure::Disk,
        Error::CaptureTooSlow(_) => SystemFailure::Capture,
    };
    RunVerdict::Failed(failure.error(why.to_string()))
}

fn named(mut verdict: RunVerdict, change: impl FnOnce(&mut RunError)) -> RunVerdict {
    if let RunVerdict::Failed(error) = &mut verdict {
        change(error);
    }
    verdict
}

fn failure(why: &runtime::Error) -> SystemFailure {
    match why {
        runtime::Error::Pull { .. } if why.is_passing() => SystemFailure::Pull,
        runtime::Error::Pull { .. } | runtime::Error::NoImage { .. } => SystemFailure::PullRefused,
        runtime::Error::NoEngine { .. } | runtime::Error::Lost { .. } | runtime::Error::Interrupted { .. } => {
            SystemFailure::EngineLost
        }
        runtime::Error::DiskFull { .. } => SystemFailure::Disk,
        runtime::Error::NoGpu { .. }
        | runtime::Error::Command { .. }
        | runtime::Error::Build { .. }
        | runtime::Error::Push { .. }
        | runtime::Error::Refused { .. }
        | runtime::Error::Address { .. } => SystemFailure::Launch,
    }
}
