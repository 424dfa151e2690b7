//! How texts become words: runs of letters and digits, as `letters` writes them; identifiers also in their parts, compounds
//! also written together, and words of some languages also as their stems. Of scripts that are written without blanks each two
//! neighbours are a word, so that every part of a text is found. Pure.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::iter;
use std::ops::Range;

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer, TokenStream as _};
use unicode_script::{Script, UnicodeScript as _};

use super::letters::{FoldedLetter, LetterCase, WordKind, letters};

/// Longer words, in bytes, are no words: nobody types them.
const MAX_WORD_BYTES: usize = 255;
/// In letters.
pub const LONGEST_ACRONYM: usize = 6;
/// So many words are looked for next to each other: each place of a text is compared with all of them.
pub const LONGEST_SEQUENCE: usize = 64;

/// Cuts what was cut already by [`indexed`]: at white space only, since a word stands for itself.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(tantivy::tokenizer::WhitespaceTokenizer::default()).build()
}

/// The words of a text in their order, without parts and stems: `landCover` is `landcover`. What is written without blanks is
/// one word.
pub fn plain(text: &str) -> Vec<String> {
    let text = WordCut::new(text);
    text.words.iter().filter(|word| text.is_word(word)).map(|word| text.word(word)).collect()
}

/// The words of a query: identifiers only in their parts.
pub fn typed(text: &str) -> Vec<String> {
    let text = WordCut::new(text);
    let parts = |word| if text.is_signed(word) { vec![word.letters.clone()] } else { text.parts(word, false) };
    let parts = text.words.iter().flat_map(|word| parts(word).into_iter().map(|letters| CutWord { letters, ..*word }));
    parts.filter(|word| text.is_word(word)).map(|word| text.word(&word)).collect()
}

/// Whether a word was written without blanks around it, so that the index has only [`pairs`] of it.
pub fn is_unspaced(word: &str) -> bool {
    word.chars().next().and_then(WordKind::of) == Some(WordKind::Unspaced)
}

/// What the index has of a word, in its order: the word itself, or all two neighbours of what is written without blanks, as far
/// as anybody types: [`LONGEST_SEQUENCE`].
pub fn pairs(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() <= 2 || !is_unspaced(word) {
        return vec![word.to_owned()];
    }
    letters.windows(2).take(LONGEST_SEQUENCE).map(|pair| pair.iter().collect()).collect()
}

/// A word with its signs, such as `c++`, without them; `None` for any other.
pub fn without_signs(word: &str) -> Option<&str> {
    let bare = word.trim_end_matches(['+', '#']);
    (bare.len() < word.len()).then_some(bare)
}

/// Cuts the texts of documents, and remembers how: versions of a job have most texts in common, and so have jobs of one
/// author.
#[derive(Default)]
pub struct Cutter {
    known: HashMap<String, String>,
    bytes: usize,
}

impl Cutter {
    /// Bytes of texts and their words.
    const REMEMBERED: usize = 8 << 20;

    /// As [`indexed`].
    pub fn indexed(&mut self, text: &str) -> &str {
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

/// The words of a document, then the other ways to write them and their parts, then the stems of all, each once.
fn indexed(text: &str) -> String {
    let (mut words, others): (Vec<Span>, Vec<Span>) =
        spans(text).into_iter().partition(|span| span.kind == SpanKind::Word);
    // Whole words keep their order and their neighbours; the others come after all of them.
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
pub struct Span {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub word: String,
    pub kind: SpanKind,
}

/// What a span is in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// It stands there. All of them together are the text.
    Word,
    /// A part of one.
    Part,
    /// Two of them, with no more than a sign between; or the letters of an acronym.
    Joined,
}

/// Where the words of a text stand, each before its own parts: what [`indexed`] makes words of.
pub fn spans(text: &str) -> Vec<Span> {
    let text = WordCut::new(text);
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

/// A text that ends in a word which is not finished.
pub struct Unfinished<'a> {
    /// The text before that word.
    pub before: &'a str,
    /// What there is of it, and without blanks.
    pub begun: String,
    pub is_unspaced: bool,
}

impl<'a> Unfinished<'a> {
    /// `None` where the last word is finished.
    pub fn read(typed: &'a str) -> Option<Self> {
        let text = WordCut::new(typed);
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

/// How a text without blanks goes on where it has these letters: to the end of what is of the same script.
pub fn goes_on<'a>(text: &'a str, begun: &str) -> Vec<&'a str> {
    /// More letters are more than a word.
    const LONGEST: usize = 24;
    let cut = WordCut::new(text);
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

/// A text and the words in it.
struct WordCut {
    letters: Vec<FoldedLetter>,
    words: Vec<CutWord>,
}

/// A word by its letters. One that is written without blanks may have some.
struct CutWord {
    letters: Range<usize>,
    kind: WordKind,
}

impl WordCut {
    fn new(text: &str) -> Self {
        let letters = letters(text);
        let mut words: Vec<CutWord> = Vec::new();
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
                // Whether there is a blank differs from text to text.
                Some(last)
                    if kind == WordKind::Unspaced
                        && last.kind == kind
                        && letters[last.letters.end..start].iter().all(|letter| is_blank(letter.c)) =>
                {
                    last.letters.end = at;
                }
                _ => words.push(CutWord { letters: start..at, kind }),
            }
        }
        Self { letters, words }
    }

    fn text(&self, letters: &Range<usize>) -> String {
        self.letters[letters.clone()].iter().map(|letter| letter.c).collect()
    }

    fn word(&self, word: &CutWord) -> String {
        match word.kind {
            WordKind::Spaced => self.text(&word.letters),
            WordKind::Unspaced => {
                self.letters[word.letters.clone()].iter().map(|letter| letter.c).filter(|c| !is_blank(*c)).collect()
            }
        }
    }

    fn span(&self, letters: &Range<usize>, kind: SpanKind) -> Span {
        let (first, last) = (&self.letters[letters.start], &self.letters[letters.end - 1]);
        let mut word = self.text(letters);
        if kind == SpanKind::Joined {
            word.retain(char::is_alphanumeric);
        }
        Span { range: first.range.start..last.range.end, word, kind }
    }

    /// Words of usual length only.
    fn is_word(&self, word: &CutWord) -> bool {
        let bytes = || self.letters[word.letters.clone()].iter().map(|letter| letter.c.len_utf8()).sum::<usize>();
        word.kind == WordKind::Unspaced || word.letters.len() * 4 <= MAX_WORD_BYTES || bytes() <= MAX_WORD_BYTES
    }

    /// Whether it is one such as `c++`.
    fn is_signed(&self, word: &CutWord) -> bool {
        matches!(self.letters[word.letters.end - 1].c, '+' | '#')
    }

    /// A word cut where a capital follows a small letter; and, if wished, where digits follow letters. Without signs.
    fn parts(&self, word: &CutWord, at_digits: bool) -> Vec<Range<usize>> {
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

    /// Whether two neighbours are a compound: `time-series`, `o'brien`, `pm2.5`; but not `1.0` and `band-2`, whose digits stand
    /// for themselves.
    fn are_joined(&self, word: &CutWord, next: &CutWord) -> bool {
        let [between] = &self.letters[word.letters.end..next.letters.start] else { return false };
        let has_letters = |word: &CutWord| self.letters[word.letters.clone()].iter().any(|it| it.c.is_alphabetic());
        let is_zero = self.letters[next.letters.clone()].iter().all(|letter| letter.c == '0');
        let is_number = between.c == '.' && self.is_amount(word) && !is_zero;
        next.kind == WordKind::Spaced
            && matches!(between.c, '-' | '\'' | '.' | '_' | '"' | '·' | '־' | '׳' | '״')
            && has_letters(word)
            && (has_letters(next) || is_number)
            && !self.is_signed(word)
            && !self.is_signed(next)
            && self.is_word(&CutWord { letters: word.letters.start..next.letters.end, kind: word.kind })
    }

    /// Where an acronym such as `U.S.G.S.` ends that begins with a word, without its last full stop.
    fn acronym(&self, at: usize) -> Option<usize> {
        let is_letter = |word: &&CutWord| word.letters.len() == 1 && self.letters[word.letters.start].c.is_alphabetic();
        let is_next = |word: &CutWord, next: &CutWord| matches!(&self.letters[word.letters.end..next.letters.start], [between] if between.c == '.');
        let is_inside = at > 0 && is_letter(&&self.words[at - 1]) && is_next(&self.words[at - 1], &self.words[at]);
        let letters = self.words[at..].iter().take_while(is_letter).count();
        let words = &self.words[at..at + letters];
        let length = 1 + words.windows(2).take_while(|pair| is_next(&pair[0], &pair[1])).count();
        (!is_inside && letters > 2 && (3..=LONGEST_ACRONYM).contains(&length)).then(|| words[length - 1].letters.end)
    }

    /// Whether it is several letters and then digits: `pm2`, but not `v2`.
    fn is_amount(&self, word: &CutWord) -> bool {
        let letters = &self.letters[word.letters.clone()];
        let digits = letters.iter().rev().take_while(|letter| letter.c.is_ascii_digit()).count();
        digits > 0 && letters.len() > digits + 1
    }

    /// All two neighbours of what is written without blanks, and each letter.
    fn unspaced(&self, word: &CutWord, spans: &mut Vec<Span>) {
        let at: Vec<usize> = word.letters.clone().filter(|at| !is_blank(self.letters[*at].c)).collect();
        let span = |letters: &[usize], kind| {
            let range = self.letters[letters[0]].range.start..self.letters[letters[letters.len() - 1]].range.end;
            Span { range, word: letters.iter().map(|at| self.letters[*at].c).collect(), kind }
        };
        spans.extend(at.windows(2).map(|pair| span(pair, SpanKind::Word)));
        let kind = if at.len() == 1 { SpanKind::Word } else { SpanKind::Part };
        spans.extend(at.chunks(1).filter(|at| WordKind::of(self.letters[at[0]].c).is_some()).map(|at| span(at, kind)));
    }
}

/// What may stand between two words of one text without blanks.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '・'
}

/// Whether a text goes on with a sign of its last word, as `c++` does.
pub fn is_sign(text: &str, rest: &str) -> bool {
    let bare = text.strip_suffix('+').filter(|_| !rest.starts_with("++")).unwrap_or(text);
    let mut before = bare.chars().rev();
    let Some(letter) = before.next().filter(|_| !before.next().is_some_and(char::is_alphanumeric)) else {
        return false;
    };
    let start = iter::once(letter).chain(text[bare.len()..].chars()).chain(rest.chars().take(3));
    signs(&letters(&start.collect::<String>())) == 2
}

/// How many signs belong to a letter at the beginning of a text: `c++`, `c#`.
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

/// Whether the stem of a word with this first letter may have another: of Arabic words the article is cut off.
pub fn stem_may_begin_otherwise(first: char) -> bool {
    ARABIC_ARTICLE.starts_with(first)
}

/// It is written with its word.
const ARABIC_ARTICLE: &str = "ال";

/// The stem of a word, if it is another word. It begins with the same letter but for [`stem_may_begin_otherwise`].
pub fn stem(word: &str) -> Option<String> {
    /// So many stems are remembered: texts of one field use the same words again and again.
    const REMEMBERED: usize = 20_000;
    thread_local! {
        /// Making one takes longer than cutting a text with it.
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
        let mut cutter = Cutter::default();
        for text in ["landCover_v2", "Sentinel2", "landCover_v2", ""] {
            assert_eq!(cutter.indexed(text), indexed(text));
        }
        assert_eq!(cutter.known.len(), 3);
        // What is remembered has a limit.
        cutter.bytes += Cutter::REMEMBERED;
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
