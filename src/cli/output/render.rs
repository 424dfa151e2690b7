//! Reports on manifests for people: each problem with its line of the source, as compilers show errors.
//!
//! Manifests are untrusted: the output contains no control characters of theirs, and its length is limited.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::os::fd::AsFd;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::table::width_of;
use crate::seed::validate::{ValidationReport, readable};
use crate::seed::{ManifestProblem, ProblemSeverity};

/// Limit of columns shown of a source line.
const WIDTH: usize = 100;
/// Limit of marked characters.
const MARKED: usize = 60;
/// Characters that are read before and after the marked ones; enough to detect that the line is cut.
const AROUND: usize = 2 * WIDTH;

/// Whether a character controls a terminal, or the direction of text, which can make one name look like another.
pub(in crate::cli) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Replaces each such character by a visible one.
pub(in crate::cli) fn tame(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        c if !steers(c) => c,
        // The block "Control Pictures" of Unicode has the order of the control characters.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// A value as one line of JSON, with control characters escaped.
pub(in crate::cli) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    let mut line = String::new();
    for c in serde_json::to_string(value)?.chars() {
        match c {
            // Raw line feeds are only whitespace between tokens. Other control characters occur only inside strings.
            '\n' => line.push(c),
            c if steers(c) => write!(line, "\\u{:04x}", u32::from(c))?,
            c => line.push(c),
        }
    }
    line.push('\n');
    Ok(line)
}

/// A renderer for a stream: on a terminal with its width, and with colours unless NO_COLOR is set.
pub(in crate::cli) fn renderer<S: anstream::stream::RawStream + AsFd>(stream: &S) -> Renderer {
    let renderer =
        if AutoStream::choice(stream) == ColorChoice::Never { Renderer::plain() } else { Renderer::styled() };
    renderer.term_width(width_of(stream).map_or(WIDTH, |width| width.min(WIDTH)))
}

/// Draws every problem of a report with its position in the source.
pub(in crate::cli) fn problems(renderer: &Renderer, name: &str, source: &[u8], report: &ValidationReport) -> String {
    let text = NumberedText::new(source);
    let mut drawn = String::new();
    for problem in &report.problems {
        drawn += &renderer.render(&[group(name, &text, problem)]);
        drawn += "\n\n";
    }
    drawn
}

fn group<'a>(name: &'a str, text: &NumberedText<'_>, problem: &ManifestProblem) -> Group<'a> {
    let level = match problem.severity {
        ProblemSeverity::Error => Level::ERROR,
        ProblemSeverity::Warning => Level::WARNING,
        ProblemSeverity::Advice => Level::NOTE.with_name(ProblemSeverity::Advice.as_str()),
    };
    let group = Group::with_title(level.primary_title(tame(&problem.message)).id(tame(&problem.code)));
    let group = match (problem.line as usize, problem.column as usize) {
        (0, _) | (_, 0) => group,
        (line, column) => placed(group, name, text, line, column),
    };
    if problem.help.is_empty() { group } else { group.element(Level::HELP.message(tame(&problem.help))) }
}

/// Adds a problem's position and an extract of the source.
fn placed<'a>(group: Group<'a>, name: &'a str, text: &NumberedText<'_>, line: usize, column: usize) -> Group<'a> {
    let origin = Origin::path(name).line(line).char_column(column);
    let Some(shown) = text.line(line) else { return group.element(origin) };
    let window = LineExcerpt::new(shown, column);
    let snippet = Snippet::source(window.text).line_start(line);
    let snippet = snippet.annotation(AnnotationKind::Primary.span(window.marked));
    if window.is_cut {
        // The renderer counts columns in the extract, so the position is given separately.
        group.element(origin).element(snippet)
    } else {
        group.element(snippet.path(name))
    }
}

/// The source of a report, split into lines.
struct NumberedText<'a> {
    text: Cow<'a, str>,
    /// Byte offset of each line's start.
    starts: Vec<usize>,
}

impl<'a> NumberedText<'a> {
    fn new(source: &'a [u8]) -> Self {
        let text = readable(source);
        let starts = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// A line, counted from 1, without its end.
    fn line(&self, number: usize) -> Option<&str> {
        let start = *self.starts.get(number.checked_sub(1)?)?;
        let end = self.starts.get(number).map_or(self.text.len(), |next| next - 1);
        let line = self.text.get(start..end)?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

/// Extract of a line that may be very long: a token with its surroundings.
struct LineExcerpt {
    text: String,
    /// Whether the line's beginning is cut off.
    is_cut: bool,
    /// Byte range of the token.
    marked: Range<usize>,
}

impl LineExcerpt {
    /// Around the token at a column, in characters from 1. A column after the line's end is taken as its end.
    fn new(line: &str, column: usize) -> Self {
        let mut rest = line.chars();
        if let Some(skipped) = column.checked_sub(2) {
            rest.nth(skipped);
        }
        let rest = rest.as_str();
        let before = &line[..line.len() - rest.len()];
        let from = before.char_indices().rev().nth(AROUND - 1).map_or(0, |(at, _)| at);
        let (token, after) = rest.split_at(token_length(first(rest, MARKED)));
        // Tabs are drawn by the renderer.
        let visible = |text: &str| -> String { text.chars().map(|c| if c == '\t' { c } else { visible(c) }).collect() };
        let (before, token) = (visible(&before[from..]), visible(token));
        let marked = before.len()..before.len() + token.len();
        Self { text: before + &token + &visible(first(after, AROUND)), is_cut: from > 0, marked }
    }
}

/// The first characters of a text.
fn first(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// Length in bytes of the token that a text begins with: a string with its quotes, one bracket, or up to the next
/// delimiter.
fn token_length(text: &str) -> usize {
    let is_delimiter = |c: char| c.is_whitespace() || "{}[],:\"".contains(c);
    let mut characters = text.char_indices();
    match characters.next() {
        None => 0,
        Some((_, '"')) => {
            let mut escaped = false;
            let closes = |&(_, c): &(usize, char)| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            };
            characters.find(closes).map_or(text.len(), |(at, _)| at + 1)
        }
        Some((_, head)) if is_delimiter(head) => head.len_utf8(),
        Some(_) => characters.find(|&(_, c)| is_delimiter(c)).map_or(text.len(), |(at, _)| at),
    }
}

/// The summary line: whether the manifest is valid, its image name, and the number of problems.
pub(in crate::cli) fn summary(name: &str, report: &ValidationReport) -> String {
    let mut line = match (&report.image_name, report.valid) {
        (Some(image), true) => format!("{name}: valid as {}", tame(image)),
        (None, true) => format!("{name}: valid"),
        (_, false) => format!("{name}: not valid"),
    };
    let nouns = [("error", "errors"), ("warning", "warnings"), ("piece of advice", "pieces of advice")];
    let counted = ProblemSeverity::ALL.into_iter().zip(nouns).filter_map(|(severity, (one, many))| {
        let count = report.problems.iter().filter(|problem| problem.severity == severity).count();
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
    });
    let more = (report.omitted > 0).then(|| format!("{} more not shown", report.omitted));
    let counted: Vec<String> = counted.chain(more).collect();
    if !counted.is_empty() {
        line += if report.valid { ", " } else { ": " };
        line += &counted.join(", ");
    }
    line
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::seed::ValidationProfile;

    fn problem(line: u32, column: u32) -> ManifestProblem {
        let (code, severity) = ("bad-name".to_owned(), ProblemSeverity::Error);
        let (message, help) = ("It is bad.".to_owned(), "Mend it.".to_owned());
        ManifestProblem { code, severity, path: String::new(), line, column, message, help }
    }

    fn report(problems: Vec<ManifestProblem>) -> ValidationReport {
        let valid = problems.iter().all(|problem| problem.severity != ProblemSeverity::Error);
        let image_name = Some("my-job-1.0.0-seed:1.0.0".to_owned());
        ValidationReport { valid, profile: ValidationProfile::Spec, strict: false, image_name, problems, omitted: 0 }
    }

    /// Draws one problem without colours.
    fn drawn(source: &[u8], line: u32, column: u32) -> String {
        problems(&Renderer::plain().term_width(WIDTH), "a.json", source, &report(vec![problem(line, column)]))
    }

    /// The source line and the marks below it, without the margin.
    fn marked(source: &[u8], line: u32, column: u32) -> [String; 2] {
        let drawn = drawn(source, line, column);
        let start = drawn.lines().position(|shown| shown.starts_with(&format!("{line} |"))).expect(&drawn);
        [0, 1]
            .map(|more| drawn.lines().nth(start + more).and_then(|shown| shown.get(4..)).unwrap_or_default().to_owned())
    }

    #[test]
    fn a_problem_is_drawn_at_its_place() {
        assert_snapshot!(drawn(b"{\n  \"name\": \"my job\",\n}\n", 2, 11), @r#"
        error[bad-name]: It is bad.
         --> a.json:2:11
          |
        2 |   "name": "my job",
          |           ^^^^^^^^
          |
          = help: Mend it.
        "#);
    }

    #[test]
    fn a_problem_without_a_place_is_only_told() {
        assert_snapshot!(drawn(b"{}", 0, 0), @"
        error[bad-name]: It is bad.
         |
         = help: Mend it.
        ");
        assert_snapshot!(drawn(b"{}", 9, 1), @"
        error[bad-name]: It is bad.
        --> a.json:9:1
         = help: Mend it.
        ");
    }

    #[test]
    fn severities_have_their_words() {
        for (severity, word) in
            [(ProblemSeverity::Warning, "warning[bad-name]: "), (ProblemSeverity::Advice, "advice[bad-name]: ")]
        {
            let report = report(vec![ManifestProblem { severity, ..problem(0, 0) }]);
            let drawn = problems(&Renderer::plain(), "a.json", b"", &report);
            assert!(drawn.starts_with(word), "{drawn}");
        }
    }

    #[test]
    fn the_whole_token_is_marked() {
        for (line, column, marks) in [
            (r#"{"a": "b\\\"c\\", "d": 1}"#, 7, "      ^^^^^^^^^^"),
            (r#"{"a": [1, 2]}"#, 7, "      ^"),
            (r#"{"a": -1.5e3, "b": 1}"#, 7, "      ^^^^^^"),
            (r#"{"a": true}"#, 7, "      ^^^^"),
            (r#"{"a": nonsense"b"}"#, 7, "      ^^^^^^^^"),
            (r#"{"a": "open"#, 7, "      ^^^^^"),
            (r#"{"a": 1}"#, 8, "       ^"),
            (r#"{"a": 1}"#, 9, "        ^"),
            (r#"{"a": 1}"#, 99, "        ^"),
            (r#"{"a": 1}"#, 6, "     ^"),
        ] {
            assert_eq!(marked(line.as_bytes(), 1, column), [line, marks], "{column}");
        }
    }

    #[test]
    fn columns_are_characters() {
        // Characters of two bytes, characters of two columns, and a tab as four blanks.
        assert_eq!(marked("{\"ä\": \"öü\"}".as_bytes(), 1, 7), ["{\"ä\": \"öü\"}", "      ^^^^"]);
        assert_eq!(marked("{\"冰\": 1}".as_bytes(), 1, 7), ["{\"冰\": 1}", "       ^"]);
        assert_eq!(marked(b"\t\"a\": 1", 1, 7), ["    \"a\": 1", "         ^"]);
        // The line end is not part of the line.
        assert_eq!(marked(b"{\r\n \"a\r\n}\r\n", 2, 2), [" \"a", " ^^"]);
        assert_eq!(marked(b"{\n\n}", 2, 1), ["", "^"]);
        // Each invalid UTF-8 sequence counts as one character, as in the validator; a byte order mark counts as none.
        assert_eq!(marked(b"\"\xff\xfe\" 1", 1, 6), ["\"\u{fffd}\u{fffd}\" 1", "     ^"]);
        assert_eq!(marked("\u{feff}{\"a\": 1}".as_bytes(), 1, 2), ["{\"a\": 1}", " ^^^"]);
    }

    #[test]
    fn hostile_characters_are_shown_and_not_sent() {
        let source = "\"\u{1b}[31m\0\u{202e}\u{9b}\u{7f}\r\"".as_bytes();
        assert_eq!(marked(source, 1, 1), ["\"␛[31m␀\u{fffd}\u{fffd}␡␍\"", "^^^^^^^^^^^^"]);
        let report =
            report(vec![ManifestProblem { message: "\u{1b}[2J\n".into(), help: "\u{7}".into(), ..problem(0, 0) }]);
        let drawn = problems(&Renderer::plain(), "a.json", b"", &report);
        assert!(drawn.contains("␛[2J␊") && drawn.contains("␇"), "{drawn}");
        assert_eq!(json_line(&"\u{1b}\u{9b}\u{202e}ä").unwrap(), "\"\\u001b\\u009b\\u202eä\"\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_token() {
        let line = format!("{{{}\"name\": \"my job\"{}}}", " \"a\": 1,".repeat(50_000), ", \"b\": 2".repeat(50_000));
        let column = 1 + line.find("\"my job\"").unwrap() as u32;
        let shown = drawn(line.as_bytes(), 1, column);
        assert!(shown.contains(&format!("a.json:1:{column}\n")), "{shown}");
        let [text, marks] = marked(line.as_bytes(), 1, column);
        assert!(text.starts_with("...") && text.ends_with("...") && text.len() <= WIDTH, "{text}");
        assert_eq!(&text[marks.find('^').unwrap()..=marks.rfind('^').unwrap()], "\"my job\"");
        let string = format!("\"{}\"", "x".repeat(1_000_000));
        assert_eq!(marked(string.as_bytes(), 1, 1)[1].matches('^').count(), MARKED);
    }

    #[test]
    fn the_last_line_counts() {
        let some = |severity, count| vec![ManifestProblem { severity, ..problem(1, 1) }; count];
        let mixed =
            [some(ProblemSeverity::Error, 3), some(ProblemSeverity::Warning, 1), some(ProblemSeverity::Advice, 1)]
                .concat();
        assert_eq!(summary("a", &report(mixed)), "a: not valid: 3 errors, 1 warning, 1 piece of advice");
        let name = "my-job-1.0.0-seed:1.0.0";
        assert_eq!(summary("a", &report(vec![])), format!("a: valid as {name}"));
        assert_eq!(summary("a", &report(some(ProblemSeverity::Warning, 2))), format!("a: valid as {name}, 2 warnings"));
        let omitted = ValidationReport { omitted: 7, ..report(some(ProblemSeverity::Error, 1)) };
        assert_eq!(summary("a", &omitted), "a: not valid: 1 error, 7 more not shown");
        assert_eq!(summary("a", &ValidationReport { image_name: None, ..report(vec![]) }), "a: valid");
    }

    proptest! {
        #[test]
        fn any_place_of_any_bytes_is_drawn_harmlessly_and_short(
            text in "([\\PC\\n\\r\\t]|\\p{C}|[\"{:\\\\]){0,300}", junk in prop::collection::vec(any::<u8>(), 0..40),
            line in 0..6u32, column in 0..400u32, message in ".{0,40}",
        ) {
            let source = [text.as_bytes(), &junk].concat();
            let report = report(vec![ManifestProblem { message, ..problem(line, column) }]);
            let drawn = problems(&Renderer::plain().term_width(WIDTH), "a.json", &source, &report);
            prop_assert!(!drawn.chars().any(|c| c != '\n' && steers(c)), "{:?}", drawn);
            prop_assert!(drawn.len() < 6_000, "{}", drawn.len());
        }
    }
}
