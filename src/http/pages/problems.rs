//! `/help/problems`: what each code of a manifest's problems means, from `docs/problems.md`.

use askama::Template;
use axum::response::Response;

use super::filters;
use super::frame::PageSection;
use super::{PageFrame, reply};
use crate::http::error::Result;
use crate::seed::{ProblemCode, ProblemSeverity, ValidationProfile, explanation};

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    frame: PageFrame,
    problems: Vec<ProblemHelp>,
}

/// The explanation of a code.
struct ProblemHelp {
    code: &'static str,
    /// Severity in each profile, such as `error` or `warning, in scale error`.
    severity: String,
    blocks: Vec<HelpBlock>,
}

/// A paragraph, or lines of an example.
enum HelpBlock {
    /// Parts of the text; those that are code are marked.
    Paragraph(Vec<(bool, String)>),
    Example(String),
}

pub(super) async fn problems(frame: PageFrame) -> Result<Response> {
    let help = |code: &ProblemCode| ProblemHelp {
        code: code.as_str(),
        severity: severity(*code),
        blocks: blocks(explanation(code.as_str()).unwrap_or_default()),
    };
    let problems = ProblemCode::ALL.iter().map(help).collect();
    reply(&ProblemsPage { problems, frame: frame.in_section(PageSection::Help) })
}

/// CSS class of the sign of a problem.
pub(super) fn sign(severity: ProblemSeverity) -> &'static str {
    match severity {
        ProblemSeverity::Error => "state bad",
        ProblemSeverity::Warning => "state warn",
        ProblemSeverity::Advice => "state hush",
    }
}

fn severity(code: ProblemCode) -> String {
    let of = |profile| code.severity(profile).as_str();
    let usual = of(ValidationProfile::Spec);
    let others = ValidationProfile::ALL.into_iter().filter(|profile| of(*profile) != usual);
    let others: String = others.map(|profile| format!(", in {} {}", profile.as_str(), of(profile))).collect();
    format!("{usual}{others}")
}

/// The blocks of our Markdown: paragraphs, and code between fences.
fn blocks(text: &str) -> Vec<HelpBlock> {
    let mut blocks = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            // The first line has the language.
            let lines = part.split_once('\n').map_or(part, |(_, lines)| lines);
            blocks.push(HelpBlock::Example(lines.trim_end().to_owned()));
        } else {
            let paragraphs = part.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
            blocks.extend(paragraphs.map(|paragraph| HelpBlock::Paragraph(spans(paragraph))));
        }
    }
    blocks
}

/// The parts of a paragraph. Emphasis is dropped, and a link keeps its text.
fn spans(paragraph: &str) -> Vec<(bool, String)> {
    let parts = paragraph.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { (true, part.to_owned()) } else { (false, plain(part)) }).collect()
}

fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after.split_once("](").and_then(|(label, url)| Some((label, url.split_once(')')?.1))) {
            Some((label, after)) => {
                plain.push_str(label);
                rest = after;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.replace('*', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_become_plain_blocks() {
        for code in ProblemCode::ALL {
            let blocks = blocks(explanation(code.as_str()).unwrap());
            assert!(!blocks.is_empty(), "{code:?}");
            for block in blocks {
                let HelpBlock::Paragraph(spans) = block else { continue };
                for (is_code, text) in spans {
                    assert!(is_code || !text.contains(['`', '*']) && !text.contains("]("), "{code:?}: {text}");
                }
            }
        }
        assert_eq!(severity(ProblemCode::NullScalar), "warning, in seed-cli error, in scale error");
    }
}
