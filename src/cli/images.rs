//! Commands on Seed images: pull (`silo pull`) and untag (`silo unpublish`) at a registry, list at the engine
//! (`silo list`), and inspect without an engine (`silo image inspect`).

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use chrono::DateTime;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::engine_at::EngineAt;
use super::args::manifest_file;
use super::args::registry::{RegistryAccount, RegistryOptions, login};
use super::args::run::{image_reference, usage};
use super::args::server_client::moment_of;
use super::consent::ConsentOption;
use super::output::live::{JobOutputMode, TransferBar, stop_on_signal};
use super::output::render::{json_line, problems, renderer, summary, tame};
use super::output::table::{copied, table, whole, words};
use super::{ExitStatus, print};
use crate::app::remote_images::{ImageBrowser, InspectedImage, RegistryAddress, reference};
use crate::engine::docker::ListedImage;
use crate::engine::runtime::ContainerRuntime as _;
use crate::seed::manifest::essentials;
use crate::seed::validate::{ValidationReport, ValidationRules, judge, judge_label, judge_unlabelled};
use crate::seed::{LABEL, label};

/// An image in a registry: a full reference, or a name with -r and -O.
#[derive(Args)]
struct RemoteImageOptions {
    /// The image: HOST/ORG/NAME:TAG, or NAME:TAG in the registry of -r [default: the image of the manifest in this
    /// folder]
    #[arg(value_name = "IMAGE")]
    image: Option<String>,
    /// A manifest, or a folder with one, that names the image
    #[arg(short = 'M', long, value_name = "FILE", conflicts_with = "image")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// The image's registry, repository and tag.
struct RegistryTag {
    place: RegistryAddress,
    repository: String,
    tag: String,
}

impl RemoteImageOptions {
    fn target(&self) -> anyhow::Result<RegistryTag> {
        let image = match &self.image {
            Some(image) => image.clone(),
            None => named_by(self.manifest.as_deref().unwrap_or(Path::new(".")))?,
        };
        let last = image.rsplit('/').next().unwrap_or(&image);
        if !last.contains([':', '@']) {
            bail!("{} has no tag: give the image with its tag, as in my-job-1.0.0-seed:1.0.0", tame(&image));
        }
        if self.registry.is_named() || !image.contains('/') {
            let place = self.registry.place()?;
            let (_, name, tag) = reference(&format!("host.invalid/{}", place.repository(last)))?;
            return Ok(RegistryTag { place, repository: name, tag });
        }
        let (place, repository, tag) = reference(&image)?;
        Ok(RegistryTag { place, repository, tag })
    }
}

impl RegistryTag {
    fn reference(&self) -> String {
        let separator = if self.tag.contains(':') { '@' } else { ':' };
        format!("{}/{}{separator}{}", self.place.host, self.repository, self.tag)
    }

    /// Name and tag without registry and namespace.
    fn short(&self) -> Option<String> {
        let name = self.repository.rsplit('/').next()?;
        (!self.tag.contains(':')).then(|| format!("{name}:{}", self.tag))
    }

    async fn open(&self, account: &RegistryAccount) -> anyhow::Result<ImageBrowser> {
        let credentials = account.credentials(&self.place.host)?;
        Ok(ImageBrowser::registry(&self.place, &login(credentials.as_ref())).await?)
    }
}

fn named_by(manifest: &Path) -> anyhow::Result<String> {
    let file = manifest_file::read(manifest)?;
    let name = judge(&file.bytes, ValidationRules::default()).image_name;
    name.ok_or_else(|| anyhow!("{} does not name an image; check it with: silo validate", file.name))
}

#[derive(Args)]
#[command(
    after_help = "Example: silo unpublish my-job-1.0.0-seed:1.0.0 -r registry.example.org -O geo\n\nExit codes: 0 the \
                  tag is deleted; 1 it is not; 2 wrong usage."
)]
pub(super) struct UnpublishOptions {
    #[command(flatten)]
    remote: RemoteImageOptions,
    /// If the registry can only delete whole images, delete the image's other tags too
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    consent: ConsentOption,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnpublishOutcome<'a> {
    reference: &'a str,
    digest: &'a str,
    other_tags: &'a [String],
}

pub(super) async fn unpublish(options: &UnpublishOptions) -> anyhow::Result<ExitStatus> {
    let target = match options.remote.target() {
        Ok(target) => target,
        Err(why) => return usage(&why),
    };
    let registry = target.open(options.remote.registry.account()).await?;
    options.consent.to(&format!("Delete {} from the registry?", target.reference()))?;
    let done = registry.unpublish(&target.repository, &target.tag, options.force).await?;
    if options.json {
        let (reference, digest, other_tags) = (&done.reference, &done.digest, &done.others);
        print(json_line(&UnpublishOutcome { reference, digest, other_tags })?)?;
        return Ok(ExitStatus::Done);
    }
    let others = if done.others.is_empty() {
        String::new()
    } else {
        format!(", and with it the tags {}", done.others.join(", "))
    };
    print(format_args!("Deleted {}{}\n", tame(&done.reference), tame(&others)))?;
    Ok(ExitStatus::Done)
}

#[derive(Args)]
#[command(
    after_help = "Example: silo pull my-job-1.0.0-seed:1.0.0 -r registry.example.org -O geo\n\nThe image also gets \
                  its short name.\n\nExit codes: 0 the image is pulled; 1 it is not; 2 wrong usage; 130 stopped by \
                  Ctrl-C or a signal."
)]
pub(super) struct PullOptions {
    #[command(flatten)]
    remote: RemoteImageOptions,
    /// Platform of the image, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    engine: EngineAt,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PullOutcome<'a> {
    reference: &'a str,
    image: &'a str,
    id: &'a str,
}

pub(super) async fn pull(options: &PullOptions) -> anyhow::Result<ExitStatus> {
    let stop = stop_on_signal()?;
    let target = match options.remote.target() {
        Ok(target) => target,
        Err(why) => return usage(&why),
    };
    let credentials = options.remote.registry.account().credentials(&target.place.host)?;
    let docker = options.engine.open().await?;
    let reference = target.reference();
    let wanted = match image_reference(&reference) {
        Ok(wanted) => wanted,
        Err(why) => return usage(&why),
    };
    let mut bar = TransferBar::new(
        "Pulling",
        &reference,
        if options.quiet { JobOutputMode::Nothing } else { JobOutputMode::Both },
    );
    let pulled = tokio::select! {
        pulled = docker.pull(&wanted, options.platform.as_deref(), credentials.as_ref(), |it| bar.show(it)) => Some(pulled),
        () = stop.cancelled() => None,
    };
    bar.finish();
    match pulled {
        Some(pulled) => pulled?,
        None => return Ok(ExitStatus::Interrupted),
    }
    let image = docker.image(&wanted).await?;
    if let Err(why) = image.labels.get(LABEL).map(|text| label::read(text)).transpose() {
        stderrln!("warning: {}: {}", tame(&reference), tame(&why.to_string()));
    } else if !image.labels.contains_key(LABEL) {
        stderrln!("warning: {} is no Seed image: it has no label {LABEL}", tame(&reference));
    }
    let short = target.short().unwrap_or_else(|| reference.clone());
    if short != reference {
        docker.name(&image.id, &image_reference(&short)?).await?;
    }
    if options.json {
        print(json_line(&PullOutcome { reference: &reference, image: &short, id: image.id.as_str() })?)?;
    } else {
        print(format_args!("Pulled {} as {}\n", tame(&reference), tame(&short)))?;
    }
    Ok(ExitStatus::Done)
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 the engine answered; 1 it did not; 2 wrong usage.")]
pub(super) struct ImageListOptions {
    #[command(flatten)]
    engine: EngineAt,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A Seed image at the engine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LocalSeedImage {
    image: String,
    id: String,
    /// In bytes.
    size: u64,
    created: Option<String>,
    title: String,
    /// Image name by the manifest in the label; `None` if that cannot be read.
    name: Option<String>,
    valid: bool,
}

impl LocalSeedImage {
    fn all(listed: ListedImage) -> Vec<Self> {
        let label = listed.labels.get(LABEL).map(String::as_str).unwrap_or_default();
        let text = label::read(label).unwrap_or_default();
        let report = judge_label(label, ValidationRules::default());
        let created =
            DateTime::from_timestamp(listed.created, 0).map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        let local = |image: String| Self {
            image,
            id: listed.id.clone(),
            size: listed.size,
            created: created.clone(),
            title: essentials(&text).title,
            name: report.image_name.clone(),
            valid: report.valid,
        };
        // An image that lost its tag to another is listed by its id.
        if listed.names.is_empty() {
            vec![local(listed.id.clone())]
        } else {
            listed.names.iter().cloned().map(local).collect()
        }
    }
}

pub(super) async fn list(options: &ImageListOptions) -> anyhow::Result<ExitStatus> {
    let docker = options.engine.open().await?;
    let local: Vec<LocalSeedImage> = docker.images(LABEL).await?.into_iter().flat_map(LocalSeedImage::all).collect();
    if options.json {
        print(json_line(&local)?)?;
        return Ok(ExitStatus::Done);
    }
    if local.is_empty() {
        stderrln!("The engine has no Seed images; build one with: silo build");
        return Ok(ExitStatus::Done);
    }
    let rows = local.into_iter().map(|it| {
        let mark = if it.valid { "" } else { "  (invalid manifest)" };
        let created = moment_of(it.created.unwrap_or_default());
        [tame(&it.image) + mark, created, HumanBytes(it.size).to_string(), tame(&it.title)]
    });
    print(format_args!("{}\n", table([copied("IMAGE"), whole("CREATED"), whole("SIZE"), words("TITLE")], rows)))?;
    Ok(ExitStatus::Done)
}

#[derive(Subcommand)]
pub(super) enum ImageCommand {
    /// Show an image and its manifest, from a registry or from disk, without pulling it and without an engine
    Inspect(InspectOptions),
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  silo image inspect registry.example.org/geo/my-job-1.0.0-seed:1.0.0\n  docker save my-job-1.0.0-seed:1.0.0 -o \
                  my-job.tar && silo image inspect my-job.tar\n\nExit codes: 0 it is a Seed image with a valid manifest; 1 it is not, or \
                  cannot be read; 2 wrong usage."
)]
pub(super) struct InspectOptions {
    /// Image in a registry, folder of an OCI image layout, or archive of docker save
    #[arg(value_name = "REFERENCE|LAYOUT|ARCHIVE")]
    image: String,
    /// Name of the image, if a layout or archive holds several
    #[arg(long, value_name = "NAME:TAG")]
    name: Option<String>,
    /// Print only the manifest, as the label holds it
    #[arg(long, conflicts_with = "json")]
    manifest: bool,
    #[command(flatten)]
    account: RegistryAccount,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InspectOutcome<'a> {
    reference: &'a str,
    digest: &'a str,
    platforms: &'a [String],
    size: Option<u64>,
    built: &'a str,
    manifest: Option<Box<RawValue>>,
    report: &'a ValidationReport,
}

pub(super) async fn image(command: &ImageCommand) -> anyhow::Result<ExitStatus> {
    let ImageCommand::Inspect(options) = command;
    let seen = match find(options).await? {
        Ok(seen) => seen,
        Err(why) => return usage(&why),
    };
    let text = seen.label.as_deref().and_then(|label| label::read(label).ok());
    let report = match &seen.label {
        Some(label) => judge_label(label, ValidationRules::default()),
        None => judge_unlabelled(ValidationRules::default()),
    };
    let exit = if report.valid { ExitStatus::Done } else { ExitStatus::Failed };
    if options.json {
        let manifest = text.map(RawValue::from_string).transpose()?;
        let InspectedImage { reference, digest, platforms, built, .. } = &seen;
        print(json_line(&InspectOutcome {
            reference,
            digest,
            platforms,
            size: seen.size,
            built,
            manifest,
            report: &report,
        })?)?;
        return Ok(exit);
    }
    if !report.valid {
        let source = text.as_deref().unwrap_or_default().as_bytes();
        stderr!("{}", problems(&renderer(&std::io::stderr()), &tame(&seen.reference), source, &report));
    }
    match text {
        Some(text) if options.manifest => print(format_args!("{text}\n"))?,
        None if options.manifest => {}
        text => print(shown(&seen, &report, text.as_deref()))?,
    }
    Ok(exit)
}

fn shown(seen: &InspectedImage, report: &ValidationReport, manifest: Option<&str>) -> String {
    let size = seen.size.map(|size| HumanBytes(size).to_string()).unwrap_or_default();
    let rows = [
        ("Image", tame(&seen.reference)),
        ("Digest", seen.digest.clone()),
        ("Platforms", tame(&seen.platforms.join(", "))),
        ("Built", tame(&moment_of(seen.built.clone()))),
        ("Size", size),
        ("Manifest", summary("manifest", report).trim_start_matches("manifest: ").to_owned()),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let mut text: String = rows.map(|(name, value)| format!("{:11}{value}\n", format!("{name}:"))).collect();
    let pretty = manifest.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    if let Some(pretty) = pretty.and_then(|value| serde_json::to_string_pretty(&value).ok()) {
        text += "\n";
        text.extend(pretty.lines().map(|line| tame(line) + "\n"));
    }
    text
}

/// Finds the image. An inner error is wrong usage (exit 2), an outer one a failure (exit 1).
async fn find(options: &InspectOptions) -> anyhow::Result<anyhow::Result<InspectedImage>> {
    let path = Path::new(&options.image);
    if path.exists() || options.image.starts_with(['.', '/']) {
        return on_disk(options, path).await;
    }
    let (place, repository, tag) = match reference(&options.image) {
        Ok(parts) => parts,
        Err(why) => return Ok(Err(why.into())),
    };
    let target = RegistryTag { place, repository, tag };
    let registry = target.open(&options.account).await?;
    Ok(Ok(registry.see(&target.repository, &target.tag).await?))
}

async fn on_disk(options: &InspectOptions, path: &Path) -> anyhow::Result<anyhow::Result<InspectedImage>> {
    let disk = match ImageBrowser::disk(path) {
        Ok(disk) => disk,
        Err(why) => return Ok(Err(why.into())),
    };
    let images = disk.images().await?;
    let named = |(repository, tag): &&(String, String)| {
        options.name.as_ref().is_none_or(|name| *name == format!("{repository}:{tag}"))
    };
    let found: Vec<_> = images.iter().filter(named).collect();
    let all =
        || images.iter().map(|(repository, tag)| tame(&format!("{repository}:{tag}"))).collect::<Vec<_>>().join(", ");
    Ok(match found[..] {
        [(repository, tag)] => Ok(disk.see(repository, tag).await?),
        _ if images.is_empty() => Err(anyhow!("{} holds no image with a name", manifest_file::shown(path))),
        [] => Err(anyhow!("{} does not hold this image; it holds: {}", manifest_file::shown(path), all())),
        _ => Err(anyhow!("{} holds several images; choose one with --name: {}", manifest_file::shown(path), all())),
    })
}
