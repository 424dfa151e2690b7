//! `silo batch`: a job for every row of a file, or for every file of a folder, on this machine's container engine.

mod journal;
mod report;
mod rows;
mod work;

use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf, absolute};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use self::journal::BatchJournal;
use self::report::{BatchReport, RowReport, RowState, complaints, drawn, summary};
use self::rows::{BatchSourceRow, Rows};
use self::work::{BatchWork, bar};
use super::args::engine_at::EngineWithImage;
use super::args::manifest_file::shown;
use super::args::run as job;
use super::args::run::{request, usage};
use super::args::subject::LocalJob;
use super::output::live::{StopSignals, stop_on_signal};
use super::output::render::{json_line, tame};
use super::run::refused;
use super::{ExitStatus, print, program_name};
use crate::engine::plan::request::RunRequest;
use crate::engine::plan::{PlanCode, PlanProblem, RunPlan, plan};
use crate::engine::run::folder::{RunPaths, safe};
use crate::engine::run::inputs::script;
use crate::engine::run::orphans::ContainerOwner;

#[derive(Args)]
#[command(
    after_help = "The first line of a CSV file (RFC 4180) names file inputs and JSON inputs; an empty value is not \
                  passed. An input with `multiple` takes a folder, one file on each line of a quoted value, or \
                  several columns of the same name. In JSON Lines (.jsonl, .ndjson) each line is an object of inputs; \
                  several files are a list. -i and -j apply to all rows; a row's own value takes precedence. Relative \
                  paths are resolved against the folder of the rows file, then against the current folder.\n\n\
                  Run the same command again to resume a batch that was stopped or killed: a successful row runs \
                  again only if the image, its values, or the size or time of one of its files has changed. \
                  batch.jsonl in the results folder records how each row ended.\n\n\
                  Exit codes: 0 all rows are successful, now or before; 1 the rows could not be run: no engine, no \
                  image, an invalid manifest, or the engine failed; 2 wrong usage, or rows that cannot be run (then \
                  no row was run); 3 a job failed; 130 stopped by Ctrl-C or a signal."
)]
pub(super) struct Options {
    #[command(flatten)]
    job: job::Options,
    #[command(flatten)]
    source: BatchSource,
    /// Folder for results, with a subfolder for each row [default: batch-IMAGE]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Number of containers that run at the same time
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = jobs)]
    jobs: usize,
    /// Start no more rows after a failure
    #[arg(long, conflicts_with = "keep_going")]
    fail_fast: bool,
    /// Continue after a failure (the default)
    #[arg(long)]
    keep_going: bool,
    /// Also rerun rows that were successful before; their earlier results are kept in numbered folders
    #[arg(long)]
    again: bool,
    /// Skip rows that cannot be run
    #[arg(long)]
    skip_bad: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct BatchSource {
    /// File of rows: CSV or JSON Lines
    #[arg(short, long, value_name = "FILE")]
    batch: Option<PathBuf>,
    /// Folder: each of its files is a row, for the job's only file input
    #[arg(short, long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

fn jobs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|jobs| (1..=1000).contains(jobs)).ok_or_else(|| "write a number from 1 to 1000".to_owned())
}

/// A row with a valid plan.
struct PlannedRow {
    number: usize,
    line: Option<u64>,
    /// Relative to the batch's folder.
    folder: String,
    request: RunRequest,
    /// [`digest`] of the row's inputs and container.
    given: String,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    let stop = stop_on_signal()?;
    let subject = match LocalJob::find(&options.job, &stop).await? {
        Continue(subject) => subject,
        Break(exit) => return Ok(exit),
    };
    let default = || PathBuf::from(format!("batch-{}", subject.image.as_str().replace([':', '/', '@'], "_")));
    let root = absolute(options.output.clone().unwrap_or_else(default))?;
    if let Some(why) = journal::refuses(&root) {
        return usage(&anyhow::Error::msg(why));
    }
    let all = request(&options.job, &subject.image, RunPaths::new(root.clone()), subject.machine.as_ref());
    if !all.problems.is_empty() {
        return refused(&options.job, "batch", &subject.manifest, &all.problems);
    }
    let all = all.request;
    let rows = match read(&options.source, &subject, &all) {
        Ok(rows) => rows,
        Err(why) => return usage(&why),
    };
    let batch = LocalBatch { options, subject: &subject, root: &root };
    let (planned, bad) = batch.plan(rows.rows, &all);
    if let Some(fault) = &rows.fault {
        let exit = usage(fault);
        if !bad.is_empty() {
            tell("these rows cannot be run either:", &bad);
        }
        return exit;
    }
    if !bad.is_empty() && (!options.skip_bad || planned.is_empty()) {
        return batch.refused(&planned, bad);
    }
    if !bad.is_empty() {
        tell("skipped rows that cannot be run:", &bad);
    }
    match &subject.machine {
        Some(machine) if !options.job.dry_run => batch.run(machine, planned, bad, &stop).await,
        _ => batch.dry_run(&planned, bad),
    }
}

fn read(source: &BatchSource, subject: &LocalJob, all: &RunRequest) -> anyhow::Result<Rows> {
    match (&source.batch, &source.directory) {
        (Some(file), _) => rows::of_file(file, &subject.manifest),
        (None, Some(folder)) => rows::of_folder(folder, &subject.manifest, all),
        (None, None) => anyhow::bail!("give the rows to run with -b or -d"),
    }
}

/// Prints every problem of the rows.
fn tell(what: &str, bad: &[RowReport]) {
    stderr!("{}: {what}\n{}", program_name::name(), complaints(bad));
}

struct LocalBatch<'a> {
    options: &'a Options,
    subject: &'a LocalJob,
    root: &'a Path,
}

impl LocalBatch<'_> {
    /// Plans all rows before the first one runs, so that all problems are reported at once.
    fn plan(&self, rows: Vec<BatchSourceRow>, all: &RunRequest) -> (Vec<PlannedRow>, Vec<RowReport>) {
        // Folder numbers have at least four digits, so that appended rows do not rename earlier folders.
        let width = rows.len().to_string().len().max(4);
        let (mut planned, mut bad) = (Vec::new(), Vec::new());
        for BatchSourceRow { number, line, given } in rows {
            let row = given.map_err(|why| vec![why]).and_then(|given| {
                let name: String = given.name().chars().take(60).collect();
                let folder = format!("{number:0width$}-{}", safe(&name));
                let mut asked = given.asked(all);
                asked.request.folder = RunPaths::new(self.root.join(&folder));
                let plan = asked.plan(&self.subject.manifest);
                let plan = plan.map_err(|problems| problems.iter().map(|it| self.told(it)).collect::<Vec<_>>())?;
                let request = asked.request;
                let given = digest(&request, &plan);
                Ok(PlannedRow { number, line, folder, request, given })
            });
            match row {
                Ok(row) => planned.push(row),
                Err(problems) => bad.push(RowReport { problems, ..RowReport::new(number, line, RowState::Bad) }),
            }
        }
        (planned, bad)
    }

    /// A problem of a row; for a missing input, with the option that gives it to all rows.
    fn told(&self, problem: &PlanProblem) -> String {
        let interface = &self.subject.manifest.job.interface;
        let name = &problem.subject;
        let option = match problem.code {
            PlanCode::Missing if interface.inputs.json.iter().any(|it| it.name == *name) => "-j",
            PlanCode::Missing if interface.inputs.files.iter().any(|it| it.name == *name) => "-i",
            PlanCode::Missing if interface.settings.iter().any(|it| it.name == *name) => "-e",
            PlanCode::Missing => "-m",
            _ => return problem.to_string(),
        };
        format!("{problem} {option} {name}=… sets it for all rows.")
    }

    fn refused(&self, planned: &[PlannedRow], bad: Vec<RowReport>) -> anyhow::Result<ExitStatus> {
        if self.options.job.json {
            let others = planned.iter().map(|row| RowReport::new(row.number, row.line, RowState::NotBegun));
            self.report(others.chain(bad).collect())?;
            return Ok(ExitStatus::Usage);
        }
        tell("some rows cannot be run, so no row was run; --skip-bad skips them:", &bad);
        Ok(ExitStatus::Usage)
    }

    fn dry_run(&self, planned: &[PlannedRow], bad: Vec<RowReport>) -> anyhow::Result<ExitStatus> {
        let mut lines = bad;
        for row in planned {
            let manifest = &self.subject.manifest;
            let Ok(plan) = plan(manifest, &row.request) else { continue };
            if !self.options.job.json {
                print(format_args!("{}\n", tame(&script(manifest, &plan, &row.request.folder)?)))?;
            }
            let (docker_run, folder) = (Some(plan.docker_run()), Some(row.folder.clone()));
            lines.push(RowReport { docker_run, folder, ..RowReport::new(row.number, row.line, RowState::NotBegun) });
        }
        if self.options.job.json {
            self.report(lines)?;
        }
        Ok(ExitStatus::Done)
    }

    async fn run(
        &self,
        machine: &EngineWithImage,
        planned: Vec<PlannedRow>,
        bad: Vec<RowReport>,
        stop: &StopSignals,
    ) -> anyhow::Result<ExitStatus> {
        let journal = BatchJournal::open(self.root)?;
        machine.sweep().await;
        let (mut lines, mut left) = (bad, Vec::new());
        for row in planned {
            match journal.done(row.number, machine.image.id.as_str(), &row.given).filter(|_| !self.options.again) {
                Some(entry) => lines.push(RowReport::ended(entry, row.line, RowState::DoneBefore, ExitStatus::Done)),
                None => left.push(row),
            }
        }
        let work = BatchWork {
            options: self.options,
            manifest: &self.subject.manifest,
            machine,
            root: self.root,
            journal: Mutex::new(journal),
            owner: ContainerOwner::new().context("cannot create a lock file")?,
            stop,
            halt: CancellationToken::new(),
            bar: bar(left.len(), self.options.job.quiet),
        };
        let ran = work.all(&left).await;
        work.owner.settle(&machine.engine.docker).await;
        lines.extend(ran?);
        let exit = lines.iter().map(|line| line.exit).max().unwrap_or(ExitStatus::Done);
        let exit = if stop.is_cancelled() { ExitStatus::Interrupted } else { exit };
        let told = summary(&lines);
        self.report(lines)?;
        stderrln!("{told}; results are in {}", shown(self.root));
        if exit != ExitStatus::Done {
            stderrln!("Run the same command again to rerun the rows that were not successful.");
        }
        Ok(exit)
    }

    fn report(&self, mut lines: Vec<RowReport>) -> anyhow::Result<()> {
        lines.sort_by_key(|line| line.row);
        if self.options.job.json {
            return print(json_line(&BatchReport {
                image: self.subject.image.as_str(),
                output: self.root,
                rows: &lines,
            })?);
        }
        print(drawn(&lines))
    }
}

/// Digest of everything that decides whether a row must run again: its files by path, size and time, its values, and
/// the container's specification. Values of secrets are left out: a short one could be guessed from a digest.
fn digest(request: &RunRequest, plan: &RunPlan) -> String {
    let files = plan.inputs.iter().flat_map(|input| input.files.iter().map(move |file| (&input.name, file)));
    let files = files.map(|(input, file)| {
        let changed = file.source.metadata().and_then(|metadata| metadata.modified()).ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        json!([input, file.name, file.source.to_string_lossy(), file.size, changed.map(|it| it.as_nanos().to_string())])
    });
    let mut container = serde_json::to_value(&plan.container).expect("a container is JSON");
    // Bind mounts contain the path of the output folder, which may be moved.
    container["binds"] = Value::Null;
    // Values as their environment variables hold them.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: BTreeMap<&str, String> = plan.json.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let mounts: Vec<Value> = request.mounts.iter().map(|(name, path)| json!([name, path.to_string_lossy()])).collect();
    let given = json!({"files": files.collect::<Vec<_>>(), "json": values, "container": container, "mounts": mounts});
    hex::encode(Sha256::digest(given.to_string()))
}
