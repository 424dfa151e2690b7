//! Expands the command of a manifest without knowing the values of its variables: the words for each combination of
//! set optional variables.
//!
//! Uses [`command::expand`] with placeholders as values, so that the expansion rules exist only once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::engine::plan::command;
use crate::engine::plan::command::CommandError;
use crate::engine::plan::container::MaskedText;

/// Placeholder characters around a variable's name (private use). The blank shows whether the value would be split.
const MARK: (char, char, char) = ('\u{f0000}', ' ', '\u{f0001}');
/// Limit for optional variables in one word of the command: each doubles the number of cases.
const MAX_OPTIONAL: usize = 3;

/// A part of an expanded word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WordPart {
    Literal(String),
    /// The value of a variable.
    Value {
        variable: String,
        /// Whether the value is split into several words at blanks.
        is_split: bool,
    },
}

/// The parts of an expanded word, in order.
pub(super) type ExpandedWord = Vec<WordPart>;

/// One word of the command, and its expansions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandWord {
    /// Names of the optional variables that it depends on.
    pub optional: Vec<String>,
    /// One entry for each combination: which variables are set (in the order of `optional`), and the resulting words.
    pub cases: Vec<(Vec<bool>, Vec<ExpandedWord>)>,
}

/// Why a command cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    #[error("the command cannot be expanded: {0}")]
    Command(#[from] CommandError),
    #[error("the command's word `{0}` depends on more than {MAX_OPTIONAL} optional inputs")]
    TooManyOptional(String),
    #[error("the command's word `{0}` cannot be told apart from its neighbours")]
    Unclear(String),
}

/// Expands a command for all cases. `variables`: the names that may be set, and whether they always are.
///
/// # Errors
/// [`ExportError`].
pub(super) fn take_apart(command: &str, variables: &BTreeMap<String, bool>) -> Result<Vec<CommandWord>, ExportError> {
    let all = |name: &str| variables.contains_key(name);
    let whole = expand(command, all)?.0;
    let mut written = Vec::new();
    let mut together = Vec::new();
    for text in split(command) {
        let (words, seen) = expand(text, all)?;
        together.extend(words);
        let optional: Vec<String> = seen.into_iter().filter(|name| variables.get(name) == Some(&false)).collect();
        if optional.len() > MAX_OPTIONAL {
            return Err(ExportError::TooManyOptional(text.to_owned()));
        }
        let mut cases = Vec::new();
        for case in 0..1_usize << optional.len() {
            let there: Vec<bool> = (0..optional.len()).map(|place| case & (1 << place) == 0).collect();
            let is_there = |name: &str| {
                let place = optional.iter().position(|it| it == name);
                place.map_or_else(|| all(name), |place| there[place])
            };
            let words = expand(text, is_there)?.0;
            cases.push((there, words));
        }
        written.push(CommandWord { optional, cases });
    }
    if together == whole { Ok(written) } else { Err(ExportError::Unclear(command.to_owned())) }
}

/// The expanded words, and the variables that were looked up.
fn expand(text: &str, is_set: impl Fn(&str) -> bool) -> Result<(Vec<ExpandedWord>, Vec<String>), CommandError> {
    let (open, blank, close) = MARK;
    if let Some(mark) = text.chars().find(|c| [open, close].contains(c)) {
        return Err(CommandError::Unsupported(mark.to_string()));
    }
    let seen = RefCell::new(Vec::new());
    let values: BTreeMap<&str, MaskedText> = names(text)
        .filter(|name| is_set(name))
        .map(|name| (name, MaskedText::plain(format!("{open}{name}{blank}{close}"))))
        .collect();
    let value = |name: &str| {
        let mut seen = seen.borrow_mut();
        if !seen.iter().any(|it| it == name) {
            seen.push(name.to_owned());
        }
        values.get(name)
    };
    let expanded = command::expand(text, value)?;
    let words: Vec<String> = expanded.arguments.iter().map(ToString::to_string).collect();
    Ok((parts(&words), seen.into_inner()))
}

/// All substrings that may be a variable name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| !name.is_empty())
}

/// Parses placeholders. If a value was split at its blank, the end of its placeholder begins the next word.
fn parts(words: &[String]) -> Vec<ExpandedWord> {
    let (open, blank, close) = MARK;
    let mut found: Vec<ExpandedWord> = Vec::new();
    let mut is_open = false;
    for text in words {
        let mut rest = text.as_str();
        let mut word = match (is_open, rest.strip_prefix(close)) {
            (true, Some(after)) => {
                rest = after;
                found.pop().unwrap_or_default()
            }
            _ => ExpandedWord::new(),
        };
        is_open = false;
        while let Some((before, after)) = rest.split_once(open) {
            if !before.is_empty() {
                word.push(WordPart::Literal(before.to_owned()));
            }
            let end = after.find([blank, close]);
            let (variable, after) = end.map_or((after, ""), |end| after.split_at(end));
            let whole = after.strip_prefix(blank).and_then(|after| after.strip_prefix(close));
            is_open = whole.is_none();
            word.push(WordPart::Value { variable: variable.to_owned(), is_split: is_open });
            rest = whole.unwrap_or(after);
        }
        if !rest.is_empty() || word.is_empty() {
            word.push(WordPart::Literal(rest.to_owned()));
        }
        found.push(word);
    }
    found
}

/// Splits a command at blanks outside of quotes and braces.
fn split(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut begin = None;
    let mut braces = 0_u32;
    let mut quote = None;
    let mut is_escaped = false;
    let mut last = ' ';
    for (at, c) in command.char_indices() {
        let is_blank = matches!(c, ' ' | '\t' | '\n');
        if is_blank && !is_escaped && quote.is_none() && braces == 0 {
            words.extend(begin.take().map(|begin| &command[begin..at]));
            last = c;
            continue;
        }
        begin.get_or_insert(at);
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote != Some('\'') => is_escaped = true,
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '{' if last == '$' && quote != Some('\'') => braces += 1,
            '}' if quote != Some('\'') => braces = braces.saturating_sub(1),
            _ => {}
        }
        last = c;
    }
    words.extend(begin.map(|begin| &command[begin..]));
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(words: &[ExpandedWord]) -> String {
        let part = |part: &WordPart| match part {
            WordPart::Literal(text) => format!("{text:?}"),
            WordPart::Value { variable, is_split: false } => format!("<{variable}>"),
            WordPart::Value { variable, is_split: true } => format!("<{variable}…>"),
        };
        words.iter().map(|word| word.iter().map(part).collect::<String>()).collect::<Vec<_>>().join(" ")
    }

    fn told(command: &str) -> String {
        let variables = [("A", true), ("B", true), ("O", false), ("P", false)];
        let variables = variables.map(|(name, required)| (name.to_owned(), required)).into();
        match take_apart(command, &variables) {
            Err(why) => why.to_string(),
            Ok(written) => {
                let case = |written: &CommandWord, (there, words): &(Vec<bool>, Vec<ExpandedWord>)| {
                    let there = written.optional.iter().zip(there);
                    let there: String =
                        there.map(|(name, is)| format!("{}{name}? ", if *is { "" } else { "!" })).collect();
                    format!("{there}{}", shown(words))
                };
                let cases = |it: &CommandWord| it.cases.iter().map(|one| case(it, one)).collect::<Vec<_>>().join(" | ");
                written.iter().map(cases).collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn words_and_what_they_depend_on() {
        for (command, expected) in [
            ("run.sh \"${A}\" $B $OTHER", "\"run.sh\"; <A>; <B…>; "),
            ("${O/#/-c } x", "O? \"-c\" <O…> | !O? ; \"x\""),
            ("'a b'\\ c --x=$A.y\"$B\"", "\"a b c\"; \"--x=\"<A…>\".y\"<B>"),
            ("$A$B", "<A…><B…>"),
            ("${O:-${A} z}", "O? <O…> | !O? <A…> \"z\""),
            ("\"${O+with $P}\"", "O? P? \"with \"<P> | !O? P? \"\" | O? !P? \"with \" | !O? !P? \"\""),
            ("''", "\"\""),
            ("", ""),
            ("$(ls)", "the command cannot be expanded: `$(` cannot be expanded"),
            ("\"$A", "the command cannot be expanded: a double quote is not closed"),
        ] {
            assert_eq!(told(command), expected, "{command}");
        }
    }

    /// Substitutes values, as the runner of an export does.
    fn filled(written: &[CommandWord], values: &BTreeMap<&str, &str>) -> Vec<String> {
        let mut all = Vec::new();
        for CommandWord { optional, cases } in written {
            let there: Vec<bool> = optional.iter().map(|name| values.contains_key(name.as_str())).collect();
            let (_, words) = cases.iter().find(|(case, _)| *case == there).expect("all cases are there");
            for word in words {
                let mut open = String::new();
                for part in word {
                    match part {
                        WordPart::Literal(text) => open += text,
                        WordPart::Value { variable, is_split: false } => open += values[variable.as_str()],
                        WordPart::Value { variable, is_split: true } => {
                            let mut pieces = values[variable.as_str()].split(' ');
                            open += pieces.next().expect("a split has a part");
                            pieces.for_each(|piece| all.push(std::mem::replace(&mut open, piece.to_owned())));
                        }
                    }
                }
                all.push(open);
            }
        }
        all
    }

    const PIECES: [&str; 20] = [
        " ",
        " ",
        " ",
        "x",
        "--k=",
        "$A",
        "\"$B\"",
        "${O}",
        "\"${P}\"",
        "'q $A'",
        "\\ ",
        "\"\"",
        "${O:+--o $A}",
        "${O/#/-c }",
        "\"${P:-d e}\"",
        "${P+'a b'}",
        "${O:-${P:-$B}}",
        "\"${O:+\"$A\"}\"",
        "\\$A",
        "${P-\"d  e\" f}",
    ];

    proptest! {
        /// An export gives the same arguments as a run by SILO.
        #[test]
        fn the_same_as_expanded_at_once(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8),
            given in prop::collection::vec(prop::sample::select(&["v", "x y"][..]), 4),
            there in prop::collection::vec(any::<bool>(), 2),
        ) {
            let command = pieces.concat();
            let variables = [("A", true), ("B", true), ("O", false), ("P", false)];
            let is_there = [true, true, there[0], there[1]];
            let values: BTreeMap<&str, &str> = variables.iter().zip(&given).zip(is_there)
                .filter(|(_, is_there)| *is_there).map(|(((name, _), value), _)| (*name, *value)).collect();
            let texts: BTreeMap<&str, MaskedText> = values.iter().map(|(name, value)| (*name, MaskedText::plain(*value))).collect();
            let expanded = command::expand(&command, |name| texts.get(name)).expect("it is closed");
            let expected: Vec<String> = expanded.arguments.iter().map(ToString::to_string).collect();
            let variables = variables.map(|(name, required)| (name.to_owned(), required)).into();
            let written = take_apart(&command, &variables).expect("it can be taken apart");
            prop_assert_eq!(filled(&written, &values), expected, "{}", command);
        }

        #[test]
        fn never_panics(command in "[ $A{}O:+\\-/#'\"\\\\x\n]{0,24}") {
            let variables = [("A".to_owned(), true), ("O".to_owned(), false)].into();
            let _ = take_apart(&command, &variables);
        }
    }
}
