//! Escaping for XML: Atom feeds in `http`, test reports in `cli`. Pure.

/// Escapes text and attribute values for XML 1.0. Texts of manifests may contain any character; those that XML cannot
/// represent become U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would normalize it to a line feed (XML 1.0, §2.11).
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    /// The text of a document with one element.
    fn parsed(xml: &str) -> String {
        let mut reader = Reader::from_str(xml);
        let mut text = String::new();
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Text(part) => text.push_str(&part),
                Event::GeneralRef(part) => match part.resolve_char_ref().unwrap() {
                    Some(c) => text.push(c),
                    None => {
                        text.push_str(quick_xml::escape::resolve_predefined_entity(&part).expect("a known entity"));
                    }
                },
                Event::Eof => return text,
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_but_for_what_xml_cannot_hold(text in "(?s).{0,60}") {
            let kept = parsed(&format!("<a>{}</a>", escaped(&text)));
            let expected: String = text
                .chars()
                .map(|c| match c {
                    '\n' | '\t' | '\r' => c,
                    c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => '\u{FFFD}',
                    c => c,
                })
                .collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
