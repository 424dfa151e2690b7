//! What people see of a job while it runs: what it prints, as it prints it, and what is done for it, on standard error.

use std::collections::HashMap;
use std::io::{Write, stderr, stdout};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::render::tame;
use crate::engine::attempt::Event;
use crate::engine::runtime::{PullProgress, Stream};

/// How many events may wait for a slow terminal.
const WAITING: usize = 64;

/// Where what a job prints goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Show {
    /// Each stream to its own.
    Both,
    /// Standard output is for something else.
    OnStderr,
    Nothing,
}

/// Shows events until all of their senders are gone.
pub(in crate::cli) fn watch(image: &str, show: Show) -> (mpsc::Sender<Event>, JoinHandle<()>) {
    let (tell, mut told) = mpsc::channel(WAITING);
    let mut pull = Bar::new("Pulling", image, show);
    // A terminal that is stopped stops its writer: on a thread of its own, so that signals are heard all the same.
    let watching = tokio::task::spawn_blocking(move || {
        while let Some(event) = told.blocking_recv() {
            match event {
                Event::Phase(_) => pull.finish(),
                Event::Pull(progress) => pull.show(progress),
                // Whoever reads may have seen enough; the job goes on.
                Event::Output(chunk) => {
                    _ = match (show, chunk.stream) {
                        (Show::Nothing, _) => Ok(()),
                        (Show::Both, Stream::Stdout) => write(stdout().lock(), &chunk.bytes),
                        _ => write(stderr().lock(), &chunk.bytes),
                    }
                }
            }
        }
        pull.finish();
    });
    (tell, watching)
}

fn write(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// The progress of a pull or push. Only a terminal is shown more than the beginning.
pub(in crate::cli) struct Bar {
    /// As in `Pulling`.
    doing: &'static str,
    image: String,
    show: Show,
    bar: Option<ProgressBar>,
    layers: HashMap<String, (u64, u64)>,
}

impl Bar {
    pub(in crate::cli) fn new(doing: &'static str, image: &str, show: Show) -> Self {
        Self { doing, image: tame(image), show, bar: None, layers: HashMap::new() }
    }

    pub(in crate::cli) fn show(&mut self, progress: PullProgress) {
        if self.show == Show::Nothing {
            return;
        }
        let (image, doing) = (&self.image, self.doing);
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            if bar.is_hidden() {
                stderrln!("{doing} {image}");
            }
            bar.set_style(ProgressStyle::with_template("{spinner} {prefix} {msg}").expect("the template is one"));
            bar.set_prefix(doing);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let layer = progress.layer.unwrap_or_default();
        if let (Some(bytes), "Downloading" | "Pushing") = (progress.bytes, progress.status.as_str()) {
            // Where no layer is named, what is told is how far the present one is.
            self.layers.insert(layer, bytes);
        }
        let (done, all) = self.layers.values().fold((0, 0), |(done, all), (d, a)| (done + d, all + a));
        let status = tame(&progress.status);
        bar.set_message(format!("{image}: {status} ({} of {})", HumanBytes(done), HumanBytes(all)));
    }

    pub(in crate::cli) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Is cancelled by Ctrl-C, SIGTERM and SIGHUP: then there is a container to stop first.
pub(in crate::cli) fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            if signal.recv().await.is_some() {
                stop.cancel();
            }
        });
    }
    Ok(stop)
}
