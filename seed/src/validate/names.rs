//! Checks for colliding names: equal environment variables, duplicates in a list, and equal names in different lists,
//! which Seed CLI does not allow.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::findings::FindingCollector;
use crate::environment::variable_name;
use crate::json::{JsonNode, excerpt};
use crate::schema::TextRule;
use crate::{ProblemCode, ProblemSeverity, ValidationProfile};

/// The lists whose entries have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManifestList {
    Resources,
    InputFiles,
    InputJson,
    Settings,
    OutputFiles,
    OutputJson,
    Mounts,
    Errors,
}

impl ManifestList {
    /// The order of the checks: of two colliding names the one in the later list is reported.
    const ALL: [Self; 8] = [
        Self::Resources,
        Self::InputFiles,
        Self::InputJson,
        Self::Settings,
        Self::OutputFiles,
        Self::OutputJson,
        Self::Mounts,
        Self::Errors,
    ];

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Resources => &["job", "resources", "scalar"],
            Self::InputFiles => &["job", "interface", "inputs", "files"],
            Self::InputJson => &["job", "interface", "inputs", "json"],
            Self::Settings => &["job", "interface", "settings"],
            Self::OutputFiles => &["job", "interface", "outputs", "files"],
            Self::OutputJson => &["job", "interface", "outputs", "json"],
            Self::Mounts => &["job", "interface", "mounts"],
            Self::Errors => &["job", "errors"],
        }
    }

    /// Whether the list's entries become environment variables.
    pub(super) fn is_environment(self) -> bool {
        matches!(self, Self::InputFiles | Self::InputJson | Self::Settings)
    }

    /// Whether Seed CLI requires the list's names in normalised form.
    fn is_normalised(self) -> bool {
        !matches!(self, Self::Resources | Self::Errors)
    }
}

/// The name of a list entry, with its position. Only valid names are checked here.
pub(super) struct EntryName<'a> {
    pub list: ManifestList,
    index: usize,
    pub name: &'a str,
    /// The normalised name.
    pub variable: Cow<'a, str>,
    pub at: usize,
    /// The entry is a JSON output with a `key`.
    has_key: bool,
}

/// Formats the JSON pointer of the name.
impl fmt::Display for EntryName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.keys().iter().try_for_each(|key| write!(f, "/{key}"))?;
        write!(f, "/{}/name", self.index)
    }
}

/// Collects all valid names of a document.
pub(super) fn collect<'a>(document: &'a JsonNode<'_>) -> Vec<EntryName<'a>> {
    let mut names = Vec::new();
    for list in ManifestList::ALL {
        let items = document.find(list.keys()).map(JsonNode::items).unwrap_or_default();
        names.extend(items.iter().enumerate().filter_map(|(index, item)| {
            let node = item.get("name")?;
            let name = node.text().filter(|name| TextRule::Name.is_obeyed_by(name))?;
            let is_normal = name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit());
            let variable = if is_normal { Cow::Borrowed(name) } else { Cow::Owned(variable_name(name)) };
            let has_key = item.get("key").and_then(JsonNode::text).is_some_and(|key| !key.is_empty());
            Some(EntryName { list, index, name, variable, at: node.at, has_key })
        }));
    }
    names
}

/// The normalised names in some of the lists.
pub(super) fn variables<'a>(names: &'a [EntryName<'_>], is_wanted: impl Fn(ManifestList) -> bool) -> HashSet<&'a str> {
    names.iter().filter(|name| is_wanted(name.list)).map(|name| &*name.variable).collect()
}

/// Runs all checks of this file.
pub(super) fn check(findings: &mut FindingCollector, names: &[EntryName<'_>]) {
    reserved(findings, names);
    met(findings, names);
    for name in names {
        single(findings, name);
    }
}

/// Reports inputs and settings whose variable the executor sets.
fn reserved(findings: &mut FindingCollector, names: &[EntryName<'_>]) {
    let resources = variables(names, |list| list == ManifestList::Resources);
    let is_allocated =
        |variable: &str| variable.strip_prefix("ALLOCATED_").is_some_and(|resource| resources.contains(resource));
    for name in names.iter().filter(|name| name.list.is_environment()) {
        let is_output = name.variable == "OUTPUT_DIR";
        if !is_output && !is_allocated(&name.variable) {
            continue;
        }
        // Seed CLI compares before it normalises, so it misses some names.
        let seen_by_cli =
            if is_output { name.name == "OUTPUT_DIR" } else { name.name.to_ascii_uppercase() == name.variable };
        let severity = match findings.rules().profile {
            ValidationProfile::SeedCli if !seen_by_cli => ProblemSeverity::Warning,
            profile => ProblemCode::ReservedName.severity(profile),
        };
        findings.add_as(severity, ProblemCode::ReservedName, name, name.at, || {
            let (name, variable) = (excerpt(name.name), excerpt(&name.variable));
            (
                format!("{name} becomes the variable {variable}, which the executor sets."),
                "Choose another name.".to_owned(),
            )
        });
    }
}

/// Reports names that collide with an earlier one, each once for its most severe collision.
fn met(findings: &mut FindingCollector, names: &[EntryName<'_>]) {
    let mut exact = HashSet::with_capacity(names.len());
    let mut normal: HashMap<&str, &EntryName<'_>> = HashMap::with_capacity(names.len());
    let mut variables: HashMap<&str, &EntryName<'_>> = HashMap::new();
    for name in names {
        let is_repeated = !exact.insert((name.list as usize, name.name));
        let first = *normal.entry(&name.variable).or_insert(name);
        if name.list.is_environment() {
            let other = *variables.entry(&name.variable).or_insert(name);
            if !std::ptr::eq(other, name) {
                collision(findings, name, other);
                continue;
            }
        }
        let (shown, there) = (name.name, first);
        if std::ptr::eq(first, name) {
        } else if is_repeated {
            findings.add(ProblemCode::DuplicateName, name, name.at, || {
                let message = format!("The name {} stands twice in this list.", excerpt(shown));
                (message, "Give each entry a name of its own.".to_owned())
            });
        } else if first.list == name.list {
            findings.add_as(
                similar_severity(findings.rules().profile, name, first),
                ProblemCode::SimilarName,
                name,
                name.at,
                || {
                    let message =
                        format!("{} and {} differ only in case or dashes.", excerpt(shown), excerpt(there.name));
                    (message, "Give each entry a name of its own.".to_owned())
                },
            );
        } else {
            // Scale's recipes reference outputs by name only.
            let is_output =
                name.list == ManifestList::OutputJson && exact.contains(&(ManifestList::OutputFiles as usize, shown));
            let severity = match findings.rules().profile {
                ValidationProfile::Scale if is_output => ProblemSeverity::Warning,
                profile => ProblemCode::SharedName.severity(profile),
            };
            findings.add_as(severity, ProblemCode::SharedName, name, name.at, || {
                let message = format!("{} is also the name at {there}.", excerpt(shown));
                let help = match is_output {
                    true => "Choose another name: Seed CLI and the recipes of Scale cannot tell the two apart.",
                    false => "Choose another name: Seed CLI has one name space for all lists.",
                };
                (message, help.to_owned())
            });
        }
    }
}

/// Severity of two similar names in a list. Scale converts the names of resources to lower case.
fn similar_severity(profile: ValidationProfile, name: &EntryName<'_>, other: &EntryName<'_>) -> ProblemSeverity {
    let is_same_resource = name.list == ManifestList::Resources && name.name.eq_ignore_ascii_case(other.name);
    match profile {
        ValidationProfile::Scale if is_same_resource => ProblemSeverity::Error,
        profile => ProblemCode::SimilarName.severity(profile),
    }
}

fn collision(findings: &mut FindingCollector, name: &EntryName<'_>, other: &EntryName<'_>) {
    findings.add(ProblemCode::NameCollision, name, name.at, || {
        let (shown, variable) = (excerpt(name.name), excerpt(&name.variable));
        (format!("{shown} becomes the variable {variable}, like {other}."), "Choose another name.".to_owned())
    });
}

fn single(findings: &mut FindingCollector, name: &EntryName<'_>) {
    let variable = &*name.variable;
    if name.list.is_environment()
        && (variable.starts_with(|c: char| c.is_ascii_digit()) || variable.bytes().all(|b| b == b'_'))
    {
        findings.add(ProblemCode::UnusableVariable, name, name.at, || {
            let message =
                format!("{} becomes {}, a variable that no shell can name.", excerpt(name.name), excerpt(variable));
            (message, "Begin the name with a letter.".to_owned())
        });
    }
    if name.list.is_normalised() && variable != name.name {
        findings.add(ProblemCode::UnnormalisedName, name, name.at, || {
            let shown = excerpt(name.name);
            let message = match name.list.is_environment() {
                true => format!("The job finds {shown} in the variable {}.", excerpt(variable)),
                false => format!("{shown} is not in its normal form, which Seed CLI asks for."),
            };
            let normal = excerpt(variable);
            let help = match name.list {
                // Without a `key`, the name is also the member of seed.outputs.json.
                ManifestList::OutputJson if !name.has_key => {
                    format!("Write {normal}, with {} as its `key`.", excerpt(name.name))
                }
                _ => format!("Write {normal}."),
            };
            (message, help)
        });
    }
}
