//! Tokenizes texts: words are runs of letters and digits in normalised form; identifiers are also split into parts,
//! compounds also joined, and words of some languages also stemmed. In scripts written without blanks, each pair of
//! neighbouring letters is a word, so that every part of a text is found. Pure.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::iter;
use std::ops::Range;

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer, TokenStream as _};
use unicode_script::{Script, UnicodeScript as _};

use super::folding::{FoldedLetter, LetterCase, WordKind, letters};

/// Maximum length of a word, in bytes; longer ones are not indexed, as nobody searches for them.
const MAX_WORD_BYTES: usize = 255;
/// Maximum length of an acronym, in letters.
pub(super) const LONGEST_ACRONYM: usize = 6;
/// Maximum number of words of a phrase: each position of a text is compared with all of them.
pub(super) const LONGEST_SEQUENCE: usize = 64;

/// tantivy's analyzer for texts that [`indexed`] has tokenized already: splits at white space only.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(tantivy::tokenizer::WhitespaceTokenizer::default()).build()
}

/// The words of a text in order, without parts and stems: `landCover` is `landcover`. Unspaced text is one word.
pub(super) fn plain(text: &str) -> Vec<String> {
    let text = TokenizedText::new(text);
    text.words.iter().filter(|word| text.is_word(word)).map(|word| text.word(word)).collect()
}

/// The words of a query: identifiers are replaced by their parts.
pub(super) fn typed(text: &str) -> Vec<String> {
    let text = TokenizedText::new(text);
    let parts = |word| if text.is_signed(word) { vec![word.letters.clone()] } else { text.parts(word, false) };
    let parts =
        text.words.iter().flat_map(|word| parts(word).into_iter().map(|letters| WordToken { letters, ..*word }));
    parts.filter(|word| text.is_word(word)).map(|word| text.word(&word)).collect()
}

/// Whether a word is of a script written without blanks, so that the index has only its [`pairs`].
pub(super) fn is_unspaced(word: &str) -> bool {
    word.chars().next().and_then(WordKind::of) == Some(WordKind::Unspaced)
}

/// The index terms of a word, in order: the word itself, or the pairs of neighbouring letters of an unspaced word, at
/// most [`LONGEST_SEQUENCE`].
pub(super) fn pairs(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() <= 2 || !is_unspaced(word) {
        return vec![word.to_owned()];
    }
    letters.windows(2).take(LONGEST_SEQUENCE).map(|pair| pair.iter().collect()).collect()
}

/// A word such as `c++` without its signs; `None` for a word without signs.
pub(super) fn without_signs(word: &str) -> Option<&str> {
    let bare = word.trim_end_matches(['+', '#']);
    (bare.len() < word.len()).then_some(bare)
}

/// Tokenizes the texts of documents, with a cache: versions of a job have most texts in common, and so have jobs of one
/// author.
#[derive(Default)]
pub(super) struct CachedTokenizer {
    known: HashMap<String, String>,
    bytes: usize,
}

impl CachedTokenizer {
    /// Maximum size of the cache: texts and their words, in bytes.
    const REMEMBERED: usize = 8 << 20;

    /// As [`indexed`].
    pub(super) fn indexed(&mut self, text: &str) -> &str {
        if self.bytes > Self::REMEMBERED {
            *self = Self::default();
        }
        if !self.known.contains_key(text) {
            let words = indexed(text);
            self.bytes += text.len() + words.len();
            self.known.insert(text.to_owned(), words);
        }
        &self.known[text]
    }
}

/// The index terms of a text: its words in order, then their joined forms and parts, then the stems of all. Only the
/// words may repeat.
fn indexed(text: &str) -> String {
    let (mut words, others): (Vec<WordSpan>, Vec<WordSpan>) =
        spans(text).into_iter().partition(|span| span.kind == SpanKind::Word);
    // Words keep their order and neighbours, for phrases; everything else comes after them.
    let mut words: Vec<String> = words.drain(..).map(|span| span.word).collect();
    let mut known: HashSet<String> = words.iter().cloned().collect();
    words.extend(others.into_iter().map(|span| span.word).filter(|word| known.insert(word.clone())));
    let stems: Vec<String> =
        words.iter().filter_map(|word| stem(word)).filter(|stem| known.insert(stem.clone())).collect();
    words.extend(stems);
    words.join(" ")
}

/// A word of a text, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WordSpan {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub word: String,
    pub kind: SpanKind,
}

/// What a span is in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    /// A word of the text. Together they cover all words of the text.
    Word,
    /// A part of a word.
    Part,
    /// Two words with one sign between them, or the letters of an acronym, joined.
    Joined,
}

/// The words of a text with their positions, each before its own parts: the input of [`indexed`].
pub(super) fn spans(text: &str) -> Vec<WordSpan> {
    let text = TokenizedText::new(text);
    let mut spans = Vec::new();
    for (at, word) in text.words.iter().enumerate() {
        if word.kind == WordKind::Unspaced {
            text.unspaced(word, &mut spans);
            continue;
        }
        if text.is_word(word) {
            spans.push(text.span(&word.letters, SpanKind::Word));
        }
        let parts = text.parts(word, true);
        if parts.len() > 1 || text.is_signed(word) {
            spans.extend(parts.iter().map(|part| text.span(part, SpanKind::Part)));
        }
        if let Some(next) = text.words.get(at + 1).filter(|next| text.are_joined(word, next)) {
            spans.push(text.span(&(word.letters.start..next.letters.end), SpanKind::Joined));
        }
        if let Some(end) = text.acronym(at) {
            spans.push(text.span(&(word.letters.start..end), SpanKind::Joined));
        }
    }
    spans
}

/// A text whose last word is unfinished.
pub(super) struct UnfinishedWord<'a> {
    /// The text before that word.
    pub before: &'a str,
    /// The unfinished word so far, normalised and without blanks.
    pub begun: String,
    pub is_unspaced: bool,
}

impl<'a> UnfinishedWord<'a> {
    /// `None` if the last word is finished.
    pub(super) fn read(typed: &'a str) -> Option<Self> {
        let text = TokenizedText::new(typed);
        let last = text.words.last().filter(|last| last.letters.end == text.letters.len())?;
        let blank = text.letters[last.letters.clone()].iter().rposition(|letter| !last.kind.has(letter.c));
        let start = match blank {
            Some(at) if last.kind == WordKind::Unspaced => last.letters.start + at + 1,
            _ => last.letters.start,
        };
        Some(Self {
            before: &typed[..text.letters[start].range.start],
            begun: text.text(&(start..last.letters.end)),
            is_unspaced: last.kind == WordKind::Unspaced,
        })
    }
}

/// The occurrences of these letters in an unspaced text, each up to the end of the same script.
pub(super) fn goes_on<'a>(text: &'a str, begun: &str) -> Vec<&'a str> {
    /// Maximum length of a completion, in letters: more is longer than a word.
    const LONGEST: usize = 24;
    let cut = TokenizedText::new(text);
    let begun: Vec<char> = begun.chars().collect();
    let mut found = Vec::new();
    for at in 0..cut.letters.len() {
        let rest = &cut.letters[at..];
        if rest.len() < begun.len() || rest.iter().zip(&begun).any(|(letter, c)| letter.c != *c) {
            continue;
        }
        let script = begun.last().map_or(Script::Unknown, |c| c.script());
        let is_same = |letter: &&FoldedLetter| {
            let of = letter.c.script();
            WordKind::Unspaced.has(letter.c) && (of == script || matches!(of, Script::Common | Script::Inherited))
        };
        let more: Vec<&FoldedLetter> = rest[begun.len()..].iter().take_while(is_same).collect();
        let most = LONGEST.saturating_sub(begun.len());
        let marks = more.iter().skip(most).take_while(|letter| WordKind::of(letter.c).is_none()).count();
        if let Some(last) = more.iter().take(most + marks).next_back() {
            found.push(&text[rest[0].range.start..last.range.end]);
        }
    }
    found
}

/// A normalised text and its words.
struct TokenizedText {
    letters: Vec<FoldedLetter>,
    words: Vec<WordToken>,
}

/// A word as a range of letters. One of unspaced text may contain blanks.
struct WordToken {
    letters: Range<usize>,
    kind: WordKind,
}

impl TokenizedText {
    fn new(text: &str) -> Self {
        let letters = letters(text);
        let mut words: Vec<WordToken> = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            let Some(kind) = WordKind::of(letters[at].c) else {
                at += 1;
                continue;
            };
            let start = at;
            at += letters[at..].iter().take_while(|letter| kind.has(letter.c)).count();
            at += if at == start + 1 { signs(&letters[start..]) } else { 0 };
            match words.last_mut() {
                // Blanks within unspaced text vary from text to text, so they do not separate words.
                Some(last)
                    if kind == WordKind::Unspaced
                        && last.kind == kind
                        && letters[last.letters.end..start].iter().all(|letter| is_blank(letter.c)) =>
                {
                    last.letters.end = at;
                }
                _ => words.push(WordToken { letters: start..at, kind }),
            }
        }
        Self { letters, words }
    }

    fn text(&self, letters: &Range<usize>) -> String {
        self.letters[letters.clone()].iter().map(|letter| letter.c).collect()
    }

    fn word(&self, word: &WordToken) -> String {
        match word.kind {
            WordKind::Spaced => self.text(&word.letters),
            WordKind::Unspaced => {
                self.letters[word.letters.clone()].iter().map(|letter| letter.c).filter(|c| !is_blank(*c)).collect()
            }
        }
    }

    fn span(&self, letters: &Range<usize>, kind: SpanKind) -> WordSpan {
        let (first, last) = (&self.letters[letters.start], &self.letters[letters.end - 1]);
        let mut word = self.text(letters);
        if kind == SpanKind::Joined {
            word.retain(char::is_alphanumeric);
        }
        WordSpan { range: first.range.start..last.range.end, word, kind }
    }

    /// Whether the word is not longer than [`MAX_WORD_BYTES`].
    fn is_word(&self, word: &WordToken) -> bool {
        let bytes = || self.letters[word.letters.clone()].iter().map(|letter| letter.c.len_utf8()).sum::<usize>();
        word.kind == WordKind::Unspaced || word.letters.len() * 4 <= MAX_WORD_BYTES || bytes() <= MAX_WORD_BYTES
    }

    /// Whether the word ends in signs, as `c++` does.
    fn is_signed(&self, word: &WordToken) -> bool {
        matches!(self.letters[word.letters.end - 1].c, '+' | '#')
    }

    /// Splits a word where a capital follows a lower-case letter and, if `at_digits`, where digits follow letters.
    /// Signs are dropped.
    fn parts(&self, word: &WordToken, at_digits: bool) -> Vec<Range<usize>> {
        if word.kind == WordKind::Unspaced {
            return vec![word.letters.clone()];
        }
        let mut parts = Vec::new();
        let (mut start, mut end) = (word.letters.start, word.letters.end);
        if self.is_signed(word) {
            end = start + 1;
        }
        for at in start + 1..end {
            let (before, letter) = (&self.letters[at - 1], &self.letters[at]);
            let is_hump = before.case == LetterCase::Lower && letter.case == LetterCase::Upper;
            if is_hump || at_digits && before.c.is_alphabetic() && letter.c.is_ascii_digit() {
                parts.push(start..at);
                start = at;
            }
        }
        parts.push(start..end);
        parts
    }

    /// Whether two neighbours form a compound: `time-series`, `o'brien`, `pm2.5`; but not `1.0` and `band-2`, whose
    /// digits are words of their own.
    fn are_joined(&self, word: &WordToken, next: &WordToken) -> bool {
        let [between] = &self.letters[word.letters.end..next.letters.start] else { return false };
        let has_letters = |word: &WordToken| self.letters[word.letters.clone()].iter().any(|it| it.c.is_alphabetic());
        let is_zero = self.letters[next.letters.clone()].iter().all(|letter| letter.c == '0');
        let is_number = between.c == '.' && self.is_amount(word) && !is_zero;
        next.kind == WordKind::Spaced
            && matches!(between.c, '-' | '\'' | '.' | '_' | '"' | '·' | '־' | '׳' | '״')
            && has_letters(word)
            && (has_letters(next) || is_number)
            && !self.is_signed(word)
            && !self.is_signed(next)
            && self.is_word(&WordToken { letters: word.letters.start..next.letters.end, kind: word.kind })
    }

    /// The end of an acronym such as `U.S.G.S.` that begins with this word, without its last full stop.
    fn acronym(&self, at: usize) -> Option<usize> {
        let is_letter =
            |word: &&WordToken| word.letters.len() == 1 && self.letters[word.letters.start].c.is_alphabetic();
        let is_next = |word: &WordToken, next: &WordToken| matches!(&self.letters[word.letters.end..next.letters.start], [between] if between.c == '.');
        let is_inside = at > 0 && is_letter(&&self.words[at - 1]) && is_next(&self.words[at - 1], &self.words[at]);
        let letters = self.words[at..].iter().take_while(is_letter).count();
        let words = &self.words[at..at + letters];
        let length = 1 + words.windows(2).take_while(|pair| is_next(&pair[0], &pair[1])).count();
        (!is_inside && letters > 2 && (3..=LONGEST_ACRONYM).contains(&length)).then(|| words[length - 1].letters.end)
    }

    /// Whether the word is several letters followed by digits: `pm2`, but not `v2`.
    fn is_amount(&self, word: &WordToken) -> bool {
        let letters = &self.letters[word.letters.clone()];
        let digits = letters.iter().rev().take_while(|letter| letter.c.is_ascii_digit()).count();
        digits > 0 && letters.len() > digits + 1
    }

    /// Adds all pairs of neighbouring letters of an unspaced word, and each letter.
    fn unspaced(&self, word: &WordToken, spans: &mut Vec<WordSpan>) {
        let at: Vec<usize> = word.letters.clone().filter(|at| !is_blank(self.letters[*at].c)).collect();
        let span = |letters: &[usize], kind| {
            let range = self.letters[letters[0]].range.start..self.letters[letters[letters.len() - 1]].range.end;
            WordSpan { range, word: letters.iter().map(|at| self.letters[*at].c).collect(), kind }
        };
        spans.extend(at.windows(2).map(|pair| span(pair, SpanKind::Word)));
        let kind = if at.len() == 1 { SpanKind::Word } else { SpanKind::Part };
        spans.extend(at.chunks(1).filter(|at| WordKind::of(self.letters[at[0]].c).is_some()).map(|at| span(at, kind)));
    }
}

/// Whether a character may occur between words of unspaced text without ending it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '・'
}

/// Whether `rest` begins with a sign that belongs to the last word of `text`, as in `c++`.
pub(super) fn is_sign(text: &str, rest: &str) -> bool {
    let bare = text.strip_suffix('+').filter(|_| !rest.starts_with("++")).unwrap_or(text);
    let mut before = bare.chars().rev();
    let Some(letter) = before.next().filter(|_| !before.next().is_some_and(char::is_alphanumeric)) else {
        return false;
    };
    let start = iter::once(letter).chain(text[bare.len()..].chars()).chain(rest.chars().take(3));
    signs(&letters(&start.collect::<String>())) == 2
}

/// Number of signs that belong to the first letter: 2 for `c++`, 1 for `c#`.
fn signs(letters: &[FoldedLetter]) -> usize {
    let at = |at: usize| letters.get(at).map(|letter| letter.c);
    let signs = match (at(1), at(2)) {
        (Some('+'), Some('+')) => 2,
        (Some('#'), _) => 1,
        _ => return 0,
    };
    let goes_on = at(signs + 1).is_some_and(|c| c.is_alphabetic() || c == '+' || c == '#');
    if goes_on || !letters[0].c.is_ascii_alphabetic() { 0 } else { signs }
}

/// Whether a word with this first letter may have a stem with another one: the article of Arabic words is removed.
pub(super) fn stem_may_begin_otherwise(first: char) -> bool {
    ARABIC_ARTICLE.starts_with(first)
}

/// The Arabic article, which is written together with its word.
const ARABIC_ARTICLE: &str = "ال";

/// The stem of a word; `None` if it is the word itself. It begins with the same letter, except for
/// [`stem_may_begin_otherwise`].
pub(super) fn stem(word: &str) -> Option<String> {
    /// Maximum number of cached stems: texts of one field use the same words again and again.
    const REMEMBERED: usize = 20_000;
    thread_local! {
        /// Building a stemmer takes longer than stemming a text.
        static STEMMERS: RefCell<[TextAnalyzer; 3]> =
            RefCell::new([Language::English, Language::Russian, Language::Greek].map(|language| {
                TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(language)).build()
            }));
        static STEMS: RefCell<HashMap<String, Option<String>>> = RefCell::default();
    }
    STEMS.with_borrow_mut(|known| {
        if let Some(stem) = known.get(word) {
            return stem.clone();
        }
        let bare = word.strip_prefix(ARABIC_ARTICLE).filter(|bare| bare.chars().count() > 2).unwrap_or(word);
        let language = match word.chars().next().map(|c| c.script()) {
            Some(Script::Cyrillic) => 1,
            Some(Script::Greek) => 2,
            _ => 0,
        };
        let mut stemmed = String::new();
        STEMMERS.with_borrow_mut(|stemmers| {
            stemmers[language].token_stream(bare).process(&mut |token| stemmed.clone_from(&token.text));
        });
        let stem = (!stemmed.is_empty() && stemmed != word).then_some(stemmed);
        if known.len() == REMEMBERED {
            known.clear();
        }
        known.insert(word.to_owned(), stem.clone());
        stem
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_words_and_parts() {
        assert_eq!(typed("landCover_v2"), ["land", "cover", "v2"]);
        assert_eq!(indexed("landCover_v2"), "landcover v2 land cover landcoverv2 v 2 landcov");
        assert_eq!(indexed("Sentinel2"), "sentinel2 sentinel 2");
        assert_eq!(typed("cafe\u{301}Cre\u{300}me"), ["cafe", "creme"]);
    }

    #[test]
    fn compounds_are_also_written_together() {
        for (text, expected) in [
            ("Pan-sharpening", "pan sharpening pansharpening sharpen pansharpen"),
            ("PM2.5", "pm2 5 pm 2 pm25"),
            ("O’Brien", "o brien obrien"),
            ("v1.0.0-rc.1", "v1 0 0 rc 1 v"),
            ("PM1.0", "pm1 0 pm 1"),
            ("U.S.G.S. map", "u s g s map us usgs sg gs usg"),
            ("two words", "two words word"),
        ] {
            let found: Vec<String> = indexed(text).split(' ').map(str::to_owned).collect();
            let expected: Vec<&str> = expected.split(' ').collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn signs_belong_to_single_letters() {
        let table: [(&str, &[&str]); 8] = [
            ("C++", &["c++"]),
            ("C＋＋17 or c♯", &["c++", "17", "or", "c#"]),
            ("c++/f#", &["c++", "f#"]),
            ("a++b", &["a", "b"]),
            ("ab++", &["ab"]),
            ("c+", &["c"]),
            ("1++", &["1"]),
            ("#c", &["c"]),
        ];
        for (text, expected) in table {
            assert_eq!(typed(text), expected, "{text}");
        }
        assert_eq!(indexed("C++ port"), "c++ port c");
        assert_eq!((without_signs("c++"), without_signs("c")), (Some("c"), None));
    }

    #[test]
    fn texts_without_blanks_are_all_their_pairs() {
        assert_eq!(plain("Sentinel-2画像の解析"), ["sentinel", "2", "画像の解析"]);
        assert_eq!(indexed("Sentinel-2画像の解析"), "sentinel 2 画像 像の の解 解析 画 像 の 解 析");
        assert_eq!(indexed("홍수 탐지"), "홍수 수탐 탐지 홍 수 탐 지");
        assert_eq!(indexed("月"), "月");
        assert_eq!(pairs("海氷密"), ["海氷", "氷密"]);
        assert_eq!(pairs("snow"), ["snow"]);
        assert_eq!(plain("ข้าว"), ["ข้าว"]);
        assert_eq!(plain("リモート・センシング"), ["リモートセンシング"]);
    }

    #[test]
    fn a_text_is_cut_alike_again_and_again() {
        let mut cutter = CachedTokenizer::default();
        for text in ["landCover_v2", "Sentinel2", "landCover_v2", ""] {
            assert_eq!(cutter.indexed(text), indexed(text));
        }
        assert_eq!(cutter.known.len(), 3);
        // The size of the cache is limited.
        cutter.bytes += CachedTokenizer::REMEMBERED;
        assert_eq!(cutter.indexed("landCover"), indexed("landCover"));
        assert_eq!((cutter.known.len(), cutter.bytes), (1, "landCover".len() + indexed("landCover").len()));
    }

    #[test]
    fn words_stand_where_they_were_written() {
        let text = "Gro\u{308}ße, landCover_v2 海 氷";
        let spans = spans(text);
        let found: Vec<_> = spans.iter().map(|span| (&text[span.range.clone()], span.word.as_str())).collect();
        let expected = [
            ("Gro\u{308}ße", "grosse"),
            ("landCover", "landcover"),
            ("land", "land"),
            ("Cover", "cover"),
            ("landCover_v2", "landcoverv2"),
            ("v2", "v2"),
            ("v", "v"),
            ("2", "2"),
            ("海 氷", "海氷"),
            ("海", "海"),
            ("氷", "氷"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn words_of_one_stem_meet() {
        for (one, other) in [
            ("icebergs", "iceberg"),
            ("thumbnails", "thumbnailer"),
            ("predict", "predicts"),
            ("пожаров", "пожары"),
            ("الفيضانات", "فيضانات"),
        ] {
            let root = |word: &str| stem(word).unwrap_or_else(|| word.to_owned());
            assert_eq!(root(one), root(other));
        }
        assert_eq!(stem("water"), None);
    }

    proptest! {
        #[test]
        fn a_stem_begins_as_its_word_does(word in "[a-z][a-z']{0,12}|[а-я]{1,12}|[α-ω]{1,12}|(ال)?[ا-ي]{1,8}|\\PC{1,6}") {
            let word = super::super::folded(&word);
            let first = word.chars().next().filter(|first| first.is_alphanumeric());
            if let (Some(first), Some(stem)) = (first, stem(&word)) {
                prop_assert!(stem.starts_with(first) || stem_may_begin_otherwise(first), "{} {}", word, stem);
            }
        }
    }
}
