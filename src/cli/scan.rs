//! `silo scan`.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use http::Method;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::print;
use super::registry::find;
use super::remote::{Server, items, table, text};
use crate::client::Client;

/// How often a running scan is looked at.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(super) struct Options {
    /// The registry's name or id; all of them, if not given
    registry: Option<String>,
    /// Wait for the end, showing progress; a scan that fails makes the exit code 1
    #[arg(long)]
    wait: bool,
    /// Agree that what the registry's last scan missed is gone, when that was so much that it was held
    #[arg(long, requires = "registry")]
    confirm: bool,
    /// As JSON, as the server answers: a list of scans
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
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
        let path = if options.confirm {
            format!("/api/v1/scans/{}/confirm", last_scan(&client, id).await?)
        } else {
            format!("/api/v1/registries/{id}/scans")
        };
        scans.push(client.ask(Method::POST, &path, &[], None).await?);
    }
    if options.wait {
        scans = wait(&client, scans).await?;
    }
    if options.json {
        print(format_args!("{}\n", Value::from(scans.clone())))?;
    } else {
        show(&scans, options.wait)?;
    }
    let failed = scans.iter().filter(|scan| scan["state"] == "failed").count();
    if failed > 0 {
        bail!("{failed} of {} scans failed", scans.len());
    }
    Ok(())
}

/// The id of a registry's newest scan.
async fn last_scan(client: &Client, registry: i64) -> anyhow::Result<Value> {
    let query = [("registry", registry.to_string()), ("limit", "1".to_owned())];
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let reply = client.ask(Method::GET, "/api/v1/scans", &query, None).await?;
    match items(&reply["items"]).first() {
        Some(scan) => Ok(scan["id"].clone()),
        None => bail!("this registry was never scanned; there is nothing to confirm"),
    }
}

/// Watches until all have ended, a bar each. Bars are drawn on standard error, and only on a terminal.
async fn wait(client: &Client, scans: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    let style = ProgressStyle::with_template("{prefix:20!} {bar:30} {pos}/{len} tags {msg}")?;
    let bars = MultiProgress::new();
    let mut watched: Vec<(Value, ProgressBar)> = scans
        .into_iter()
        .map(|scan| {
            let bar = bars.add(ProgressBar::new(0).with_style(style.clone()).with_prefix(text(&scan["registry"])));
            (scan, bar)
        })
        .collect();
    loop {
        for (scan, bar) in &mut watched {
            if is_active(scan) {
                *scan = client.ask(Method::GET, &format!("/api/v1/scans/{}", scan["id"]), &[], None).await?;
                draw(scan, bar);
            }
        }
        if !watched.iter().any(|(scan, _)| is_active(scan)) {
            return Ok(watched.into_iter().map(|(scan, _)| scan).collect());
        }
        tokio::time::sleep(LOOK).await; // because the server does not tell when something changed
    }
}

fn is_active(scan: &Value) -> bool {
    scan["state"] == "queued" || scan["state"] == "running"
}

fn draw(scan: &Value, bar: &ProgressBar) {
    let counts = &scan["counts"];
    bar.set_length(counts["tags"].as_u64().unwrap_or_default());
    bar.set_position(counts["tagsDone"].as_u64().unwrap_or_default());
    bar.set_message(text(&scan["state"]));
    if !is_active(scan) {
        bar.finish();
    }
}

fn show(scans: &[Value], ended: bool) -> anyhow::Result<()> {
    if !ended {
        for scan in scans {
            let registry = text(&scan["registry"]);
            eprintln!(
                "Scan {} of {registry} is {}. Follow it with: silo scan {registry} --wait",
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
    print(format_args!(
        "{}\n",
        table(["REGISTRY", "STATE", "IMAGES", "ADDED", "CHANGED", "REMOVED", "PROBLEMS"], rows)
    ))?;
    for scan in scans {
        let registry = text(&scan["registry"]);
        if let Some(error) = scan["error"].as_str() {
            eprintln!("{registry}: {}", text(&error.into()));
        }
        for note in items(&scan["notes"]) {
            eprintln!("{registry}: {}", text(note));
        }
    }
    Ok(())
}
