//! `silo upgrade`.

use std::fs;
use std::io::{ErrorKind, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::manifest_file;
use super::args::manifest_file::{ManifestFile, shown};
use super::output::render;
use super::{ExitStatus, complain, print};
use crate::seed::upgrade::{UpgradeChange, UpgradedManifest, upgrade};
use crate::seed::validate::{MAX_BYTES, ValidationReport, ValidationRules, judge};

#[derive(Args)]
#[command(after_help = "The new manifest goes to standard output; the changes and remaining problems go to standard \
                  error.\n\n\
                  Exit codes: 0 upgraded, or nothing to do; 1 it cannot be upgraded, or the result is invalid; 2 \
                  wrong usage, or a path that cannot be read.")]
pub(super) struct Options {
    /// A manifest, a folder with a seed.manifest.json, or - for standard input
    #[arg(value_name = "DIR|FILE|-", default_value = ".")]
    path: PathBuf,
    /// Change the file in place; the old file is kept with the suffix .bak
    #[arg(long)]
    in_place: bool,
    /// As JSON: the old version, the new manifest, the changes and the validation report
    #[arg(long)]
    json: bool,
}

/// Output of `--json`.
#[derive(Serialize)]
struct UpgradeOutcome<'a> {
    from: &'a str,
    manifest: &'a RawValue,
    changes: &'a [UpgradeChange],
    report: &'a ValidationReport,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    let file = match manifest_file::read(&options.path) {
        Ok(file) if options.in_place && file.path.is_none() => {
            complain(&anyhow!("--in-place does not work with standard input; leave it out"));
            return Ok(ExitStatus::Usage);
        }
        Ok(file) => file,
        Err(why) => {
            complain(&why);
            return Ok(ExitStatus::Usage);
        }
    };
    let upgraded = upgrade(text(&file)?).with_context(|| format!("{} cannot be upgraded", file.name))?;
    let report = judge(upgraded.manifest.as_bytes(), ValidationRules::default());
    if let (true, Some(path), false) = (options.in_place, &file.path, upgraded.changes.is_empty()) {
        write_back(path, &file.bytes, &upgraded)?;
    }
    if options.json {
        let manifest: &RawValue = serde_json::from_str(&upgraded.manifest).context("the new manifest is not JSON")?;
        print(render::json_line(&UpgradeOutcome {
            from: &upgraded.from,
            manifest,
            changes: &upgraded.changes,
            report: &report,
        })?)?;
    } else {
        stderr!("{}", for_people(&file, &upgraded, &report));
        if !options.in_place {
            print(&upgraded.manifest)?;
        }
    }
    Ok(if report.valid { ExitStatus::Done } else { ExitStatus::Failed })
}

fn text(file: &ManifestFile) -> anyhow::Result<&str> {
    if file.bytes.len() > MAX_BYTES {
        bail!("{} cannot be upgraded: it has more than {MAX_BYTES} bytes", file.name);
    }
    str::from_utf8(&file.bytes).with_context(|| format!("{} cannot be upgraded: it is not UTF-8", file.name))
}

/// Replaces the manifest, and keeps the old one beside it.
fn write_back(path: &Path, old: &[u8], upgraded: &UpgradedManifest) -> anyhow::Result<()> {
    // A symlink is kept: its target is replaced.
    let path = path.canonicalize().with_context(|| format!("{} cannot be written", shown(path)))?;
    let cannot = || format!("{} cannot be written", shown(&path));
    let permissions = fs::metadata(&path).with_context(cannot)?.permissions();
    let mut kept = path.clone().into_os_string();
    kept.push(".bak");
    let kept = PathBuf::from(kept);
    match manifest_file::create(&kept, old, Some(permissions.clone())) {
        Err(why) if why.kind() == ErrorKind::AlreadyExists => {
            bail!("{} already exists, but is needed for the old manifest; move it away", shown(&kept))
        }
        outcome => outcome.with_context(|| format!("{} cannot be written", shown(&kept)))?,
    }
    manifest_file::replace(&path, upgraded.manifest.as_bytes(), permissions).with_context(cannot)
}

/// Changes made, and what remains to do.
fn for_people(file: &ManifestFile, upgraded: &UpgradedManifest, report: &ValidationReport) -> String {
    let name = &file.name;
    let mut said = String::new();
    if upgraded.changes.is_empty() {
        said += &format!("{name} already has version {}; nothing to do.\n", render::tame(&upgraded.from));
    } else {
        said += &format!("{name}: upgraded from {} to 1.0.0\n", render::tame(&upgraded.from));
        for change in &upgraded.changes {
            let mark = if change.invented { '!' } else { ' ' };
            said += &format!("{mark} {}: {}\n", render::tame(&change.path), render::tame(&change.message));
        }
        let invented = upgraded.changes.iter().filter(|change| change.invented).count();
        if invented > 0 {
            said += &format!("Check the changes marked with ! ({invented}): they invent or drop values.\n");
        }
    }
    if !report.problems.is_empty() {
        let renderer = render::renderer(&stderr());
        // Positions refer to the new text, which may never be written.
        let name = if upgraded.changes.is_empty() { name } else { &format!("{name} (upgraded)") };
        said += "\n";
        said += &render::problems(&renderer, name, upgraded.manifest.as_bytes(), report);
        said += &format!("{}\n", render::summary(name, report));
    }
    said
}
