//! Common to `silo run`, `silo batch`, `silo test` and `silo shell`: options, requests, and validation of the manifest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::engine_at::{EngineAt, EngineWithImage};
use super::manifest_file::{self, ManifestFile};
use super::registry::PullAccount;
use crate::cli::output::render::{json_line, problems, renderer, summary, tame};
use crate::cli::suggest::nearest_path;
use crate::cli::{ExitStatus, print};
use crate::engine::plan::container::NetworkMode;
use crate::engine::plan::request::{ContainerLayout, HostFile, InputSource, JsonInputValue, RunRequest};
use crate::engine::plan::{PlanCode, PlanProblem, RunPlan, plan};
use crate::engine::run::folder::RunPaths;
use crate::engine::run::inputs::survey;
use crate::seed::environment::variable_name;
use crate::seed::image_name::ImageName;
use crate::seed::image_reference::ImageReference;
use crate::seed::model::SeedManifest;
use crate::seed::validate::{ValidationReport, ValidationRules, judge};

/// Options of all commands that run a job.
#[derive(Args)]
// Avoids a clash of clap's group names: other commands have a struct of this name.
#[group(skip)]
pub(in crate::cli) struct Options {
    /// An image that the engine has or can pull; or a manifest, or a folder with a seed.manifest.json, which names the
    /// image
    #[arg(value_name = "IMAGE|DIR", default_value = ".")]
    pub image: String,
    /// File for an input; a folder or several files if the input has `multiple`
    #[arg(short, long, value_name = "KEY=FILE", value_parser = assignment)]
    pub input: Vec<(String, String)>,
    /// Value for a JSON input, or a file that holds it
    #[arg(short, long = "json-input", value_name = "KEY=JSON", value_parser = assignment)]
    pub json_input: Vec<(String, String)>,
    /// Value for a setting
    #[arg(short = 'e', long, value_name = "SETTING=VALUE", value_parser = assignment, hide_possible_values = true)]
    pub setting: Vec<(String, String)>,
    /// Folder for a mount
    #[arg(short, long, value_name = "MOUNT=PATH", value_parser = assignment)]
    pub mount: Vec<(String, String)>,
    /// Time limit in seconds, if lower than the manifest's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Seconds between the request to stop the job and its kill
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Pull the image first, even if the engine has it
    #[arg(long)]
    pub pull: bool,
    /// Show neither the job's output nor progress
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub engine: EngineAt,
    #[command(flatten)]
    pub account: PullAccount,
    /// Paths of the job's files in the container
    #[arg(long, value_enum, default_value_t)]
    pub layout: ContainerLayout,
    /// Network of the job's container
    #[arg(long, value_enum, default_value_t)]
    pub network: NetworkMode,
    /// User of the job's process: uid, uid:gid or names
    #[arg(long)]
    pub user: Option<String>,
    /// Platform of the image, such as linux/arm64
    #[arg(long)]
    pub platform: Option<String>,
    /// Number of GPUs that jobs may use [default: as the engine reports]
    #[arg(long, value_name = "COUNT")]
    pub gpus: Option<u32>,
    /// Custom resource that this machine offers
    #[arg(long, value_name = "NAME")]
    pub offers: Vec<String>,
    /// Print the shell command of the run and do not run it
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl ValueEnum for ContainerLayout {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Silo, Self::Scale]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, help) = match self {
            Self::Silo => ("silo", "below /seed"),
            Self::Scale => ("scale", "the paths and variables of Scale"),
        };
        Some(clap::builder::PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for NetworkMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Bridge, Self::Host, Self::None]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, help) = match self {
            Self::Bridge => ("bridge", "the engine's default network"),
            Self::Host => ("host", "this machine's network"),
            Self::None => ("none", "nothing"),
        };
        Some(clap::builder::PossibleValue::new(name).help(help))
    }
}

/// Splits at the first `=`: values may contain `=` and commas.
pub(in crate::cli) fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Output of `--json` if nothing is run.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct JobPlanOutcome<'a> {
    /// Whether the request can be run.
    pub valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<&'a RunPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_run: Option<String>,
    pub problems: &'a [PlanProblem],
    /// Report on the manifest, if it is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<&'a ValidationReport>,
}

/// The manifest if it is valid; else prints its problems.
pub(in crate::cli) fn valid(json: bool, file: &ManifestFile) -> anyhow::Result<Option<SeedManifest>> {
    let report = judge(&file.bytes, ValidationRules::default());
    if report.valid {
        let text = std::str::from_utf8(&file.bytes).context("a valid manifest is UTF-8")?;
        return Ok(Some(SeedManifest::parse(text)?));
    }
    if json {
        print(json_line(&JobPlanOutcome { report: Some(&report), ..JobPlanOutcome::default() })?)?;
    } else {
        let drawn = problems(&renderer(&std::io::stderr()), &file.name, &file.bytes, &report);
        stderrln!("{drawn}{}", summary(&file.name, &report));
    }
    Ok(None)
}

/// Reports wrong usage.
pub(in crate::cli) fn usage(why: &anyhow::Error) -> anyhow::Result<ExitStatus> {
    // The message may contain paths as typed, so it is escaped.
    crate::cli::complain(&anyhow!(tame(&format!("{why:#}"))));
    Ok(ExitStatus::Usage)
}

/// The image name that the standard prescribes for a job.
pub(in crate::cli) fn name_of(manifest: &SeedManifest) -> String {
    let job = &manifest.job;
    ImageName::of(&job.name, &job.job_version, &job.package_version).to_string()
}

/// Parses an image reference.
///
/// # Errors
/// It is no valid reference.
pub(in crate::cli) fn image_reference(name: &str) -> anyhow::Result<ImageReference> {
    name.parse().map_err(|why| anyhow!("'{}' names no image: {why}", tame(name)))
}

/// A request, as far as the arguments are valid.
pub(in crate::cli) struct JobRequest {
    pub request: RunRequest,
    /// Problems of invalid arguments.
    pub problems: Vec<PlanProblem>,
    /// The inputs and mounts that these problems are about.
    pub unusable: Vec<Unusable>,
}

/// An input or mount by name whose given value cannot be used.
#[derive(Clone)]
pub(in crate::cli) enum Unusable {
    File(String),
    Json(String),
    Mount(String),
}

impl JobRequest {
    fn refuse(&mut self, what: Unusable, why: impl std::fmt::Display, path: &Path) {
        let (Unusable::File(subject) | Unusable::Json(subject) | Unusable::Mount(subject)) = &what;
        let help = match nearest_path(path) {
            Some(near) => format!("Did you mean {}?", manifest_file::shown(&near)),
            None => "Check the path.".to_owned(),
        };
        let (code, subject, message) = (PlanCode::BadValue, subject.to_owned(), format!("{why}."));
        self.problems.push(PlanProblem { code, subject, message, help });
        self.unusable.push(what);
    }

    /// Plans the request.
    ///
    /// # Errors
    /// All problems at once.
    pub(in crate::cli) fn plan(&self, manifest: &SeedManifest) -> Result<RunPlan, Vec<PlanProblem>> {
        if self.problems.is_empty() {
            return plan(manifest, &self.request);
        }
        let found = plan(manifest, &self.as_if_usable()).err().unwrap_or_default();
        // Problems of unknown names come first.
        let (unknown, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|problem| problem.code == PlanCode::Unknown);
        let is_told = |problem: &PlanProblem| {
            self.problems.iter().any(|own| variable_name(&own.subject) == variable_name(&problem.subject))
        };
        let others = others.into_iter().filter(|problem| !is_told(problem));
        Err(unknown.into_iter().chain(self.problems.iter().cloned()).chain(others).collect())
    }

    /// The request with placeholders for unusable values, so that these are not reported as missing, and their names
    /// are checked.
    fn as_if_usable(&self) -> RunRequest {
        let mut request = self.request.clone();
        for unusable in &self.unusable {
            match unusable {
                Unusable::File(name) => {
                    let file = HostFile { name: "file".to_owned(), path: PathBuf::from("/file"), size: 0 };
                    request.files.push((name.clone(), InputSource::File(file)));
                }
                Unusable::Json(name) => request.json.push((name.clone(), JsonInputValue::Text("null".to_owned()))),
                Unusable::Mount(name) => request.mounts.push((name.clone(), PathBuf::from("/"))),
            }
        }
        request
    }
}

/// Builds the request. Without `machine`, its resources are unknown and nothing is refused for lack of them.
pub(in crate::cli) fn request(
    options: &Options,
    image: &ImageReference,
    folder: RunPaths,
    machine: Option<&EngineWithImage>,
) -> JobRequest {
    let engine = machine.map(|machine| &machine.engine.facts);
    let mut asked =
        JobRequest { request: RunRequest::new(image.clone(), folder), problems: Vec::new(), unusable: Vec::new() };
    for (key, path) in &options.input {
        match survey(Path::new(path)) {
            Ok(source) => asked.request.files.push((key.clone(), source)),
            Err(why) => asked.refuse(Unusable::File(key.clone()), why, Path::new(path)),
        }
    }
    for (key, text) in &options.json_input {
        match json_text(text, Path::new("")) {
            Ok(text) => asked.request.json.push((key.clone(), JsonInputValue::Text(text))),
            Err(why) => asked.refuse(Unusable::Json(key.clone()), why, Path::new(text)),
        }
    }
    for (key, path) in &options.mount {
        match Path::new(path).canonicalize() {
            Ok(real) => asked.request.mounts.push((key.clone(), real)),
            Err(why) => asked.refuse(Unusable::Mount(key.clone()), format!("{path}: {why}"), Path::new(path)),
        }
    }
    let request = &mut asked.request;
    request.settings = options.setting.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    request.layout = options.layout;
    request.network = options.network;
    request.user.clone_from(&options.user);
    request.platform.clone_from(&options.platform);
    request.timeout = options.timeout.map(Duration::from_secs);
    request.grace = Duration::from_secs(options.grace);
    request.host.cpus = engine.map(|engine| f64::from(engine.cpus));
    request.host.memory = engine.map(|engine| engine.memory);
    let all = if engine.is_some_and(|engine| engine.gpus) { u32::MAX } else { 0 };
    request.host.gpus = options.gpus.unwrap_or(all);
    request.host.other.clone_from(&options.offers);
    request.docker_options =
        options.engine.choice().docker_options(machine.map(|machine| machine.engine.docker.address()));
    asked
}

/// A JSON value as typed; if it is no JSON but names a file with JSON, that file's content, as in Seed CLI. Relative
/// paths start at `folder`.
pub(in crate::cli) fn json_text(text: &str, folder: &Path) -> anyhow::Result<String> {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let path = folder.join(text);
    if is_json(text) || !path.is_file() {
        return Ok(text.to_owned());
    }
    let file = manifest_file::read(&path)?;
    let held = String::from_utf8(file.bytes).ok().filter(|held| is_json(held));
    Ok(held.unwrap_or_else(|| text.to_owned()))
}
