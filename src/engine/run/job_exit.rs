//! How a job's container exits: by itself, or stopped for one of its limits.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt_error::{Error, is_storage_full};
use super::stop_reason::StopReason;
use crate::engine::disk_quota::{DiskQuota, LowWaterMark};
use crate::engine::runtime;
use crate::engine::runtime::{ContainerExit, ContainerRuntime, ContainerSignal};

/// How long a container may take to exit after SIGKILL.
const DYING: Duration = Duration::from_secs(60);
/// Exit codes of a process ended by SIGTERM or SIGKILL: 128 + signal number.
const SIGNALLED: [i64; 2] = [143, 137];
/// How many bytes must fit on a disk that is not full.
const PROBE: usize = 64 * 1024;

/// How the job's container exited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobExit {
    pub container_id: String,
    pub ended: ContainerExit,
    /// Why SILO stopped it; `None`: it exited by itself.
    pub stopped: Option<StopReason>,
    /// Bytes of the files in the output folder, by their length; 0 or too low if the folder could not be read fully.
    pub output_bytes: u64,
}

/// How a container was seen to exit.
pub(super) struct ObservedExit {
    pub ended: ContainerExit,
    /// Why it was stopped; `None`: it exited by itself, or its logs could not be written.
    pub stopped: Option<StopReason>,
}

/// When a running job is stopped, besides its disk quota.
#[derive(Clone, Copy)]
pub(super) struct StopRules {
    /// Time limit; `None`: none.
    pub limit: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// Exit of a container that had exited before this process looked at it. Signals sent by an earlier `silo` process
/// are reported by the engine (`was_signalled`); an exit that the engine did not observe was caused by its own stop
/// or restart.
pub(super) fn classify_late_end(
    ended: ContainerExit,
    limit: Option<Duration>,
    stop: &CancellationToken,
) -> ObservedExit {
    let by_engine = ended.is_unseen || SIGNALLED.contains(&ended.exit_code);
    let was_signalled = ended.was_signalled || (by_engine && !ended.oom);
    let stopped = match was_signalled {
        true if stop.is_cancelled() => Some(StopReason::Cancelled),
        true if ended.was_signalled && limit == Some(Duration::ZERO) => Some(StopReason::TimedOut),
        _ => None,
    };
    ObservedExit { ended: ContainerExit { was_signalled, ..ended }, stopped }
}

pub(super) fn interrupted(ended: &ContainerExit) -> runtime::Error {
    runtime::Error::Interrupted { reason: format!("its exit code is {}", ended.exit_code) }
}

/// Waits for the container's exit; stops it on cancellation, time limit, disk quota or broken logs.
pub(super) async fn supervise<R: ContainerRuntime>(
    runtime: &R,
    id: &str,
    rules: StopRules,
    room: DiskQuota<'_>,
    low: &LowWaterMark,
    stop: &CancellationToken,
    broken: &CancellationToken,
) -> Result<ObservedExit, Error> {
    let mut waited = pin!(runtime.wait(id));
    let stopped = tokio::select! {
        biased;
        ended = &mut waited => return Ok(ObservedExit { ended: ended?, stopped: None }),
        () = stop.cancelled() => Some(StopReason::Cancelled),
        () = await_or_pend(rules.limit.map(sleep)) => Some(StopReason::TimedOut),
        stopped = room.wait_until_exceeded(low) => Some(stopped),
        () = broken.cancelled() => None,
    };
    // No grace period (SIGTERM) for a job that writes too much: it would go on writing.
    if !matches!(stopped, Some(StopReason::OutputTooLarge | StopReason::DiskFull)) {
        runtime.signal(id, ContainerSignal::Term).await?;
        if let Ok(ended) = timeout(rules.grace, &mut waited).await {
            return Ok(ObservedExit { ended: ended?, stopped });
        }
    }
    runtime.signal(id, ContainerSignal::Kill).await?;
    match timeout(DYING, waited).await {
        Ok(ended) => Ok(ObservedExit { ended: ended?, stopped }),
        Err(_) => {
            let reason = format!("container {id} does not end, {} seconds after it was killed", DYING.as_secs());
            Err(runtime::Error::Refused { reason }.into())
        }
    }
}

async fn await_or_pend(future: Option<impl Future<Output = ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Whether the disk of a folder is full, tested by writing [`PROBE`] bytes.
pub(super) fn is_full(folder: &Path) -> bool {
    let probe = || {
        let mut file = tempfile::tempfile_in(folder)?;
        io::Write::write_all(&mut file, &[0; PROBE])?;
        file.sync_all()
    };
    probe().is_err_and(|why| is_storage_full(&why))
}
