//! Logs and metrics.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error: standard output is for what people asked for.
///
/// # Errors
/// A filter that cannot be read.
pub fn start_logs(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|why| anyhow::anyhow!("the log filter '{}' cannot be read: {why}", log.filter))?;
    let lines = tracing_subscriber::fmt()
        // bollard logs what it sends, and with it what jobs are given in secret.
        .with_env_filter(filter.add_directive("bollard=off".parse().expect("a directive")))
        .with_writer(BoxMakeWriter::new(std::io::stderr))
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only when logging was started before, as in tests.
    _ = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// The metrics of this process, in Prometheus' text format (0.0.4).
pub fn metrics() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        // A scan may take hours. The full name goes before the ending.
        let longer = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0];
        let scans = Matcher::Full("silo_scan_duration_seconds".to_owned());
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
            .and_then(|builder| builder.set_buckets_for_metric(scans, &longer))
            .expect("the lists of buckets are not empty")
            .install_recorder()
            .expect("this is the only recorder of the process")
    })
}

/// Keeps the recorder's memory bounded; runs until dropped.
pub async fn metrics_upkeep() {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        metrics().run_upkeep();
    }
}
