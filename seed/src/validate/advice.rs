//! Checks for valid values that probably do not do what the author meant.

use super::findings::FindingCollector;
use super::names::EntryName;
use super::{command, suggest};
use crate::image_name::{self, ImageName};
use crate::json::{JsonNode, JsonNodeKind, JsonPointer, excerpt};
use crate::label;
use crate::schema::TextRule;
use crate::starter::PLACEHOLDERS;
use crate::{ProblemCode, ProblemSeverity, ValidationProfile, environment};

/// Names of the resources that the standard and its executors know.
const RESOURCES: [&str; 5] = ["cpus", "mem", "disk", "sharedMem", "gpus"];
/// The resources that the standard recommends to declare.
const RECOMMENDED: [&str; 3] = ["cpus", "mem", "disk"];
/// Maximum length of an image name, in characters (Docker's reference grammar).
const LONGEST_IMAGE_NAME: usize = 255;

/// Runs all checks of this file and of [`command`].
pub(super) fn check(findings: &mut FindingCollector, document: &JsonNode<'_>, names: &[EntryName<'_>], text: &str) {
    let Some(job) = document.get("job").filter(|job| job.object().is_some()) else { return };
    texts(findings, job);
    placeholders(findings, job);
    timeout(findings, job);
    resources(findings, job);
    errors(findings, job);
    files(findings, job);
    command::check(findings, job, names);
    label_length(findings, document, text);
}

/// The standard's name of the image; reports if Docker does not accept it.
pub(super) fn image(findings: &mut FindingCollector, document: &JsonNode<'_>) -> Option<String> {
    let job = document.get("job")?;
    let valid = |key: &str, rule: TextRule| job.get(key)?.text().filter(|text| rule.is_obeyed_by(text));
    let name = valid("name", TextRule::JobName)?;
    let version = valid("jobVersion", TextRule::Version)?;
    let package = valid("packageVersion", TextRule::Version)?;
    let image = ImageName::of(name, version, package).to_string();
    let mut refuse = |key: &str, what: &str, help: &str| {
        let at = job.get(key).map_or(0, |node| node.at);
        findings.add(ProblemCode::DockerName, format_args!("/job/{key}"), at, || {
            (format!("Docker refuses {what} in the image name {}.", excerpt(&image)), help.to_owned())
        });
    };
    let repository = image.split_once(':').map_or(&*image, |(repository, _)| repository);
    if !image_name::is_docker_component(name) {
        refuse("name", "this name", "Use lower-case letters, digits and single dashes between them.");
    } else if !image_name::is_docker_component(repository) {
        refuse("jobVersion", "this version", "Use no `+` and no capital letters.");
    }
    if !image_name::is_docker_tag(package) {
        refuse("packageVersion", "this version", "Use no `+`, and at most 128 characters.");
    }
    if image.len() > LONGEST_IMAGE_NAME {
        refuse("name", "more than 255 characters", "Choose a shorter name.");
    }
    Some(image)
}

/// Reports empty texts in fields that are searched.
fn texts(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    for keys in [&["title"][..], &["description"], &["maintainer", "name"], &["maintainer", "email"]] {
        let Some(node) = job.find(keys) else { continue };
        if node.text().is_some_and(|text| text.trim().is_empty()) {
            findings.add(ProblemCode::EmptyText, format_args!("/job/{}", keys.join("/")), node.at, || {
                let help = "Say in words what people will look for.";
                (format!("`{}` is empty, so nobody finds the job by it.", keys.join(".")), help.to_owned())
            });
        }
    }
}

/// Reports placeholders of `silo init` that were not replaced.
fn placeholders(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    for keys in
        [&["description"][..], &["maintainer", "name"], &["maintainer", "organization"], &["maintainer", "email"]]
    {
        let Some(node) = job.find(keys) else { continue };
        if node.text().is_some_and(|text| PLACEHOLDERS.contains(&text)) {
            findings.add(ProblemCode::Placeholder, format_args!("/job/{}", keys.join("/")), node.at, || {
                let help = "Replace it with your own words.";
                (format!("`{}` still says what `silo init` wrote.", keys.join(".")), help.to_owned())
            });
        }
    }
}

fn timeout(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    let Some(node) = job.get("timeout") else { return };
    if node.number().is_some_and(|seconds| seconds.float() <= 0.0) {
        findings.add(ProblemCode::BadTimeout, "/job/timeout", node.at, || {
            let help = "Write the seconds after which the job is to be stopped, for example 3600.";
            ("A job with this timeout is stopped before it starts.".to_owned(), help.to_owned())
        });
    }
}

fn resources(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    let resources = job.get("resources");
    let scalar = resources.and_then(|resources| resources.get("scalar"));
    let is_list = |node: &JsonNode<'_>| matches!(node.kind, JsonNodeKind::List(_) | JsonNodeKind::Null);
    let is_readable = resources.is_none_or(|r| r.object().is_some()) && scalar.is_none_or(is_list);
    let items = scalar.map(JsonNode::items).unwrap_or_default();
    let names = || items.iter().filter_map(|item| item.get("name")?.text());
    let missing: Vec<&str> =
        RECOMMENDED.into_iter().filter(|wanted| !names().any(|name| name.eq_ignore_ascii_case(wanted))).collect();
    if is_readable && !missing.is_empty() {
        let (path, at) = match (scalar, resources) {
            (Some(scalar), _) => ("/job/resources/scalar", scalar.at),
            (None, Some(resources)) => ("/job/resources", resources.at),
            (None, None) => ("/job", job.at),
        };
        findings.add(ProblemCode::MissingResource, path, at, || {
            let help = "Say under `job.resources.scalar` how much the job needs; executors guess otherwise.";
            (format!("The standard recommends to declare {}.", missing.join(", ")), help.to_owned())
        });
    }
    if let (Some(resources), None) = (resources.filter(|resources| resources.object().is_some()), scalar) {
        findings.add(ProblemCode::EmptyResources, "/job/resources", resources.at, || {
            let help = "Leave `resources` out, or list the resources under `scalar`.";
            ("`resources` has no `scalar`, without which Scale cannot read it.".to_owned(), help.to_owned())
        });
    }
    for (index, item) in items.iter().enumerate() {
        resource(findings, index, item);
    }
}

fn resource(findings: &mut FindingCollector, index: usize, item: &JsonNode<'_>) {
    let name = item.get("name").and_then(|node| Some((node, node.text()?)));
    if let Some((node, name)) = name.filter(|(_, name)| !RESOURCES.contains(name)) {
        let path = format_args!("/job/resources/scalar/{index}/name");
        match RESOURCES.iter().find(|known| environment::variable_name(known) == environment::variable_name(name)) {
            Some(known) => findings.add(ProblemCode::ResourceSpelling, path, node.at, || {
                let message = format!("{} is not how the standard spells `{known}`.", excerpt(name));
                (message, format!("Write `{known}`: some executors compare letter by letter."))
            }),
            None => findings.add(ProblemCode::UnknownResource, path, node.at, || {
                let message = format!("{} is a resource that no executor knows by itself.", excerpt(name));
                (message, unknown_resource(name))
            }),
        }
    }
    for key in ["value", "inputMultiplier"] {
        let Some((node, number)) = item.get(key).and_then(|node| Some((node, node.number()?))) else { continue };
        let gpus = key == "value" && name.is_some_and(|(_, name)| name.eq_ignore_ascii_case("gpus"));
        let profile = findings.rules().profile;
        let usual = ProblemCode::BadAmount.severity(profile);
        let (severity, message, help) = match number.float() {
            amount if gpus && amount.fract() != 0.0 => {
                let severity = if profile == ValidationProfile::Scale { ProblemSeverity::Error } else { usual };
                (severity, "A GPU cannot be divided.", "Write a whole number.")
            }
            amount if amount < 0.0 => (usual, "A resource cannot be negative.", "Write zero or more."),
            _ => continue,
        };
        findings.add_as(
            severity,
            ProblemCode::BadAmount,
            format_args!("/job/resources/scalar/{index}/{key}"),
            node.at,
            || (message.to_owned(), help.to_owned()),
        );
    }
}

fn unknown_resource(name: &str) -> String {
    const OTHERS: [(&str, &str); 5] =
        [("memory", "mem"), ("ram", "mem"), ("storage", "disk"), ("shm", "sharedMem"), ("gpu", "gpus")];
    let plain = name.to_ascii_lowercase();
    let meant = OTHERS.iter().find(|(other, _)| *other == plain).map(|(_, meant)| *meant);
    match meant.or_else(|| suggest::nearest(name, RESOURCES.into_iter())) {
        Some(meant) => format!("Did you mean `{meant}`?"),
        None => "Make sure that the executor that shall run the job offers it.".to_owned(),
    }
}

fn errors(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    let node = job.get("errors");
    if node.is_none_or(|node| matches!(&node.kind, JsonNodeKind::List(items) if items.is_empty())) {
        let (path, at) = node.map_or(("/job", job.at), |node| ("/job/errors", node.at));
        findings.add(ProblemCode::UnmappedExitCodes, path, at, || {
            let help = "List under `job.errors` the exit codes of the program with a name for each.";
            ("No exit code has a name, so every failure looks alike.".to_owned(), help.to_owned())
        });
    }
    let mut seen = std::collections::HashSet::new();
    for (index, item) in node.map(JsonNode::items).unwrap_or_default().iter().enumerate() {
        let Some((node, code)) = item.get("code").and_then(|node| Some((node, node.number()?.integer()?))) else {
            continue;
        };
        let path = format_args!("/job/errors/{index}/code");
        if !(1..=255).contains(&code) {
            findings.add(ProblemCode::BadExitCode, path, node.at, || {
                let help = "Write a code from 1 to 255; 0 is success.";
                (format!("No process fails with the exit code {code}."), help.to_owned())
            });
        }
        if !seen.insert(code) {
            findings.add(ProblemCode::DuplicateCode, path, node.at, || {
                let help = "Give each exit code one meaning.";
                (format!("The exit code {code} has a meaning already."), help.to_owned())
            });
        }
    }
}

/// Checks media types of files, and keys of JSON outputs.
fn files(findings: &mut FindingCollector, job: &JsonNode<'_>) {
    let list =
        |keys: &[&str]| job.find(&["interface"]).and_then(|i| i.find(keys)).map(JsonNode::items).unwrap_or_default();
    for (index, file) in list(&["inputs", "files"]).iter().enumerate() {
        for (nth, node) in file.get("mediaTypes").map(JsonNode::items).unwrap_or_default().iter().enumerate() {
            media_type(findings, format_args!("/job/interface/inputs/files/{index}/mediaTypes/{nth}"), node);
        }
    }
    for (index, file) in list(&["outputs", "files"]).iter().enumerate() {
        if let Some(node) = file.get("mediaType") {
            media_type(findings, format_args!("/job/interface/outputs/files/{index}/mediaType"), node);
        }
    }
    for (index, output) in list(&["outputs", "json"]).iter().enumerate() {
        let Some(node) = output.get("key").filter(|node| node.text() == Some("")) else { continue };
        findings.add(ProblemCode::EmptyKey, format_args!("/job/interface/outputs/json/{index}/key"), node.at, || {
            let message = "An empty `key` counts as none: the output's name is looked up.";
            (message.to_owned(), "Leave `key` out, or write the member of seed.outputs.json.".to_owned())
        });
    }
}

fn media_type(findings: &mut FindingCollector, path: std::fmt::Arguments<'_>, node: &JsonNode<'_>) {
    let Some(text) = node.text() else { return };
    let is_name = |name: &str| {
        let extra = |b: u8| b"!#$&-^_.+".contains(&b);
        name.len() <= 127
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || extra(b))
    };
    let (kind, _parameters) = text.split_once(';').unwrap_or((text, ""));
    if !kind.trim_end().split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype)) {
        findings.add(ProblemCode::OddMediaType, path, node.at, || {
            let message = format!("{} is no media type of the form type/subtype.", excerpt(text));
            (message, "Write one of IANA's list, such as image/tiff.".to_owned())
        });
    }
}

fn label_length(findings: &mut FindingCollector, document: &JsonNode<'_>, text: &str) {
    if text.len() <= label::MAX_BUILD_BYTES {
        return;
    }
    let Ok(label) = label::write(text, label::LabelForm::Plain) else { return };
    if label.len() > label::MAX_BUILD_BYTES {
        findings.add(ProblemCode::LongLabel, JsonPointer::Root, document.at, || {
            let message = format!(
                "As a label the manifest has {} bytes; a Docker build keeps {}.",
                label.len(),
                label::MAX_BUILD_BYTES
            );
            (message, "Shorten the description, or move it to the image's documentation.".to_owned())
        });
    }
}
