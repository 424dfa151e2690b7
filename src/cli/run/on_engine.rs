//! Running a job on a container engine, and telling how it went.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::live::{self, PullBar, Show};
use super::report;
use super::{Exit, Options, dry_run, folder, name_of, output, refused, request, usage, valid};
use crate::cli::manifest_file::{ManifestFile, shown};
use crate::cli::render::{json_line, tame};
use crate::cli::{complain, print};
use crate::clock::Clock;
use crate::engine::docker::Docker;
use crate::engine::execute::{Job, execute};
use crate::engine::fetch::{PullPolicy, Wanted, fetch};
use crate::engine::leftovers::{OWNER_LABEL, Owner, sweep};
use crate::engine::logs::DEFAULT_CAP;
use crate::engine::outputs::Rules;
use crate::engine::plan::plan;
use crate::engine::record::{Given, Record};
use crate::engine::runtime::{self, Engine, Image, Runtime as _};
use crate::seed::model::Manifest;
use crate::seed::{LABEL, label};

/// What is run: an image with its manifest.
struct Subject {
    docker: Docker,
    engine: Engine,
    image: String,
    manifest: Manifest,
}

pub(super) async fn run(options: &Options, on_disk: Option<&ManifestFile>) -> anyhow::Result<Exit> {
    let stop = live::stop_on_signal()?;
    let image = match on_disk {
        None => options.image.clone(),
        Some(file) => match valid(options, file)? {
            None => return Ok(Exit::Failed),
            Some(manifest) => name_of(&manifest),
        },
    };
    let docker = Docker::open(options.engine.as_deref()).await?;
    let engine = docker.engine().await?;
    let found = tokio::select! {
        found = find(options, &docker, &image, on_disk.is_some()) => found?,
        () = stop.cancelled() => return Ok(Exit::Interrupted),
    };
    let Some(manifest) = manifest_of(options, &found, &image, on_disk)? else { return Ok(Exit::Failed) };
    if options.dry_run {
        return dry_run(options, &manifest, &image, Some(&engine));
    }
    // Of those whose `silo run` was killed.
    match sweep(&docker).await {
        Ok(0) => {}
        Ok(removed) => eprintln!("Removed what a killed silo had left behind; containers: {removed}"),
        Err(why) => _ = complain(&anyhow::Error::new(why).context("leftovers cannot be looked for")),
    }
    let subject = Subject { docker, engine, image, manifest };
    for time in 0..options.rep {
        let mut output = output(options, &subject.image);
        if options.rep > 1 {
            output.as_mut_os_string().push(format!("-{time}"));
        }
        let exit = once(options, &subject, &output, &stop).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    Ok(Exit::Done)
}

async fn find(options: &Options, docker: &Docker, image: &str, is_built_here: bool) -> anyhow::Result<Image> {
    let policy = match (options.pull, is_built_here) {
        (true, _) => PullPolicy::Always,
        (false, true) => PullPolicy::Never,
        (false, false) => PullPolicy::Missing,
    };
    let wanted = Wanted { image, platform: options.platform.as_deref(), policy, credentials: None };
    let mut bar = PullBar::new(image, show(options));
    let found = fetch(docker, &wanted, |progress| bar.show(progress)).await;
    bar.finish();
    match found {
        Err(runtime::Error::NoImage { .. }) if is_built_here => bail!(
            "the engine has no image {image}: build it in the manifest's folder, with `docker build -t {image} --label \
             {LABEL}=\"$(cat seed.manifest.json)\" .`, or pull it with --pull"
        ),
        found => Ok(found?),
    }
}

/// What the image says of itself: that is what a cluster would go by.
fn manifest_of(
    options: &Options,
    image: &Image,
    name: &str,
    on_disk: Option<&ManifestFile>,
) -> anyhow::Result<Option<Manifest>> {
    let labelled = image.labels.get(LABEL).map(|text| label::read(text)).transpose();
    let labelled = labelled.with_context(|| format!("{} is no Seed image", tame(name)))?;
    match (labelled, on_disk) {
        (Some(text), on_disk) => {
            if on_disk.is_some_and(|file| parsed(&file.bytes) != parsed(text.as_bytes())) {
                eprintln!(
                    "warning: {} was built with another manifest than the folder's; the image's counts",
                    tame(name)
                );
            }
            valid(options, &ManifestFile { name: tame(name), path: None, bytes: text.into_bytes() })
        }
        (None, Some(file)) => {
            eprintln!("warning: {} carries no label {LABEL}; the folder's manifest counts", tame(name));
            valid(options, file)
        }
        (None, None) => bail!(
            "{} is no Seed image: it has no label {LABEL}. Give the folder of its manifest instead, or build it with the label",
            tame(name)
        ),
    }
}

fn parsed(manifest: &[u8]) -> Option<Value> {
    serde_json::from_slice(manifest).ok()
}

fn show(options: &Options) -> Show {
    match options {
        Options { quiet: true, .. } => Show::Nothing,
        Options { json: true, .. } => Show::OnStderr,
        _ => Show::Both,
    }
}

async fn once(options: &Options, subject: &Subject, wished: &Path, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let Subject { docker, engine, image, manifest } = subject;
    let clock = Clock::system();
    let output = fresh(wished, &clock);
    if output != wished {
        eprintln!("{} is not empty, so the outputs go to {}", shown(wished), shown(&output));
    }
    let folder = folder(&output)?;
    let request = match request(options, image, folder, Some(engine)) {
        Ok(request) => request,
        Err(why) => return usage(&why),
    };
    let mut plan = match plan(manifest, &request) {
        Ok(plan) => plan,
        Err(problems) => return refused(options, manifest, &problems),
    };
    let owner = Owner::new().context("a file for a lock cannot be made")?;
    plan.container.labels.insert(OWNER_LABEL.to_owned(), owner.label());
    let wanted = Wanted { image, platform: options.platform.as_deref(), policy: PullPolicy::Never, credentials: None };
    let job = Job {
        manifest,
        plan: &plan,
        wanted,
        given: None,
        rules: Rules { bytes: plan.disk, ..Rules::default() },
        folder: &request.folder,
        engine,
        number: 1,
        log_cap: DEFAULT_CAP,
    };
    let begun = clock.now();
    let (tell, watching) = live::watch(image, show(options));
    let outcome = execute(docker, job, &clock, tell, stop).await;
    watching.await?;
    let id = owner.id();
    owner.settle(docker).await;
    let outcome = outcome?;
    let exit = report::exit(&outcome.verdict);
    let given = Given::of(manifest, &request, &plan, outcome.given);
    let mut record = Record::new(id, manifest, &plan, given, begun);
    record.folder = Some(request.folder.root.clone());
    record.image.digest = outcome.image.as_ref().and_then(|image| image.digests.first().cloned());
    record.image.platform = outcome.image.map(|image| image.platform);
    record.outputs = outcome.outputs;
    record.warnings.extend(outcome.warnings);
    record.started = Some(begun);
    record.attempts.push(outcome.attempt);
    record.end(outcome.verdict, clock.now());
    if let Err(why) = request.folder.write_record(&record) {
        _ = complain(&anyhow::Error::new(why).context("the record cannot be written"));
    }
    if options.json {
        print(json_line(&record)?)?;
    } else {
        eprint!("{}", report::lines(&record, &request.folder));
    }
    Ok(exit)
}

/// A folder that is not there or is empty; a job must find its own so. Else one inside, as Seed CLI has it.
fn fresh(output: &Path, clock: &Clock) -> PathBuf {
    let is_empty = std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || !output.exists() {
        output.to_owned()
    } else {
        output.join(clock.now().format("%Y%m%d_%H%M%S").to_string())
    }
}
