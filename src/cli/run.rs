//! `silo run`: a job on this machine's container engine, without a server.

mod live;
mod on_engine;
mod report;

use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::manifest_file::{self, ManifestFile, shown};
use super::render::{json_line, problems, renderer, summary, tame};
use super::{Exit, print};
use crate::engine::container::Network;
use crate::engine::folder::Folder;
use crate::engine::inputs::survey;
use crate::engine::plan::{Plan, PlanProblem, plan};
use crate::engine::request::{JsonValue, Layout, Request};
use crate::engine::runtime::Engine;
use crate::seed::image_name::ImageName;
use crate::seed::model::Manifest;
use crate::seed::validate::{Report, Rules, judge};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 the job did its work, or could do it (--dry-run); 1 it could not be run: no engine, no image, \
                        a manifest that is not valid; 2 wrong usage: something is missing, unknown or cannot be read; 3 the job \
                        failed, which the last lines and --json say more about; 130 it was stopped by Ctrl-C or a signal."
)]
pub(super) struct Options {
    /// An image that the engine has or can pull; or a folder with a seed.manifest.json, or a manifest, for the image of
    /// the name that the standard gives it
    #[arg(value_name = "IMAGE|DIR", default_value = ".")]
    image: String,
    /// A file for an input; a folder or several files for one with `multiple`
    #[arg(short, long, value_name = "KEY=FILE", value_parser = assignment)]
    input: Vec<(String, String)>,
    /// A value for a JSON input, or a file with it
    #[arg(short, long = "json-input", value_name = "KEY=JSON", value_parser = assignment)]
    json_input: Vec<(String, String)>,
    /// A value for a setting
    #[arg(short = 'e', long, value_name = "SETTING=VALUE", value_parser = assignment, hide_possible_values = true)]
    setting: Vec<(String, String)>,
    /// A folder for a mount
    #[arg(short, long, value_name = "MOUNT=PATH", value_parser = assignment)]
    mount: Vec<(String, String)>,
    /// Where the job's files go; what is known of the run goes to a folder FOLDER.run beside it
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Containers are always removed; for those who know `seed run --rm`
    #[arg(long)]
    rm: bool,
    /// Run it so many times, into FOLDER-0, FOLDER-1 and so on; the first failure ends that
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rep: u32,
    /// Stop the job after so many seconds, where the manifest allows more
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Bring the image up to date first
    #[arg(long)]
    pull: bool,
    /// Do not show what the job prints
    #[arg(short, long)]
    quiet: bool,
    /// Address of the container engine; without one the usual sockets of Docker and Podman are tried
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST")]
    engine: Option<String>,
    /// Where the job finds its files in the container
    #[arg(long, value_enum, default_value_t)]
    layout: Layout,
    /// What the job can reach
    #[arg(long, value_enum, default_value_t)]
    network: Network,
    /// As whom the job runs: uid, uid:gid or names
    #[arg(long)]
    user: Option<String>,
    /// Platform of the image, as in linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// GPUs of this machine that jobs may have [default: what the engine says]
    #[arg(long, value_name = "COUNT")]
    gpus: Option<u32>,
    /// A resource that this machine offers besides those of the standard
    #[arg(long, value_name = "NAME")]
    offers: Vec<String>,
    /// Say what would be run, as a command for a shell, and do not run it
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl ValueEnum for Layout {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Silo, Self::Scale]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, help) = match self {
            Self::Silo => ("silo", "below /seed"),
            Self::Scale => ("scale", "where Scale puts them, with its variables"),
        };
        Some(clap::builder::PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Network {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Bridge, Self::Host, Self::None]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, help) = match self {
            Self::Bridge => ("bridge", "what the engine gives by default"),
            Self::Host => ("host", "what this machine reaches"),
            Self::None => ("none", "nothing"),
        };
        Some(clap::builder::PossibleValue::new(name).help(help))
    }
}

/// Cut at the first `=`: values may hold more of them, and commas.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The outcome of `--dry-run --json`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    /// Whether it can be run so.
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Plan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_run: Option<String>,
    problems: &'a [PlanProblem],
    /// What is wrong with the manifest, where that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Exit> {
    let path = Path::new(&options.image);
    let on_disk = if path.exists() || options.image.starts_with(['.', '/']) {
        match manifest_file::read(path) {
            Ok(file) => Some(file),
            Err(why) => return usage(&why),
        }
    } else {
        None
    };
    if let (true, Some(file)) = (options.dry_run, &on_disk) {
        let Some(manifest) = valid(options, file)? else { return Ok(Exit::Failed) };
        return dry_run(options, &manifest, &name_of(&manifest), None);
    }
    on_engine::run(options, on_disk.as_ref()).await
}

/// The manifest, if it may be run; else what is wrong with it is told.
fn valid(options: &Options, file: &ManifestFile) -> anyhow::Result<Option<Manifest>> {
    let report = judge(&file.bytes, Rules::default());
    if report.valid {
        let text = std::str::from_utf8(&file.bytes).context("a valid manifest is UTF-8")?;
        return Ok(Some(Manifest::parse(text)?));
    }
    if options.json {
        print(json_line(&Outcome { report: Some(&report), ..Outcome::default() })?)?;
    } else {
        let drawn = problems(&renderer(&std::io::stderr()), &file.name, &file.bytes, &report);
        eprintln!("{drawn}{}", summary(&file.name, &report));
    }
    Ok(None)
}

fn dry_run(options: &Options, manifest: &Manifest, image: &str, engine: Option<&Engine>) -> anyhow::Result<Exit> {
    let request = match request(options, image, folder(&output(options, image))?, engine) {
        Ok(request) => request,
        Err(why) => return usage(&why),
    };
    match plan(manifest, &request) {
        Ok(plan) => planned(options, &plan),
        Err(problems) => refused(options, manifest, &problems),
    }
}

fn usage(why: &anyhow::Error) -> anyhow::Result<Exit> {
    // Paths are in it as they were typed.
    super::complain(&anyhow!(tame(&format!("{why:#}"))));
    Ok(Exit::Usage)
}

fn planned(options: &Options, plan: &Plan) -> anyhow::Result<Exit> {
    if options.json {
        let docker_run = Some(plan.docker_run());
        print(json_line(&Outcome { valid: true, plan: Some(plan), docker_run, ..Outcome::default() })?)?;
        return Ok(Exit::Done);
    }
    for warning in &plan.warnings {
        eprintln!("warning: {}", tame(warning));
    }
    print(format_args!("{}\n", tame(&plan.docker_run())))?;
    Ok(Exit::Done)
}

fn refused(options: &Options, manifest: &Manifest, problems: &[PlanProblem]) -> anyhow::Result<Exit> {
    if options.json {
        print(json_line(&Outcome { problems, ..Outcome::default() })?)?;
        return Ok(Exit::Usage);
    }
    eprintln!("silo: the job cannot be run so:");
    for problem in problems {
        eprintln!("  {}", tame(&problem.to_string()));
    }
    eprintln!("It is run as: silo run {}{}", tame(&options.image), expected(manifest));
    Ok(Exit::Usage)
}

/// What a job is given, as the command line wants it; what may be left out in brackets.
fn expected(manifest: &Manifest) -> String {
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

/// The name that the standard gives a job's image.
fn name_of(manifest: &Manifest) -> String {
    let job = &manifest.job;
    ImageName::of(&job.name, &job.job_version, &job.package_version).to_string()
}

fn output(options: &Options, image: &str) -> PathBuf {
    let default = || PathBuf::from(format!("output-{}", image.replace([':', '/', '@'], "_")));
    options.output.clone().unwrap_or_else(default)
}

/// `engine` is `None` where nothing is known of the machine, so that nothing is refused for it.
fn request(options: &Options, image: &str, folder: Folder, engine: Option<&Engine>) -> anyhow::Result<Request> {
    let mut request = Request::new(image, folder);
    for (key, path) in &options.input {
        let source = survey(Path::new(path)).with_context(|| format!("input {}", tame(key)))?;
        request.files.push((key.clone(), source));
    }
    for (key, text) in &options.json_input {
        request.json.push((key.clone(), JsonValue::Text(json_text(text)?)));
    }
    request.settings = options.setting.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    for (key, path) in &options.mount {
        let real = Path::new(path).canonicalize().with_context(|| format!("mount {}: {}", tame(key), tame(path)))?;
        request.mounts.push((key.clone(), real));
    }
    request.layout = options.layout;
    request.network = options.network;
    request.user.clone_from(&options.user);
    request.platform.clone_from(&options.platform);
    request.timeout = options.timeout.map(Duration::from_secs);
    request.host.cpus = engine.map(|engine| f64::from(engine.cpus));
    request.host.memory = engine.map(|engine| engine.memory);
    let all = if engine.is_some_and(|engine| engine.gpus) { u32::MAX } else { 0 };
    request.host.gpus = options.gpus.unwrap_or(all);
    request.host.other.clone_from(&options.offers);
    Ok(request)
}

/// The job writes to the folder that was asked for, as Seed CLI has it; what is known of the run stands beside it.
fn folder(output: &Path) -> anyhow::Result<Folder> {
    let output = absolute(output)?;
    let name = output.file_name().ok_or_else(|| anyhow!("{} cannot be written to: give a folder", shown(&output)))?;
    let mut name = name.to_owned();
    name.push(".run");
    Ok(Folder { root: output.with_file_name(name), output })
}

/// A value as typed; where that is no JSON, but the name of a file that holds some, what is in the file: so Seed CLI has it.
fn json_text(text: &str) -> anyhow::Result<String> {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json(text) || !Path::new(text).is_file() {
        return Ok(text.to_owned());
    }
    let file = manifest_file::read(Path::new(text))?;
    let held = String::from_utf8(file.bytes).ok().filter(|held| is_json(held));
    Ok(held.unwrap_or_else(|| text.to_owned()))
}
