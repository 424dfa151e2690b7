//! A report as the page shows it: each problem with the place in the text.

use crate::http::pages::ports::cut;
use crate::http::pages::problems::sign;
use crate::seed::validate::ValidationReport;
use crate::seed::{ManifestProblem, ProblemSeverity};

/// Characters of a line before the place of a problem, and after it.
const BEFORE: usize = 24;
const AFTER: usize = 60;
/// Most lines of the text that are listed, and the longest part of one in characters.
const MOST_LINES: usize = 2_000;
const LONGEST_LINE: usize = 400;

/// The report.
#[derive(Debug)]
pub(super) struct ReportView {
    /// Such as `2 errors, 1 warning`.
    pub heading: String,
    /// CSS class of the heading's sign.
    pub sign: &'static str,
    /// The standard's name of the image; empty if it has none.
    pub image_name: String,
    pub problems: Vec<ReportedProblem>,
    /// Number of problems that are not listed.
    pub omitted: usize,
    /// The text with numbers of lines.
    pub lines: Vec<NumberedLine>,
    /// Whether the end of the text was left out.
    pub is_cut: bool,
}

/// A problem.
#[derive(Debug)]
pub(super) struct ReportedProblem {
    pub severity: &'static str,
    /// CSS class of its sign.
    pub sign: &'static str,
    pub code: String,
    /// JSON pointer; empty for the whole manifest.
    pub path: String,
    pub message: String,
    pub help: String,
    /// Where it is; `None` if it has no place in the text.
    pub place: Option<ProblemPlace>,
}

/// The place of a problem, with the line around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProblemPlace {
    pub line: usize,
    pub column: usize,
    /// Whether the text is listed up to this line.
    pub is_listed: bool,
    pub before: String,
    /// The character at the place; empty at the end of the line.
    pub at: String,
    pub after: String,
}

/// A line of the text.
#[derive(Debug)]
pub(super) struct NumberedLine {
    pub number: usize,
    /// CSS class of a line with a problem; else empty.
    pub class: &'static str,
    pub text: String,
}

impl ReportView {
    /// `text` is what the positions of the report refer to.
    pub(super) fn new(report: &ValidationReport, text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        // Once for all problems: a long text may be a single line.
        let characters: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        let problems = report.problems.iter().map(|problem| reported(problem, &characters)).collect();
        let numbered = lines.iter().take(MOST_LINES).enumerate().map(|(index, line)| NumberedLine {
            number: index + 1,
            class: "",
            text: cut(line, LONGEST_LINE),
        });
        let mut numbered: Vec<NumberedLine> = numbered.collect();
        mark(&mut numbered, &report.problems);
        Self {
            heading: heading(report),
            sign: if report.valid { "state good" } else { "state bad" },
            image_name: report.image_name.clone().unwrap_or_default(),
            problems,
            omitted: report.omitted,
            lines: numbered,
            is_cut: lines.len() > MOST_LINES,
        }
    }
}

fn heading(report: &ValidationReport) -> String {
    let count =
        |severity: ProblemSeverity| report.problems.iter().filter(|problem| problem.severity == severity).count();
    let counted = |(severity, one, many): (ProblemSeverity, &str, &str)| match count(severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let words = [
        (ProblemSeverity::Error, "error", "errors"),
        (ProblemSeverity::Warning, "warning", "warnings"),
        (ProblemSeverity::Advice, "piece of advice", "pieces of advice"),
    ];
    let counts: Vec<String> = words.into_iter().filter_map(counted).collect();
    match (report.valid, counts.is_empty()) {
        (true, true) => "Valid, without problems".to_owned(),
        (true, false) => format!("Valid, {}", counts.join(", ")),
        (false, _) => counts.join(", "),
    }
}

fn reported(problem: &ManifestProblem, lines: &[Vec<char>]) -> ReportedProblem {
    ReportedProblem {
        severity: problem.severity.as_str(),
        sign: sign(problem.severity),
        code: problem.code.clone(),
        path: problem.path.clone(),
        message: problem.message.clone(),
        help: problem.help.clone(),
        place: (problem.line > 0).then(|| place(lines, problem.line as usize, problem.column as usize)),
    }
}

/// The place with the line around it, without indentation. At the end of the text there may be no line.
fn place(lines: &[Vec<char>], line: usize, column: usize) -> ProblemPlace {
    let characters = lines.get(line - 1).map(Vec::as_slice).unwrap_or_default();
    let at = column.saturating_sub(1).min(characters.len());
    let first = at.saturating_sub(BEFORE);
    let blanks = characters[first..at].iter().take_while(|c| c.is_whitespace()).count();
    let is_cut_before = first > 0 && blanks == 0;
    let end = (at + 1 + AFTER).min(characters.len());
    let mut before = String::from(if is_cut_before { "…" } else { "" });
    before.extend(&characters[first + blanks..at]);
    let mut after: String = characters.get(at + 1..end).unwrap_or_default().iter().collect();
    if end < characters.len() {
        after.push('…');
    }
    ProblemPlace {
        line,
        column,
        is_listed: line <= lines.len().min(MOST_LINES),
        before,
        at: characters.get(at).map(char::to_string).unwrap_or_default(),
        after,
    }
}

/// Marks lines by the most severe problem in them. Errors come first.
fn mark(lines: &mut [NumberedLine], problems: &[ManifestProblem]) {
    for problem in problems {
        let line = (problem.line as usize).checked_sub(1).and_then(|index| lines.get_mut(index));
        if let Some(line) = line.filter(|line| line.class.is_empty()) {
            line.class = problem.severity.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::validate::{ValidationRules, judge, readable};

    fn view(text: &str) -> ReportView {
        ReportView::new(&judge(text.as_bytes(), ValidationRules::default()), text)
    }

    #[test]
    fn a_place_has_its_line_around_it() {
        let lines = |text: &str| text.lines().map(|line| line.chars().collect()).collect::<Vec<Vec<char>>>();
        let parts = |text: &str, line, column| {
            let ProblemPlace { before, at, after, .. } = place(&lines(text), line, column);
            (before, at, after)
        };
        let expected = |before: &str, at: &str, after: &str| (before.to_owned(), at.to_owned(), after.to_owned());
        assert_eq!(parts("{\n  \"tag\": 1\n}", 2, 3), expected("", "\"", "tag\": 1"));
        assert_eq!(parts("{\n  \"tag\": 1\n}", 2, 10), expected("\"tag\": ", "1", ""));
        assert_eq!(parts("{\"é\": ü", 1, 7), expected("{\"é\": ", "ü", ""));
        assert_eq!(parts("{", 1, 2), expected("{", "", ""), "the end of the text");
        assert_eq!(parts("{\n", 2, 1), expected("", "", ""), "an empty last line");
        let long = format!("{}!{}", "a".repeat(100), "b".repeat(100));
        let around = expected(&format!("…{}", "a".repeat(BEFORE)), "!", &format!("{}…", "b".repeat(AFTER)));
        assert_eq!(parts(&long, 1, 101), around);
    }

    #[test]
    fn the_heading_counts() {
        use ProblemSeverity::{Advice, Error, Warning};
        assert_eq!(view("{").heading.split(' ').nth(1).map(|word| word.starts_with("error")), Some(true));
        let problem = |severity| ManifestProblem {
            code: String::new(),
            severity,
            path: String::new(),
            line: 0,
            column: 0,
            message: String::new(),
            help: String::new(),
        };
        let counted = |valid, severities: &[ProblemSeverity]| {
            let problems = severities.iter().map(|severity| problem(*severity)).collect();
            heading(&ValidationReport { valid, problems, ..judge(b"{", ValidationRules::default()) })
        };
        assert_eq!(counted(true, &[]), "Valid, without problems");
        assert_eq!(counted(true, &[Warning, Advice, Advice]), "Valid, 1 warning, 2 pieces of advice");
        assert_eq!(counted(false, &[Error, Error, Advice]), "2 errors, 1 piece of advice");
    }

    proptest! {
        #[test]
        fn every_text_has_a_report(text in "(?s)[{}\\[\\]\":,a\n\r\t é]{0,60}|.{0,60}") {
            let text = readable(text.as_bytes()).into_owned();
            let view = view(&text);
            prop_assert!(!view.problems.is_empty());
            for place in view.problems.iter().filter_map(|problem| problem.place.as_ref()) {
                prop_assert!(place.before.chars().count() <= BEFORE + 1 && place.after.chars().count() <= AFTER + 1);
                prop_assert!(!place.is_listed || view.lines.len() >= place.line);
            }
        }
    }
}
