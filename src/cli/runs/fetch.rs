//! `silo runs logs` and `silo runs outputs`.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use http::Method;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::super::{ExitStatus, print};
use super::path;
use crate::api::runs::{LogPieceReply, OutputFileReply, OutputListReply};
use crate::cli::args::server_client::{ServerOptions, text};
use crate::cli::output::render::tame;
use crate::cli::output::table::{copied, name, table, whole, words};
use crate::client::Client;

#[derive(Args)]
pub(in crate::cli) struct LogOptions {
    /// The run's id
    id: String,
    /// The job's standard error
    #[arg(long, conflicts_with_all = ["system", "combined"])]
    stderr: bool,
    /// The server's own log of the run
    #[arg(long, conflicts_with = "combined")]
    system: bool,
    /// Lines of both streams with their times, as JSON
    #[arg(long)]
    combined: bool,
    /// Number of the attempt, from 1 [default: the last]
    #[arg(long)]
    attempt: Option<u32>,
    /// Only the last LINES lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Follow the log until the run ends
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Args)]
pub(in crate::cli) struct OutputOptions {
    /// The run's id
    id: String,
    /// Only this output
    name: Option<String>,
    /// Download them into this folder
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn logs(options: LogOptions) -> anyhow::Result<ExitStatus> {
    let client = options.server.client()?;
    let log = match () {
        () if options.stderr => "stderr",
        () if options.system => "system",
        () if options.combined => "combined",
        () => "stdout",
    };
    let path = path(&options.id, &format!("/logs/{log}"));
    let mut query = Vec::new();
    query.extend(options.attempt.map(|attempt| ("attempt", attempt.to_string())));
    query.extend(options.tail.map(|tail| ("tail", tail.to_string())));
    if options.follow {
        query.push(("follow", "true".to_owned()));
        return follow(&client, &path, &query).await;
    }
    let mut out = std::io::stdout();
    client.download(&path, &query, async |piece| Ok(out.write_all(&piece)?)).await?;
    out.flush()?;
    Ok(ExitStatus::Done)
}

/// Follows a log; reconnects at the last position if the stream ends early.
async fn follow(client: &Client, path: &str, query: &[(&str, String)]) -> anyhow::Result<ExitStatus> {
    let mut last = None;
    loop {
        let mut events = client.follow_from(path, query, last.as_deref()).await?;
        loop {
            match events.next().await {
                Ok(Some(event)) => print(event.read::<LogPieceReply>()?.text)?,
                Ok(None) => return Ok(ExitStatus::Done),
                Err(why) => {
                    stderrln!("silo: {}; reconnecting at the same position", tame(&why.to_string()));
                    break;
                }
            }
            last = events.last_id().map(str::to_owned).or(last);
        }
    }
}

pub(super) async fn outputs(options: OutputOptions) -> anyhow::Result<ExitStatus> {
    let client = options.server.client()?;
    let reply = client.ask(Method::GET, &path(&options.id, "/outputs"), &[], None).await?;
    let left: OutputListReply = reply.read()?;
    let mut files: Vec<(&str, &OutputFileReply)> = Vec::new();
    for output in &left.files {
        files.extend(output.files.iter().map(|file| (output.name.as_str(), file)));
    }
    files.extend(left.extra.iter().map(|file| ("", file)));
    if let Some(name) = &options.name {
        files.retain(|(output, _)| output == name);
        ensure!(!files.is_empty(), "run {} left no file for output {}", tame(&options.id), tame(name));
    }
    if let Some(folder) = &options.output {
        for (_, file) in &files {
            fetch(&client, &options.id, file, folder).await?;
        }
        stderrln!("{} files in {}", files.len(), tame(&folder.display().to_string()));
        return Ok(ExitStatus::Done);
    }
    if options.json {
        print(format_args!("{reply}\n"))?;
        return Ok(ExitStatus::Done);
    }
    let rows = files.iter().map(|(output, file)| {
        let media_type = file.media_type.as_deref().unwrap_or_default();
        [text(output), text(&file.path), file.size.to_string(), text(media_type)]
    });
    print(format_args!("{}\n", table([name("OUTPUT"), copied("FILE"), whole("BYTES"), words("MEDIA TYPE")], rows)))?;
    for (name, value) in &left.json {
        print(format_args!("{} = {}\n", tame(name), tame(&value.to_string())))?;
    }
    Ok(ExitStatus::Done)
}

/// Downloads a file: complete and with the announced digest, or not at all.
async fn fetch(client: &Client, id: &str, file: &OutputFileReply, folder: &Path) -> anyhow::Result<()> {
    let relative = &file.path;
    let target = folder.join(inside(relative).with_context(|| format!("the server names a file {}", tame(relative)))?);
    let shown = tame(&target.display().to_string());
    tokio::fs::create_dir_all(target.parent().unwrap_or(folder)).await.with_context(|| shown.clone())?;
    let mut part = target.clone().into_os_string();
    part.push(".part");
    let mut out = tokio::fs::File::create(&part).await.with_context(|| shown.clone())?;
    let mut hash = Sha256::new();
    let source: String = relative.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let fetched = client
        .download(&path(id, &format!("/files/{source}")), &[], async |piece| {
            hash.update(&piece);
            Ok(out.write_all(&piece).await?)
        })
        .await;
    let kept = match fetched {
        Ok(()) => out.flush().await.map_err(anyhow::Error::from),
        Err(why) => Err(why),
    };
    let found = hex::encode(hash.finalize());
    let kept = kept.and_then(|()| match &file.sha256 {
        Some(expected) if *expected != found => {
            bail!("it was corrupted in transfer: its SHA-256 is {found}, not {}", text(expected))
        }
        _ => Ok(()),
    });
    match kept {
        Ok(()) => Ok(tokio::fs::rename(&part, &target).await?),
        Err(why) => {
            _ = tokio::fs::remove_file(&part).await;
            Err(why.context(shown))
        }
    }
}

/// Checks that a path stays within its folder.
fn inside(relative: &str) -> anyhow::Result<&Path> {
    let path = Path::new(relative);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(is_plain && !relative.is_empty(), "the path leads out of the folder");
    Ok(path)
}

/// Percent-encodes a path segment.
fn encoded(part: &str) -> String {
    percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_writes_outside_of_the_folder() {
        for good in ["a", "a/b.tif", ".hidden", "a..b"] {
            assert!(inside(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "..", "a/../../b", "./../a"] {
            assert!(inside(bad).is_err(), "{bad}");
        }
    }
}
