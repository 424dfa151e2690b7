//! `/admin/system`: the state of the service, what `silo doctor` finds, the load of the last hour, and the options.

use askama::Template;
use axum::Extension;
use axum::response::Response;
use serde::Deserialize;

use super::charts::{LineChart, short};
use super::filters;
use super::frame::PageSection;
use super::job::bytes;
use super::shown_time::ShownTime;
use super::{PageFrame, reply};
use crate::app::{App, ConfiguredOption, DiagnosticFinding, DiagnosticVerdict, LoadSample, SystemDisk, SystemStatus};
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::operations::examined;
use crate::http::stream::StreamSlots;

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: PageFrame,
    /// Such as `2 findings need attention`.
    verdict: String,
    findings: Vec<FindingRow>,
    charts: Vec<LineChart>,
    facts: Vec<SystemFact>,
    started: ShownTime,
    options: Vec<ConfiguredOption>,
    /// Only options that are set.
    is_short: bool,
}

/// A finding in the list.
struct FindingRow {
    about: &'static str,
    /// CSS class of the sign.
    sign: &'static str,
    word: &'static str,
    text: String,
    advice: String,
}

/// A fact about the service: a name and a value.
struct SystemFact {
    name: &'static str,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SystemQuery {
    /// `all`: also options with their defaults.
    options: Option<String>,
}

pub(super) async fn show(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    Extension(streams): Extension<StreamSlots>,
    QueryParameters(SystemQuery { options }): QueryParameters<SystemQuery>,
) -> Result<Response> {
    let status = app.system_status().await?;
    let findings = examined(&app).await;
    let is_short = options.as_deref() != Some("all");
    let mut options = app.configuration();
    options.retain(|option| !is_short || option.source.is_some());
    reply(&SystemPage {
        verdict: verdict(&findings),
        findings: findings.into_iter().map(row).collect(),
        charts: charts(&app),
        started: ShownTime::of(status.started_at),
        facts: facts(status, streams.taken(), app.settings().http.streams),
        options,
        is_short,
        frame: frame.in_section(PageSection::Admin),
    })
}

fn verdict(findings: &[DiagnosticFinding]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    match (count(DiagnosticVerdict::Bad), count(DiagnosticVerdict::Notice)) {
        (0, 0) => "All is well".to_owned(),
        (0, 1) => "It works; one thing is worth knowing".to_owned(),
        (0, notices) => format!("It works; {notices} things are worth knowing"),
        (1, _) => "One thing is wrong".to_owned(),
        (faults, _) => format!("{faults} things are wrong"),
    }
}

fn row(DiagnosticFinding { about, verdict, text, advice }: DiagnosticFinding) -> FindingRow {
    let (sign, word) = match verdict {
        DiagnosticVerdict::Good => ("good", "good"),
        DiagnosticVerdict::Notice => ("warn", "notice"),
        DiagnosticVerdict::Bad => ("bad", "wrong"),
    };
    FindingRow { about, sign, word, text, advice }
}

fn charts(app: &App) -> Vec<LineChart> {
    let (now, history) = (app.clock().now(), app.load_history());
    let chart = |title, value: fn(&LoadSample) -> Option<f64>, text: fn(f64) -> String| {
        let values: Vec<_> = history.iter().map(|sample| (sample.at, value(sample))).collect();
        LineChart::new(title, now, &values, text)
    };
    let rate = |value: f64| format!("{} a second", short(value));
    vec![
        chart("Requests", |sample| Some(sample.requests_per_second), rate),
        chart("95 of 100 searches take", |sample| sample.search_p95, |value| format!("{} ms", short(value * 1000.0))),
        chart("Requests to registries", |sample| Some(sample.scan_requests_per_second), rate),
        chart("Runs that wait", |sample| sample.runs_queued.map(|runs| runs as f64), |value| format!("{value:.0}")),
    ]
}

fn facts(status: SystemStatus, streams: usize, most_streams: usize) -> Vec<SystemFact> {
    let SystemStatus { database, catalogue_revision, index_revision, scans_queued, scans_running, runs, .. } = status;
    let index = match (status.index_is_ready, catalogue_revision - index_revision) {
        (false, _) => "being built".to_owned(),
        (true, 0) => format!("revision {index_revision}, as the catalogue"),
        (true, lag) => format!("revision {index_revision}, {lag} behind the catalogue"),
    };
    let engine = match status.engine {
        Ok(engine) => format!(
            "{} at {} ({}), {} CPU, {} memory",
            engine.name,
            engine.address,
            engine.platform,
            engine.cpus,
            bytes(engine.memory)
        ),
        Err(why) => format!("none: {why}"),
    };
    let mut facts = vec![
        SystemFact { name: "Database", value: format!("{database}, catalogue of revision {catalogue_revision}") },
        SystemFact { name: "Search index", value: index },
        SystemFact { name: "Scans", value: format!("{scans_running} running, {scans_queued} waiting") },
        SystemFact { name: "Runs", value: format!("{} running, {} waiting", runs.running, runs.accepted) },
        SystemFact { name: "Streams", value: format!("{streams} open of {most_streams}") },
    ];
    facts.extend(status.disks.into_iter().map(|SystemDisk { name, folder, space }| SystemFact {
        name: if name == "runs" { "Disk of runs" } else { "Disk of data" },
        value: format!("{} free of {}: {folder}", bytes(space.free), bytes(space.total)),
    }));
    facts.push(SystemFact { name: "Container engine", value: engine });
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_findings_are_the_verdict() {
        let finding = |verdict| DiagnosticFinding::new("disk", verdict, "text", "");
        use DiagnosticVerdict::{Bad, Good, Notice};
        for (verdicts, expected) in [
            (&[Good][..], "All is well"),
            (&[Good, Notice], "It works; one thing is worth knowing"),
            (&[Notice, Notice], "It works; 2 things are worth knowing"),
            (&[Notice, Bad, Good], "One thing is wrong"),
            (&[Bad, Bad], "2 things are wrong"),
        ] {
            let findings: Vec<_> = verdicts.iter().map(|verdict| finding(*verdict)).collect();
            assert_eq!(verdict(&findings), expected);
        }
    }
}
