//! `silo build`: builds a Seed image from a folder with a manifest.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::args::build::{BuildOptions, BuildSource};
use super::args::run::usage;
use super::output::live::stop_on_signal;
use super::output::render::{json_line, tame};
use super::program_name::as_called;
use super::publish::{ImagePublication, PublishOutcome, PushOptions};
use super::{ExitStatus, print};
use crate::seed::validate::ValidationReport;

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

/// Suggested next commands.
fn next_steps(source: &BuildSource) -> String {
    let name = tame(&source.name);
    let job = super::run::expected(&source.manifest);
    format!(
        "Built {name}\nThis image can be published with:\n  silo publish {name} -r REGISTRY\nThis image can be run \
         with:\n  silo run {name}{job}\n"
    )
}
