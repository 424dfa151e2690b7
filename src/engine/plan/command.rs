//! Expands the command of a manifest to the arguments of a container. Pure.
//!
//! No shell runs the command. The standard lets an executor expand variables by the rules of Bash; supported are
//! `$V`, `${V}`, `${V-d}`, `${V:-d}`, `${V+w}`, `${V:+w}`, `${V/#/p}`, quotes, backslashes, and word splitting of
//! unquoted values. Other uses of `$` and the backtick are errors, because passing them on would not be what Bash
//! does. Pipes, redirections, globs and the like are no expansions: they are passed on literally, as Scale and Seed
//! CLI do.

use super::container::{MASK, MaskedText};

/// Limit for the sum of all expanded values, in bytes.
const MAX_EXPANDED: usize = 1024 * 1024;
/// Limit for the nesting of `${A:-${B:-…}}`.
const MAX_DEPTH: usize = 20;
/// Characters that a shell would take as operators.
const OPERATORS: [char; 5] = ['|', '&', ';', '<', '>'];

/// An expanded command.
#[derive(Debug, Default)]
pub struct ExpandedCommand {
    pub arguments: Vec<MaskedText>,
    /// Variables that are unset and used without a default, each once.
    pub unset: Vec<String>,
    /// Whether there are unquoted shell operators.
    pub has_operators: bool,
}

/// Why a command cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("a {0} is not closed")]
    Open(&'static str),
    #[error("`{0}` cannot be expanded")]
    Unsupported(String),
    #[error("its variables have more than {MAX_EXPANDED} bytes in total, or are nested more than {MAX_DEPTH} deep")]
    TooLarge,
}

/// Expands variables and splits at blanks. `value` returns the value of a variable; an unset one expands to nothing.
///
/// # Errors
/// A Bash construct that is not supported, an unterminated quote or brace, or a limit is exceeded.
pub fn expand<'a>(
    command: &str,
    value: impl Fn(&str) -> Option<&'a MaskedText>,
) -> Result<ExpandedCommand, CommandError> {
    let mut reader =
        CommandParser { rest: command, value: &value, expanded: 0, depth: 0, outcome: ExpandedCommand::default() };
    let pieces = reader.bare(TextEnd::End)?;
    Ok(ExpandedCommand { arguments: words(pieces), ..reader.outcome })
}

/// A part of the command, variables expanded.
struct CommandPiece {
    text: String,
    /// The masked text, if it holds a secret.
    shown: Option<String>,
    kind: PieceKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PieceKind {
    /// A blank between arguments.
    Break,
    /// Not split; makes an argument even if it is empty.
    Whole,
    /// Split at blanks.
    Split,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TextEnd {
    End,
    /// The `}` that ends an operand.
    Brace,
}

struct CommandParser<'c, 'v, V> {
    rest: &'c str,
    value: &'v V,
    /// Bytes of expanded values so far.
    expanded: usize,
    depth: usize,
    outcome: ExpandedCommand,
}

impl<'a, 'c, V: Fn(&str) -> Option<&'a MaskedText>> CommandParser<'c, '_, V> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Consumes `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Unquoted text. In an operand literal text is split, too, like the result of an expansion.
    fn bare(&mut self, until: TextEnd) -> Result<Vec<CommandPiece>, CommandError> {
        let literal = if until == TextEnd::End { PieceKind::Whole } else { PieceKind::Split };
        let mut pieces = Vec::new();
        while let Some(c) = self.next() {
            match c {
                '}' if until == TextEnd::Brace => return Ok(pieces),
                ' ' | '\t' | '\n' if until == TextEnd::End => add(&mut pieces, "", PieceKind::Break),
                '\'' => {
                    let (quoted, rest) = self.rest.split_once('\'').ok_or(CommandError::Open("single quote"))?;
                    add(&mut pieces, quoted, PieceKind::Whole);
                    self.rest = rest;
                }
                '"' => self.double(&mut pieces)?,
                '\\' => match self.next() {
                    None => add(&mut pieces, "\\", PieceKind::Whole),
                    Some('\n') => {}
                    Some(c) => add(&mut pieces, c.encode_utf8(&mut [0; 4]), PieceKind::Whole),
                },
                '$' => self.dollar(&mut pieces, PieceKind::Split, literal)?,
                '`' => return Err(unsupported("`")),
                c => {
                    self.outcome.has_operators |= OPERATORS.contains(&c);
                    add(&mut pieces, c.encode_utf8(&mut [0; 4]), literal);
                }
            }
        }
        if until == TextEnd::End { Ok(pieces) } else { Err(CommandError::Open("${")) }
    }

    /// Text in double quotes, up to the closing quote.
    fn double(&mut self, pieces: &mut Vec<CommandPiece>) -> Result<(), CommandError> {
        self.quoted(pieces, '"', "double quote")
    }

    /// Text in which only `$`, the backtick and some backslashes are special.
    fn quoted(&mut self, pieces: &mut Vec<CommandPiece>, end: char, name: &'static str) -> Result<(), CommandError> {
        add(pieces, "", PieceKind::Whole);
        while let Some(c) = self.next() {
            match c {
                c if c == end => return Ok(()),
                // Nested quotes in an operand: they only affect where the operand ends.
                '"' => self.double(pieces)?,
                '\\' => match self.rest.chars().next() {
                    Some(c @ ('$' | '`' | '"' | '\\')) => self.escaped(pieces, c),
                    Some(c) if c == end => self.escaped(pieces, c),
                    Some('\n') => _ = self.next(),
                    _ => add(pieces, "\\", PieceKind::Whole),
                },
                '$' => self.dollar(pieces, PieceKind::Whole, PieceKind::Whole)?,
                '`' => return Err(unsupported("`")),
                c => add(pieces, c.encode_utf8(&mut [0; 4]), PieceKind::Whole),
            }
        }
        Err(CommandError::Open(name))
    }

    fn escaped(&mut self, pieces: &mut Vec<CommandPiece>, c: char) {
        self.next();
        add(pieces, c.encode_utf8(&mut [0; 4]), PieceKind::Whole);
    }

    /// After a `$`: `kind` applies to values, `literal` to a `$` that begins no expansion.
    fn dollar(
        &mut self,
        pieces: &mut Vec<CommandPiece>,
        kind: PieceKind,
        literal: PieceKind,
    ) -> Result<(), CommandError> {
        let name = self.name();
        if !name.is_empty() {
            return self.variable(pieces, name, kind);
        }
        match self.rest.chars().next() {
            Some('{') => self.braced(pieces, kind),
            Some(c @ ('(' | '[' | '0'..='9' | '@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                Err(unsupported(&format!("${c}")))
            }
            Some(c @ ('\'' | '"')) if kind == PieceKind::Split => Err(unsupported(&format!("${c}"))),
            _ => {
                add(pieces, "$", literal);
                Ok(())
            }
        }
    }

    /// A variable name, possibly empty.
    fn name(&mut self) -> &'c str {
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let length = match self.rest.bytes().next() {
            Some(first) if !first.is_ascii_digit() => self.rest.bytes().take_while(is_name).count(),
            _ => 0,
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name
    }

    /// The content of `${…}`.
    fn braced(&mut self, pieces: &mut Vec<CommandPiece>, kind: PieceKind) -> Result<(), CommandError> {
        let start = self.rest;
        self.take("{");
        let name = self.name();
        if !name.is_empty() && self.take("}") {
            return self.variable(pieces, name, kind);
        }
        let value = (self.value)(name);
        if !name.is_empty() && self.take("/#/") {
            // Bash removes quotes from the prefix even inside double quotes.
            let prefix = self.operand(PieceKind::Split)?;
            return value.map_or(Ok(()), |value| self.prefixed(pieces, &prefix, value, kind));
        }
        let value = if self.take(":") { value.filter(|value| !value.expose().is_empty()) } else { value };
        match self.next() {
            Some(operator @ ('-' | '+')) if !name.is_empty() => {
                let operand = self.operand(kind)?;
                match value {
                    Some(value) if operator == '-' => self.value(pieces, value, kind)?,
                    None if operator == '+' => {}
                    _ => pieces.extend(operand),
                }
                Ok(())
            }
            None => Err(CommandError::Open("${")),
            _ => {
                let end = start.find('}').map_or(start.len(), |at| at + 1);
                Err(unsupported(&format!("${}", start[..end].chars().take(40).collect::<String>())))
            }
        }
    }

    fn operand(&mut self, kind: PieceKind) -> Result<Vec<CommandPiece>, CommandError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CommandError::TooLarge);
        }
        let pieces = if kind == PieceKind::Split {
            self.bare(TextEnd::Brace)?
        } else {
            let mut pieces = Vec::new();
            self.quoted(&mut pieces, '}', "${")?;
            pieces
        };
        self.depth -= 1;
        Ok(pieces)
    }

    fn variable(&mut self, pieces: &mut Vec<CommandPiece>, name: &str, kind: PieceKind) -> Result<(), CommandError> {
        match (self.value)(name) {
            Some(value) => return self.value(pieces, value, kind),
            None if self.outcome.unset.iter().any(|unset| unset == name) => {}
            None => self.outcome.unset.push(name.to_owned()),
        }
        Ok(())
    }

    fn value(
        &mut self,
        pieces: &mut Vec<CommandPiece>,
        value: &MaskedText,
        kind: PieceKind,
    ) -> Result<(), CommandError> {
        self.prefixed(pieces, &[], value, kind)
    }

    fn prefixed(
        &mut self,
        pieces: &mut Vec<CommandPiece>,
        prefix: &[CommandPiece],
        value: &MaskedText,
        kind: PieceKind,
    ) -> Result<(), CommandError> {
        let mut text: String = prefix.iter().map(|piece| &*piece.text).collect();
        text += value.expose();
        self.expanded += text.len();
        if self.expanded > MAX_EXPANDED {
            return Err(CommandError::TooLarge);
        }
        let is_secret = value.is_secret() || prefix.iter().any(|piece| piece.shown.is_some());
        let shown = is_secret.then(|| {
            let shown = |piece: &CommandPiece| piece.shown.clone().unwrap_or_else(|| piece.text.clone());
            prefix.iter().map(shown).chain([value.to_string()]).collect()
        });
        pieces.push(CommandPiece { text, shown, kind });
        Ok(())
    }
}

fn unsupported(text: &str) -> CommandError {
    CommandError::Unsupported(text.to_owned())
}

/// Appends literal text, to the last piece if that is of the same kind.
fn add(pieces: &mut Vec<CommandPiece>, text: &str, kind: PieceKind) {
    match pieces.last_mut() {
        Some(last) if last.kind == kind && last.shown.is_none() => last.text += text,
        _ => pieces.push(CommandPiece { text: text.to_owned(), shown: None, kind }),
    }
}

/// Joins pieces to arguments.
fn words(pieces: Vec<CommandPiece>) -> Vec<MaskedText> {
    let mut words = Vec::new();
    let mut open: Option<ArgumentBuilder> = None;
    for CommandPiece { text, shown, kind } in pieces {
        match kind {
            PieceKind::Break => words.extend(open.take().map(ArgumentBuilder::into_text)),
            PieceKind::Whole => open.get_or_insert_default().push(&text, shown.as_deref()),
            PieceKind::Split => {
                for (index, part) in text.split([' ', '\t', '\n']).enumerate() {
                    if index > 0 {
                        words.extend(open.take().map(ArgumentBuilder::into_text));
                    }
                    if !part.is_empty() {
                        open.get_or_insert_default().push(part, shown.as_ref().map(|_| MASK));
                    }
                }
            }
        }
    }
    words.extend(open.map(ArgumentBuilder::into_text));
    words
}

#[derive(Default)]
struct ArgumentBuilder {
    text: String,
    shown: String,
    is_secret: bool,
}

impl ArgumentBuilder {
    fn push(&mut self, text: &str, shown: Option<&str>) {
        self.text += text;
        self.shown += shown.unwrap_or(text);
        self.is_secret |= shown.is_some();
    }

    fn into_text(self) -> MaskedText {
        if self.is_secret { MaskedText::secret(self.text, self.shown) } else { MaskedText::plain(self.text) }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// `E` is empty; all other names are unset.
    const VALUES: [(&str, &str); 5] =
        [("A", "x"), ("AB", " y  z "), ("E", ""), ("P", "/seed/in/FILE/a b*.txt"), ("J", r#"{"k":"$A `q` \\ 'v'"}"#)];

    fn expanded(command: &str) -> Result<ExpandedCommand, CommandError> {
        let values: Vec<(&str, MaskedText)> = VALUES.map(|(name, value)| (name, MaskedText::plain(value))).into();
        expand(command, |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value))
    }

    fn arguments(command: &str) -> Vec<String> {
        let found = expanded(command).unwrap_or_else(|why| panic!("{command}: {why}"));
        found.arguments.iter().map(|argument| argument.expose().to_owned()).collect()
    }

    /// Expands with the real Bash; globs are off because they are not expanded here, and so is `patsub_replacement`,
    /// which Bash 5.2 added to `${V/#/p}`.
    fn bash(command: &str) -> Vec<String> {
        let script = format!(
            "set -f; shopt -u patsub_replacement 2>/dev/null; show() {{ (( $# )) && printf '%s\\0' \"$@\"; true; }}; show {command}"
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).env_clear().envs(VALUES).output();
        let output = output.expect("bash is there");
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("texts stay texts");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn expands_as_bash_does() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t ", &[]),
            ("run -f  $A", &["run", "-f", "x"]),
            ("$AB_ $ABC ${A}B $A.B $A/$A", &["xB", "x.B", "x/x"]),
            ("x${AB}x", &["x", "y", "z", "x"]),
            ("\"x${AB}x\"", &["x y  z x"]),
            ("$P \"$P\"", &["/seed/in/FILE/a", "b*.txt", "/seed/in/FILE/a b*.txt"]),
            ("${A/#/-d } ${U/#/-d } \"${U/#/-d }\" ${E/#/-e}", &["-d", "x", "", "-e"]),
            ("${U:-d} ${U-d} ${E:-d} \"${E-d}\" ${A:-d}", &["d", "d", "d", "", "x"]),
            ("${U:+w} ${E:+w} ${A:+w} ${E+w} ${U+w}", &["w", "w"]),
            ("${A:+-f \"$P\"} ${U:-\"a b\" c}", &["-f", "/seed/in/FILE/a b*.txt", "a b", "c"]),
            ("${U:-${V:-${A}}}", &["x"]),
            ("'$A' \"a'b\" 'a\"b' a'b c'd '' \"\"", &["$A", "a'b", "a\"b", "ab cd", "", ""]),
            (r#"\$A a\ b "\$A \a \" \\" \\ 'a\'"#, &["$A", "a b", "$A \\a \" \\", "\\", "a\\"]),
            ("$ a$ $/ \"$\" $% ~ * [a] {a,b} #c", &["$", "a$", "$/", "$", "$%", "~", "*", "[a]", "{a,b}", "#c"]),
            ("$J", &[r#"{"k":"$A"#, "`q`", r"\\", r#"'v'"}"#]),
            ("sh -c 'echo $(date) | wc > \"$OUTPUT_DIR\"'", &["sh", "-c", "echo $(date) | wc > \"$OUTPUT_DIR\""]),
            ("a | b > c; d && e", &["a", "|", "b", ">", "c;", "d", "&&", "e"]),
            ("end\\", &["end\\"]),
        ];
        for (command, expected) in table {
            assert_eq!(arguments(command), *expected, "{command}");
            // Without other shell syntax, Bash gives the same arguments.
            if !command.contains(['|', '~', '#']) || command.contains("/#/") {
                assert_eq!(bash(command), *expected, "{command}");
            }
        }
    }

    /// Prefixes of other names, empty arguments, literal idioms: cases that the old Seed CLI handles differently.
    #[test]
    fn the_old_command_line_is_not_back() {
        assert_eq!(arguments("$A $AB $ABX"), ["x", "y", "z"]);
        assert!(arguments("$U ${U} ${U/#/-d }").is_empty());
        assert_eq!(arguments("\"a b\" 'c d'"), ["a b", "c d"]);
    }

    #[test]
    fn what_is_not_expanded_is_said() {
        for (command, text) in [
            ("$(date)", "$("),
            ("\"`date`\"", "`"),
            ("a$1", "$1"),
            ("$@", "$@"),
            ("\"$?\"", "$?"),
            ("$'a'", "$'"),
            ("${A%x}", "${A%x}"),
            ("${A/x/y}", "${A/x/y}"),
            ("${A:=x}", "${A:=x}"),
            ("${#A}", "${#A}"),
            ("${!A}", "${!A}"),
            ("${1:-x}", "${1:-x}"),
            ("${}", "${}"),
        ] {
            let error = expanded(command).expect_err(command);
            assert_eq!(error, CommandError::Unsupported(text.to_owned()), "{command}");
        }
        for (command, what) in
            [("'a", "single quote"), ("\"a'", "double quote"), ("${A", "${"), ("${A:-x", "${"), ("\"${A:-\"", "${")]
        {
            let error = expanded(command).expect_err(command);
            let expected =
                if command == "\"${A:-\"" { CommandError::Open("double quote") } else { CommandError::Open(what) };
            assert_eq!(error, expected, "{command}");
        }
        let deep = format!("{}{}", "${U:-".repeat(100_000), "}".repeat(100_000));
        assert_eq!(expanded(&deep).expect_err("too deep"), CommandError::TooLarge);
        let large = MaskedText::plain("x".repeat(100_000));
        assert_eq!(expand(&"$A".repeat(100), |_| Some(&large)).expect_err("too large"), CommandError::TooLarge);
    }

    #[test]
    fn what_will_surprise_is_noted() {
        let found = expanded("$A $U ${U} ${V:-x} ${W+x} \"${X}\" 'a|b'").expect("it can be expanded");
        assert_eq!((found.unset, found.has_operators), (vec!["U".to_owned(), "X".to_owned()], false));
        assert!(expanded("a > b").expect("it can be expanded").has_operators);
    }

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let secret = MaskedText::secret("two words", MASK);
        let plain = MaskedText::plain("seen");
        let value = |name: &str| if name == "S" { Some(&secret) } else { Some(&plain) };
        let command = "$A --key=\"$S\" $S ${S/#/-p } ${A/#/$S} ${U:+\"a $S\"}";
        let found = expand(command, value).expect("it can be expanded").arguments;
        let both: Vec<(String, &str)> = found.iter().map(|text| (text.to_string(), text.expose())).collect();
        let both: Vec<(&str, &str)> = both.iter().map(|(shown, text)| (shown.as_str(), *text)).collect();
        let expected = [
            ("seen", "seen"),
            ("--key=*****", "--key=two words"),
            ("*****", "two"),
            ("*****", "words"),
            ("*****", "-p"),
            ("*****", "two"),
            ("*****", "words"),
            ("*****", "two"),
            ("*****", "wordsseen"),
            ("a *****", "a two words"),
        ];
        assert_eq!(both, expected);
    }

    /// Commands of the supported subset. Excluded is what Bash treats otherwise: `#` at the beginning of a word (a
    /// comment), and some unquoted characters.
    fn any_command() -> impl Strategy<Value = String> {
        let name = || prop::sample::select(vec!["A", "AB", "E", "P", "J", "U", "U_1"]);
        let plain = || "[a-z0-9/.,:=_ -]{0,5}";
        let simple =
            prop_oneof![name().prop_map(|name| format!("${name} ")), name().prop_map(|name| format!("${{{name}}}"))];
        let simple = simple.boxed();
        let single = "'[a-z $\"\\\\{}|]{0,4}'";
        let escape =
            prop::sample::select(vec![r"\$", r"\\", r#"\""#, r"\ ", r"\a", r"\'", r"\}"]).prop_map(str::to_owned);
        // Single quotes inside of double quotes are literal, so quotes, braces and dollars in them would be special.
        let single_in_operand = "'[a-z \\\\{|]{0,4}'";
        let operand =
            prop_oneof![plain(), simple.clone(), single_in_operand, escape.clone(), Just("\"a  b\"".to_owned())];
        let operator = prop::sample::select(vec!["-", ":-", "+", ":+"]);
        let bare = (name(), operator.clone(), prop::collection::vec(operand, 0..3))
            .prop_map(|(name, operator, operand)| format!("${{{name}{operator}{}}}", operand.concat()));
        let prefix = (name(), prop_oneof![plain(), simple.clone(), "'[a-z ]{0,3}'", Just("\"q r\"".to_owned())])
            .prop_map(|(name, prefix)| format!("${{{name}/#/{prefix}}}"));
        let nested = (name(), operator, bare.clone())
            .prop_map(|(name, operator, inner)| format!("${{{name}{operator}{inner}}}"));
        let value = prop_oneof![simple, bare, prefix, nested].boxed();
        let in_double = prop_oneof![plain(), value.clone(), escape.clone(), "[ '*;#]{1,2}"];
        let double = prop::collection::vec(in_double, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()));
        let part = prop_oneof![plain(), value, double, single, escape];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn bash_agrees(command in any_command()) {
            prop_assert_eq!(arguments(&command), bash(&command), "{}", command);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(command in "[a${}:+/#'\"\\\\ A|`é-]{0,40}") {
            _ = expanded(&command);
        }
    }
}
