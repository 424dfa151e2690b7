//! Normalises letters for search: NFKC, lower case, without accents. Pure.

use std::cell::RefCell;
use std::collections::HashMap;
use std::iter;
use std::mem;
use std::ops::Range;

use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, TextAnalyzer, TokenStream as _};
use unicode_normalization::char::{canonical_combining_class, decompose_compatible, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};
use unicode_script::{Script, UnicodeScript as _};

/// A normalised letter, digit or sign of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoldedLetter {
    pub c: char,
    /// Bytes of the text that it was made from. Several letters may be made from one character, such as a ligature.
    pub range: Range<usize>,
    pub case: LetterCase,
}

/// Case of a letter in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LetterCase {
    Upper,
    Lower,
    /// A sign, a digit, or a letter of a script without case.
    Neither,
}

/// Whether a script separates words by blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordKind {
    /// Words are separated by blanks.
    Spaced,
    /// Words are written without blanks, as in Chinese, Japanese and Thai. Korean has blanks, but not at the same
    /// places in every text.
    Unspaced,
}

impl LetterCase {
    fn of(c: char) -> Self {
        if c.is_uppercase() {
            Self::Upper
        } else if c.is_lowercase() {
            Self::Lower
        } else {
            Self::Neither
        }
    }
}

impl WordKind {
    /// `None` for signs and for combining marks.
    pub(super) fn of(c: char) -> Option<Self> {
        use Script::{Bopomofo, Han, Hangul, Hiragana, Katakana, Khmer, Lao, Myanmar, Thai};
        if c.is_ascii() {
            return c.is_ascii_alphanumeric().then_some(Self::Spaced);
        }
        let is_unspaced = || {
            let script = c.script();
            // The Japanese prolonged sound mark belongs to no script.
            matches!(script, Han | Hiragana | Katakana | Bopomofo | Hangul | Thai | Lao | Khmer | Myanmar) || c == 'ー'
        };
        c.is_alphanumeric().then(|| if is_unspaced() { Self::Unspaced } else { Self::Spaced })
    }

    /// Whether a word of this kind continues with this letter.
    pub(super) fn has(self, c: char) -> bool {
        Self::of(c) == Some(self) || !c.is_ascii() && is_combining_mark(c)
    }
}

/// The normalised letters of a text. Texts that differ in their Unicode normal form only have the same letters.
pub(super) fn letters(text: &str) -> Vec<FoldedLetter> {
    if text.is_ascii() {
        let letter = |(at, c): (usize, char)| FoldedLetter {
            c: c.to_ascii_lowercase(),
            range: at..at + 1,
            case: LetterCase::of(c),
        };
        return text.char_indices().map(letter).collect();
    }
    let mut letters = Vec::with_capacity(text.len());
    let mut cluster = LetterCluster::default();
    for (at, c) in text.char_indices().filter(|(_, c)| !is_ignored(*c)) {
        // NFKC would append `TM` or `SM` to the word before.
        let c = if matches!(c, '™' | '℠') { ' ' } else { c };
        decompose_compatible(c, |part| {
            let is_first = canonical_combining_class(part) == 0
                && (part.is_ascii() || is_nfc_quick(iter::once(part)) == IsNormalized::Yes);
            if is_first {
                cluster.put_into(&mut letters);
                cluster = LetterCluster {
                    parts: mem::take(&mut cluster.parts),
                    range: at..at,
                    case: Some(LetterCase::of(c)),
                };
            }
            cluster.parts.push(part);
            cluster.range.end = at + c.len_utf8();
        });
    }
    cluster.put_into(&mut letters);
    letters
}

/// The normalised letters of a text as a string.
pub fn folded(text: &str) -> String {
    letters(text).into_iter().map(|letter| letter.c).collect()
}

/// Normalises a whole text for exact comparison: NFKC and lower case, accents are kept.
pub(super) fn normal(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().filter(|c| !is_ignored(*c)).nfkc().collect::<String>().to_lowercase()
}

/// A text in NFC, the form in which texts are shown.
pub(super) fn composed(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

/// Replaces full-width signs, and typographic quotes and dashes, by their ASCII equivalents.
pub(super) fn straight(text: &str) -> String {
    const FULL_WIDTH: u32 = '！' as u32 - '!' as u32;
    let sign = |c: char| match c {
        _ if c.is_ascii() => c,
        '！'..='～' => char::from_u32(c as u32 - FULL_WIDTH).unwrap_or(c),
        _ if c.is_alphanumeric() || c.is_whitespace() => c,
        _ => fold(c, |folded| match *folded {
            [sign] if sign.is_ascii() => sign,
            _ => c,
        }),
    };
    text.chars().map(sign).collect()
}

/// A decomposed letter with its combining marks.
#[derive(Default)]
struct LetterCluster {
    parts: String,
    range: Range<usize>,
    case: Option<LetterCase>,
}

impl LetterCluster {
    /// Appends the cluster's letters to `letters`, and clears its parts.
    fn put_into(&mut self, letters: &mut Vec<FoldedLetter>) {
        let case = self.case.unwrap_or(LetterCase::Neither);
        let range = &self.range;
        // Letters made from one character share its range, including a combining mark after it.
        for earlier in letters.iter_mut().rev().take_while(|earlier| earlier.range.end > range.start) {
            earlier.range.end = range.end;
        }
        for c in self.parts.nfc() {
            fold(c, |folded| letters.extend(folded.iter().map(|c| FoldedLetter { c: *c, range: range.clone(), case })));
        }
        self.parts.clear();
    }
}

/// Passes the normalised form of an NFC letter to `with`.
fn fold<T>(c: char, with: impl FnOnce(&[char]) -> T) -> T {
    /// Maximum number of cached letters: as many as a text of any script uses.
    const REMEMBERED: usize = 20_000;
    thread_local! {
        static KNOWN: RefCell<HashMap<char, Box<[char]>>> = RefCell::default();
    }
    if c.is_ascii() {
        return with(&[c.to_ascii_lowercase()]);
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() == REMEMBERED {
            known.clear();
        }
        with(known.entry(c).or_insert_with(|| compute_fold(c)))
    })
}

fn compute_fold(c: char) -> Box<[char]> {
    // A letter of its own in Cyrillic, not `и` with an accent.
    if matches!(c, 'й' | 'Й') {
        return ['й'].into();
    }
    let bare: String = iter::once(c).nfkd().filter(|part| !is_accent(*part)).flat_map(char::to_lowercase).collect();
    let bare: String = bare.nfc().filter(|c| !is_accent(*c)).filter_map(canonical_letter).collect();
    let mut folded = String::new();
    let mut ascii = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter).build();
    ascii.token_stream(&bare).process(&mut |token| folded.clone_from(&token.text));
    folded.chars().collect()
}

/// Marks that people omit when they type: accents, and the points of Arabic and Hebrew. Marks that are vowels (Hindi,
/// Thai) or make another letter (Japanese) have other combining classes.
fn is_accent(c: char) -> bool {
    let is_dot_of_indic_letters = ('\u{900}'..='\u{dff}').contains(&c) && canonical_combining_class(c) == 7;
    matches!(canonical_combining_class(c), 1 | 10..=36 | 200..) || is_dot_of_indic_letters
}

/// Maps variants of a letter, and digits of other scripts, to one character; `None` for the Arabic tatweel, which only
/// stretches a line.
fn canonical_letter(c: char) -> Option<char> {
    const ZEROS: [char; 9] = ['٠', '۰', '०', '০', '๐', '໐', '၀', '០', '௦'];
    Some(match c {
        'ς' => 'σ',
        '♯' => '#',
        '−' => '-',
        'ʼ' | 'ʻ' | 'ʹ' => '\'',
        'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        'ة' => 'ه',
        'ـ' => return None,
        _ => {
            let digit = |zero: &char| (c as u32).checked_sub(*zero as u32).filter(|digit| *digit < 10);
            let digit = if c.is_numeric() { ZEROS.iter().find_map(digit) } else { None };
            digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
        }
    })
}

/// Invisible characters: soft hyphens, zero-width spaces, directional marks, variation selectors (Unicode:
/// `Default_Ignorable_Code_Point`).
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        for (texts, expected) in [
            (&["Größe", "Gro\u{308}ße", "GRÖSSE", "Größe"][..], "grosse"),
            (&["São", "Sa\u{303}o", "SÃO"], "sao"),
            (&["ＮＤＶＩ", "𝐍𝐃𝐕𝐈", "ndvi", "Ｎ\u{200b}DV\u{ad}I"], "ndvi"),
            (&["ﬂood", "ﬂo\u{2060}od"], "flood"),
            (&["İstanbul", "I\u{307}stanbul", "ıstanbul", "ISTANBUL"], "istanbul"),
            (&["Đồng", "Đo\u{302}\u{300}ng", "đồng"], "dong"),
            (&["ΠΛΗΜΜΎΡΑΣ", "πλημμύρας", "πλημμυρασ"], "πλημμυρασ"),
            (&["ёлка", "е\u{308}лка", "ЕЛКА"], "елка"),
            (&["край", "краи\u{306}"], "край"),
            (&["ガス", "カ\u{3099}ス", "ｶﾞｽ"], "ガス"),
            (&["홍수", "\u{1112}\u{1169}\u{11bc}\u{1109}\u{116e}"], "홍수"),
            (&["हिन्दी"], "हिन्दी"),
            (&["बाढ़", "बा\u{95d}", "बाढ"], "बाढ"),
            (&["น้ำ", "น้\u{e4d}\u{e32}"], "น้\u{e4d}\u{e32}"),
            (&["أَرْض", "ارض"], "ارض"),
            (&["שָׁלוֹם", "שלום"], "שלום"),
            (&["µm²", "μm2"], "μm2"),
            (&["٢٠٢٤", "２０２４"], "2024"),
        ] {
            for text in texts {
                assert_eq!(folded(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn letters_know_where_they_were_written() {
        let text = "e\u{301}ﬁß";
        let found: Vec<_> = letters(text).into_iter().map(|letter| (letter.c, &text[letter.range])).collect();
        let expected = [('e', "e\u{301}"), ('f', "ﬁ"), ('i', "ﬁ"), ('s', "ß"), ('s', "ß")];
        assert_eq!(found, expected);
        let marked = letters("⑩\u{a3c}x").into_iter().map(|letter| (letter.c, letter.range)).collect::<Vec<_>>();
        assert_eq!(marked, [('1', 0..6), ('0', 0..6), ('x', 6..7)]);
    }

    #[test]
    fn signs_of_every_keyboard_are_those_of_ascii() {
        assert_eq!(straight("ｔａｇ：ｒａｄａｒ　“a” „b“ −c －d Ｃ＋＋"), "tag:radar　\"a\" \"b\" -c -d C++");
        assert_eq!(straight("Größe 海氷 ™"), "Größe 海氷 ™");
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_text_does_not_matter(text in "\\PC{0,20}|[a-zA-Zäß\u{300}-\u{345}가-힣か-ゞｦ-ﾟก-๛א-תऀ-ॿ]{0,20}") {
            let text: String = text.replace(['™', '℠'], "");
            let expected = folded(&text);
            for form in [text.nfc().collect::<String>(), text.nfd().collect(), text.nfkc().collect(), text.nfkd().collect()] {
                prop_assert_eq!(&folded(&form), &expected, "{:?}", form);
            }
            let mut end = 0;
            for letter in letters(&text) {
                prop_assert!(letter.range.start >= end || letter.range.end == end, "{:?}", letter);
                prop_assert!(text.get(letter.range.clone()).is_some_and(|part| !part.is_empty()));
                end = letter.range.end;
            }
        }
    }
}
