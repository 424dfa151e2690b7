//! Checks that apply to any JSON document: encoding, syntax, duplicate keys, control characters.

use std::collections::HashSet;

use super::findings::FindingCollector;
use super::source::DecodedManifest;
use crate::ProblemCode;
use crate::json::{JsonDocument, JsonFaultKind, JsonMember, JsonNode, JsonNodeKind, JsonPointer, excerpt};

/// Reports problems of the encoding.
pub(super) fn encoding(findings: &mut FindingCollector, source: &DecodedManifest<'_>) {
    if let Some(at) = source.broken_at {
        findings.add(ProblemCode::NotUtf8, JsonPointer::Root, at, || match source.utf16 {
            true => ("The text is UTF-16.".to_owned(), "Save it as UTF-8 without a byte order mark.".to_owned()),
            false => ("This byte is not UTF-8.".to_owned(), "Save the text as UTF-8.".to_owned()),
        });
    } else if source.marked {
        findings.add(ProblemCode::ByteOrderMark, JsonPointer::Root, 0, || {
            let help = "Save it as UTF-8 without a byte order mark.";
            ("The text begins with a byte order mark, which many JSON parsers refuse.".to_owned(), help.to_owned())
        });
    }
}

/// Reports the syntax errors that the parser found.
pub(super) fn faults(findings: &mut FindingCollector, document: &mut JsonDocument<'_>) {
    for fault in document.faults.drain(..) {
        let code = match fault.kind {
            JsonFaultKind::Syntax => ProblemCode::JsonSyntax,
            JsonFaultKind::TooDeep => ProblemCode::TooDeep,
            JsonFaultKind::NumberOutOfRange => ProblemCode::NumberOutOfRange,
            JsonFaultKind::TrailingText => ProblemCode::TrailingText,
        };
        findings.add(code, JsonPointer::Root, fault.at, || (fault.message, fault.help));
    }
    findings.count(ProblemCode::JsonSyntax, document.more);
}

/// Checks every value, also those that the standard does not define.
pub(super) fn sweep(findings: &mut FindingCollector, path: JsonPointer<'_>, node: &JsonNode<'_>) {
    match &node.kind {
        JsonNodeKind::Text(text) => control_characters(findings, path, node.at, text),
        JsonNodeKind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                sweep(findings, JsonPointer::Index(&path, index), item);
            }
        }
        JsonNodeKind::Object(object) => {
            repeated_keys(findings, path, &object.members);
            for member in &object.members {
                sweep(findings, JsonPointer::Key(&path, &member.key), &member.value);
            }
        }
        _ => {}
    }
}

fn repeated_keys(findings: &mut FindingCollector, path: JsonPointer<'_>, members: &[JsonMember<'_>]) {
    /// Up to this number of members, pairwise comparison is cheaper than a hash set.
    const FEW: usize = 16;
    let mut repeated = |member: &JsonMember<'_>| {
        findings.add(ProblemCode::DuplicateKey, JsonPointer::Key(&path, &member.key), member.at, || {
            let message = format!("The key {} is in this object already.", excerpt(&member.key));
            (message, "Keep one of them: most readers take the last, some the first.".to_owned())
        });
    };
    if members.len() <= FEW {
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|earlier| earlier.key == member.key) {
                repeated(member);
            }
        }
        return;
    }
    let mut seen = HashSet::with_capacity(members.len());
    for member in members {
        if !seen.insert(&*member.key) {
            repeated(member);
        }
    }
}

fn control_characters(findings: &mut FindingCollector, path: JsonPointer<'_>, at: usize, text: &str) {
    // Fast path: most texts are printable ASCII.
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return;
    }
    if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        findings.add(ProblemCode::ControlCharacter, path, at, || {
            let message = format!("The text holds the control character U+{:04X}.", u32::from(c));
            (message, "Remove it: terminals, shells and databases stumble over it.".to_owned())
        });
    }
}
