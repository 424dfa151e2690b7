//! The variables that a command uses against those that there will be.

use super::findings::Findings;
use super::names::{List, Named};
use super::suggest;
use crate::seed::Code;
use crate::seed::json::{Kind, Node, excerpt};
use std::borrow::Cow;

/// What executors set besides inputs, settings and resources: the standard the first, Scale and SILO the second.
const ALWAYS: [&str; 2] = ["OUTPUT_DIR", "INPUT_METADATA"];
/// What a container has of itself.
const CONTAINER: [&str; 6] = ["HOME", "HOSTNAME", "LANG", "PATH", "PWD", "USER"];

const PATH: &str = "/job/interface/command";

pub(super) fn check(findings: &mut Findings, job: &Node<'_>, names: &[Named<'_>]) {
    let Some(node) = job.find(&["interface", "command"]) else { return };
    let Kind::Text(command) = &node.kind else { return };
    if command.trim().is_empty() {
        return;
    }
    let used: Vec<(usize, &str)> = variables(command).collect();
    for (index, (at, variable)) in used.iter().enumerate() {
        let is_repeated = used[..index].iter().rev().take(64).any(|(_, earlier)| earlier == variable);
        if !is_repeated && !provided(variable, names) {
            // Without escapes, an offset in the text is one in the document: one more for the opening quote.
            let at = if matches!(command, Cow::Borrowed(_)) { node.at + 1 + at } else { node.at };
            findings.add(Code::UnsetVariable, PATH, at, || {
                (format!("No input, setting or resource provides {}.", excerpt(variable)), meant(variable, names))
            });
        }
    }
    let used: std::collections::HashSet<&str> = used.into_iter().map(|(_, variable)| variable).collect();
    for input in names.iter().filter(|name| matches!(name.list, List::InputFiles | List::InputJson)) {
        if !used.contains(&*input.variable) {
            findings.add(Code::UnusedInput, input, input.at, || {
                let message = format!("The command does not use the input {}.", excerpt(input.name));
                let help =
                    format!("Hand it over as `${{{}}}`, unless the program reads the variable itself.", input.variable);
                (message, help)
            });
        }
    }
}

fn provided(variable: &str, names: &[Named<'_>]) -> bool {
    ALWAYS.contains(&variable)
        || CONTAINER.contains(&variable)
        || names.iter().any(|name| match name.list {
            List::Resources => variable.strip_prefix("ALLOCATED_") == Some(&name.variable),
            list => list.is_environment() && variable == name.variable,
        })
}

fn meant(variable: &str, names: &[Named<'_>]) -> String {
    let environment = names.iter().filter(|name| name.list.is_environment()).map(|name| &*name.variable);
    match suggest::nearest(variable, environment.chain(ALWAYS)) {
        Some(name) => format!("Did you mean `${{{name}}}`?"),
        None => "Add an input or a setting of that name, unless the image sets the variable.".to_owned(),
    }
}

/// The variables that a text refers to, as `$NAME` or `${NAME…}`, with the offset of each dollar sign.
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
