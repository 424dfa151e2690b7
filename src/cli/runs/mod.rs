//! `silo runs`: jobs that a server runs.

mod fetch;
mod show;
mod submit;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value};

use super::args::run::assignment;
use super::args::server_client::{ServerOptions, moment, text, word};
use super::output::render::tame;
use super::output::table::{copied, table, whole, words};
use super::{ExitStatus, print};
use crate::api::runs::{RunPageReply, RunReply, RunSummaryReply};
use crate::api::samples::SampleListReply;
use crate::catalog::RunStatus;
use crate::client::{Client, Error, ServerReply};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Submit a run to a server
    Submit(submit::Options),
    /// List runs, newest first
    List(RunListOptions),
    /// Show a run: what it runs, its status, and why it failed
    Show(OneOptions),
    /// Print a run's logs
    Logs(fetch::LogOptions),
    /// Wait until a run ends; the exit code is that of `silo run`
    Wait(OneOptions),
    /// Stop runs
    Cancel(SomeOptions),
    /// Run again, with changed inputs or settings
    Rerun(RerunOptions),
    /// List or download a run's outputs
    Outputs(fetch::OutputOptions),
}

#[derive(Args)]
pub(super) struct OneOptions {
    /// The run's id
    id: String,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Args)]
pub(super) struct SomeOptions {
    /// The runs' ids
    #[arg(required = true)]
    ids: Vec<String>,
    /// As JSON, one line per run
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Args)]
pub(super) struct RunListOptions {
    /// Only runs with this status
    #[arg(long, value_enum)]
    status: Vec<RunStatusArgument>,
    /// Only runs of the job with this name
    #[arg(long)]
    job: Option<String>,
    /// Only runs with this tag; repeatable, then with all of the tags
    #[arg(long)]
    tag: Vec<String>,
    /// Only runs of this batch
    #[arg(long)]
    batch: Option<String>,
    /// Only runs that failed with the error of this name
    #[arg(long)]
    error: Option<String>,
    /// Number of runs to list, from 1 to 100
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum RunStatusArgument {
    Accepted,
    Running,
    Successful,
    Failed,
    Dismissed,
}

#[derive(Args)]
pub(super) struct RerunOptions {
    /// The run's id
    id: String,
    /// New value for a JSON input
    #[arg(short, long = "json-input", value_name = "KEY=JSON", value_parser = assignment)]
    json_input: Vec<(String, String)>,
    /// New value for a setting
    #[arg(short = 'e', long, value_name = "SETTING=VALUE", value_parser = assignment)]
    setting: Vec<(String, String)>,
    /// New file for an input, as in `silo runs submit`
    #[arg(short, long, value_name = "KEY=FILE", value_parser = assignment)]
    input: Vec<(String, String)>,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Submit(options) => submit::run(options).await,
        Command::List(options) => list(options).await,
        Command::Show(options) => {
            let reply = get(&options.server.client()?, &options.id).await?;
            if options.json {
                print(format_args!("{reply}\n"))?
            } else {
                let run: RunReply = reply.read()?;
                let used =
                    if run.attempts.is_empty() { None } else { samples(&options.server.client()?, &options.id).await };
                print(show::record(&run, used.as_ref()))?
            }
            Ok(ExitStatus::Done)
        }
        Command::Logs(options) => fetch::logs(options).await,
        Command::Wait(options) => {
            let client = options.server.client()?;
            ended(&wait(&client, &options.id).await?, options.json)
        }
        Command::Cancel(options) => cancel(options).await,
        Command::Rerun(options) => rerun(options).await,
        Command::Outputs(options) => fetch::outputs(options).await,
    }
}

async fn list(options: RunListOptions) -> anyhow::Result<ExitStatus> {
    let statuses: Vec<String> = options.status.iter().map(word).collect();
    let (status, tags, limit) = (statuses.join(","), options.tag.join(","), options.limit.to_string());
    let mut query = vec![("limit", limit.as_str()), ("status", &status), ("tag", &tags)];
    let given = [("job", &options.job), ("batch", &options.batch), ("error", &options.error)];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    let reply = options.server.client()?.ask(Method::GET, "/api/v1/runs", &query, None).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
        return Ok(ExitStatus::Done);
    }
    let RunPageReply { items: runs, total, .. } = reply.read()?;
    if runs.is_empty() {
        stderrln!("No runs match.");
        return Ok(ExitStatus::Done);
    }
    let rows = runs.iter().map(|run| {
        let job = format!("{} {}", text(&run.job), text(&run.job_version));
        let is_running = RunStatus::parse(&run.status) == Some(RunStatus::Running);
        let stands = text(if is_running { &run.phase } else { &run.status });
        let why = run.error.as_ref().map(|error| text(&error.name)).unwrap_or_default();
        [text(&run.id), job, stands, why, text(&run.label), moment(run.created)]
    });
    let columns = [copied("ID"), words("JOB"), whole("STANDS"), words("ERROR"), words("LABEL"), whole("CREATED")];
    print(format_args!("{}\n", table(columns, rows)))?;
    if total > runs.len() as u64 {
        stderrln!("{} of {total}; show more with --limit, or narrow the list.", runs.len());
    }
    Ok(ExitStatus::Done)
}

async fn get(client: &Client, id: &str) -> Result<ServerReply, Error> {
    client.ask(Method::GET, &path(id, ""), &[], None).await
}

/// What the last attempt of a run used; `None` if the server does not tell, as when its files were deleted.
async fn samples(client: &Client, id: &str) -> Option<SampleListReply> {
    client.ask(Method::GET, &path(id, "/samples"), &[], None).await.ok()?.read().ok()
}

/// URL path of a run. Characters that could change the path are removed.
fn path(id: &str, rest: &str) -> String {
    let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("/api/v1/runs/{id}{rest}")
}

/// Waits for the end of a run, and returns its record. Reconnects if the stream ends early.
async fn wait(client: &Client, id: &str) -> anyhow::Result<ServerReply> {
    loop {
        let mut events = client.follow(&path(id, "/events")).await?;
        let mut seen = String::new();
        while let Ok(Some(event)) = events.next().await {
            let run: RunSummaryReply = event.read()?;
            let stands = text(&run.phase);
            if stands != seen && run.finished.is_none() {
                stderrln!("{stands}");
            }
            seen = stands;
        }
        let reply = get(client, id).await?;
        if reply.read::<RunReply>()?.finished.is_some() {
            return Ok(reply);
        }
    }
}

/// Prints how a run ended, and returns its exit code.
fn ended(reply: &ServerReply, json: bool) -> anyhow::Result<ExitStatus> {
    let run: RunReply = reply.read()?;
    if json {
        print(format_args!("{reply}\n"))?;
    } else {
        stderr!("{}", show::end(&run));
    }
    let category = run.error.as_ref().map(|error| error.category.as_ref());
    Ok(match (RunStatus::parse(&run.status), category) {
        (Some(RunStatus::Successful), _) => ExitStatus::Done,
        (Some(RunStatus::Failed), Some("data" | "job")) => ExitStatus::JobFailed,
        _ => ExitStatus::Failed,
    })
}

async fn cancel(options: SomeOptions) -> anyhow::Result<ExitStatus> {
    let client = options.server.client()?;
    let mut failed = 0;
    for id in &options.ids {
        let reply = client.ask(Method::POST, &path(id, "/cancel"), &[], None).await;
        match reply {
            Ok(reply) if options.json => print(format_args!("{reply}\n"))?,
            Ok(reply) => match reply.read::<RunSummaryReply>()? {
                run if run.finished.is_none() => print(format_args!("{} is being stopped\n", tame(id)))?,
                run => print(format_args!("{} {}\n", tame(id), text(&run.status)))?,
            },
            Err(why) => {
                failed += 1;
                stderrln!("silo: {}: {}", tame(id), tame(&why.to_string()));
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} could not be cancelled", options.ids.len());
    }
    Ok(ExitStatus::Done)
}

async fn rerun(options: RerunOptions) -> anyhow::Result<ExitStatus> {
    let client = options.server.client()?;
    let mut change = Map::new();
    submit::add_given(&client, &mut change, &options.input, &options.json_input, &options.setting).await?;
    let reply = client.ask(Method::POST, &path(&options.id, "/rerun"), &[], Some(&Value::Object(change))).await?;
    if options.json {
        print(format_args!("{reply}\n"))?
    } else {
        print(format_args!("{}\n", text(&reply.read::<RunReply>()?.id)))?
    }
    Ok(ExitStatus::Done)
}
