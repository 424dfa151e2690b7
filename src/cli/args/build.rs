//! How images are built: options and work that `silo build` and `silo publish` share.

use std::collections::HashMap;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::engine_at::EngineAt;
use super::manifest_file::{self, ManifestFile, shown};
use super::registry::{HUB_KEY, RegistryAccount};
use super::run::{image_reference, name_of};
use crate::app::remote_images::{self, RegistryAddress};
use crate::cli::output::render::{problems, renderer, summary, tame};
use crate::engine::build::BuildContext;
use crate::engine::docker::{DockerClient, ImageBuild};
use crate::engine::runtime::{EngineImage, RegistryCredentials};
use crate::seed::image_name::{is_docker_component, is_docker_tag};
use crate::seed::label::{self, LabelForm, MAX_BUILD_BYTES};
use crate::seed::model::SeedManifest;
use crate::seed::validate::{ValidationReport, ValidationRules, judge};
use crate::seed::{LABEL, ProblemSeverity};

/// How an image is built: for `silo build`, and for `silo publish` if it must rebuild.
#[derive(Args)]
pub(in crate::cli) struct BuildOptions {
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
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::run::assignment)]
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
    pub(in crate::cli) engine: EngineAt,
}

/// A valid manifest, ready to be built.
pub(in crate::cli) struct BuildSource {
    pub file: ManifestFile,
    pub report: ValidationReport,
    pub manifest: SeedManifest,
    /// Name of the image.
    pub name: String,
}

impl BuildOptions {
    /// Reads the manifest, and validates it.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub(in crate::cli) fn judged(&self, directory: &Path) -> anyhow::Result<(ManifestFile, ValidationReport)> {
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

    pub(in crate::cli) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the problems of a manifest, without advice: that is left to `silo validate`.
    pub(in crate::cli) fn tell(&self, file: &ManifestFile, report: &ValidationReport) {
        let mut shown = report.clone();
        shown.problems.retain(|problem| problem.severity != ProblemSeverity::Advice);
        let drawn = problems(&renderer(&stderr()), &file.name, &file.bytes, &shown);
        stderrln!("{drawn}{}", summary(&file.name, report));
    }

    /// The source of a build, from a valid manifest.
    ///
    /// # Errors
    /// The image name of the standard is not a valid Docker reference.
    pub(in crate::cli) fn source(&self, file: ManifestFile, report: ValidationReport) -> anyhow::Result<BuildSource> {
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
    pub(in crate::cli) async fn build(
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

/// Path of the manifest for messages, or its name if it has none.
pub(in crate::cli) fn place_of(file: &ManifestFile) -> String {
    file.path.as_deref().map_or_else(|| file.name.clone(), shown)
}
