//! What a terminal would show of a line: colours and styles become CSS classes, all other escapes are left out
//! (ECMA-48). Texts of jobs are hostile: everything else is shown, with boxes in place of hidden characters.
//!
//! Each line begins without a style, since a page does not read the lines before it.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;
use vte::{Params, Parser, Perform};

use crate::http::pages::filters::ShownText;

/// A line as HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TerminalText {
    spans: Vec<StyledSpan>,
    /// In characters.
    length: usize,
}

/// A part of a line in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StyledSpan {
    style: TextStyle,
    text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TextStyle {
    /// Of the 16 colours of terminals.
    colour: Option<u8>,
    background: Option<u8>,
    is_bold: bool,
    is_faint: bool,
    is_italic: bool,
    is_underlined: bool,
    is_reversed: bool,
    is_struck: bool,
}

impl TerminalText {
    /// Reads a line without its line feed.
    pub(super) fn of(line: &str) -> Self {
        let mut screen = TerminalLine::default();
        let mut parser = Parser::new();
        parser.advance(&mut screen, line.as_bytes());
        // An escape that does not end would hide the rest of the line. Only outside of escapes this is printed.
        let is_complete = {
            let mut probe = EscapeProbe::default();
            parser.advance(&mut probe, b"!");
            probe.is_printed
        };
        if !is_complete && let Some(escape) = line.rfind('\u{1b}') {
            line[escape..].chars().for_each(|c| screen.push(c));
        }
        screen.text
    }

    /// The first characters, and the others, if there are more.
    pub(super) fn folded(mut self, most: usize) -> (Self, Option<Self>) {
        if self.length <= most {
            return (self, None);
        }
        let mut left = most;
        let mut rest = Self { spans: Vec::new(), length: self.length - most };
        self.length = most;
        let spans = std::mem::take(&mut self.spans);
        for StyledSpan { style, mut text } in spans {
            let end = text.char_indices().nth(left).map_or(text.len(), |(end, _)| end);
            let after = text.split_off(end);
            left -= text.chars().count();
            for (part, text) in [(&mut self.spans, text), (&mut rest.spans, after)] {
                if !text.is_empty() {
                    part.push(StyledSpan { style, text });
                }
            }
        }
        (self, Some(rest))
    }

    /// In characters.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl HtmlSafe for TerminalText {}

impl Display for TerminalText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.spans.iter().try_for_each(|StyledSpan { style, text }| match style {
            style if *style == TextStyle::default() => write!(f, "{}", ShownText(text)),
            style => write!(f, "<span class=\"{style}\">{}</span>", ShownText(text)),
        })
    }
}

/// The CSS classes: `a` and the number of the style in ECMA-48.
impl Display for TextStyle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.is_bold, 1),
            (self.is_faint, 2),
            (self.is_italic, 3),
            (self.is_underlined, 4),
            (self.is_reversed, 7),
            (self.is_struck, 9),
        ];
        let flags = flags.into_iter().filter_map(|(is_set, number)| is_set.then_some(number));
        let code = |colour: u8| if colour < 8 { 30 + colour } else { 82 + colour };
        // Both intensities of a background are one class.
        let background = self.background.map(|colour| 40 + colour % 8);
        let all = flags.chain(self.colour.map(code)).chain(background);
        for (index, number) in all.enumerate() {
            write!(f, "{}a{number}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// A line of a terminal while it is written.
#[derive(Default)]
struct TerminalLine {
    text: TerminalText,
    style: TextStyle,
    /// What is printed next begins the line anew, as progress bars do.
    is_returned: bool,
}

impl TerminalLine {
    fn push(&mut self, c: char) {
        if std::mem::take(&mut self.is_returned) {
            self.text = TerminalText::default();
        }
        self.text.length += 1;
        match self.text.spans.last_mut().filter(|last| last.style == self.style) {
            Some(last) => last.text.push(c),
            None => self.text.spans.push(StyledSpan { style: self.style, text: c.to_string() }),
        }
    }
}

impl Perform for TerminalLine {
    fn print(&mut self, c: char) {
        self.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.is_returned = true,
            byte => self.push(char::from(byte)),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignored: bool, action: char) {
        if action == 'm' && intermediates.is_empty() {
            self.style.change(params);
        }
    }
}

/// Whether a character is printed.
#[derive(Default)]
struct EscapeProbe {
    is_printed: bool,
}

impl Perform for EscapeProbe {
    fn print(&mut self, _c: char) {
        self.is_printed = true;
    }
}

impl TextStyle {
    /// Applies Select Graphic Rendition (ECMA-48, section 8.3.117).
    fn change(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(param) = params.next() {
            let [number, sub @ ..] = param else { continue };
            match *number {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                2 => self.is_faint = true,
                3 => self.is_italic = true,
                4 => self.is_underlined = sub.first() != Some(&0),
                7 => self.is_reversed = true,
                9 => self.is_struck = true,
                22 => (self.is_bold, self.is_faint) = (false, false),
                23 => self.is_italic = false,
                24 => self.is_underlined = false,
                27 => self.is_reversed = false,
                29 => self.is_struck = false,
                number @ (30..=37 | 90..=97) => self.colour = Some(basic(number)),
                number @ (40..=47 | 100..=107) => self.background = Some(basic(number - 10)),
                number @ (38 | 48) => {
                    // With colons in one parameter, with semicolons in several.
                    let colour = match sub {
                        [] => extended(|| params.next().and_then(|param| param.first()).copied()),
                        sub => {
                            // A colour space may stand before red, green and blue.
                            let sub = if sub.len() > 4 { [&sub[..1], &sub[2..]].concat() } else { sub.to_vec() };
                            let mut sub = sub.into_iter();
                            extended(|| sub.next())
                        }
                    };
                    let place = if number == 38 { &mut self.colour } else { &mut self.background };
                    *place = colour.or(*place);
                }
                39 => self.colour = None,
                49 => self.background = None,
                _ => {}
            }
        }
    }
}

/// The colour of 30 to 37 and 90 to 97.
fn basic(number: u16) -> u8 {
    (if number < 90 { number - 30 } else { number - 82 }) as u8
}

/// The nearest of the 16 colours to one of 256 (`5;n`) or to red, green and blue (`2;r;g;b`).
fn extended(mut next: impl FnMut() -> Option<u16>) -> Option<u8> {
    match next()? {
        5 => match next()? {
            number @ 0..=15 => Some(number as u8),
            number @ 16..=231 => {
                let step = |part: u16| if part == 0 { 0 } else { 55 + 40 * part };
                let cube = number - 16;
                Some(nearest([step(cube / 36), step(cube / 6 % 6), step(cube % 6)]))
            }
            number @ 232..=255 => Some(nearest([8 + 10 * (number - 232); 3])),
            _ => None,
        },
        2 => Some(nearest([next()?, next()?, next()?].map(|part| part.min(255)))),
        _ => None,
    }
}

fn nearest(colour: [u16; 3]) -> u8 {
    /// As xterm has them.
    const COLOURS: [[u16; 3]; 16] = [
        [0, 0, 0],
        [205, 0, 0],
        [0, 205, 0],
        [205, 205, 0],
        [0, 0, 238],
        [205, 0, 205],
        [0, 205, 205],
        [229, 229, 229],
        [127, 127, 127],
        [255, 0, 0],
        [0, 255, 0],
        [255, 255, 0],
        [92, 92, 255],
        [255, 0, 255],
        [0, 255, 255],
        [255, 255, 255],
    ];
    let distance =
        |other: &[u16; 3]| -> u32 { colour.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
    let found = COLOURS.iter().enumerate().min_by_key(|(_, other)| distance(other));
    found.map_or(0, |(index, _)| index as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(line: &str) -> String {
        TerminalText::of(line).to_string()
    }

    fn plain(text: &TerminalText) -> String {
        text.spans.iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn colours_and_styles_become_classes() {
        for (line, expected) in [
            ("a\u{1b}[1;32mb\u{1b}[0mc", "a<span class=\"a1 a32\">b</span>c"),
            ("\u{1b}[31mred\u{1b}[39m plain", "<span class=\"a31\">red</span> plain"),
            ("\u{1b}[91;104mx", "<span class=\"a91 a44\">x</span>"),
            ("\u{1b}[1;2;3;4;7;9mx\u{1b}[22;23;24;27;29my", "<span class=\"a1 a2 a3 a4 a7 a9\">x</span>y"),
            ("\u{1b}[38;5;9mx\u{1b}[38;5;196my", "<span class=\"a91\">xy</span>"),
            ("\u{1b}[38:2::255:0:0mx\u{1b}[38:2:255:0:0my", "<span class=\"a91\">xy</span>"),
            ("\u{1b}[48;2;0;0;238;1mx", "<span class=\"a1 a44\">x</span>"),
            ("\u{1b}[38;5;244mx\u{1b}[38;5mx\u{1b}[38;5;999mx", "<span class=\"a90\">xxx</span>"),
            ("\u{1b}[mx\u{1b}[?25l\u{1b}[2Ky\u{1b}[>4mz", "xyz"),
        ] {
            assert_eq!(html(line), expected, "{line:?}");
        }
    }

    #[test]
    fn everything_else_is_shown_or_is_an_escape() {
        let boxed = |code: &str| format!("<span class=\"hidden-char\">U+{code}</span>");
        for (line, expected) in [
            ("<b>&\"'</script>", "&lt;b&gt;&amp;&quot;&#39;&lt;/script&gt;".to_owned()),
            ("a\u{0}b\u{7}c\u{7f}", format!("a{}b{}c{}", boxed("0000"), boxed("0007"), boxed("007F"))),
            ("\u{1b}]8;;javascript:alert(1)\u{1b}\\link\u{1b}]8;;\u{7}!", "link!".to_owned()),
            ("\u{1b}]0;title\u{7}x\u{1b}Pq#0\u{1b}\\y\u{1b}_apc\u{1b}\\z", "xyz".to_owned()),
            ("a\u{9b}31mb", format!("a{}31mb", boxed("009B"))),
            ("a\u{202e}b\tc", format!("a{}b\tc", boxed("202E"))),
            // An escape that does not end hides nothing.
            ("a\u{1b}]8;;hidden <i>", format!("a{}]8;;hidden &lt;i&gt;", boxed("001B"))),
            ("a\u{1b}[31mb\u{1b}[9", format!("a<span class=\"a31\">b{}[9</span>", boxed("001B"))),
            ("a\u{1b}", format!("a{}", boxed("001B"))),
        ] {
            assert_eq!(html(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_progress_bar_shows_its_last_state() {
        assert_eq!(html(" 10 %\r 50 %\r\u{1b}[32m100 %\u{1b}[0m"), "<span class=\"a32\">100 %</span>");
        assert_eq!(html("done\r"), "done");
        assert_eq!(html("\r\rdone\r\r"), "done");
        assert_eq!(html("\r"), "");
    }

    #[test]
    fn long_lines_are_folded_with_their_style() {
        let (first, rest) = TerminalText::of("ab\u{1b}[31mçd\u{1b}[0mef").folded(3);
        assert_eq!(first.to_string(), "ab<span class=\"a31\">ç</span>");
        assert_eq!(
            rest.map(|rest| (rest.to_string(), rest.length())),
            Some(("<span class=\"a31\">d</span>ef".to_owned(), 3))
        );
        assert_eq!(TerminalText::of("abc").folded(3), (TerminalText::of("abc"), None));
    }

    proptest! {
        /// Only escapes are lost, and the text stays in its element.
        #[test]
        fn nothing_is_lost_but_escapes(line in "[a<>&\"'\u{0}\u{7}\u{9b}\u{202e}é]{0,30}") {
            let text = TerminalText::of(&line);
            prop_assert_eq!(plain(&text), line.as_str());
            prop_assert_eq!(text.to_string(), ShownText(&line).to_string());
            prop_assert_eq!(text.length(), line.chars().count());
        }

        #[test]
        fn any_line_is_escaped_text(line in "(\\PC|[\u{1b}\u{7}\r\u{9b}\\[\\]m;0-9<>\"]){0,60}", most in 1..20_usize) {
            let text = TerminalText::of(&line);
            // What is shown is in the line, in this order.
            let mut rest = line.chars();
            let is_inside = plain(&text).chars().all(|c| rest.any(|other| other == c));
            prop_assert!(is_inside || line.contains('\u{1b}'), "{line:?}");
            let html = text.to_string();
            let mut bare = html.replace("</span>", "");
            while let Some(begin) = bare.find("<span class=\"") {
                let end = begin + bare[begin..].find("\">").expect("a tag ends") + 2;
                let class = &bare[begin + 13..end - 2];
                prop_assert!(class.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '-'), "{class}");
                bare.replace_range(begin..end, "");
            }
            prop_assert!(!bare.contains(['<', '>', '"', '\'', '\r', '\u{1b}']), "{bare}");
            // Folding loses nothing.
            let (first, others) = text.clone().folded(most);
            let others = others.unwrap_or_default();
            prop_assert_eq!(plain(&first) + &plain(&others), plain(&text));
            prop_assert_eq!(first.length() + others.length(), text.length());
        }
    }
}
