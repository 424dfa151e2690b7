//! `silo build`: builds a Seed image from a folder with a manifest.

use std::collections::HashMap;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::engine_at::EngineAt;
use super::args::manifest_file;
use super::args::manifest_file::{ManifestFile, shown};
use super::args::registry::{HUB_KEY, RegistryAccount};
use super::args::run::{image_reference, name_of, usage};
use super::output::live::stop_on_signal;
use super::output::render::{json_line, problems, renderer, summary, tame};
use super::program_name::as_called;
use super::publish::{ImagePublication, PublishOutcome, PushOptions};
use super::{ExitStatus, print};
use crate::app::remote_images::{self, RegistryAddress};
use crate::engine::build::BuildContext;
use crate::engine::docker::{DockerClient, ImageBuild};
use crate::engine::runtime::{EngineImage, RegistryCredentials};
use crate::seed::image_name::{is_docker_component, is_docker_tag};
use crate::seed::label::{self, LabelForm, MAX_BUILD_BYTES};
use crate::seed::model::SeedManifest;
use crate::seed::validate::{ValidationReport, ValidationRules, judge};
use crate::seed::{LABEL, ProblemSeverity};

#[derive(Args)]
#[command(after_help = "Examples:\n  silo build\n  silo build my-job --publish -r registry.example.org -O geo\n\nThe \
                  manifest is validated first. The engine's output goes to standard error. The build succeeds if the \
                  engine reports success.\n\nExit codes: 0 the image is built (and published); 1 it is not; 2 wrong \
                  usage, or a manifest that cannot be read; 130 stopped by Ctrl-C or a signal.")]
pub(super) struct Options {
    /// Folder of the Dockerfile, the manifest and the build context
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    how: BuildOptions,
    /// Also publish the image, as silo publish does
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    pushing: PushOptions,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How an image is built: for `silo build`, and for `silo publish` if it must rebuild.
#[derive(Args)]
pub(super) struct BuildOptions {
    /// The manifest, relative to DIR or the current folder [default: DIR/seed.manifest.json]
    #[arg(short = 'M', long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The Dockerfile, relative to the current folder or DIR [default: DIR/Dockerfile]
    #[arg(short = 'D', long, value_name = "FILE")]
    dockerfile: Option<PathBuf>,
    /// Image whose unchanged layers may be reused
    #[arg(short, long, value_name = "IMAGE")]
    cache_from: Vec<String>,
    /// Value for an ARG of the Dockerfile
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::args::run::assignment)]
    build_arg: Vec<(String, String)>,
    /// Target platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Network of the build steps, as in docker build --network
    #[arg(long, value_name = "NETWORK")]
    build_network: Option<String>,
    /// Write the label in the form of Seed CLI 1.3, for readers that still need it
    #[arg(long)]
    legacy_label: bool,
    /// Treat the manifest's warnings as errors
    #[arg(short = 'w', long)]
    strict: bool,
    /// Do not show the engine's output
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    pub(super) engine: EngineAt,
}

/// Output of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildOutcome<'a> {
    image: Option<&'a str>,
    /// Id of the image at the engine.
    id: Option<&'a str>,
    platform: Option<&'a str>,
    /// Findings on the manifest.
    report: &'a ValidationReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<PublishOutcome>,
}

/// A valid manifest, ready to be built.
pub(super) struct BuildSource {
    pub file: ManifestFile,
    pub report: ValidationReport,
    pub manifest: SeedManifest,
    /// Name of the image.
    pub name: String,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    if !options.publish && options.pushing.is_asked_for() {
        return usage(&anyhow!("options for a registry or version, and --force, need --publish"));
    }
    let stop = stop_on_signal()?;
    let place = options.publish.then(|| options.pushing.place()).transpose();
    let judged = place.and_then(|place| Ok((place, options.how.judged(&options.directory)?)));
    let (place, (file, report)) = match judged {
        Ok(judged) => judged,
        Err(why) => return usage(&why),
    };
    options.how.tell(&file, &report);
    if !report.valid {
        if options.json {
            print(json_line(&BuildOutcome {
                image: None,
                id: None,
                platform: None,
                report: &report,
                published: None,
            })?)?;
        }
        return Ok(ExitStatus::Failed);
    }
    let source = options.how.source(file, report)?;
    let docker = options.how.engine.open().await?;
    let account = options.pushing.account();
    let Some(image) = options.how.build(&docker, &options.directory, &source, account, place.as_ref(), &stop).await?
    else {
        return Ok(ExitStatus::Interrupted);
    };
    let mut published = None;
    if let Some(place) = place {
        stderrln!("Built {}", tame(&source.name));
        let Options { how, pushing, directory, .. } = options;
        let work = ImagePublication { docker: &docker, how, directory, pushing, place, dry_run: false, stop: &stop };
        published = work.publish(&source.name).await?;
        if published.is_none() {
            return Ok(ExitStatus::Interrupted);
        }
    }
    if options.json {
        let (image, id, platform) = (Some(&*source.name), Some(image.id.as_str()), Some(&*image.platform));
        print(json_line(&BuildOutcome { image, id, platform, report: &source.report, published })?)?;
    } else if let Some(published) = published {
        print(published.lines())?;
    } else {
        print(as_called(&next_steps(&source)))?;
    }
    Ok(ExitStatus::Done)
}

impl BuildOptions {
    /// Reads the manifest, and validates it.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub(super) fn judged(&self, directory: &Path) -> anyhow::Result<(ManifestFile, ValidationReport)> {
        let path = match &self.manifest {
            Some(given) => near(given, directory),
            None => directory.to_owned(),
        };
        let file = manifest_file::read(&path)?;
        if file.path.is_none() {
            bail!("a manifest on standard input cannot be built; name a file");
        }
        let report = judge(&file.bytes, ValidationRules { strict: self.strict, ..ValidationRules::default() });
        Ok((file, report))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the problems of a manifest, without advice: that is left to `silo validate`.
    fn tell(&self, file: &ManifestFile, report: &ValidationReport) {
        let mut shown = report.clone();
        shown.problems.retain(|problem| problem.severity != ProblemSeverity::Advice);
        let drawn = problems(&renderer(&stderr()), &file.name, &file.bytes, &shown);
        stderrln!("{drawn}{}", summary(&file.name, report));
    }

    /// The source of a build, from a valid manifest.
    ///
    /// # Errors
    /// The image name of the standard is not a valid Docker reference.
    pub(super) fn source(&self, file: ManifestFile, report: ValidationReport) -> anyhow::Result<BuildSource> {
        let text = std::str::from_utf8(&file.bytes).context("a valid manifest is UTF-8")?;
        let manifest = SeedManifest::parse(text)?;
        let name = name_of(&manifest);
        let (repository, tag) = name.split_once(':').context("a name by the standard has a tag")?;
        if !is_docker_component(repository) || !is_docker_tag(tag) {
            bail!(
                "{} cannot be the name of an image: engines and registries take lower-case letters, digits and single \
                 '.', '_' or '-' between them; fix the job's name or versions",
                tame(&name)
            );
        }
        Ok(BuildSource { name, manifest, file, report })
    }

    /// Builds the image; `None` if it was stopped.
    ///
    /// # Errors
    /// The engine's error.
    pub(super) async fn build(
        &self,
        docker: &DockerClient,
        directory: &Path,
        source: &BuildSource,
        account: &RegistryAccount,
        registry: Option<&RegistryAddress>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<EngineImage>> {
        let dockerfile =
            self.dockerfile.as_ref().map(|given| if given.exists() { given.clone() } else { directory.join(given) });
        let mut context = BuildContext::open(directory, dockerfile.as_deref())?;
        if let Some(path) = &source.file.path {
            context.replace(path, &source.file.bytes);
        }
        let text = std::str::from_utf8(&source.file.bytes).context("a valid manifest is UTF-8")?;
        let form = if self.legacy_label { LabelForm::Legacy } else { LabelForm::Plain };
        let value = label::write(text, form)?;
        if value.len() > MAX_BUILD_BYTES {
            stderrln!("warning: the manifest makes a label of {} bytes, which old engines omit", value.len());
        }
        let name = image_reference(&source.name)?;
        let what = ImageBuild {
            name: &name,
            labels: HashMap::from([(LABEL.to_owned(), value)]),
            cache_from: self.cache_from.clone(),
            arguments: self.build_arg.iter().cloned().collect(),
            platform: self.platform.as_deref(),
            network: self.build_network.as_deref(),
            credentials: base_credentials(&context.instructions, account, registry)?,
        };
        let tell = |text: &str| {
            if !self.quiet {
                let text: String = text.split_inclusive('\n').map(line).collect();
                // A closed standard error is ignored; the build goes on.
                _ = stderr().lock().write_all(text.as_bytes());
            }
        };
        tokio::select! {
            built = docker.build(&what, context, tell) => Ok(Some(built?)),
            () = stop.cancelled() => Ok(None),
        }
    }
}

/// A piece of the engine's output, escaped except for its line end.
fn line(text: &str) -> String {
    match text.strip_suffix('\n') {
        Some(line) => format!("{}\n", tame(line.trim_end_matches('\r'))),
        None => tame(text),
    }
}

/// Resolves a path: relative to the folder if the file exists there, else to the current directory.
fn near(given: &Path, directory: &Path) -> PathBuf {
    let inside = directory.join(given);
    if inside.exists() { inside } else { given.to_owned() }
}

/// Credentials for the base images of a Dockerfile, keyed by the host as the engine knows it. A named user is for
/// `registry` only, or without one for the first base image, as in Seed CLI. Other hosts use the logins of
/// `docker login`.
fn base_credentials(
    instructions: &str,
    account: &RegistryAccount,
    registry: Option<&RegistryAddress>,
) -> anyhow::Result<HashMap<String, RegistryCredentials>> {
    let froms = instructions.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_from = words.next()?.eq_ignore_ascii_case("from");
        words.find(|word| !word.starts_with("--")).filter(|_| is_from)
    });
    let froms = froms.filter(|image| *image != "scratch" && !image.contains('$'));
    // A name that is no reference is a build stage, or the engine refuses it.
    let places = froms.filter_map(|image| Some(remote_images::reference(image).ok()?.0));
    let mut found = HashMap::new();
    for (at, place) in places.enumerate() {
        let is_meant = registry.map_or(at == 0, |registry| registry.host == place.host);
        let login = if account.is_named() && is_meant {
            account.credentials(&place.host)?
        } else {
            account.stored_credentials(&place.host)?
        };
        if let Some(login) = login {
            let key = if place.is_docker_hub() { HUB_KEY.to_owned() } else { place.host };
            found.insert(key, login);
        }
    }
    Ok(found)
}

/// Suggested next commands.
fn next_steps(source: &BuildSource) -> String {
    let name = tame(&source.name);
    let job = super::run::expected(&source.manifest);
    format!(
        "Built {name}\nThis image can be published with:\n  silo publish {name} -r REGISTRY\nThis image can be run \
         with:\n  silo run {name}{job}\n"
    )
}

/// Path of the manifest for messages, or its name if it has none.
pub(super) fn place_of(file: &ManifestFile) -> String {
    file.path.as_deref().map_or_else(|| file.name.clone(), shown)
}
