//! `silo publish`: pushes an image of the engine to a registry, under a version that is free there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::build::{BuildOptions, BuildSource, place_of};
use super::args::manifest_file;
use super::args::manifest_file::ManifestFile;
use super::args::registry::{RegistryAccount, RegistryOptions, login};
use super::args::run::{image_reference, usage};
use super::output::live::{JobOutputMode, TransferBar, stop_on_signal};
use super::output::render::{json_line, problems, renderer, summary, tame};
use super::{ExitStatus, print};
use crate::app::remote_images::{ImageBrowser, RegistryAddress, TagState};
use crate::engine::docker::DockerClient;
use crate::engine::runtime::{ContainerRuntime as _, Error, RegistryCredentials};
use crate::seed::bump::{BumpLevel, VersionBump, bump};
use crate::seed::model::SeedManifest;
use crate::seed::validate::{ValidationRules, judge};
use crate::seed::{LABEL, label};

/// Limit of versions tried with `--package-patch` and the like; more would burden the registry.
const MOST_RAISES: u32 = 50;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  silo publish -r registry.example.org -O geo\n  silo publish my-job-1.0.0-seed:1.0.0 -O \
                  ada --package-patch\n\nAn existing tag is not overwritten: raise a version, which edits both \
                  versions in the manifest and builds the image again, or use --force.\n\nExit codes: 0 the image is \
                  published, or would be (--dry-run); 1 it is not; 2 wrong usage, or a file that cannot be read; 130 \
                  stopped by Ctrl-C or a signal."
)]
pub(super) struct Options {
    /// An image of the engine [default: the image of the manifest in DIR]
    #[arg(value_name = "IMAGE")]
    image: Option<String>,
    /// Folder of the manifest, and of the build if a version is raised
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    how: BuildOptions,
    #[command(flatten)]
    pushing: PushOptions,
    /// Query the registry and print what would be done, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where an image is pushed, and what happens if it exists there already.
#[derive(Args)]
pub(super) struct PushOptions {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Overwrite an existing tag, and publish even if the manifest is invalid
    #[arg(short, long)]
    force: bool,
    /// Raise the package version: 1.0.0 becomes 1.0.1
    #[arg(long, group = "package", help_heading = "If the tag exists")]
    package_patch: bool,
    /// 1.0.0 becomes 1.1.0
    #[arg(long, group = "package", help_heading = "If the tag exists")]
    package_minor: bool,
    /// 1.0.0 becomes 2.0.0
    #[arg(short = 'P', long, group = "package", help_heading = "If the tag exists")]
    package_major: bool,
    /// Raise the job version: 1.0.0 becomes 1.0.1
    #[arg(long, group = "job", help_heading = "If the tag exists")]
    job_patch: bool,
    /// 1.0.0 becomes 1.1.0
    #[arg(long, group = "job", help_heading = "If the tag exists")]
    job_minor: bool,
    /// 1.0.0 becomes 2.0.0
    #[arg(short = 'J', long, group = "job", help_heading = "If the tag exists")]
    job_major: bool,
}

impl PushOptions {
    /// Whether any of these options was given.
    pub(super) fn is_asked_for(&self) -> bool {
        self.registry.is_named() || self.force || !self.bump().is_empty()
    }

    pub(super) fn account(&self) -> &RegistryAccount {
        self.registry.account()
    }

    /// The target registry and namespace.
    ///
    /// # Errors
    /// The options name no valid target.
    pub(super) fn place(&self) -> anyhow::Result<RegistryAddress> {
        self.registry.place()
    }

    fn bump(&self) -> VersionBump {
        let part = |patch, minor, major| match (patch, minor, major) {
            (true, ..) => Some(BumpLevel::Patch),
            (_, true, _) => Some(BumpLevel::Minor),
            (.., true) => Some(BumpLevel::Major),
            _ => None,
        };
        VersionBump {
            package: part(self.package_patch, self.package_minor, self.package_major),
            job: part(self.job_patch, self.job_minor, self.job_major),
        }
    }
}

/// Result of a publication, or of a dry run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublishOutcome {
    /// Name at the engine.
    image: String,
    /// Name at the registry.
    reference: String,
    /// Manifest digest at the registry; `None` for a dry run.
    digest: Option<String>,
    /// Name before a version was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised_from: Option<String>,
    /// Changes of the manifest for a raised version, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
    dry_run: bool,
}

impl PublishOutcome {
    /// The result for people.
    pub(super) fn lines(&self) -> String {
        let (image, reference) = (tame(&self.image), tame(&self.reference));
        let mut text = String::new();
        if let Some(before) = &self.raised_from {
            let verb = if self.dry_run { "would be" } else { "was" };
            text += &format!("{} exists already, so the image {verb} built as {image}\n", tame(before));
            let verb = if self.dry_run { "would change" } else { "changed" };
            text.extend(self.changes.iter().map(|change| format!("{verb} {}\n", tame(change))));
        }
        match &self.digest {
            Some(digest) => text += &format!("Published {reference}\nDigest: {digest}\n"),
            None => text += &format!("{image} would be published as {reference}\n"),
        }
        text
    }
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    let stop = stop_on_signal()?;
    let Options { how, pushing, directory, .. } = options;
    let named = match &options.image {
        Some(image) => Ok(image.clone()),
        None => of_manifest(how, directory),
    };
    let (image, place) = match named.and_then(|image| Ok((image, pushing.place()?))) {
        Ok(meant) => meant,
        Err(why) => return usage(&why),
    };
    let docker = how.engine.open().await?;
    let work =
        ImagePublication { docker: &docker, how, directory, pushing, place, dry_run: options.dry_run, stop: &stop };
    let Some(published) = work.publish(&image).await? else { return Ok(ExitStatus::Interrupted) };
    print(if options.json { json_line(&published)? } else { published.lines() })?;
    Ok(ExitStatus::Done)
}

/// Image name by a folder's manifest.
pub(super) fn of_manifest(how: &BuildOptions, directory: &Path) -> anyhow::Result<String> {
    let (file, report) = how.judged(directory)?;
    let named = "give the image's name, or the manifest's folder with -d";
    report
        .image_name
        .ok_or_else(|| anyhow!("{} does not name an image; {named}, or check it with: silo validate", file.name))
}

/// Publication of one image.
pub(super) struct ImagePublication<'a> {
    pub docker: &'a DockerClient,
    /// Options for a rebuild, if a version is raised.
    pub how: &'a BuildOptions,
    pub directory: &'a Path,
    pub pushing: &'a PushOptions,
    pub place: RegistryAddress,
    pub dry_run: bool,
    pub stop: &'a CancellationToken,
}

impl ImagePublication<'_> {
    /// Publishes the image; `None` if it was stopped. The temporary tag at the engine is removed in any case.
    ///
    /// # Errors
    /// The registry or the engine refuses, or the image is not publishable.
    pub(super) async fn publish(&self, image: &str) -> anyhow::Result<Option<PublishOutcome>> {
        self.check(image).await?;
        let name = image.rsplit('/').next().unwrap_or(image);
        if !name.contains(':') || name.contains('@') {
            bail!("{} has no tag: give the image with its tag, as in my-job-1.0.0-seed:1.0.0", tame(image));
        }
        let credentials = self.pushing.account().credentials(&self.place.host)?;
        let registry = ImageBrowser::registry(&self.place, &login(credentials.as_ref())).await?;
        if self.pushing.force || self.is_free(&registry, name).await? {
            return self.push(&registry, credentials.as_ref(), image, name, None).await;
        }
        let bump = self.pushing.bump();
        if bump.is_empty() {
            bail!(
                "{} already exists: raise the package version with --package-patch, --package-minor or \
                 --package-major (or the job version with --job-…), or overwrite it with --force",
                self.reference(name)
            );
        }
        let (raised, changes) = self.raised(&registry, name, bump).await?;
        if !self.dry_run {
            let (account, place) = (self.pushing.account(), Some(&self.place));
            if self.how.build(self.docker, self.directory, &raised, account, place, self.stop).await?.is_none() {
                return Ok(None);
            }
            keep(&raised.file)?;
        }
        self.push(&registry, credentials.as_ref(), &raised.name, &raised.name, Some((name, changes))).await
    }

    /// Checks that the engine has the image, and that it is a valid Seed image.
    async fn check(&self, image: &str) -> anyhow::Result<()> {
        let found = match self.docker.image(&image_reference(image)?).await {
            Err(Error::NoImage { .. }) => {
                bail!("the engine has no image {}: build it with silo build, or check the name", tame(image))
            }
            found => found?,
        };
        let Some(label) = found.labels.get(LABEL) else {
            bail!("{} is no Seed image: it has no label {LABEL}; build it with silo build", tame(image));
        };
        let text = label::read(label).with_context(|| format!("{} is no Seed image", tame(image)))?;
        let report = judge(text.as_bytes(), ValidationRules::default());
        let name = tame(image);
        if !report.valid && !self.pushing.force {
            stderr!("{}", problems(&renderer(&std::io::stderr()), &name, text.as_bytes(), &report));
            bail!("{}; fix its manifest and build it again, or use --force", summary(&name, &report));
        }
        if let Some(proper) = report.image_name.filter(|proper| image.rsplit('/').next() != Some(proper)) {
            stderrln!("warning: according to its manifest {name} should be named {}", tame(&proper));
        }
        Ok(())
    }

    async fn is_free(&self, registry: &ImageBrowser, name: &str) -> anyhow::Result<bool> {
        let (repository, tag) = self.parts(name);
        Ok(match registry.standing(&repository, tag).await? {
            TagState::Free => true,
            TagState::Taken => false,
            TagState::Hidden(why) => {
                stderrln!("note: assuming that the tag does not exist: {}", tame(&why));
                true
            }
        })
    }

    /// The manifest with raised versions that are free at the registry, and its changes; not written yet.
    async fn raised(
        &self,
        registry: &ImageBrowser,
        name: &str,
        by: VersionBump,
    ) -> anyhow::Result<(BuildSource, Vec<String>)> {
        let (mut file, report) = self.how.judged(self.directory)?;
        if report.image_name.as_deref() != Some(name) {
            bail!(
                "raising a version builds the image again, but {} is the manifest of {}, not of {}: give the folder \
                 with -d, or the manifest with -M",
                place_of(&file),
                report.image_name.as_deref().map_or("no image".into(), tame),
                tame(name)
            );
        }
        let before = SeedManifest::parse(std::str::from_utf8(&file.bytes)?)?.job;
        for _ in 0..MOST_RAISES {
            let text = std::str::from_utf8(&file.bytes).context("what names an image is UTF-8")?;
            file.bytes = bump(text, by)?.into_bytes();
            let report = judge(&file.bytes, ValidationRules::default());
            if !report.valid {
                stderr!("{}", problems(&renderer(&std::io::stderr()), &file.name, &file.bytes, &report));
                bail!("{}", summary(&file.name, &report));
            }
            let source = self.how.source(file, report)?;
            if self.is_free(registry, &source.name).await? {
                let after = &source.manifest.job;
                let versions = [
                    ("job.packageVersion", &before.package_version, &after.package_version),
                    ("job.jobVersion", &before.job_version, &after.job_version),
                ];
                let changes = versions.into_iter().filter(|(_, before, after)| before != after);
                let place = place_of(&source.file);
                let changes =
                    changes.map(|(member, before, after)| format!("{member} from {before} to {after} in {place}"));
                let changes = changes.collect();
                return Ok((source, changes));
            }
            file = source.file;
        }
        bail!("the next {MOST_RAISES} versions of {} exist too: raise another part of the version", tame(name))
    }

    async fn push(
        &self,
        registry: &ImageBrowser,
        credentials: Option<&RegistryCredentials>,
        image: &str,
        name: &str,
        raised: Option<(&str, Vec<String>)>,
    ) -> anyhow::Result<Option<PublishOutcome>> {
        let reference = self.reference(name);
        let (raised_from, changes) = raised.map(|(from, changes)| (from.to_owned(), changes)).unzip();
        let published = |digest| PublishOutcome {
            image: image.to_owned(),
            reference: reference.clone(),
            digest,
            raised_from,
            changes: changes.unwrap_or_default(),
            dry_run: self.dry_run,
        };
        if self.dry_run {
            return Ok(Some(published(None)));
        }
        let at_registry = image_reference(&reference)?;
        let named = self.docker.tag_temporarily(&image_reference(image)?, &at_registry).await?;
        let mut bar = TransferBar::new(
            "Pushing",
            &reference,
            if self.how.is_quiet() { JobOutputMode::Nothing } else { JobOutputMode::Both },
        );
        let pushed = tokio::select! {
            pushed = self.docker.push(&at_registry, credentials, |progress| bar.show(progress)) => Some(pushed),
            () = self.stop.cancelled() => None,
        };
        bar.finish();
        // The temporary tag is removed even if the push failed.
        let ended = self.docker.restore_tag(named).await;
        let Some(pushed) = pushed else { return Ok(None) };
        pushed?;
        ended.with_context(|| {
            format!("{} is published, but its temporary name in the engine could not be removed", tame(&reference))
        })?;
        let (repository, tag) = self.parts(name);
        let digest = registry.digest(&repository, tag).await?;
        let digest = digest.with_context(|| {
            format!("the engine reports that it pushed {}, but the registry does not have it", tame(&reference))
        })?;
        Ok(Some(published(Some(digest))))
    }

    /// Repository and tag of an image at the registry.
    fn parts<'a>(&self, name: &'a str) -> (String, &'a str) {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        (self.place.repository(repository), tag)
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/{}", self.place.host, self.place.repository(name))
    }
}

/// Writes the manifest back atomically.
fn keep(file: &ManifestFile) -> anyhow::Result<()> {
    let path = file.path.as_deref().context("what is built comes from a file")?;
    let permissions = std::fs::metadata(path).map(|about| about.permissions());
    let written = permissions.and_then(|permissions| manifest_file::replace(path, &file.bytes, permissions));
    written.with_context(|| format!("the image is built, but {} cannot be written", file.name))
}
