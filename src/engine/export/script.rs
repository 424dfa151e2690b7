//! Exports a job as a Bash script that runs it with docker alone, with the same files, variables and limits as SILO.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::command_words::{CommandWord, ExpandedWord, ExportError, WordPart, take_apart};
use super::{CommentLine, ExportSource, ExportedJob};
use crate::engine::plan::docker_run::quoted;
use crate::engine::plan::request::ContainerLayout;
use crate::seed::environment::{OUTPUT_DIR, allocated_name, variable_name};
use crate::seed::model::{JobInputFile, MountMode, ScalarResource, SeedManifest};
use crate::seed::resources::{ResourceAllocation, ResourceKind};

/// Common first part of the script. Variables of the job cannot clash with the script's: they are prefixed with
/// `seed_`, and variables of the standard are upper-case.
const BEGIN: &str = r##"set -euf
usage() { printf '%s\n' "$1" "Usage: bash $0 OUTPUT_FOLDER NAME=VALUE…" >&2; exit 2; }
[ $# -gt 0 ] || usage 'Name a folder for the outputs.'
mkdir -p -- "$1" && output=$(realpath -- "$1") && shift
declare -A given=()
for assignment; do
  name=${assignment%%=*}
  case $assignment in ?*=*) ;; *) usage "What is $assignment?" ;; esac
  case "$known" in *" $name "*) given[$name]=${assignment#*=} ;; *) usage "There is no $name; there are:$known" ;; esac
done
words=() options=() bytes=0
needs() { [ -n "${given[$1]+x}" ] || usage "$1 is needed: $2."; }
field() { printf '"%s=%s"' "$1" "${2//\"/\"\"}"; }
bind() { options+=(--mount "type=bind,$(field source "$1"),$(field target "$2")$3"); }
variable() { options+=(--env "$1=$2"); }
size() { bytes=$((bytes + $(stat -Lc %s -- "$1"))); }
"##;

/// Creates the script.
///
/// # Errors
/// [`ExportError`].
pub fn script(subject: ExportSource<'_>) -> Result<ExportedJob, ExportError> {
    let SeedManifest { job, .. } = subject.manifest;
    let interface = &job.interface;
    let mut text = head(subject);
    let names = interface.inputs.files.iter().map(|it| &it.name).chain(interface.inputs.json.iter().map(|it| &it.name));
    let names = names.chain(interface.settings.iter().filter(|it| !it.secret).map(|it| &it.name));
    let known: String =
        names.chain(interface.mounts.iter().map(|it| &it.name)).map(|name| format!(" {name}")).collect();
    line(&mut text, format_args!("known='{known} '"));
    text += BEGIN;
    for input in &interface.inputs.files {
        file_input(&mut text, input);
    }
    for input in &interface.inputs.json {
        value(&mut text, &input.name, &format!("JSON of the type {}", input.json_type.as_str()), input.required, false);
    }
    for setting in &interface.settings {
        value(&mut text, &setting.name, "a setting", true, setting.secret);
    }
    for mount in &interface.mounts {
        let read_only = if mount.mode == MountMode::ReadOnly { ",readonly" } else { "" };
        let (name, path) = (quoted(&mount.name), quoted(&mount.path));
        line(
            &mut text,
            format_args!(
                "needs {name} 'a folder'; bind \"$(realpath -- \"${{given[{name}]}}\")\" {path} '{read_only}'"
            ),
        );
    }
    let output = ContainerLayout::Silo.output();
    line(
        &mut text,
        format_args!("seed_{OUTPUT_DIR}={output}; variable {OUTPUT_DIR} {output}; bind \"$output\" {output} ''"),
    );
    for scalar in &job.resources.scalar {
        resource(&mut text, scalar);
    }
    for written in take_apart(interface.command.as_deref().unwrap_or_default(), &variables(subject.manifest))? {
        command(&mut text, &written);
    }
    end(&mut text, subject);
    Ok(ExportedJob {
        text,
        notes: vec!["The script does not check the job's outputs, and sets no INPUT_METADATA.".to_owned()],
    })
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("memory takes it");
}

fn variables(manifest: &SeedManifest) -> BTreeMap<String, bool> {
    let interface = &manifest.job.interface;
    let files = interface.inputs.files.iter().map(|input| (variable_name(&input.name), input.required));
    let json = interface.inputs.json.iter().map(|input| (variable_name(&input.name), input.required));
    let settings = interface.settings.iter().map(|setting| (variable_name(&setting.name), true));
    let resources = manifest.job.resources.scalar.iter().map(|scalar| (allocated_name(&scalar.name), true));
    files.chain(json).chain(settings).chain(resources).chain([(OUTPUT_DIR.to_owned(), true)]).collect()
}

fn head(subject: ExportSource<'_>) -> String {
    let SeedManifest { job, .. } = subject.manifest;
    let mut text = "#!/bin/bash\n".to_owned();
    let (title, about) = (CommentLine(&job.title), CommentLine(&job.description));
    line(&mut text, format_args!("# {title} ({} {}): {about}", CommentLine(&job.name), CommentLine(&job.job_version)));
    let assigned = |required: bool, name: &str, what: &str| {
        if required { format!(" {name}={what}") } else { format!(" [{name}={what}]") }
    };
    let interface = &job.interface;
    let files = interface
        .inputs
        .files
        .iter()
        .map(|it| assigned(it.required, &it.name, if it.multiple { "FOLDER" } else { "FILE" }));
    let json =
        interface.inputs.json.iter().map(|it| assigned(it.required, &it.name, &it.json_type.as_str().to_uppercase()));
    let secret = interface.settings.iter().filter(|it| it.secret).map(|it| format!("{}=… ", variable_name(&it.name)));
    let settings = interface.settings.iter().filter(|it| !it.secret).map(|it| assigned(true, &it.name, "TEXT"));
    let mounts = interface.mounts.iter().map(|it| assigned(true, &it.name, "FOLDER"));
    let all: String = files.chain(json).chain(settings).chain(mounts).collect();
    line(&mut text, format_args!("# Usage: {}bash FILE OUTPUT_FOLDER{all}", secret.collect::<String>()));
    text
}

fn file_input(text: &mut String, input: &JobInputFile) {
    let (name, variable) = (&input.name, variable_name(&input.name));
    let folder = format!("{}/{name}", ContainerLayout::Silo.inputs());
    if input.required {
        let what = if input.multiple { "a folder of files" } else { "a file" };
        line(text, format_args!("needs {name} '{what}'"));
    }
    line(text, format_args!("if [ -n \"${{given[{name}]+x}}\" ]; then"));
    line(text, format_args!("  source=$(realpath -- \"${{given[{name}]}}\")"));
    if input.multiple {
        line(text, format_args!("  [ -d \"$source\" ] || usage \"{name}: there is no such folder.\""));
        line(
            text,
            format_args!(
                "  while IFS= read -r -d '' file; do size \"$file\"; done < <(find \"$source\" -maxdepth 1 -type f -print0)"
            ),
        );
        line(text, format_args!("  seed_{variable}={folder}"));
    } else {
        line(text, format_args!("  [ -f \"$source\" ] || usage \"{name}: there is no such file.\""));
        line(text, format_args!("  size \"$source\"; seed_{variable}={folder}/${{source##*/}}"));
    }
    line(
        text,
        format_args!("  bind \"$source\" \"$seed_{variable}\" ,readonly; variable {variable} \"$seed_{variable}\""),
    );
    line(text, format_args!("fi"));
}

/// A JSON input or a setting. A secret is passed on from the script's own environment.
fn value(text: &mut String, name: &str, what: &str, is_required: bool, is_secret: bool) {
    let variable = variable_name(name);
    if is_secret {
        line(
            text,
            format_args!(
                ": \"${{{variable}:?set and export it}}\"; seed_{variable}=${variable}; options+=(--env {variable})"
            ),
        );
        return;
    }
    if is_required {
        line(text, format_args!("needs {name} '{what}'"));
    }
    line(text, format_args!("if [ -n \"${{given[{name}]+x}}\" ]; then"));
    line(text, format_args!("  seed_{variable}=${{given[{name}]}}; variable {variable} \"$seed_{variable}\""));
    line(text, format_args!("fi"));
}

/// The variable of a resource, and its limit as a docker option.
fn resource(text: &mut String, scalar: &ScalarResource) {
    let Ok(least) = ResourceAllocation::of(scalar, 0) else { return };
    let (kind, variable) = (least.kind, allocated_name(&scalar.name));
    let number = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
    let multiplier = scalar.input_multiplier.as_ref().map(number).filter(|multiplier| *multiplier != 0.0);
    let amount = match multiplier {
        None => least.text(),
        Some(multiplier) => {
            let (is_whole, floor) = match kind {
                ResourceKind::Mem => ("a = a > int(a) ? int(a) + 1 : a; ", "a = a < 4 ? 4 : a; "),
                ResourceKind::SharedMem => ("a = a > int(a) ? int(a) + 1 : a; ", ""),
                _ => ("", ""),
            };
            let form = if matches!(kind, ResourceKind::Mem | ResourceKind::SharedMem | ResourceKind::Gpus) {
                "%d"
            } else {
                "%.6f"
            };
            let value = number(&scalar.value);
            format!(
                "$(awk -v b=\"$bytes\" 'BEGIN {{ a = {value} + {multiplier} * b / 1048576; {is_whole}{floor}printf \"{form}\", a }}')"
            )
        }
    };
    line(text, format_args!("seed_{variable}={amount}; variable {variable} \"$seed_{variable}\""));
    let limit = match kind {
        ResourceKind::Cpus if least.amount > 0.0 || multiplier.is_some() => "--cpus \"$IT\"",
        ResourceKind::Mem => "--memory \"${IT}m\" --memory-swap \"${IT}m\"",
        ResourceKind::SharedMem if least.amount > 0.0 || multiplier.is_some() => "--shm-size \"${IT}m\"",
        ResourceKind::Gpus if least.amount > 0.0 => "--gpus \"$IT\"",
        _ => return,
    };
    line(text, format_args!("options+=({})", limit.replace("IT", &format!("seed_{variable}"))));
}

fn command(text: &mut String, written: &CommandWord) {
    let words = |words: &[ExpandedWord]| words.iter().map(|it| format!(" {}", word(it))).collect::<String>();
    if let [(_, only)] = &written.cases[..] {
        if !only.is_empty() {
            line(text, format_args!("words+=({} )", words(only)));
        }
        return;
    }
    for (there, becomes) in &written.cases {
        let conditions = written
            .optional
            .iter()
            .zip(there)
            .map(|(name, is_there)| format!("[ -{} \"${{seed_{name}+x}}\" ]", if *is_there { 'n' } else { 'z' }));
        let conditions = conditions.collect::<Vec<_>>().join(" && ");
        if !becomes.is_empty() {
            line(text, format_args!("if {conditions}; then words+=({} ); fi", words(becomes)));
        }
    }
}

/// A word as Bash source; unquoted where the value is to be split.
fn word(word: &ExpandedWord) -> String {
    let part = |part: &WordPart| match part {
        WordPart::Literal(text) => quoted(text).into_owned(),
        WordPart::Value { variable, is_split: true } => format!("${{seed_{variable}}}"),
        WordPart::Value { variable, is_split: false } => format!("\"${{seed_{variable}}}\""),
    };
    word.iter().map(part).collect()
}

/// Runs the container and explains its exit code.
fn end(text: &mut String, subject: ExportSource<'_>) {
    let job = &subject.manifest.job;
    line(text, format_args!("name=seed-$$-$RANDOM; trap 'docker rm --force \"$name\" >/dev/null 2>&1 || true' EXIT"));
    let limit = if job.timeout > 0 { format!("timeout --kill-after 10 {} ", job.timeout) } else { String::new() };
    let image = quoted(subject.image);
    line(
        text,
        format_args!(
            "code=0; {limit}docker run --rm --init --name \"$name\" \"${{options[@]}}\" {image} ${{words[@]+\"${{words[@]}}\"}} || code=$?"
        ),
    );
    line(text, format_args!("case $code in"));
    line(text, format_args!("  0) ;;"));
    for error in job.errors.iter().filter(|error| error.code != 0) {
        let title = error.title.as_deref().filter(|title| !title.is_empty());
        let told = title.map_or_else(|| error.name.clone(), |title| format!("{}: {title}", error.name));
        line(text, format_args!("  {}) printf '%s\\n' {} >&2 ;;", error.code, quoted(&told)));
    }
    if job.timeout > 0 {
        line(text, format_args!("  124) echo 'It took longer than {} seconds.' >&2 ;;", job.timeout));
    }
    line(text, format_args!("  *) echo \"It failed with exit code $code.\" >&2 ;;"));
    line(text, format_args!("esac"));
    line(text, format_args!("exit $code"));
}
