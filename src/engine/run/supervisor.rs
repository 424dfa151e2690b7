//! Supervises one attempt: pull, container start, limits, output, exit and removal. Knows neither plan nor verdict.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt_error::{Error, written};
use super::checkpoint::{CheckpointEnd, CheckpointFiles};
use super::job_exit::{JobExit, ObservedExit, StopRules, classify_late_end, interrupted, is_full, supervise};
use super::logs::{AttemptLogs, LogTotals, STDERR};
use super::record::{Phase, PhaseRecord};
use super::removal_guard::{ContainerGuard, KeepContainer, create};
use super::samples::{SampleFile, sample};
use super::stop_reason::StopReason;
use crate::clock::Clock;
use crate::engine::away::PassedOn;
use crate::engine::disk_quota::{DiskQuota, LowWaterMark};
use crate::engine::fetch::{WantedImage, fetch};
use crate::engine::halt::HaltSignal;
use crate::engine::plan::container::{ContainerSpec, RUN};
use crate::engine::runtime;
use crate::engine::runtime::{
    ClosedPath, ContainerOutput, ContainerRuntime, ContainerState, EngineImage, FoundContainer, OutputChunk,
    PullProgress,
};

/// How long to wait for more output after the container has exited; the rest is dropped.
const DRAIN: Duration = Duration::from_secs(10);
/// How long an engine may take to carry out a start request.
const STARTING: Duration = Duration::from_secs(5);
/// Poll interval meanwhile: an engine reports that a container has started, but not that none will start.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How many bytes an init process may take to say why it could not begin the job's.
const LAST_WORDS: u64 = 1024;

/// Progress of an attempt, sent to the caller.
#[derive(Clone, Debug)]
pub enum AttemptEvent {
    Phase(Phase),
    Pull(PullProgress),
    Output(OutputChunk),
    /// The engine does not answer, and is waited for so long at most.
    Silence {
        why: runtime::Error,
        most: Duration,
    },
    /// It answers again.
    Answer,
}

/// A running attempt. Dropping it at any await stops and removes its container, unless `leave` is set.
pub struct AttemptSupervisor<R> {
    runtime: R,
    folder: PathBuf,
    logs: AttemptLogs,
    marks: CheckpointFiles,
    leave: KeepContainer,
    clock: Clock,
    phases: Vec<PhaseRecord>,
    events: mpsc::Sender<AttemptEvent>,
    passed_on: PassedOn,
}

/// Where an attempt keeps its files, and whom it tells.
pub struct AttemptContext<'a> {
    /// The attempt's folder.
    pub folder: &'a Path,
    /// The log files in it.
    pub logs: AttemptLogs,
    pub clock: &'a Clock,
    /// The job is slowed down by a slow receiver, but not by a closed channel.
    pub events: mpsc::Sender<AttemptEvent>,
    pub leave: &'a KeepContainer,
}

/// Phases and log totals of a finished attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSummary {
    pub phases: Vec<PhaseRecord>,
    pub printed: LogTotals,
}

impl<R: ContainerRuntime> AttemptSupervisor<R> {
    /// Begins an attempt, or resumes one with the phases it has already passed.
    pub fn begin(runtime: &R, context: AttemptContext<'_>, phases: Vec<PhaseRecord>) -> Self {
        let AttemptContext { folder, logs, clock, events, leave } = context;
        let (runtime, clock, leave) = (runtime.clone(), clock.clone(), leave.clone());
        let (marks, folder) = (CheckpointFiles::new(folder), folder.to_owned());
        Self { runtime, folder, logs, marks, leave, clock, phases, events, passed_on: PassedOn::default() }
    }

    /// Writes a line to `system.log`.
    pub async fn note(&mut self, text: &str) -> Result<(), Error> {
        self.logs.note(text).await.map_err(|why| written(&self.folder, &why))
    }

    /// Tells whoever watches.
    pub(in crate::engine) async fn tell(&self, event: AttemptEvent) {
        _ = self.events.send(event).await;
    }

    /// Goes on with logs that are written again from the beginning.
    pub(in crate::engine) fn go_on(&mut self, logs: AttemptLogs) {
        self.logs = logs;
        self.passed_on.begin_again();
    }

    /// Sees to it that the engine has the image.
    pub async fn pull(&mut self, wanted: &WantedImage<'_>, stop: &CancellationToken) -> Result<EngineImage, Error> {
        self.enter(Phase::Pull).await;
        let outcome = tokio::select! {
            outcome = self.fetch(wanted) => outcome,
            () = stop.cancelled() => Err(Error::Cancelled),
        };
        self.leave(outcome).await
    }

    async fn fetch(&mut self, wanted: &WantedImage<'_>) -> Result<EngineImage, Error> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let runtime = self.runtime.clone();
        let mut fetching = pin!(fetch(&runtime, wanted, move |progress| _ = tell.send(progress)));
        loop {
            tokio::select! {
                biased;
                Some(progress) = told.recv() => self.report_pull_progress(progress).await?,
                outcome = &mut fetching => break Ok(outcome?),
            }
        }
    }

    /// Forwards pull progress; byte counts are not written to `system.log`.
    async fn report_pull_progress(&mut self, progress: PullProgress) -> Result<(), Error> {
        if progress.bytes.is_none() {
            let layer = progress.layer.as_deref().map(|layer| format!("{layer}: ")).unwrap_or_default();
            self.note(&format!("{layer}{}", progress.status)).await?;
        }
        // Progress is lossy: a full channel drops the event.
        _ = self.events.try_send(AttemptEvent::Pull(progress));
        Ok(())
    }

    /// Has the engine open files and folders of other users below `root`.
    pub(in crate::engine) async fn open_up(&mut self, root: &Path, closed: &[ClosedPath]) -> Result<(), Error> {
        Ok(self.runtime.open_up(root, closed).await?)
    }

    /// Runs blocking work as a phase, on a blocking thread. The work is halted by `stop`, after `most`, and when the
    /// returned future is dropped.
    pub async fn phase<T: Send + 'static>(
        &mut self,
        phase: Phase,
        stop: &CancellationToken,
        most: Option<Duration>,
        work: impl FnOnce(&HaltSignal) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.enter(phase).await;
        let stop = stop.child_token();
        let (halt, _dropped) = (HaltSignal::on(&stop).within(most), stop.drop_guard());
        let outcome = tokio::task::spawn_blocking(move || work(&halt)).await;
        let outcome =
            outcome.unwrap_or_else(|why| Err(Error::Folder { folder: self.folder.clone(), reason: why.to_string() }));
        self.leave(outcome).await
    }

    /// Runs the job. The container is removed before this returns.
    pub async fn main(
        &mut self,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        self.enter(Phase::Main).await;
        let outcome = self.start_and_watch(container, room, stop).await;
        self.leave(outcome).await
    }

    /// Takes over a container that an earlier `silo` process started. The logs are written anew from what the engine
    /// has kept.
    pub async fn adopt(
        &mut self,
        found: &FoundContainer,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        self.enter(Phase::Main).await;
        let removal = ContainerGuard::of(&self.runtime, found.id.clone(), &self.leave);
        let outcome = async {
            self.note(&format!("taking over container {}", found.id)).await?;
            if self.was_never_started(found).await? {
                self.marks.begun(&found.id).map_err(|why| written(&self.folder, &why))?;
                let output = self.runtime.start(&found.id).await.map_err(|why| match why {
                    // The engine had started it before, and went down before it recorded that.
                    runtime::Error::Refused { reason } => runtime::Error::Interrupted { reason },
                    why => why,
                })?;
                let rules = StopRules { limit: container.timeout, grace: container.grace };
                return self.watch(removal, output, rules, false, room, stop).await;
            }
            let is_over = found.state == ContainerState::Ended;
            let output = self.runtime.output(&found.id).await?;
            let ran = found.created.and_then(|created| (self.clock.now() - created).to_std().ok()).unwrap_or_default();
            let left = container.timeout.map(|timeout| timeout.saturating_sub(ran));
            let rules = StopRules { limit: left, grace: container.grace };
            self.watch(removal, output, rules, is_over, room, stop).await
        };
        let outcome = outcome.await;
        self.leave(outcome).await
    }

    /// Whether the container was created but never started. An engine that received a start request just before its
    /// `silo` process died may still carry it out, and starting an exited container would run the job twice. So a
    /// created container is polled until [`STARTING`] has passed since the mark that is written before the start
    /// request; without that mark no request was sent. The time counts from the mark, so a restart of `silo` does not
    /// begin the wait again.
    async fn was_never_started(&self, found: &FoundContainer) -> Result<bool, Error> {
        let Some(before) = self.marks.since_begun(&found.id) else { return Ok(found.state == ContainerState::Created) };
        let began = Instant::now();
        let mut state = found.state;
        while state == ContainerState::Created && before + began.elapsed() < STARTING {
            sleep(LOOK_AGAIN).await;
            let label = found.labels.get(RUN).map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"));
            let now = self.runtime.containers(&label).await?;
            state = now.iter().find(|it| it.id == found.id).map_or(ContainerState::Ended, |it| it.state);
        }
        Ok(state == ContainerState::Created)
    }

    async fn start_and_watch(
        &mut self,
        container: &ContainerSpec,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        if stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let removal = create(&self.runtime, container, &self.leave).await?;
        let marked = self.marks.begun(removal.id()).map_err(|why| written(&self.folder, &why));
        let noted = self.note(&format!("container {}", removal.id())).await;
        let started = match marked.and(noted) {
            Ok(()) => self.runtime.start(removal.id()).await.map_err(Error::from),
            Err(why) => Err(why),
        };
        match started {
            Ok(output) => {
                let rules = StopRules { limit: container.timeout, grace: container.grace };
                self.watch(removal, output, rules, false, room, stop).await
            }
            Err(why) => {
                self.removed(removal, why.is_silence()).await?;
                Err(why)
            }
        }
    }

    /// Removes the container of a job that has exited or is to be stopped. If the engine does not answer, the
    /// container may still run: it is kept for a resumed attempt if `leave` says so.
    async fn removed(&mut self, removal: ContainerGuard<R>, is_silence: bool) -> Result<(), Error> {
        if is_silence && self.leave.keeps_lost() {
            removal.keep();
            return self.note("the container is kept and will be taken over when its engine answers").await;
        }
        match removal.now().await {
            Some(why) => self.note(&format!("the container cannot be removed: {why}")).await,
            None => Ok(()),
        }
    }

    /// Follows a container to its exit, and removes it. `is_over`: it had exited before.
    async fn watch(
        &mut self,
        removal: ContainerGuard<R>,
        output: ContainerOutput,
        rules: StopRules,
        is_over: bool,
        room: DiskQuota<'_>,
        stop: &CancellationToken,
    ) -> Result<JobExit, Error> {
        let (runtime, clock, folder) = (self.runtime.clone(), self.clock.clone(), self.folder.clone());
        let [broken, exited, lost] = [(); 3].map(|()| CancellationToken::new());
        let low = LowWaterMark::default();
        let supervised = async {
            let ended = supervise(&runtime, removal.id(), rules, room, &low, stop, &broken).await;
            if ended.is_ok() {
                exited.cancel()
            } else {
                lost.cancel()
            }
            ended
        };
        let keeping = async {
            tokio::select! {
                kept = self.keep(output, &broken, &exited) => kept,
                // The container may print forever. The error of `supervise` is returned.
                () = lost.cancelled() => Ok(()),
            }
        };
        let mut samples = SampleFile::open(&folder).await;
        let sampling = async {
            tokio::select! {
                () = exited.cancelled() => {}
                () = lost.cancelled() => {}
                () = sample(&runtime, removal.id(), &clock, &mut samples) => {}
            }
        };
        let (kept, supervised, ()) = tokio::join!(keeping, supervised, sampling);
        samples.finish().await;
        let ended = match (supervised, kept) {
            (Ok(ObservedExit { ended, stopped: None }), Ok(())) if is_over => {
                let observed = classify_late_end(ended, rules.limit, stop);
                self.ended(removal.id(), observed, room, &low).await
            }
            (Ok(observed), Ok(())) => self.ended(removal.id(), observed, room, &low).await,
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        self.removed(removal, ended.as_ref().is_err_and(Error::is_silence)).await?;
        ended
    }

    /// Records how the job exited, before its container is removed.
    async fn ended(
        &mut self,
        container: &str,
        ObservedExit { ended, stopped }: ObservedExit,
        room: DiskQuota<'_>,
        low: &LowWaterMark,
    ) -> Result<JobExit, Error> {
        if stopped.is_none()
            && let Some(said) = self.short_words().await
            && let Some(why) = self.runtime.not_begun(container, ended.exit_code, &said).await
        {
            return Err(why.into());
        }
        let output_bytes = room.usage().await.map_or(0, |(usage, _)| usage.length);
        let outputs = room.output.to_owned();
        let is_full = tokio::task::spawn_blocking(move || is_full(&outputs)).await.unwrap_or_default();
        let is_full = ended.exit_code != 0 && stopped.is_none() && (is_full || low.was_full());
        if is_full || stopped == Some(StopReason::DiskFull) {
            return Err(Error::DiskFull { folder: room.output.to_owned() });
        }
        if ended.was_signalled && stopped.is_none() {
            return Err(interrupted(&ended).into());
        }
        let main = JobExit { container_id: container.to_owned(), ended, stopped, output_bytes };
        let end = CheckpointEnd { main, printed: self.logs.printed() };
        self.marks.ended(&end).map_err(|why| written(&self.folder, &why))?;
        Ok(end.main)
    }

    /// All that was printed, where it is no more than what an init process says when it cannot begin the job's.
    async fn short_words(&self) -> Option<String> {
        let LogTotals { stdout_bytes: 0, stderr_bytes: 0..=LAST_WORDS, .. } = self.logs.printed() else { return None };
        let said = tokio::fs::read(self.folder.join(STDERR)).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    }

    /// Keeps and passes on what the job prints. Reads on when it cannot be kept, so that the job does not wait for ever.
    async fn keep(
        &mut self,
        mut output: ContainerOutput,
        broken: &CancellationToken,
        exited: &CancellationToken,
    ) -> Result<(), Error> {
        let mut outcome = Ok(());
        loop {
            let next = tokio::select! {
                biased;
                next = output.next() => next,
                () = exited.cancelled() => timeout(DRAIN, output.next()).await.unwrap_or_default(),
            };
            let chunk = match next {
                Some(Ok(chunk)) => chunk,
                None => break,
                // `runtime.wait` fails, too.
                Some(Err(why)) => {
                    outcome = outcome.and(Err(why.into()));
                    break;
                }
            };
            if outcome.is_ok() {
                outcome = self.logs.write(&chunk).await.map_err(|why| written(&self.folder, &why));
                if outcome.is_err() {
                    broken.cancel();
                }
            }
            if let Some(news) = self.passed_on.news(chunk) {
                _ = self.events.send(AttemptEvent::Output(news)).await;
            }
        }
        let finished = self.logs.finish().await.map_err(|why| written(&self.folder, &why));
        outcome.and(finished.map(drop))
    }

    async fn enter(&mut self, phase: Phase) {
        let started = self.clock.now();
        self.phases.push(PhaseRecord { name: phase, started, finished: None, message: None });
        _ = self.events.send(AttemptEvent::Phase(phase)).await;
    }

    async fn leave<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        let now = self.clock.now();
        let message = outcome.as_ref().err().map(ToString::to_string);
        if let Some(message) = &message {
            // Ignored: if the disk is full, `outcome` already says so.
            _ = self.logs.note(message).await;
        }
        if let Some(phase) = self.phases.last_mut() {
            phase.finished = Some(now);
            phase.message = message;
        }
        outcome
    }

    /// Whether a container may have been requested from the engine.
    pub(in crate::engine) fn has_begun(&self) -> bool {
        self.phases.iter().any(|phase| phase.name == Phase::Main)
    }

    /// Ends the attempt.
    pub fn finish(self) -> AttemptSummary {
        AttemptSummary { phases: self.phases, printed: self.logs.printed() }
    }
}
