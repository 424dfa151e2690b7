//! Compares the variables that the command references with those that will be set.

use std::borrow::Cow;
use std::collections::HashSet;

use super::findings::FindingCollector;
use super::names::{self, EntryName, ManifestList};
use super::suggest;
use crate::ProblemCode;
use crate::json::{JsonNode, JsonNodeKind, excerpt};

/// Variables that executors set besides inputs, settings and resources: the first by the standard, the second by Scale
/// and SILO.
const ALWAYS: [&str; 2] = ["OUTPUT_DIR", "INPUT_METADATA"];
/// Variables that containers usually have.
const CONTAINER: [&str; 6] = ["HOME", "HOSTNAME", "LANG", "PATH", "PWD", "USER"];

const PATH: &str = "/job/interface/command";

pub(super) fn check(findings: &mut FindingCollector, job: &JsonNode<'_>, names: &[EntryName<'_>]) {
    let Some(node) = job.find(&["interface", "command"]) else { return };
    let JsonNodeKind::Text(command) = &node.kind else { return };
    if command.trim().is_empty() {
        return;
    }
    let resources = names::variables(names, |list| list == ManifestList::Resources);
    let environment = names::variables(names, ManifestList::is_environment);
    let is_provided = |variable: &str| {
        let resource = variable.strip_prefix("ALLOCATED_");
        ALWAYS.contains(&variable)
            || CONTAINER.contains(&variable)
            || environment.contains(variable)
            || resource.is_some_and(|resource| resources.contains(resource))
    };
    let mut used = HashSet::new();
    for (at, variable) in variables(command) {
        if used.insert(variable) && !is_provided(variable) {
            // Without escapes, offsets in the string are offsets in the document, after the opening quote.
            let at = if matches!(command, Cow::Borrowed(_)) { node.at + 1 + at } else { node.at };
            findings.add(ProblemCode::UnsetVariable, PATH, at, || {
                (format!("No input, setting or resource provides {}.", excerpt(variable)), meant(variable, names))
            });
        }
    }
    for input in names.iter().filter(|name| matches!(name.list, ManifestList::InputFiles | ManifestList::InputJson)) {
        if !used.contains(&*input.variable) {
            findings.add(ProblemCode::UnusedInput, input, input.at, || {
                let message = format!("The command does not use the input {}.", excerpt(input.name));
                let variable = &input.variable;
                (message, format!("Hand it over as `${{{variable}}}`, unless the program reads the variable itself."))
            });
        }
    }
}

fn meant(variable: &str, names: &[EntryName<'_>]) -> String {
    /// Maximum number of names to compare, so that hostile manifests do not cost more than large ones.
    const MANY: usize = 100;
    let environment = names.iter().filter(|name| name.list.is_environment()).map(|name| &*name.variable);
    match suggest::nearest(variable, environment.take(MANY).chain(ALWAYS)) {
        Some(name) => format!("Did you mean `${{{name}}}`?"),
        None => "Add an input or a setting of that name, unless the image sets the variable.".to_owned(),
    }
}

/// The variables that a command references as `$NAME` or `${NAME…}`, with the offset of each dollar sign.
fn variables(command: &str) -> impl Iterator<Item = (usize, &str)> {
    command.match_indices('$').filter_map(|(at, _)| {
        let escapes = command[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        let rest = &command[at + 1..];
        let name = rest.strip_prefix('{').unwrap_or(rest);
        let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let name = &name[..length];
        (escapes % 2 == 0 && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then_some((at, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_variables() {
        let command = r"run $A ${B} ${C:-$D} ${E/#/-e } \$F \\$G $1 $$ $( ${} $";
        let found: Vec<&str> = variables(command).map(|(_, name)| name).collect();
        assert_eq!(found, ["A", "B", "C", "D", "E", "G"]);
        assert_eq!(variables(command).next(), Some((4, "A")));
    }
}
