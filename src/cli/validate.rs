//! `silo validate`.

use std::io::stdout;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::args::manifest_file;
use super::args::manifest_file::ManifestFile;
use super::output::render;
use super::program_name::as_called;
use super::{ExitStatus, complain, print};
use crate::seed::validate::{ValidationReport, ValidationRules, judge};
use crate::seed::{ProblemCode, ValidationProfile, explanation};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 every manifest is valid; 1 one is not; 2 wrong usage, or a path that cannot be read."
)]
pub(super) struct Options {
    /// Manifests, folders with a seed.manifest.json, or - for standard input
    #[arg(value_name = "DIR|FILE|-", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Rules to check against
    #[arg(long, value_parser = profiles(), default_value = ValidationProfile::default().as_str())]
    profile: ValidationProfile,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// As JSON: a report, as the server returns it; for several paths an array of reports, each with its `file`
    #[arg(long)]
    json: bool,
    /// Explain a problem code, such as bad-name, without checking a manifest
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "strict", "json"])]
    explain: Option<String>,
}

/// The profiles by their names.
fn profiles() -> impl TypedValueParser<Value = ValidationProfile> {
    let values = ValidationProfile::ALL.map(|profile| {
        let whose = match profile {
            ValidationProfile::Spec => "the text of Seed 1.0.0",
            ValidationProfile::SeedCli => "what Seed CLI 1.3 accepts",
            ValidationProfile::Scale => "what Scale accepts",
        };
        PossibleValue::new(profile.as_str()).help(whose)
    });
    PossibleValuesParser::new(values).map(|name| {
        let named = ValidationProfile::ALL.into_iter().find(|profile| profile.as_str() == name);
        named.expect("the parser lets only these names through")
    })
}

/// A report in an array of several.
#[derive(Serialize)]
struct FileReport<'a> {
    file: &'a str,
    #[serde(flatten)]
    report: &'a ValidationReport,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitStatus> {
    if let Some(code) = &options.explain {
        return explain(code);
    }
    let rules = ValidationRules { profile: options.profile, strict: options.strict };
    let mut exit = ExitStatus::Done;
    let mut judged = Vec::new();
    for path in &options.paths {
        let file = match manifest_file::read(path) {
            Ok(file) => file,
            Err(why) => {
                complain(&why);
                exit = ExitStatus::Usage;
                continue;
            }
        };
        let report = judge(&file.bytes, rules);
        exit = exit.max(if report.valid { ExitStatus::Done } else { ExitStatus::Failed });
        if options.json {
            judged.push((file.name, report));
        } else {
            print(for_people(&file, &report))?;
        }
    }
    if options.json {
        print(as_json(&judged, options.paths.len() == 1)?)?;
    }
    Ok(exit)
}

fn explain(code: &str) -> anyhow::Result<ExitStatus> {
    let Some(text) = explanation(code) else {
        let known: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        complain(&anyhow!("there is no problem code '{}'; known codes: {}", render::tame(code), known.join(", ")));
        return Ok(ExitStatus::Usage);
    };
    print(format_args!("{code}\n\n{text}\n"))?;
    Ok(ExitStatus::Done)
}

fn for_people(file: &ManifestFile, report: &ValidationReport) -> String {
    let problems = render::problems(&render::renderer(&stdout()), &file.name, &file.bytes, report);
    let hint = match report.problems.first() {
        Some(first) if !report.valid => {
            as_called(&format!("More about a problem: silo validate --explain {}\n", first.code)).into_owned()
        }
        _ => String::new(),
    };
    format!("{problems}{}\n{hint}", render::summary(&file.name, report))
}

/// The single report, or an array; empty if the only path could not be read.
fn as_json(judged: &[(String, ValidationReport)], only_one: bool) -> anyhow::Result<String> {
    match judged {
        [(_, report)] if only_one => render::json_line(report),
        [] if only_one => Ok(String::new()),
        many => {
            let many: Vec<FileReport> = many.iter().map(|(file, report)| FileReport { file, report }).collect();
            render::json_line(&many)
        }
    }
}
