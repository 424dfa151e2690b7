//! `silo scan`.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use futures_util::future::try_join_all;
use http::Method;
use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::args::server_client::{ServerOptions, items, text};
use super::output::table::{cut_beside, cut_in_the_middle, name, table, whole};
use super::print;
use super::registry::find;
use crate::catalog::{OutcomeGroup, TagOutcome};
use crate::client::Client;

/// Poll interval for a running scan without an event stream.
const LOOK: Duration = Duration::from_millis(300);
/// Columns of a registry's name, and of the progress bar.
const NAME: usize = 16;
const BAR: usize = 12;

#[derive(Args)]
pub(super) struct Options {
    /// The registry's name or id; all of them, if not given
    registry: Option<String>,
    /// Wait for the end, showing progress; a scan that fails, or is held because very much has vanished, makes the
    /// exit code 1. Ctrl-C ends the waiting, not the scan
    #[arg(long)]
    wait: bool,
    /// Wait for the end of the scan that waits or runs, and start none; one that has ended shows how
    #[arg(long, conflicts_with_all = ["wait", "confirm", "cancel"])]
    follow: bool,
    /// Agree that what the registry's last scan missed is gone, when that was so much that it was held
    #[arg(long, requires = "registry")]
    confirm: bool,
    /// Cancel the registry's scan that waits or runs. What it has stored by then stays, and nothing is removed
    #[arg(long, requires = "registry", conflicts_with_all = ["confirm", "wait"])]
    cancel: bool,
    /// As JSON, as the server answers: a list of scans
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let client = options.server.client()?;
    let registries = match &options.registry {
        Some(wanted) => vec![find(&client, wanted).await?],
        None => {
            let reply = client.ask(Method::GET, "/api/v1/registries", &[], None).await?;
            items(&reply).iter().filter_map(|row| row["id"].as_i64()).collect()
        }
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
        scans.push(client.ask(method, &path, &[], None).await?);
    }
    let waits = options.wait || options.follow;
    if waits {
        scans = wait(&client, scans).await?;
    }
    if options.json {
        print(format_args!("{}\n", Value::from(scans.clone())))?;
    } else {
        show(&scans, waits || options.cancel)?;
    }
    let held = scans.iter().filter(|_| waits).filter(|scan| scan["state"] == "held");
    let held: Vec<String> = held.map(|scan| text(&scan["registry"])).collect();
    if let Some(name) = held.first() {
        let names = held.join(", ");
        bail!(
            "so much has vanished from {names} that nothing was removed; if it is gone for good, an admin confirms that with: \
             silo scan {name} --confirm"
        );
    }
    let is_bad = |scan: &&Value| scan["state"] == "failed" || (scan["state"] == "cancelled" && !options.cancel);
    let failed = scans.iter().filter(is_bad).count();
    if failed > 0 {
        let is_cancelled = scans.iter().filter(is_bad).any(|scan| scan["state"] == "cancelled");
        let ended = if is_cancelled { "failed or were cancelled" } else { "failed" };
        bail!("{failed} of {} scans {ended}", scans.len());
    }
    Ok(())
}

/// Id of a registry's newest scan.
async fn last_scan(client: &Client, registry: i64) -> anyhow::Result<Value> {
    let query = [("registry", registry.to_string()), ("limit", "1".to_owned())];
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let reply = client.ask(Method::GET, "/api/v1/scans", &query, None).await?;
    match items(&reply["items"]).first() {
        Some(scan) => Ok(scan["id"].clone()),
        None => bail!("this registry was never scanned; scan it with: silo scan NAME"),
    }
}

/// Watches all scans until they end, with a progress bar each. Bars are drawn on standard error, and only on a
/// terminal.
async fn wait(client: &Client, scans: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    let style = ProgressStyle::with_template(&format!("{{prefix:{NAME}}} {{bar:{BAR}}} {{wide_msg}}"))?;
    let bars = MultiProgress::new();
    let watched = scans.iter().map(|scan| {
        let name = cut_in_the_middle(&text(&scan["registry"]), NAME);
        let bar = bars.add(ProgressBar::new(0).with_style(style.clone()).with_prefix(name));
        watch(client, scan.clone(), bar)
    });
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = try_join_all(watched) => ended,
        _ = interrupt.recv() => {
            let names: Vec<String> = scans.iter().map(|scan| text(&scan["registry"])).collect();
            let again = names.first().filter(|_| names.len() == 1).map_or(String::new(), |name| format!(" {name}"));
            bail!("the server goes on scanning {}; follow it again with: silo scan{again} --follow", names.join(", "))
        }
    }
}

/// Follows one scan to its end.
async fn watch(client: &Client, mut scan: Value, bar: ProgressBar) -> anyhow::Result<Value> {
    let path = format!("/api/v1/scans/{}", scan["id"]);
    if let Ok(mut events) = client.follow(&format!("{path}/events")).await {
        // An error ends the stream only: the scan is polled below.
        while let Ok(Some(next)) = events.next().await {
            scan = next;
            draw(&scan, &bar);
        }
    }
    while is_active(&scan) {
        tokio::time::sleep(LOOK).await; // because there is no event stream
        scan = client.ask(Method::GET, &path, &[], None).await?;
        draw(&scan, &bar);
    }
    Ok(scan)
}

fn is_active(scan: &Value) -> bool {
    scan["state"] == "queued" || scan["state"] == "running"
}

fn draw(scan: &Value, bar: &ProgressBar) {
    let counts = &scan["counts"];
    bar.set_length(counts["tags"].as_u64().unwrap_or_default());
    bar.set_position(counts["tagsDone"].as_u64().unwrap_or_default());
    bar.set_message(cut_beside(NAME + BAR + 2, &progress(scan)));
    if !is_active(scan) {
        bar.finish();
    }
}

/// Progress of a scan in a line, the most important first.
fn progress(scan: &Value) -> String {
    let count = |key: &str| scan["counts"][key].as_u64().unwrap_or_default();
    let mut parts = vec![text(&scan["state"])];
    if let Some(seconds) = scan["remainingSeconds"].as_u64() {
        parts.push(format!("{} left", HumanDuration(Duration::from_secs(seconds))));
    }
    if count("repositories") > 0 {
        let known = count("repositories").saturating_sub(count("repositoriesSkipped"));
        parts.push(format!("{}/{known} repositories", count("repositoriesDone")));
        parts.push(format!("{}/{} tags", count("tagsDone"), count("tags")));
    }
    if count("requests") > 0 {
        parts.push(format!("{} requests", count("requests")));
        parts.push(HumanBytes(count("bytes")).to_string());
    }
    if count("throttledMs") >= 1000 {
        parts.push(format!("{} throttled", HumanDuration(Duration::from_millis(count("throttledMs")))));
    }
    parts.join(", ")
}

/// Counts of the tags' outcomes, in a line.
fn outcomes(counts: &Value) -> String {
    let count = |key: &str| counts[key].as_u64().unwrap_or_default();
    let mut parts = vec![format!("{} tags: {} Seed", count("tags"), count("tagsSeed"))];
    for (key, words, group) in [
        ("tagsNotSeed", "not Seed", OutcomeGroup::NotSeed),
        ("tagsWithProblems", "with problems", OutcomeGroup::Problem),
        ("tagsPassedOver", "passed over", OutcomeGroup::PassedOver),
    ] {
        let reasons = TagOutcome::ALL.iter().filter(|outcome| outcome.group() == group).filter_map(|outcome| {
            let tags = counts["outcomes"][outcome.as_str()].as_u64()?;
            Some(format!("{tags} {}", outcome.as_str()))
        });
        let reasons: Vec<String> = reasons.collect();
        if count(key) > 0 {
            parts.push(format!("{} {words} ({})", count(key), reasons.join(", ")));
        }
    }
    parts.join(", ")
}

fn show(scans: &[Value], ended: bool) -> anyhow::Result<()> {
    if !ended {
        for scan in scans {
            let registry = text(&scan["registry"]);
            stderrln!(
                "Scan {} of {registry} is {}. Follow it with: silo scan {registry} --follow",
                scan["id"],
                text(&scan["state"])
            );
        }
        return Ok(());
    }
    let rows = scans.iter().map(|scan| {
        let counts = &scan["counts"];
        [
            text(&scan["registry"]),
            text(&scan["state"]),
            text(&counts["images"]),
            text(&counts["added"]),
            text(&counts["changed"]),
            text(&counts["removed"]),
            text(&counts["problems"]),
        ]
    });
    let counts = ["STATE", "IMAGES", "ADDED", "CHANGED", "REMOVED", "PROBLEMS"].map(whole);
    let [state, images, added, changed, removed, problems] = counts;
    let columns = [name("REGISTRY"), state, images, added, changed, removed, problems];
    print(format_args!("{}\n", table(columns, rows)))?;
    for scan in scans {
        let registry = text(&scan["registry"]);
        if scan["counts"]["tags"] != scan["counts"]["tagsSeed"] {
            stderrln!("{registry}: {}", outcomes(&scan["counts"]));
        }
        if let Some(error) = scan["error"].as_str() {
            stderrln!("{registry}: {}", text(&error.into()));
        }
        for note in items(&scan["notes"]) {
            stderrln!("{registry}: {}", text(note));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_says_what_is_known_and_nothing_else() {
        let waiting = json!({"state": "queued", "counts": {}, "remainingSeconds": null});
        assert_eq!(progress(&waiting), "queued");
        let counts = json!({
            "repositories": 12, "repositoriesSkipped": 2, "repositoriesDone": 3, "tags": 40, "tagsDone": 17,
            "requests": 21, "bytes": 2048, "throttledMs": 65_000,
        });
        let running = json!({"state": "running", "counts": counts, "remainingSeconds": 90});
        assert_eq!(
            progress(&running),
            "running, 2 minutes left, 3/10 repositories, 17/40 tags, 21 requests, 2.00 KiB, 65 seconds throttled"
        );
        let odd = json!({"state": "running\u{1b}[2J", "counts": {"repositories": -1, "throttledMs": "x"}});
        assert_eq!(progress(&odd), "running [2J", "what comes from a server does not steer a terminal");
    }
}
