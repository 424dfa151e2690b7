//! Filters of templates for texts of others: manifests, registries, users. Characters that cannot be seen, or that
//! change the order of others, are made visible.

#![expect(unreachable_pub, reason = "what askama's macro makes of a filter is `pub`")]

use std::fmt::{self, Display, Formatter, Write as _};
use std::ops::Range;

use askama::filters::HtmlSafe;
use askama::{Result, Values};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A text for elements: each hidden character becomes a box with its code point.
#[askama::filter_fn]
pub fn shown<T: AsRef<str>>(text: T, _: &dyn Values) -> Result<ShownText<T>> {
    Ok(ShownText(text))
}

/// A text for attributes and titles: each hidden character becomes its code point in brackets.
#[askama::filter_fn]
pub fn plain<T: AsRef<str>>(text: T, _: &dyn Values) -> Result<PlainText<T>> {
    Ok(PlainText(text))
}

/// A text as the value of a parameter in an address.
#[askama::filter_fn]
pub fn urlencoded<T: AsRef<str>>(text: T, _: &dyn Values) -> Result<String> {
    Ok(utf8_percent_encode(text.as_ref(), NON_ALPHANUMERIC).to_string())
}

/// A text in HTML, escaped, with boxes in place of hidden characters.
pub struct ShownText<T>(pub T);

impl<T: AsRef<str>> HtmlSafe for ShownText<T> {}

impl<T: AsRef<str>> Display for ShownText<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_shown(f, self.0.as_ref())
    }
}

/// A text without hidden characters. Not escaped.
pub struct PlainText<T>(pub T);

impl<T: AsRef<str>> Display for PlainText<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.as_ref().chars().try_for_each(|c| match c {
            c if is_hidden(c) => write!(f, "[U+{:04X}]", u32::from(c)),
            c => f.write_char(c),
        })
    }
}

/// A text with marked ranges, in HTML: escaped, with boxes in place of hidden characters. Ranges are in characters, in
/// order, and do not overlap.
#[derive(Clone, Debug)]
pub struct MarkedText {
    pub text: String,
    pub ranges: Vec<Range<usize>>,
}

impl MarkedText {
    /// A text without marks.
    pub fn unmarked(text: &str) -> Self {
        Self { text: text.to_owned(), ranges: Vec::new() }
    }
}

impl HtmlSafe for MarkedText {}

impl Display for MarkedText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut ranges = self.ranges.iter().filter(|range| !range.is_empty()).peekable();
        let mut is_open = false;
        for (at, c) in self.text.chars().enumerate() {
            if ranges.peek().is_some_and(|range| range.start == at) {
                f.write_str("<mark>")?;
                is_open = true;
            }
            write_char(f, c)?;
            if is_open && ranges.next_if(|range| range.end == at + 1).is_some() {
                f.write_str("</mark>")?;
                is_open = false;
            }
        }
        if is_open { f.write_str("</mark>") } else { Ok(()) }
    }
}

fn write_shown(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| write_char(f, c))
}

fn write_char(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '&' => f.write_str("&amp;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        c if is_hidden(c) => write!(f, "<span class=\"hidden-char\">U+{:04X}</span>", u32::from(c)),
        c => f.write_char(c),
    }
}

/// Whether a character cannot be seen, or changes the order of others. Line feeds and tabs are white space.
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
        '\u{AD}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{3164}' | '\u{FFA0}' => true,
        // Zero-width characters and marks of direction; line separators and embeddings; invisible operators and
        // isolates. The zero-width joiners are part of scripts and of emoji.
        '\u{200B}' | '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' => true,
        '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' => true,
        // Tags: invisible copies of ASCII.
        '\u{E0000}'..='\u{E007F}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_are_seen() {
        let text = "a\u{202E}b\u{0}<i>'\"&\n";
        let html = "a<span class=\"hidden-char\">U+202E</span>b<span class=\"hidden-char\">U+0000</span>\
                    &lt;i&gt;&#39;&quot;&amp;\n";
        assert_eq!(ShownText(text).to_string(), html);
        assert_eq!(PlainText(text).to_string(), "a[U+202E]b[U+0000]<i>'\"&\n");
        assert_eq!(ShownText("é \u{200D} 中").to_string(), "é \u{200D} 中");
    }

    #[test]
    fn marks_stand_where_they_should() {
        let marked =
            |text: &str, ranges: &[Range<usize>]| MarkedText { text: text.to_owned(), ranges: ranges.to_vec() };
        assert_eq!(marked("a<b> é", &[1..2, 5..6]).to_string(), "a<mark>&lt;</mark>b&gt; <mark>é</mark>");
        assert_eq!(marked("ab", std::slice::from_ref(&(0..2))).to_string(), "<mark>ab</mark>");
        assert_eq!(marked("ab", &[0..1, 1..2]).to_string(), "<mark>a</mark><mark>b</mark>");
        assert_eq!(marked("ab", std::slice::from_ref(&(1..9))).to_string(), "a<mark>b</mark>");
        assert_eq!(marked("ab", &[1..1, 7..9]).to_string(), "ab");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_element(text in "(?s).{0,60}", start in 0..60_usize, length in 0..60_usize) {
            let marked = MarkedText { text: text.clone(), ranges: std::iter::once(start..start + length).collect() }.to_string();
            let unmarked = marked.replacen("<mark>", "", 1).replacen("</mark>", "", 1);
            let shown = ShownText(&text).to_string();
            prop_assert_eq!(&unmarked, &shown);
            prop_assert_eq!(marked.matches("<mark>").count(), marked.matches("</mark>").count());
            let bare = shown.replace("<span class=\"hidden-char\">", "").replace("</span>", "");
            prop_assert!(!bare.contains(['<', '>', '"', '\'']));
        }
    }
}
