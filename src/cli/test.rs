//! `silo test`: runs a job's cases as `silo run` would, and compares the results with the expected ones.

mod compare;

mod case;
mod report;

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::json;

use self::case::TestCase;
use self::report::{CaseOutcome, CaseResult};
use super::args::engine_at::EngineWithImage;
use super::args::manifest_file::shown;
use super::args::run as job;
use super::args::run::{request, usage};
use super::args::subject::{LocalJob, LocalRun};
use super::output::live::{JobOutputMode, StopSignals, stop_on_signal, watch};
use super::output::render::{json_line, tame};
use super::run::planned as tell_planned;
use super::suggest::nearest_path;
use super::{ExitStatus, print, program_name};
use crate::engine::plan::RunPlan;
use crate::engine::plan::request::{InputSource, JsonInputValue, RunRequest};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::orphans::ContainerOwner;
use crate::engine::run::record::{RunRecord, Status};
use crate::engine::run::verdict::RunErrorCategory;
use crate::seed::model::SeedManifest;
use compare::tree;

#[derive(Args)]
#[command(after_help = "A case is a folder in CASES:\n  \
    input/NAME/…   the files of the input NAME; files directly in input are for the job's only file input, and the \
    job's outputs are then kept in test-output beside it\n  \
    inputs.json    {\"json\": {\"NAME\": value}, \"settings\": {\"NAME\": \"text\"}}, if there are any\n  \
    expected/      the expected outputs (or output/); --update writes them\n  \
    compare.json   the expected exit code, and rules to compare other than byte by byte: {\"expect\": {\"exitCode\": \
    11, \"error\": \"bad-angle\"}, \"rules\": [{\"files\": \"*.csv\", \"compare\": {\"csv\": {\"columns\": {\"mean\": \
    {\"abs\": 0.01}}}}}]}\n\
    Ways to compare: \"exact\", {\"text\": {\"masks\": [REGEX]}}, {\"json\": {\"tolerance\": {\"abs\": 0, \"rel\": \
    0}, \"ignore\": [POINTER]}}, {\"csv\": {\"columns\": {NAME: {\"abs\": 0, \"rel\": 0}}}}, {\"size\": {\"percent\": \
    5}}, \"exists\", \"ignore\". The first rule whose glob matches applies; without a match the comparison is \
    exact.\n\n\
    Exit codes: 0 all cases pass; 1 a case could not be run; 2 wrong usage, or an invalid case; 4 a case gave other \
    results than expected; 130 stopped.")]
pub(super) struct Options {
    #[command(flatten)]
    job: job::Options,
    /// Folder of the cases, or one case [default: cases, or else data, in the job's or the current folder]
    #[arg(value_name = "CASES")]
    cases: Option<PathBuf>,
    /// New folder for the outputs of the cases [default: outputs are deleted]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Save the actual outputs as the expected outputs
    #[arg(long)]
    update: bool,
    /// File for a report in JUnit XML, for CI systems
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    let cases = match folder_of_cases(options).and_then(|folder| TestCase::all(&folder)) {
        Ok(cases) => cases,
        Err(why) => return usage(&why),
    };
    let stop = stop_on_signal()?;
    let subject = match LocalJob::find(&options.job, &stop).await? {
        Continue(subject) => subject,
        Break(exit) => return Ok(exit),
    };
    // The folder is removed on drop.
    let scratch = tempfile::tempdir().context("a folder for outputs cannot be created")?;
    let root = options.output.clone().unwrap_or_else(|| scratch.path().join("runs"));
    if options.job.dry_run {
        return dry_run(options, &subject, &cases, &absolute(root)?);
    }
    if let Err(why) = fs::create_dir(&root) {
        return usage(&anyhow!("{}: {why}; give a folder that does not exist yet", shown(&root)));
    }
    let root = root.canonicalize()?;
    if let Some(machine) = &subject.machine {
        machine.sweep().await;
    }
    let mut ended = Vec::with_capacity(cases.len());
    for case in &cases {
        if stop.is_cancelled() {
            return Ok(ExitStatus::Interrupted);
        }
        let one = one(options, &subject, case, &root.join(&case.name), &stop).await?;
        if !options.job.json {
            print(report::lines(&one))?;
        }
        ended.push(one);
    }
    if stop.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    if let Some(file) = &options.junit {
        fs::write(file, report::junit(subject.image.as_str(), &ended)).with_context(|| shown(file))?;
    }
    if options.job.json {
        print(json_line(&report::TestReport::new(subject.image.as_str(), &ended))?)?;
    } else {
        print(report::summary(&ended))?;
    }
    Ok(report::exit(&ended))
}

/// By default `cases` beside the manifest; or `data`, as in Cumulus. A given name that is no path may be a case of the
/// job.
fn folder_of_cases(options: &Options) -> anyhow::Result<PathBuf> {
    let job = Path::new(&options.job.image);
    let job = if job.is_dir() { job } else { Path::new("") };
    let (cases, data) = (job.join("cases"), job.join("data"));
    let Some(named) = &options.cases else {
        return Ok(if !cases.exists() && data.join("input").is_dir() { data } else { cases });
    };
    let of_job = cases.join(named);
    if named.exists() || of_job.is_dir() {
        return Ok(if named.exists() { named.clone() } else { of_job });
    }
    let help = match nearest_path(&of_job).or_else(|| nearest_path(named)) {
        Some(near) => format!("did you mean {}?", shown(&near)),
        None => "the second argument is a case or a folder of cases; see: silo test --help".to_owned(),
    };
    bail!("there is no folder {}, and no case of that name in {}; {help}", shown(named), shown(&cases))
}

async fn one(
    options: &Options,
    subject: &LocalJob,
    case: &TestCase,
    root: &Path,
    stop: &StopSignals,
) -> anyhow::Result<CaseResult> {
    if let Some(output) = test_output(options, case) {
        // Outputs of an earlier test.
        match fs::remove_dir_all(&output) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why).with_context(|| shown(&output)),
            _ => {}
        }
    }
    let (request, plan) = match planned(options, subject, case, root) {
        Ok(planned) => planned,
        Err(problems) => return Ok(CaseResult::new(case, CaseOutcome::NotRun, problems)),
    };
    let machine = subject.machine.as_ref().context("only a plan needs no engine")?;
    let record = run_one(options, case, machine, &subject.manifest, &request, plan, stop).await?;
    let mut ended = judge(options, case, &record, &request.folder.output)?;
    ended.seconds = (record.updated - record.created).as_seconds_f64();
    Ok(ended)
}

/// Prints the plan of each case as a shell command. Nothing runs, so there is no verdict.
fn dry_run(options: &Options, subject: &LocalJob, cases: &[TestCase], root: &Path) -> anyhow::Result<ExitStatus> {
    let (mut told, mut exit) = (Vec::new(), ExitStatus::Done);
    for case in cases {
        let planned = planned(options, subject, case, &root.join(&case.name));
        exit = exit.max(if planned.is_ok() { ExitStatus::Done } else { ExitStatus::Failed });
        match planned {
            Ok((_, plan)) if options.job.json => {
                told.push(report::PlannedCase::new(case, Some(plan.docker_run()), &[]))
            }
            Err(problems) if options.job.json => told.push(report::PlannedCase::new(case, None, &problems)),
            Ok((request, plan)) => {
                print(format_args!("# {}\n", tame(&case.name)))?;
                tell_planned(&options.job, &subject.manifest, &request, &plan)?;
            }
            Err(problems) => {
                stderrln!("{}: the case {} cannot be run:", program_name::name(), tame(&case.name));
                problems.iter().for_each(|problem| stderrln!("  {}", tame(problem)));
            }
        }
    }
    if options.job.json {
        print(json_line(&json!({ "image": subject.image.as_str(), "cases": told }))?)?;
    }
    Ok(exit)
}

/// The output folder of a case with loose files, unless another one is given.
fn test_output(options: &Options, case: &TestCase) -> Option<PathBuf> {
    case.test_output().filter(|_| options.output.is_none())
}

/// Request and plan of a case, or all problems.
fn planned(
    options: &Options,
    subject: &LocalJob,
    case: &TestCase,
    root: &Path,
) -> Result<(RunRequest, RunPlan), Vec<String>> {
    let LocalJob { image, manifest, machine } = subject;
    let folder = match test_output(options, case) {
        Some(output) => RunPaths { output, root: root.to_owned() },
        None => RunPaths::new(root.to_owned()),
    };
    let mut asked = request(&options.job, image, folder, machine.as_ref());
    let request = &mut asked.request;
    request.files.extend(case.files.iter().cloned());
    if let Some(loose) = &case.loose {
        match TestCase::loose_input(manifest) {
            Ok(input) => request.files.extend(given_to(manifest, input, loose)),
            Err(why) => return Err(vec![why.to_string()]),
        }
    }
    request.json.extend(case.json.iter().map(|(name, value)| (name.clone(), JsonInputValue::Value(value.clone()))));
    request.settings.extend(case.settings.iter().map(|(name, text)| (name.clone(), text.clone().into())));
    match asked.plan(manifest) {
        Ok(plan) => Ok((asked.request, plan)),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

/// Loose files in the form that the input takes.
fn given_to(manifest: &SeedManifest, input: &str, loose: &InputSource) -> Vec<(String, InputSource)> {
    let is_multiple = manifest.job.interface.inputs.files.iter().any(|it| it.name == input && it.multiple);
    match loose {
        InputSource::Folder { files, .. } if !is_multiple => {
            files.iter().map(|file| (input.to_owned(), InputSource::File(file.clone()))).collect()
        }
        whole => vec![(input.to_owned(), whole.clone())],
    }
}

async fn run_one(
    options: &Options,
    case: &TestCase,
    machine: &EngineWithImage,
    manifest: &SeedManifest,
    request: &RunRequest,
    plan: RunPlan,
    stop: &StopSignals,
) -> anyhow::Result<RunRecord> {
    let owner = ContainerOwner::new().context("cannot create a lock file")?;
    let show = if options.job.quiet { JobOutputMode::Nothing } else { JobOutputMode::Progress };
    let (tell, watching) = watch(&format!("case {}", case.name), show);
    let planned = LocalRun { id: owner.id(), owner: &owner, manifest, request, plan };
    let record = machine.run(planned, tell, stop).await;
    watching.await?;
    owner.settle(&machine.engine.docker).await;
    record
}

/// Compares a run with its case.
fn judge(options: &Options, case: &TestCase, record: &RunRecord, output: &Path) -> anyhow::Result<CaseResult> {
    let exit_code = record.attempts.last().and_then(|attempt| attempt.exit_code);
    let error = record.error.as_ref();
    if record.status == Status::Dismissed {
        return Ok(CaseResult::new(case, CaseOutcome::NotRun, vec!["stopped".to_owned()]));
    }
    let name = error.map(|error| error.name.as_str());
    let unexpected = case.expect.differs(exit_code, name);
    if let Some(why) = unexpected {
        let is_system = error.is_some_and(|error| error.category == RunErrorCategory::System);
        let outcome = if is_system { CaseOutcome::NotRun } else { CaseOutcome::Differs };
        return Ok(CaseResult::new(case, outcome, vec![why, record.message.clone()]));
    }
    let expected = case.expected();
    if options.update && (name.is_none() || expected.is_dir()) {
        tree::update(&case.rules, &expected, output)
            .with_context(|| format!("case {}: {}", tame(&case.name), shown(&expected)))?;
        return Ok(CaseResult::new(case, CaseOutcome::Updated, Vec::new()));
    }
    if !expected.is_dir() {
        // A case of a run that fails needs no expected outputs.
        let told = format!("{} does not exist: write it, or create it with --update", shown(&expected));
        return Ok(if name.is_some() {
            CaseResult::new(case, CaseOutcome::Passed, Vec::new())
        } else {
            CaseResult::new(case, CaseOutcome::NotRun, vec![told])
        });
    }
    let findings = match tree::compare(&case.rules, &expected, output) {
        Ok(findings) => findings,
        Err(why) => return Ok(CaseResult::new(case, CaseOutcome::NotRun, vec![why.to_string()])),
    };
    let fine = findings.iter().all(tree::ComparisonFinding::is_fine);
    let outcome = if fine { CaseOutcome::Passed } else { CaseOutcome::Differs };
    Ok(CaseResult { findings, ..CaseResult::new(case, outcome, Vec::new()) })
}
