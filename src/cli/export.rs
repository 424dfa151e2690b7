//! `silo export`: a job as a CWL tool or a Docker script.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::args::engine_at::EngineAt;
use super::args::manifest_file;
use super::args::manifest_file::{ManifestFile, shown};
use super::args::registry::{RegistryAccount, login};
use super::args::run::{name_of, usage, valid};
use super::output::render::tame;
use super::{ExitStatus, print};
use crate::app::remote_images::{ImageBrowser, reference};
use crate::engine::export::{ExportSource, cwl, script};
use crate::engine::runtime::{self, ContainerRuntime as _, ImageStartConfig};
use crate::seed::image_reference::ImageReference;
use crate::seed::{LABEL, label};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write a CommandLineTool of the Common Workflow Language v1.2, as JSON (which is valid YAML)
    Cwl(Options),
    /// Write a Bash script that runs the job with docker only
    Docker(Options),
}

#[derive(Args)]
#[command(
    after_help = "Differences from a run by silo are noted on standard error.\n\nExit codes: 0 the job is exported; 1 \
                  the image does not exist, its manifest is invalid, or its command cannot be expressed in this \
                  format; 2 wrong usage."
)]
pub(super) struct Options {
    /// A folder with a seed.manifest.json, or a manifest; or an image that the engine or its registry has
    #[arg(value_name = "IMAGE|DIR", default_value = ".")]
    image: String,
    /// Name of the image [default: IMAGE, or the name that the manifest gives]
    #[arg(long, value_name = "IMAGE")]
    name: Option<String>,
    /// The image's WORKDIR, if its command depends on it and the image has no entry point [default: as the engine
    /// reports]
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineAt,
    #[command(flatten)]
    account: RegistryAccount,
}

/// A manifest, and what is known of its image.
struct ExportableJob {
    file: ManifestFile,
    /// Name of the image as typed; `None`: derived from the manifest.
    image: Option<String>,
    config: Option<ImageStartConfig>,
}

pub(super) async fn run(command: &Command) -> anyhow::Result<ExitStatus> {
    let (Command::Cwl(options) | Command::Docker(options)) = command;
    let found = match find(options).await? {
        Ok(found) => found,
        Err(why) => return usage(&why),
    };
    let Some(manifest) = valid(false, &found.file)? else { return Ok(ExitStatus::Failed) };
    let image = options.name.clone().or(found.image).unwrap_or_else(|| name_of(&manifest));
    let folder = options.workdir.clone().map(|folder| ImageStartConfig { folder, ..ImageStartConfig::default() });
    let config = folder.or(found.config);
    let subject = ExportSource { manifest: &manifest, image: &image, config: config.as_ref() };
    let made = match command {
        Command::Cwl(_) => cwl::tool(subject),
        Command::Docker(_) => script::script(subject),
    };
    let made = made.with_context(|| format!("{} cannot be exported", tame(&found.file.name)))?;
    for note in &made.notes {
        stderrln!("note: {}", tame(note));
    }
    match &options.output {
        None => print(&made.text)?,
        Some(path) => fs::write(path, &made.text).with_context(|| format!("{} cannot be written", shown(path)))?,
    }
    Ok(ExitStatus::Done)
}

/// Finds the manifest. An inner error is wrong usage (exit 2), an outer one a failure (exit 1).
async fn find(options: &Options) -> anyhow::Result<anyhow::Result<ExportableJob>> {
    let path = Path::new(&options.image);
    if path.exists() || options.image.starts_with(['.', '/']) {
        return Ok(manifest_file::read(path).map(|file| ExportableJob { file, image: None, config: None }));
    }
    let (label, config) = match at_engine(options).await {
        Ok(image) => (image.labels.get(LABEL).cloned(), Some(image.config)),
        Err(runtime::Error::NoEngine { .. } | runtime::Error::NoImage { .. }) => (in_registry(options).await?, None),
        Err(why) => return Err(why.into()),
    };
    let name = tame(&options.image);
    let Some(label) = label else { bail!("{name} is no Seed image: it has no label {LABEL}") };
    let text = label::read(&label).with_context(|| format!("{name} is no Seed image"))?;
    let file = ManifestFile { name, path: None, bytes: text.into_bytes() };
    Ok(Ok(ExportableJob { file, image: Some(options.image.clone()), config }))
}

async fn at_engine(options: &Options) -> runtime::Result<runtime::EngineImage> {
    let none = |_| runtime::Error::NoImage { image: options.image.clone() };
    let image: ImageReference = options.image.parse().map_err(none)?;
    options.engine.open().await?.image(&image).await
}

/// Reads the label of an image from its registry.
async fn in_registry(options: &Options) -> anyhow::Result<Option<String>> {
    let name = tame(&options.image);
    // A reference without a slash is on Docker Hub without a namespace, where no jobs are.
    if !options.image.contains('/') {
        bail!("the engine does not have the image {name}, and its name has no registry to pull it from");
    }
    let (place, repository, tag) =
        reference(&options.image).with_context(|| format!("the engine does not have the image {name}"))?;
    let credentials = options.account.credentials(&place.host)?;
    let registry = ImageBrowser::registry(&place, &login(credentials.as_ref())).await?;
    Ok(registry.see(&repository, &tag).await?.label)
}
