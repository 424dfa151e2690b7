//! Shows a running job: its output as it comes, and the progress of its phases on standard error.

use std::collections::HashMap;
use std::io::{Write, stderr, stdout};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::render::tame;
use super::table::cut_beside;
use crate::cli::ExitStatus;
use crate::engine::run::record::Phase;
use crate::engine::run::supervisor::AttemptEvent;
use crate::engine::runtime::{OutputStream, PullProgress};

/// Capacity of the channel of events, for slow terminals.
const WAITING: usize = 64;
/// Columns of the elapsed time.
const ELAPSED: usize = 8;

/// Where a job's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum JobOutputMode {
    /// Each stream to the same stream of this process.
    Both,
    /// All to standard error: standard output is used otherwise.
    OnStderr,
    /// No output of the job, only progress.
    Progress,
    Nothing,
}

/// Shows events until all senders are dropped.
pub(in crate::cli) fn watch(name: &str, show: JobOutputMode) -> (mpsc::Sender<AttemptEvent>, JoinHandle<()>) {
    let (tell, mut told) = mpsc::channel(WAITING);
    let mut pull = TransferBar::new("Pulling", name, show);
    let mut doing = JobProgress { name: tame(name), show, what: "", since: Instant::now(), spinner: None };
    // A paused terminal blocks its writer; on a thread of its own, this does not delay signals.
    let watching = tokio::task::spawn_blocking(move || {
        while let Some(event) = told.blocking_recv() {
            match event {
                AttemptEvent::Phase(phase) => {
                    pull.finish();
                    doing.begin(phase);
                }
                AttemptEvent::Pull(progress) => pull.show(progress),
                AttemptEvent::Silence { why, most } => {
                    doing.hide();
                    let minutes = most.as_secs() / 60;
                    stderrln!("{}", tame(&why.to_string()));
                    stderrln!(
                        "The job may still be running: waiting up to {minutes} minutes for the engine; Ctrl-C stops \
                         waiting"
                    );
                }
                AttemptEvent::Answer => {
                    stderrln!("The engine answers again");
                    doing.draw();
                }
                // A closed pipe is ignored; the job goes on.
                AttemptEvent::Output(chunk) => {
                    doing.hide();
                    _ = match (show, chunk.stream) {
                        (JobOutputMode::Nothing | JobOutputMode::Progress, _) => Ok(()),
                        (JobOutputMode::Both, OutputStream::Stdout) => write(stdout().lock(), &chunk.bytes),
                        _ => write(stderr().lock(), &chunk.bytes),
                    };
                    // The spinner must not overwrite an incomplete line.
                    if show == JobOutputMode::Progress || chunk.bytes.ends_with(b"\n") {
                        doing.draw();
                    }
                }
            }
        }
        doing.hide();
        pull.finish();
    });
    (tell, watching)
}

/// Spinner with the current phase and its elapsed time. Drawn on a terminal only.
struct JobProgress {
    name: String,
    show: JobOutputMode,
    what: &'static str,
    since: Instant,
    spinner: Option<ProgressBar>,
}

impl JobProgress {
    fn begin(&mut self, phase: Phase) {
        self.hide();
        self.what = match phase {
            Phase::Stage => "Preparing the inputs of",
            Phase::Main => "Running",
            Phase::Capture => "Reading the outputs of",
            // Pulls have their own progress bar.
            _ => return,
        };
        self.since = Instant::now();
        self.draw();
    }

    fn draw(&mut self) {
        if self.show == JobOutputMode::Nothing || self.what.is_empty() {
            return;
        }
        let (what, name, since) = (self.what, &self.name, self.since);
        self.spinner.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}").expect("the template is one");
            let spinner = ProgressBar::new_spinner().with_style(style).with_elapsed(since.elapsed());
            spinner.set_message(cut_beside(ELAPSED + 3, &format!("{what} {name}")));
            spinner.enable_steady_tick(Duration::from_millis(200));
            spinner
        });
    }

    /// Hides the spinner until it is drawn again.
    fn hide(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

fn write(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// Progress of a pull or push. Without a terminal, only its start is shown.
pub(in crate::cli) struct TransferBar {
    /// For example `Pulling`.
    doing: &'static str,
    image: String,
    show: JobOutputMode,
    bar: Option<ProgressBar>,
    layers: HashMap<String, (u64, u64)>,
}

impl TransferBar {
    pub(in crate::cli) fn new(doing: &'static str, image: &str, show: JobOutputMode) -> Self {
        Self { doing, image: tame(image), show, bar: None, layers: HashMap::new() }
    }

    pub(in crate::cli) fn show(&mut self, progress: PullProgress) {
        if self.show == JobOutputMode::Nothing {
            return;
        }
        let (image, doing) = (&self.image, self.doing);
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            if bar.is_hidden() {
                stderrln!("{doing} {image}");
            }
            bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is one"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let layer = progress.layer.unwrap_or_default();
        if let (Some(bytes), "Downloading" | "Pushing") = (progress.bytes, progress.status.as_str()) {
            // A status without a layer is about the current one.
            self.layers.insert(layer, bytes);
        }
        let (done, all) = self.layers.values().fold((0, 0), |(done, all), (d, a)| (done + d, all + a));
        let status = tame(&progress.status);
        let told = format!("{doing}, {} of {}: {image}: {status}", HumanBytes(done), HumanBytes(all));
        bar.set_message(cut_beside(2, &told));
    }

    pub(in crate::cli) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Handler of Ctrl-C, SIGTERM and SIGHUP: the first signal stops, with a grace period for a running container; the
/// second of the same kind kills the container; the third exits at once.
#[derive(Clone)]
pub(in crate::cli) struct StopSignals {
    stop: CancellationToken,
    kill: CancellationToken,
    told: Arc<AtomicBool>,
}

impl Deref for StopSignals {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.stop
    }
}

impl StopSignals {
    /// Returns when containers must be killed. At the first signal, prints the grace period, once for all jobs.
    pub(in crate::cli) async fn killed(&self, grace: Duration) {
        self.stop.cancelled().await;
        if !self.told.swap(true, Ordering::Relaxed) {
            stderrln!("Stopping: the job has {} s to exit; Ctrl-C again kills it", grace.as_secs());
        }
        self.kill.cancelled().await;
    }
}

pub(in crate::cli) fn stop_on_signal() -> std::io::Result<StopSignals> {
    let [stop, kill] = [(); 2].map(|()| CancellationToken::new());
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, steps) = (signal(kind)?, [stop.clone(), kill.clone()]);
        tokio::spawn(async move {
            for step in steps {
                if signal.recv().await.is_none() {
                    return;
                }
                step.cancel();
            }
            signal.recv().await;
            std::process::exit(ExitStatus::Interrupted as i32);
        });
    }
    Ok(StopSignals { stop, kill, told: Arc::default() })
}
