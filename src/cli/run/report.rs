//! Result of a run: its record, for people or as JSON.

use std::fmt::Write as _;

use crate::cli::args::manifest_file::shown;
use crate::cli::output::render::tame;
use crate::cli::program_name::name;
use crate::engine::run::folder::RunPaths;
use crate::engine::run::record::RunRecord;
use crate::engine::run::verdict::RunErrorCategory;

/// The closing lines for people.
pub(super) fn lines(record: &RunRecord, folder: &RunPaths) -> String {
    let mut text = String::new();
    for warning in &record.warnings {
        line(&mut text, format_args!("warning: {}", tame(warning)));
    }
    if let Some(outputs) = &record.outputs {
        for warning in &outputs.warnings {
            line(&mut text, format_args!("warning: {}", tame(warning)));
        }
        for output in &outputs.files {
            for file in &output.files {
                let path = shown(&folder.output.join(&file.path));
                line(&mut text, format_args!("{}: {path} ({} bytes)", output.name, file.size));
            }
        }
        for (name, value) in &outputs.json {
            line(&mut text, format_args!("{}: {}", tame(name), tame(&value.to_string())));
        }
        if !outputs.extra.is_empty() {
            line(&mut text, format_args!("{} files that match no output of the manifest", outputs.extra.len()));
        }
    }
    if record.attempts.last().is_some_and(|attempt| attempt.truncated) {
        line(&mut text, format_args!("warning: the job's output was truncated in the logs"));
    }
    match &record.error {
        Some(error) => {
            let whose = match error.category {
                RunErrorCategory::Data => "cause: the input data",
                RunErrorCategory::Job => "cause: the job",
                RunErrorCategory::System => "cause: the system",
            };
            let code = error.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            line(
                &mut text,
                format_args!("{}: {} ({}{code}; {whose})", name(), tame(&record.message), tame(&error.name)),
            );
        }
        None => line(&mut text, format_args!("{}", tame(&record.message))),
    }
    line(&mut text, format_args!("Record and logs of the run: {}", shown(&folder.root)));
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("memory takes it");
}
