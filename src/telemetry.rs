//! Logs and metrics.

mod lines;
mod log_queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

use self::lines::SingleLineWriter;
use self::log_queue::LogQueue;
use crate::config::{LogFormat, LogSettings};

/// How long the end of the process waits for the reader of its log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process. Dropping it, also in a panic, writes the lines that are queued.
pub struct LogOutput(LogQueue);

impl Drop for LogOutput {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Starts logging to standard error, because standard output is for results. Panics are logged too: the default hook
/// would block on the reader of standard error.
///
/// # Errors
/// An invalid log filter.
pub fn start_logs(log: &LogSettings) -> anyhow::Result<LogOutput> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|why| anyhow::anyhow!("the log filter '{}' cannot be read: {why}", log.filter))?;
    // A separate handle, because the standard library's is locked during each write.
    let queue = LogQueue::into_writer(File::from(std::io::stderr().as_fd().try_clone_to_owned()?))?;
    let (coloured, to) = (std::io::stderr().is_terminal(), queue.clone());
    let lines = tracing_subscriber::fmt()
        // bollard logs its requests, which contain secrets of jobs.
        .with_env_filter(filter.add_directive("bollard=off".parse().expect("a directive")))
        .with_writer(move || SingleLineWriter { to: to.clone(), coloured })
        .with_ansi(coloured);
    // Fails only if logging was started before, as in tests.
    _ = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(LogOutput(queue))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| format!("\n{backtrace}"));
    let words = panic.payload_as_str().unwrap_or("a value that is not text");
    tracing::error!("panic at {place}: {words}{}", backtrace.unwrap_or_default());
}

/// The metrics of this process, in Prometheus' text format (0.0.4).
pub fn metrics() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        // A scan may take hours. A full name takes precedence over a suffix.
        let longer = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0];
        let scans = Matcher::Full("silo_scan_duration_seconds".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
            .and_then(|builder| builder.set_buckets_for_metric(scans, &longer))
            .expect("the lists of buckets are not empty")
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(BoundedRecorder::new(recorder, MOST_SERIES))
            .expect("this is the only recorder of the process");
        for (name, meaning) in documented() {
            // Of any kind: a description belongs to the name.
            metrics::describe_gauge!(name, meaning);
        }
        metrics::gauge!("silo_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        metrics::counter!("silo_log_lines_dropped_total").increment(0);
        handle
    })
}

/// The page that documents each metric for operators.
const PAGE: &str = include_str!("../docs/operations.md");

/// The names and descriptions of the metrics in the page's tables.
fn documented() -> impl Iterator<Item = (&'static str, String)> {
    PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `silo_")?.split('|').map(str::trim);
        let name = cells.next()?.strip_suffix('`')?;
        let start = line.find("silo_")?;
        let meaning = cells.nth(1)?.replace('`', "");
        Some((&line[start..start + "silo_".len() + name.len()], meaning))
    })
}

/// The most series of one name. Labels have few values, except those that admins choose: registries and their hosts. A
/// series stays until the process ends, so an admin who adds and deletes registries endlessly reaches this limit
/// instead of exhausting memory.
const MOST_SERIES: usize = 5000;

/// A recorder with a limit on the series of each name. Values of further series are discarded.
struct BoundedRecorder<R> {
    inner: R,
    most: usize,
    /// The series of each name, with their labels. Not hashes of them: short labels have equal ones.
    known: Mutex<HashMap<String, HashSet<Key>>>,
}

impl<R> BoundedRecorder<R> {
    fn new(inner: R, most: usize) -> Self {
        Self { inner, most, known: Mutex::default() }
    }

    fn has_room_for(&self, key: &Key) -> bool {
        let mut known = self.known.lock();
        let series = match known.get_mut(key.name()) {
            Some(series) => series,
            None => known.entry(key.name().to_owned()).or_default(),
        };
        series.contains(key) || series.len() < self.most && series.insert(key.clone())
    }
}

impl<R: Recorder> Recorder for BoundedRecorder<R> {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(name, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        if self.has_room_for(key) { self.inner.register_counter(key, metadata) } else { Counter::noop() }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        if self.has_room_for(key) { self.inner.register_gauge(key, metadata) } else { Gauge::noop() }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        if self.has_room_for(key) { self.inner.register_histogram(key, metadata) } else { Histogram::noop() }
    }
}

/// Keeps the recorder's memory bounded; runs until dropped.
pub async fn metrics_upkeep() {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        metrics().run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_so_many_series_and_no_more() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&BoundedRecorder::new(recorder, 10), || {
            for turn in 0..2 {
                for registry in 0..100 {
                    let labels = [("registry", format!("r{registry}"))];
                    metrics::counter!("silo_scans_total", &labels).increment(1);
                    metrics::gauge!("silo_registry_tags", &labels).set(f64::from(turn));
                    metrics::histogram!("silo_scan_duration_seconds", &labels).record(1.0);
                }
            }
        });
        let text = handle.render();
        for name in ["silo_scans_total{", "silo_registry_tags{", "silo_scan_duration_seconds_count{"] {
            assert_eq!(text.lines().filter(|line| line.starts_with(name)).count(), 10, "{text}");
        }
        assert!(text.contains("silo_scans_total{registry=\"r0\"} 2"), "those that are known go on: {text}");
    }
}
