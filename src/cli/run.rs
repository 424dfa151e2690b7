//! `silo run`: so far what would be run.

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::manifest_file::{self, shown};
use super::render::{json_line, problems, renderer, summary, tame};
use super::{Exit, print};
use crate::engine::container::Network;
use crate::engine::folder::Folder;
use crate::engine::inputs::survey;
use crate::engine::plan::{Plan, PlanProblem, plan};
use crate::engine::request::{JsonValue, Layout, Request};
use crate::seed::image_name::ImageName;
use crate::seed::model::Manifest;
use crate::seed::validate::{Report, Rules, judge};

#[derive(Args)]
#[command(
    after_help = "Exit codes of --dry-run: 0 it can be run so; 1 the manifest is not valid; 2 wrong usage: something \
                        is missing, unknown or cannot be read."
)]
pub(super) struct Options {
    /// A folder with a seed.manifest.json, or a manifest; its image must have the name that the standard gives it
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
    /// Where the job's files go
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
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
    /// GPUs of this machine that jobs may have
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    gpus: u32,
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

pub(super) fn run(options: &Options) -> anyhow::Result<Exit> {
    if !options.dry_run {
        bail!("silo cannot run jobs yet, only say what would be run: add --dry-run");
    }
    let prepared = manifest_file::read(Path::new(&options.image));
    let file = match prepared {
        Ok(file) => file,
        Err(why) => return usage(&why),
    };
    let report = judge(&file.bytes, Rules::default());
    if !report.valid {
        if options.json {
            print(json_line(&Outcome { report: Some(&report), ..Outcome::default() })?)?;
        } else {
            let drawn = problems(&renderer(&std::io::stderr()), &file.name, &file.bytes, &report);
            eprintln!("{drawn}{}", summary(&file.name, &report));
        }
        return Ok(Exit::Failed);
    }
    let manifest = Manifest::parse(std::str::from_utf8(&file.bytes).context("a valid manifest is UTF-8")?)?;
    let request = match request(options, &manifest) {
        Ok(request) => request,
        Err(why) => return usage(&why),
    };
    match plan(&manifest, &request) {
        Ok(plan) => planned(options, &plan),
        Err(problems) => refused(options, &manifest, &problems),
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

fn request(options: &Options, manifest: &Manifest) -> anyhow::Result<Request> {
    let job = &manifest.job;
    let image = ImageName::of(&job.name, &job.job_version, &job.package_version).to_string();
    let output = options.output.clone().unwrap_or_else(|| PathBuf::from(format!("output-{}", image.replace(':', "_"))));
    let mut request = Request::new(image, folder(&output)?);
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
    request.host.gpus = options.gpus;
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
