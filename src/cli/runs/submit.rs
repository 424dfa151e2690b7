//! `silo runs submit`.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::super::{ExitStatus, print};
use super::{ended, wait};
use crate::api::runs::{PlannedRunReply, RunReply, UploadReply};
use crate::cli::args::run::{assignment, json_text};
use crate::cli::args::server_client::{ServerOptions, text};
use crate::cli::output::render::tame;
use crate::cli::output::table::cut_beside;
use crate::client::Client;

#[derive(Args)]
#[command(after_help = "\
Files of inputs:
  -i SCENE=scene.tif                  a file on this machine, which is uploaded
  -i SCENE=https://HOST/scene.tif     fetched by the server
  -i SCENE=run:ID/OUTPUT              an output of an earlier run
  -i SCENE=sha256:HEX                 uploaded earlier
  -i SCENE=server:/data/scene.tif     a file on the server

Example:
  silo runs submit registry.example.org/geo/ice-1.0.0-seed:1.0.0 -i SCENE=scene.tif --wait")]
pub(in crate::cli) struct Options {
    /// An image of the server's catalogue, or of its container engine
    image: String,
    /// File for an input; repeatable if the input has `multiple`
    #[arg(short, long, value_name = "KEY=FILE", value_parser = assignment)]
    input: Vec<(String, String)>,
    /// Value for a JSON input, or a file that holds it; quote a string that looks like JSON: 'NOTE="5"'
    #[arg(short, long = "json-input", value_name = "KEY=JSON", value_parser = assignment)]
    json_input: Vec<(String, String)>,
    /// Value for a setting
    #[arg(short = 'e', long, value_name = "SETTING=VALUE", value_parser = assignment)]
    setting: Vec<(String, String)>,
    /// Folder on the server for a mount
    #[arg(short, long, value_name = "MOUNT=PATH", value_parser = assignment)]
    mount: Vec<(String, String)>,
    /// Label for the run
    #[arg(long)]
    label: Option<String>,
    /// Tag for finding the run again; repeatable
    #[arg(long)]
    tag: Vec<String>,
    /// Priority from 0 to 9; the highest runs first
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Maximum number of attempts if the cause of a failure is not the job
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10))]
    max_tries: Option<u32>,
    /// Time limit in seconds, if lower than the manifest's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Return an existing identical run, if there is one
    #[arg(long)]
    dedup: bool,
    /// Print the shell command of the run and do not run it
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until the run ends; the exit code is that of `silo run`
    #[arg(long)]
    wait: bool,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitStatus> {
    let client = options.server.client()?;
    let mut form = Map::new();
    form.insert("image".to_owned(), json!(options.image));
    add_given(&client, &mut form, &options.input, &options.json_input, &options.setting).await?;
    let mounts: Map<String, Value> = options.mount.iter().map(|(name, path)| (name.clone(), json!(path))).collect();
    let given = [
        ("mounts", (!mounts.is_empty()).then_some(Value::Object(mounts))),
        ("label", options.label.map(Value::from)),
        ("tags", (!options.tag.is_empty()).then(|| json!(options.tag))),
        ("priority", options.priority.map(Value::from)),
        ("maxTries", options.max_tries.map(Value::from)),
        ("timeoutSeconds", options.timeout.map(Value::from)),
        ("dedup", options.dedup.then_some(Value::Bool(true))),
    ];
    form.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let query: &[(&str, &str)] = if options.dry_run { &[("dry_run", "true")] } else { &[] };
    let reply = client.ask(Method::POST, "/api/v1/runs", query, Some(&Value::Object(form))).await?;
    if options.json && !options.wait {
        print(format_args!("{reply}\n"))?;
        return Ok(ExitStatus::Done);
    }
    if options.dry_run {
        print(format_args!("{}\n", text(&reply.read::<PlannedRunReply>()?.docker_run)))?;
        return Ok(ExitStatus::Done);
    }
    let RunReply { id, .. } = reply.read()?;
    let id = text(&id);
    if !options.wait {
        print(format_args!("{id}\n"))?;
        stderrln!("Follow it with: silo runs logs {id} --follow");
        return Ok(ExitStatus::Done);
    }
    stderrln!("Run {id}");
    ended(&wait(&client, &id).await?, options.json)
}

/// Adds the inputs to a form; local files are uploaded first.
pub(super) async fn add_given(
    client: &Client,
    form: &mut Map<String, Value>,
    inputs: &[(String, String)],
    values: &[(String, String)],
    settings: &[(String, String)],
) -> anyhow::Result<()> {
    let mut files: Map<String, Value> = Map::new();
    for (input, typed) in inputs {
        let source = source(client, typed).await.with_context(|| format!("input {}", tame(input)))?;
        match files.entry(input.clone()).or_insert_with(|| json!([])) {
            Value::Array(several) => several.push(source),
            _ => unreachable!("only lists are put in"),
        }
    }
    let mut json: Map<String, Value> = Map::new();
    for (name, typed) in values {
        let held = json_text(typed, Path::new(""))?;
        // A value that is no JSON is sent as a string, as in `silo run`; the server knows the type.
        json.insert(name.clone(), serde_json::from_str(&held).unwrap_or(Value::String(held)));
    }
    let settings: Map<String, Value> = settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    for (name, given) in [("files", files), ("json", json), ("settings", settings)] {
        if !given.is_empty() {
            form.insert(name.to_owned(), Value::Object(given));
        }
    }
    Ok(())
}

/// The API's description of a file.
async fn source(client: &Client, typed: &str) -> anyhow::Result<Value> {
    if typed.starts_with("https://") || typed.starts_with("http://") {
        return Ok(json!({"url": typed}));
    }
    if let Some(sha256) = typed.strip_prefix("sha256:") {
        return Ok(json!({"upload": sha256}));
    }
    if let Some(path) = typed.strip_prefix("server:") {
        return Ok(json!({"path": path}));
    }
    if let Some(left) = typed.strip_prefix("run:") {
        let Some((run, output)) = left.split_once('/') else { bail!("write it as run:ID/OUTPUT") };
        return Ok(json!({"run": run, "output": output}));
    }
    send(client, Path::new(typed)).await
}

/// Uploads a file.
async fn send(client: &Client, path: &Path) -> anyhow::Result<Value> {
    let shown = tame(&path.display().to_string());
    let file = tokio::fs::File::open(path).await.with_context(|| format!("{shown} cannot be read"))?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        bail!("{shown} is not a file: give the files of a folder one by one");
    }
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        bail!("the name of {shown} is not UTF-8: rename it")
    };
    let bar = ProgressBar::new(metadata.len());
    bar.set_style(ProgressStyle::with_template("{bar:20} {bytes} of {total_bytes} {wide_msg}")?);
    bar.set_message(cut_beside(50, &format!("Sending {shown}")));
    let shown_by = bar.clone();
    let upload = client.send_file("/api/v1/uploads", name, file, move |sent| shown_by.inc(sent)).await;
    bar.finish_and_clear();
    let UploadReply { sha256, .. } = upload?.read()?;
    Ok(json!({"upload": sha256, "name": name}))
}
