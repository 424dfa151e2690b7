//! `silo run`: a job on this machine's container engine, without a server.

mod report;

use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::args::manifest_file::shown;
use super::args::run as job;
use super::args::run::{JobPlanOutcome, request};
use super::args::subject::{LocalJob, LocalRun, exit, show};
use super::output::live::{StopSignals, stop_on_signal, watch};
use super::output::render::{json_line, tame};
use super::{ExitStatus, print, program_name};
use crate::clock::Clock;
use crate::engine::plan::request::RunRequest;
use crate::engine::plan::{PlanProblem, RunPlan};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::inputs;
use crate::engine::run::orphans::ContainerOwner;
use crate::seed::model::SeedManifest;

#[derive(Args)]
#[command(after_help = "Exit codes: 0 the job was successful, or could be run (--dry-run); 1 it could not be run: no \
                  engine, no image, or an invalid manifest; 2 wrong usage: an input, setting or mount is missing, \
                  unknown or cannot be read; 3 the job failed (the last lines and --json say why); 130 stopped by \
                  Ctrl-C or a signal.")]
pub(super) struct Options {
    #[command(flatten)]
    job: job::Options,
    /// Folder for the job's outputs; the record and the logs go to FOLDER.run
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// No effect: containers are always removed (accepted for `seed run --rm`)
    #[arg(long)]
    rm: bool,
    /// Number of runs, into FOLDER-0, FOLDER-1 and so on; stops at the first failure
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rep: u32,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    let stop = stop_on_signal()?;
    let subject = match LocalJob::find(&options.job, &stop).await? {
        Continue(subject) => subject,
        Break(exit) => return Ok(exit),
    };
    if options.job.dry_run {
        return dry_run(options, &subject);
    }
    if let Some(machine) = &subject.machine {
        machine.sweep().await;
    }
    for time in 0..options.rep {
        let mut output = output(options.output.as_deref(), subject.image.as_str());
        if options.rep > 1 {
            output.as_mut_os_string().push(format!("-{time}"));
        }
        let exit = once(options, &subject, &output, &stop).await?;
        if exit != ExitStatus::Done {
            return Ok(exit);
        }
    }
    Ok(ExitStatus::Done)
}

async fn once(options: &Options, subject: &LocalJob, wished: &Path, stop: &StopSignals) -> anyhow::Result<ExitStatus> {
    let LocalJob { image, manifest, machine } = subject;
    let machine = machine.as_ref().context("only a plan needs no engine")?;
    let output = fresh(wished, &Clock::system());
    if output != wished {
        stderrln!("{} is not empty, so the outputs go to {}", shown(wished), shown(&output));
    }
    let asked = request(&options.job, image, folder(&output)?, Some(machine));
    let plan = match asked.plan(manifest) {
        Ok(plan) => plan,
        Err(problems) => return refused(&options.job, "run", manifest, &problems),
    };
    let request = &asked.request;
    let owner = ContainerOwner::new().context("cannot create a lock file")?;
    let (tell, watching) = watch(image.as_str(), show(&options.job));
    let planned = LocalRun { id: owner.id(), owner: &owner, manifest, request, plan };
    let record = machine.run(planned, tell, stop).await;
    watching.await?;
    owner.settle(&machine.engine.docker).await;
    let record = record?;
    if options.job.json {
        print(json_line(&record)?)?;
    } else {
        stderr!("{}", report::lines(&record, &request.folder));
    }
    Ok(exit(&record))
}

fn dry_run(options: &Options, subject: &LocalJob) -> anyhow::Result<ExitStatus> {
    let LocalJob { image, manifest, .. } = subject;
    let wished = output(options.output.as_deref(), image.as_str());
    let output = folder(&fresh(&wished, &Clock::system()))?;
    let asked = request(&options.job, image, output, subject.machine.as_ref());
    match asked.plan(manifest) {
        Ok(plan) => planned(&options.job, manifest, &asked.request, &plan),
        Err(problems) => refused(&options.job, "run", manifest, &problems),
    }
}

/// Prints the plan as a shell script that prepares what the container needs, and runs it; or as JSON.
pub(super) fn planned(
    options: &job::Options,
    manifest: &SeedManifest,
    request: &RunRequest,
    plan: &RunPlan,
) -> anyhow::Result<ExitStatus> {
    if options.json {
        let docker_run = Some(plan.docker_run());
        print(json_line(&JobPlanOutcome { valid: true, plan: Some(plan), docker_run, ..JobPlanOutcome::default() })?)?;
        return Ok(ExitStatus::Done);
    }
    for warning in &plan.warnings {
        stderrln!("warning: {}", tame(warning));
    }
    let secrets: Vec<&str> = plan.secrets().collect();
    if !secrets.is_empty() {
        stderrln!("note: secrets are not shown: export {} before you run the command", tame(&secrets.join(" ")));
    }
    print(format_args!("{}\n", tame(&inputs::script(manifest, plan, &request.folder)?)))?;
    Ok(ExitStatus::Done)
}

/// Prints the problems of a request, and the expected arguments.
pub(super) fn refused(
    options: &job::Options,
    verb: &str,
    manifest: &SeedManifest,
    problems: &[PlanProblem],
) -> anyhow::Result<ExitStatus> {
    if options.json {
        print(json_line(&JobPlanOutcome { problems, ..JobPlanOutcome::default() })?)?;
        return Ok(ExitStatus::Usage);
    }
    stderrln!("{}: the job cannot be run:", program_name::name());
    for problem in problems {
        stderrln!("  {}", tame(&problem.to_string()));
    }
    stderrln!("Usage for this job: silo {verb} {}{}", tame(&options.image), expected(manifest));
    Ok(ExitStatus::Usage)
}

/// The arguments that a job expects; optional ones in brackets.
pub(super) fn expected(manifest: &SeedManifest) -> String {
    let interface = &manifest.job.interface;
    let entry = |required: bool, text: String| if required { format!(" {text}") } else { format!(" [{text}]") };
    let files = interface.inputs.files.iter().map(|input| {
        let what = if input.multiple { "FOLDER" } else { "FILE" };
        entry(input.required, format!("-i {}={what}", input.name))
    });
    let json =
        interface.inputs.json.iter().map(|input| {
            entry(input.required, format!("-j {}={}", input.name, input.json_type.as_str().to_uppercase()))
        });
    let settings = interface.settings.iter().map(|setting| format!(" -e {}=VALUE", setting.name));
    let mounts = interface.mounts.iter().map(|mount| format!(" -m {}=FOLDER", mount.name));
    files.chain(json).chain(settings).chain(mounts).chain([" -o FOLDER".to_owned()]).collect()
}

/// The output folder: the given one, or a default by the image's name.
pub(super) fn output(wished: Option<&Path>, image: &str) -> PathBuf {
    let default = || PathBuf::from(format!("output-{}", image.replace([':', '/', '@'], "_")));
    wished.map_or_else(default, Path::to_owned)
}

/// The job writes to the output folder itself, as in Seed CLI; files about the run are in `FOLDER.run` beside it.
pub(super) fn folder(output: &Path) -> anyhow::Result<RunPaths> {
    let output = absolute(output)?;
    let name = output.file_name().ok_or_else(|| anyhow!("{} cannot be written to: give a folder", shown(&output)))?;
    let mut name = name.to_owned();
    name.push(".run");
    Ok(RunPaths { root: output.with_file_name(name), output })
}

/// The output folder if it is absent or empty, since a job must start with an empty one; else a new subfolder, as in
/// Seed CLI.
pub(super) fn fresh(output: &Path, clock: &Clock) -> PathBuf {
    let is_empty = std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || !output.exists() {
        output.to_owned()
    } else {
        output.join(clock.now().format("%Y%m%d_%H%M%S").to_string())
    }
}
