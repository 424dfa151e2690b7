//! `silo scan`.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use futures_util::future::try_join_all;
use http::Method;
use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::args::server_client::{ServerOptions, text};
use super::output::table::{cut_beside, cut_in_the_middle, name, table, whole};
use super::print;
use super::registry;
use crate::api::PageReply;
use crate::api::scans::{ScanCountsReply, ScanReply};
use crate::catalog::{OutcomeGroup, ScanState, TagOutcome};
use crate::client::{Client, Error, ServerReply};

/// Poll interval for a running scan without an event stream.
const LOOK: Duration = Duration::from_millis(300);
/// Columns of a registry's name, and of the progress bar.
const NAME: usize = 16;
const BAR: usize = 12;

#[derive(Args)]
pub(super) struct Options {
    /// The registry's name or id [default: all registries]
    registry: Option<String>,
    /// Wait until the scan ends and show progress; the exit code is 1 if the scan fails, or is held because many tags
    /// have vanished. Ctrl-C stops the waiting, not the scan
    #[arg(long)]
    wait: bool,
    /// Follow the queued or running scan without starting one; if there is none, show the last result
    #[arg(long, conflicts_with_all = ["wait", "confirm", "cancel"])]
    follow: bool,
    /// Confirm a held scan: remove the vanished tags from the catalogue
    #[arg(long, requires = "registry")]
    confirm: bool,
    /// Cancel the registry's queued or running scan; results stored so far stay, and nothing is removed
    #[arg(long, requires = "registry", conflicts_with_all = ["confirm", "wait"])]
    cancel: bool,
    /// The server's reply as JSON: a list of scans
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let client = options.server.client()?;
    let registries = match &options.registry {
        Some(wanted) => vec![registry::find(&client, wanted).await?],
        None => registry::all(&client).await?.into_iter().map(|registry| registry.id).collect(),
    };
    if registries.is_empty() {
        bail!("there is no registry yet; add one with: silo registry add NAME URL");
    }
    let mut scans = Vec::new();
    for id in registries {
        let (method, path) = if options.confirm {
            (Method::POST, format!("/api/v1/scans/{}/confirm", last_scan(&client, id).await?))
        } else if options.cancel {
            (Method::DELETE, format!("/api/v1/scans/{}", last_scan(&client, id).await?))
        } else if options.follow {
            (Method::GET, format!("/api/v1/scans/{}", last_scan(&client, id).await?))
        } else {
            (Method::POST, format!("/api/v1/registries/{id}/scans"))
        };
        scans.push(ReadScan::of(client.ask(method, &path, &[], None).await?)?);
    }
    let waits = options.wait || options.follow;
    if waits {
        scans = wait(&client, scans).await?;
    }
    if options.json {
        let replies: Value = scans.iter().map(|scan| scan.reply.json().clone()).collect();
        print(format_args!("{replies}\n"))?;
    } else {
        show(&scans, waits || options.cancel)?;
    }
    let held = scans.iter().filter(|scan| waits && scan.state() == Some(ScanState::Held));
    let held: Vec<String> = held.map(|scan| text(&scan.scan.registry)).collect();
    if let Some(name) = held.first() {
        let names = held.join(", ");
        bail!(
            "too many tags have vanished from {names}, so nothing was removed; if they are gone for good, an admin \
             can confirm with: silo scan {name} --confirm"
        );
    }
    let is_bad = |state: &ScanState| match state {
        ScanState::Failed => true,
        ScanState::Cancelled => !options.cancel,
        _ => false,
    };
    let bad: Vec<ScanState> = scans.iter().filter_map(ReadScan::state).filter(is_bad).collect();
    if !bad.is_empty() {
        let (failed, is_cancelled) = (bad.len(), bad.contains(&ScanState::Cancelled));
        let ended = if is_cancelled { "failed or were cancelled" } else { "failed" };
        bail!("{failed} of {} scans {ended}", scans.len());
    }
    Ok(())
}

/// A scan, and the reply that it was read from, for `--json`.
struct ReadScan {
    reply: ServerReply,
    scan: ScanReply,
}

impl ReadScan {
    fn of(reply: ServerReply) -> Result<Self, Error> {
        let scan = reply.read()?;
        Ok(Self { reply, scan })
    }

    /// Its state; `None` for one that this program does not know.
    fn state(&self) -> Option<ScanState> {
        ScanState::parse(&self.scan.state)
    }
}

/// Id of a registry's newest scan.
async fn last_scan(client: &Client, registry: i64) -> anyhow::Result<i64> {
    let query = [("registry", registry.to_string()), ("limit", "1".to_owned())];
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let reply = client.ask(Method::GET, "/api/v1/scans", &query, None).await?;
    match reply.read::<PageReply<ScanReply>>()?.items.first() {
        Some(scan) => Ok(scan.id),
        None => bail!("this registry was never scanned; scan it with: silo scan NAME"),
    }
}

/// Watches all scans until they end, with a progress bar each. Bars are drawn on standard error, and only on a
/// terminal.
async fn wait(client: &Client, scans: Vec<ReadScan>) -> anyhow::Result<Vec<ReadScan>> {
    let style = ProgressStyle::with_template(&format!("{{prefix:{NAME}}} {{bar:{BAR}}} {{wide_msg}}"))?;
    let bars = MultiProgress::new();
    let names: Vec<String> = scans.iter().map(|scan| text(&scan.scan.registry)).collect();
    let watched = scans.into_iter().zip(&names).map(|(scan, name)| {
        let name = cut_in_the_middle(name, NAME);
        let bar = bars.add(ProgressBar::new(0).with_style(style.clone()).with_prefix(name));
        watch(client, scan, bar)
    });
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = try_join_all(watched) => ended,
        _ = interrupt.recv() => {
            let again = names.first().filter(|_| names.len() == 1).map_or(String::new(), |name| format!(" {name}"));
            bail!("the server continues to scan {}; follow the scan with: silo scan{again} --follow", names.join(", "))
        }
    }
}

/// Follows one scan to its end.
async fn watch(client: &Client, mut scan: ReadScan, bar: ProgressBar) -> anyhow::Result<ReadScan> {
    let path = format!("/api/v1/scans/{}", scan.scan.id);
    if let Ok(mut events) = client.follow(&format!("{path}/events")).await {
        // An error ends the stream only: the scan is polled below.
        while let Ok(Some(next)) = events.next().await {
            scan = ReadScan::of(next)?;
            draw(&scan.scan, &bar);
        }
    }
    while is_active(&scan.scan) {
        tokio::time::sleep(LOOK).await; // because there is no event stream
        scan = ReadScan::of(client.ask(Method::GET, &path, &[], None).await?)?;
        draw(&scan.scan, &bar);
    }
    Ok(scan)
}

fn is_active(scan: &ScanReply) -> bool {
    ScanState::parse(&scan.state).is_some_and(ScanState::is_active)
}

fn draw(scan: &ScanReply, bar: &ProgressBar) {
    bar.set_length(scan.counts.counts.tags);
    bar.set_position(scan.counts.counts.tags_done);
    bar.set_message(cut_beside(NAME + BAR + 2, &progress(scan)));
    if !is_active(scan) {
        bar.finish();
    }
}

/// Progress of a scan in a line, the most important first.
fn progress(scan: &ScanReply) -> String {
    let counts = &scan.counts.counts;
    let mut parts = vec![text(&scan.state)];
    if let Some(seconds) = scan.remaining_seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
        parts.push(format!("{} left", HumanDuration(Duration::from_secs(seconds))));
    }
    if counts.repositories > 0 {
        let known = counts.repositories.saturating_sub(counts.repositories_skipped);
        parts.push(format!("{}/{known} repositories", counts.repositories_done));
        parts.push(format!("{}/{} tags", counts.tags_done, counts.tags));
    }
    if counts.requests > 0 {
        parts.push(format!("{} requests", counts.requests));
        parts.push(HumanBytes(counts.bytes).to_string());
    }
    if counts.throttled_ms >= 1000 {
        parts.push(format!("{} throttled", HumanDuration(Duration::from_millis(counts.throttled_ms))));
    }
    parts.join(", ")
}

/// Counts of the tags' outcomes, in a line.
fn outcomes(scan: &ScanCountsReply) -> String {
    let ScanCountsReply { counts, tags_seed, tags_not_seed, tags_with_problems, tags_passed_over } = scan;
    let mut parts = vec![format!("{} tags: {tags_seed} Seed", counts.tags)];
    for (tags, words, group) in [
        (tags_not_seed, "not Seed", OutcomeGroup::NotSeed),
        (tags_with_problems, "with problems", OutcomeGroup::Problem),
        (tags_passed_over, "passed over", OutcomeGroup::PassedOver),
    ] {
        let reasons = TagOutcome::ALL.iter().filter(|outcome| outcome.group() == group);
        let reasons = reasons.map(|outcome| (counts.outcomes.get(*outcome), outcome.as_str()));
        let reasons: Vec<String> =
            reasons.filter(|(tags, _)| *tags > 0).map(|(tags, reason)| format!("{tags} {reason}")).collect();
        if *tags > 0 {
            parts.push(format!("{tags} {words} ({})", reasons.join(", ")));
        }
    }
    parts.join(", ")
}

fn show(scans: &[ReadScan], ended: bool) -> anyhow::Result<()> {
    if !ended {
        for ReadScan { scan, .. } in scans {
            let (registry, state) = (text(&scan.registry), text(&scan.state));
            stderrln!("Scan {} of {registry} is {state}. Follow it with: silo scan {registry} --follow", scan.id);
        }
        return Ok(());
    }
    let rows = scans.iter().map(|ReadScan { scan, .. }| {
        let counts = &scan.counts.counts;
        let [images, added, changed, removed, problems] =
            [counts.images, counts.added, counts.changed, counts.removed, counts.problems]
                .map(|count| count.to_string());
        [text(&scan.registry), text(&scan.state), images, added, changed, removed, problems]
    });
    let counts = ["STATE", "IMAGES", "ADDED", "CHANGED", "REMOVED", "PROBLEMS"].map(whole);
    let [state, images, added, changed, removed, problems] = counts;
    let columns = [name("REGISTRY"), state, images, added, changed, removed, problems];
    print(format_args!("{}\n", table(columns, rows)))?;
    for ReadScan { scan, .. } in scans {
        let registry = text(&scan.registry);
        if scan.counts.counts.tags != scan.counts.tags_seed {
            stderrln!("{registry}: {}", outcomes(&scan.counts));
        }
        if let Some(error) = &scan.error {
            stderrln!("{registry}: {}", text(error));
        }
        for note in &scan.notes {
            stderrln!("{registry}: {}", text(note));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ScanCounts;

    #[test]
    fn progress_says_what_is_known_and_nothing_else() {
        let waiting = ScanReply { state: "queued".into(), ..ScanReply::default() };
        assert_eq!(progress(&waiting), "queued");
        let counts = ScanCounts {
            repositories: 12,
            repositories_skipped: 2,
            repositories_done: 3,
            tags: 40,
            tags_done: 17,
            requests: 21,
            bytes: 2048,
            throttled_ms: 65_000,
            ..ScanCounts::default()
        };
        let counts = ScanCountsReply { counts, ..ScanCountsReply::default() };
        let running =
            ScanReply { state: "running".into(), counts, remaining_seconds: Some(90), ..ScanReply::default() };
        assert_eq!(
            progress(&running),
            "running, 2 minutes left, 3/10 repositories, 17/40 tags, 21 requests, 2.00 KiB, 65 seconds throttled"
        );
        let odd = ScanReply { state: "running\u{1b}[2J".into(), remaining_seconds: Some(-1), ..ScanReply::default() };
        assert_eq!(progress(&odd), "running [2J", "what comes from a server does not steer a terminal");
    }
}
