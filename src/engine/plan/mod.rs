//! Plans a container from a manifest and a request. Pure: files were inspected before ([`super::run::inputs`]) and are
//! staged afterwards.

pub mod command;
pub mod container;
pub mod docker_run;
pub mod request;

mod files;
mod limits;
mod mounts;
mod problem;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use problem::PlanProblems;
pub use problem::{PlanCode, PlanProblem};

use container::{ATTEMPT, BindMount, ContainerSpec, EnvironmentVariable, HOST, JOB, MaskedText, RUN, StdinMode};

use crate::seed::environment::{INPUT_METADATA, OUTPUT_DIR, allocated_name, is_name, variable_name};
use crate::seed::model::SeedManifest;
use crate::seed::resources::ResourceAllocation;
use request::RunRequest;

/// Limit for a variable with its name, and for an argument, in bytes: Linux' `MAX_ARG_STRLEN`.
const MAX_TEXT: usize = 128 * 1024 - 16;
/// Limit for each list of a manifest, which bounds the work below.
const MAX_ENTRIES: usize = 1000;
/// Limit for warnings.
const MAX_WARNINGS: usize = 100;
/// Limit for all variables and arguments, in bytes: Linux allows 2 MiB, of which the image needs a part.
const MAX_TEXTS: usize = 1024 * 1024;

/// A planned run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPlan {
    pub container: ContainerSpec,
    /// The given file inputs, in the manifest's order.
    pub inputs: Vec<PlannedInput>,
    /// The given JSON inputs, with the manifest's types.
    pub json: BTreeMap<String, Value>,
    /// Resources that the manifest asks for, computed.
    pub resources: Vec<ResourceAllocation>,
    /// Limit for the outputs, in bytes; `None`: no limit.
    pub disk: Option<u64>,
    /// Warnings, a sentence each.
    pub warnings: Vec<String>,
    /// As [`RunRequest::docker_options`].
    #[serde(skip)]
    pub docker_options: Vec<String>,
}

impl RunPlan {
    /// Total size of all input files, in bytes.
    pub fn input_bytes(&self) -> u64 {
        self.inputs.iter().flat_map(|input| &input.files).map(|file| file.size).sum()
    }

    /// Names of the variables that hold secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.container.environment.iter().filter(|it| it.value.is_secret()).map(|it| &*it.name)
    }

    /// The arguments of the image, quoted for a shell, secrets masked; `None`: the image's CMD.
    pub fn arguments(&self) -> Option<String> {
        Some(docker_run::joined(self.container.command.as_ref()?.iter().map(ToString::to_string)))
    }

    /// The `docker run` command line, quoted for a shell, without secrets.
    pub fn docker_run(&self) -> String {
        docker_run::line(&self.docker_options, &self.container)
    }
}

/// A given file input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedInput {
    pub name: String,
    pub variable: String,
    /// Absolute path in the container: the file, or the folder of files.
    pub path: String,
    pub multiple: bool,
    pub files: Vec<PlannedFile>,
    /// Staging folder on the host for links to all files; `None`: the files or their folder are bound directly.
    pub staged: Option<PathBuf>,
}

/// A file of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFile {
    /// Name in the container.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Bytes.
    pub size: u64,
    #[serde(skip)]
    pub access: FileAccess,
}

/// How to open an input file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileAccess {
    /// By its source, which nobody else can replace.
    #[default]
    AsNamed,
    /// By its source below this root, without following links.
    Below(PathBuf),
    /// By this path, which holds the file: see [`super::held_paths`].
    At(PathBuf),
}

/// Plans a run.
///
/// # Errors
/// All problems at once.
pub fn plan(manifest: &SeedManifest, request: &RunRequest) -> Result<RunPlan, Vec<PlanProblem>> {
    let mut planning = PlanBuilder::default();
    planning.check_size(manifest);
    if !planning.problems.0.is_empty() {
        return Err(planning.problems.0);
    }
    planning.check_names(manifest);
    let inputs = planning.files(manifest, request);
    let json = planning.json(manifest, request);
    planning.settings(manifest, request);
    planning.mounts(manifest, request);
    planning.set_executor_variables(request);
    let input_bytes = inputs.iter().flat_map(|input| &input.files).map(|file| file.size).sum();
    let resources = planning.resources(manifest, request, input_bytes);
    let command = planning.command(manifest);
    planning.check_texts(command.as_deref());
    let container = planning.container(manifest, request, &resources, command);
    let disk = planning.disk(&resources, request);
    if !planning.problems.0.is_empty() {
        return Err(planning.problems.0);
    }
    let docker_options = request.docker_options.clone();
    Ok(RunPlan { container, inputs, json, resources, disk, warnings: planning.warnings, docker_options })
}

/// A plan under construction.
#[derive(Default)]
struct PlanBuilder {
    environment: Vec<EnvironmentVariable>,
    binds: Vec<BindMount>,
    problems: PlanProblems,
    warnings: Vec<String>,
}

impl PlanBuilder {
    fn set(&mut self, name: impl Into<String>, value: MaskedText) {
        self.environment.push(EnvironmentVariable { name: name.into(), value });
    }

    fn bind(&mut self, source: &Path, target: impl Into<String>, read_only: bool) {
        let target = target.into();
        match source.to_str().filter(|source| source.starts_with('/') && !source.contains('\0')) {
            Some(source) => self.binds.push(BindMount { source: source.to_owned(), target, read_only, held: None }),
            None => {
                let message = "this path of the host is not absolute, or not UTF-8.";
                self.problems.add(PlanCode::BadValue, &source.to_string_lossy(), message, "Rename or move it.");
            }
        }
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    fn check_size(&mut self, manifest: &SeedManifest) {
        let interface = &manifest.job.interface;
        let lists = [
            ("inputs.files", interface.inputs.files.len()),
            ("inputs.json", interface.inputs.json.len()),
            ("outputs.files", interface.outputs.files.len()),
            ("outputs.json", interface.outputs.json.len()),
            ("mounts", interface.mounts.len()),
            ("settings", interface.settings.len()),
            ("resources", manifest.job.resources.scalar.len()),
        ];
        for (name, _) in lists.into_iter().filter(|(_, length)| *length > MAX_ENTRIES) {
            let message = format!("the manifest lists more than {MAX_ENTRIES}.");
            self.problems.add(PlanCode::BadManifest, name, message, "Fix the manifest.");
        }
    }

    /// Names must be valid and unique as variables and folders. Validation checks the same, but a manifest may come
    /// here unvalidated.
    fn check_names(&mut self, manifest: &SeedManifest) {
        let interface = &manifest.job.interface;
        let reserved: HashSet<String> =
            manifest.job.resources.scalar.iter().map(|it| allocated_name(&it.name)).collect();
        let files = interface.inputs.files.iter().map(|input| &input.name);
        let json = interface.inputs.json.iter().map(|input| &input.name);
        let settings = interface.settings.iter().map(|setting| &setting.name);
        let mut seen = HashMap::new();
        for name in files.chain(json).chain(settings) {
            let variable = variable_name(name);
            let message = if !is_name(name) {
                "this name is not valid by the standard.".to_owned()
            } else if variable == OUTPUT_DIR || reserved.contains(&variable) {
                format!("it becomes the variable {variable}, which the executor sets.")
            } else if let Some(first) = seen.insert(variable.clone(), name) {
                format!("it becomes the variable {variable}, like {first}.")
            } else {
                continue;
            };
            let help = "Fix the manifest; `silo validate` lists all problems.";
            self.problems.add(PlanCode::BadManifest, name, message, help);
        }
    }

    /// Sets the variables of the executor and binds output directory and input metadata.
    fn set_executor_variables(&mut self, request: &RunRequest) {
        let layout = request.layout;
        self.set(OUTPUT_DIR, MaskedText::plain(layout.output()));
        self.bind(&request.folder.output, layout.output(), false);
        self.bind(&request.folder.context(), layout.input_metadata(), true);
        let mut own = vec![(INPUT_METADATA, layout.input_metadata())];
        if let Some(attempt) = &request.attempt {
            own.push(("SEED_JOB_ID", attempt.run.clone()));
            own.push(("SEED_ATTEMPT", attempt.number.to_string()));
            if layout == request::ContainerLayout::Scale {
                own.push(("SCALE_JOB_ID", attempt.run.clone()));
                own.push(("SCALE_EXE_NUM", attempt.number.to_string()));
            }
        }
        for (name, value) in own {
            // The standard does not reserve these names, so the job's own variables win.
            if self.environment.iter().any(|variable| variable.name == name) {
                self.warn(format!("{name} is set by the job itself, so the executor does not set it."));
            } else {
                self.set(name, MaskedText::plain(value));
            }
        }
    }

    fn command(&mut self, manifest: &SeedManifest) -> Option<Vec<MaskedText>> {
        let interface = &manifest.job.interface;
        // Without a command there are no arguments. An empty one would replace the image's CMD.
        let command = interface.command.as_deref().filter(|command| !command.trim().is_empty())?;
        let values: HashMap<&str, &MaskedText> = self.environment.iter().map(|it| (&*it.name, &it.value)).collect();
        let expanded = match command::expand(command, |name| values.get(name).copied()) {
            Ok(expanded) => expanded,
            Err(why) => {
                let help = "Put it in single quotes for a shell of the image, as in `sh -c '…'`, or fix the manifest.";
                self.problems.add(PlanCode::BadCommand, "command", format!("{why}."), help);
                return None;
            }
        };
        let declared: HashSet<String> = (interface.inputs.files.iter().map(|input| &input.name))
            .chain(interface.inputs.json.iter().map(|input| &input.name))
            .chain(interface.settings.iter().map(|setting| &setting.name))
            .map(|name| variable_name(name))
            .collect();
        for unset in expanded.unset.iter().filter(|unset| !declared.contains(*unset)) {
            self.warnings
                .push(format!("Nothing sets {unset}, so it is empty in the command, even if the image sets it."));
        }
        if expanded.has_operators {
            let text =
                "No shell runs the command: pipes, redirections and other operators are passed as plain arguments.";
            self.warn(text.to_owned());
        }
        Some(expanded.arguments)
    }

    fn check_texts(&mut self, command: Option<&[MaskedText]>) {
        let variables = self.environment.iter().map(|it| (it.name.as_str(), it.name.len() + 1, it.value.expose()));
        let arguments = command.unwrap_or_default().iter().map(|argument| ("command", 0, argument.expose()));
        let mut total = 0;
        for (subject, extra, text) in variables.chain(arguments) {
            total += extra + text.len();
            let what = if text.contains('\0') {
                "it contains a NUL character, which cannot be passed to a program."
            } else if extra + text.len() > MAX_TEXT {
                "it is too long to be passed to a program."
            } else {
                continue;
            };
            self.problems.add(PlanCode::BadValue, subject, what, "Pass long or binary values as a file.");
        }
        if total > MAX_TEXTS {
            let what = "all values together are too long to be passed to a program.";
            self.problems.add(PlanCode::BadValue, "environment", what, "Pass long values as files.");
        }
    }

    fn container(
        &mut self,
        manifest: &SeedManifest,
        request: &RunRequest,
        resources: &[ResourceAllocation],
        command: Option<Vec<MaskedText>>,
    ) -> ContainerSpec {
        let job = &manifest.job;
        let mut labels = BTreeMap::from([(JOB.to_owned(), format!("{}-{}", job.name, job.job_version))]);
        if let Some(attempt) = &request.attempt {
            labels.insert(RUN.to_owned(), attempt.run.clone());
            labels.insert(ATTEMPT.to_owned(), attempt.number.to_string());
            labels.insert(HOST.to_owned(), attempt.host.clone());
        }
        let limits = limits::of(resources, request);
        ContainerSpec {
            image: request.image.clone(),
            entrypoint: None,
            command,
            environment: std::mem::take(&mut self.environment),
            binds: std::mem::take(&mut self.binds),
            memory: limits.memory,
            cpus: limits.cpus,
            shared_memory: limits.shared_memory,
            processes: request.defaults.processes,
            gpus: limits.gpus,
            network: request.network,
            user: request.user.clone(),
            timeout: self.timeout(job.timeout, request.timeout),
            grace: request.grace,
            labels,
            platform: request.platform.clone(),
            input: StdinMode::Nothing,
        }
    }

    fn timeout(&mut self, seconds: i64, bound: Option<Duration>) -> Option<Duration> {
        let own = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        if own.is_none() {
            self.warn(format!(
                "The manifest's time limit of {seconds} seconds is not valid, so the job has no time limit."
            ));
        }
        own.into_iter().chain(bound).min()
    }
}

/// Looks up an entry of a list by its name or its variable name.
struct NameIndex<'m> {
    names: HashMap<&'m str, usize>,
    variables: HashMap<String, usize>,
}

impl<'m> NameIndex<'m> {
    fn new(names: impl Iterator<Item = &'m str>) -> Self {
        let mut index = Self { names: HashMap::new(), variables: HashMap::new() };
        for (place, name) in names.enumerate() {
            index.names.entry(name).or_insert(place);
            index.variables.entry(variable_name(name)).or_insert(place);
        }
        index
    }

    /// Position in the list.
    fn find(&self, given: &str) -> Option<usize> {
        let alike = || self.variables.get(&variable_name(given)).filter(|_| is_name(given));
        self.names.get(given).or_else(alike).copied()
    }
}

/// The known names, as the help text of a problem.
fn known<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.take(20).collect();
    if names.is_empty() { format!("The job has no {what}.") } else { format!("The job has: {}.", names.join(", ")) }
}
