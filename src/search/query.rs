//! Parses the query that a person typed. Pure, and linear in its length.
//!
//! Full-width signs, typographic quotes and dashes are read as ASCII. `+` separates alternatives (except in `c++`),
//! `"…"` is a phrase, `-word` excludes, `field:word` searches one field only. Every other character that is neither
//! letter nor digit separates words. Everything else is words, so there are no syntax errors; only the size is limited.

use std::ops::Range;

use super::folding::straight;
use super::synonyms::SynonymTable;
use super::{Error, Result, keys, tokenizer};

/// Maximum length of a query, in characters.
pub const MAX_CHARS: usize = 1_000;

/// Maximum number of words of a query.
pub const MAX_WORDS: usize = 32;

/// A parsed query with at least one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedQuery {
    /// `keys::key` of the whole text, for exact matches of names and titles.
    pub key: String,
    /// `keys::name_key` of the whole text.
    pub name_key: String,
    /// One of these must match. If empty, all documents match.
    pub alternatives: Vec<QueryAlternative>,
    /// None of these may match.
    pub excluded: Vec<QueryClause>,
}

/// Words and clauses that must all match. Never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryAlternative {
    /// The free words in the order typed, repetitions included; the last one may be unfinished.
    pub phrase: Vec<String>,
    /// Free words that were part of a longer one, such as `my` in `my-job`: they are never ignored as fillers.
    parts: Vec<String>,
    pub clauses: Vec<QueryClause>,
}

/// Neighbouring words of a query, written as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryCompound {
    pub text: String,
    /// Positions of the words in the phrase.
    pub of: Range<usize>,
}

/// Words in a named field, or a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryClause {
    /// `None`: any field.
    pub scope: Option<QueryField>,
    pub words: Vec<String>,
    /// The text as typed, in lower case, for comparing versions.
    pub text: String,
    /// The words must occur in this order, next to each other.
    pub is_phrase: bool,
}

/// A field that a query can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryField {
    Name,
    Title,
    Tag,
    Maintainer,
    Org,
    Registry,
    Input,
    Output,
    Media,
    Version,
    Platform,
}

impl QueryField {
    fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_lowercase().as_str() {
            "name" => Self::Name,
            "title" => Self::Title,
            "tag" => Self::Tag,
            "maintainer" => Self::Maintainer,
            "org" => Self::Org,
            "registry" => Self::Registry,
            "input" => Self::Input,
            "output" => Self::Output,
            "media" => Self::Media,
            "version" => Self::Version,
            "platform" => Self::Platform,
            _ => return None,
        })
    }
}

/// A word, or several that have synonyms together, with the synonyms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymGroup {
    /// As typed.
    pub words: Vec<String>,
    pub others: Vec<Vec<String>>,
}

const FILLERS: [&str; 30] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "how", "i", "in", "is",
    "it", "my", "of", "on", "or", "that", "the", "this", "to", "what", "which", "with",
];

/// Whether a word is a stop word, which is ignored beside other words.
pub fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

impl QueryAlternative {
    /// The groups that must match, without duplicates, in the order typed.
    pub fn groups(&self, synonyms: &SynonymTable) -> Vec<SynonymGroup> {
        let mut groups = Vec::new();
        let mut rest = self.phrase.as_slice();
        while !rest.is_empty() {
            let longest = synonyms.longest().min(rest.len()).max(1);
            let known = (1..=longest).rev().map(|length| (length, synonyms.others(&rest[..length])));
            let (length, others) = known.into_iter().find(|(_, others)| !others.is_empty()).unwrap_or((1, Vec::new()));
            let group = SynonymGroup { words: rest[..length].to_vec(), others };
            groups.retain(|other| *other != group);
            groups.push(group);
            rest = &rest[length..];
        }
        let says_something = |group: &SynonymGroup| {
            let first = &group.words[0];
            group.words.len() > 1 || self.parts.contains(first) || !is_filler(first)
        };
        if groups.iter().any(says_something) {
            groups.retain(says_something);
        }
        groups
    }

    /// The free words that must match, without duplicates.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let phrase = &self.phrase;
        // Keeps the last of repeated words, so that the unfinished word stays last.
        phrase.iter().enumerate().filter(|(at, word)| !phrase[at + 1..].contains(word)).map(|(_, word)| word.as_str())
    }

    /// All runs of neighbouring free words that may be a compound, written as one word.
    pub fn joined(&self) -> Vec<QueryCompound> {
        /// Longer runs must consist of single letters, as acronyms do. `pm 2.5` has three words.
        const MOST: usize = 3;
        let says_something =
            |word: &String| !tokenizer::is_unspaced(word) && (self.parts.contains(word) || !is_filler(word));
        let lengths = 2..=tokenizer::LONGEST_ACRONYM;
        let all = (0..self.phrase.len()).flat_map(|start| lengths.clone().map(move |length| start..start + length));
        all.filter_map(|of| {
            let words = self.phrase.get(of.clone())?;
            if words.len() > MOST && words.iter().any(|word| word.chars().nth(1).is_some()) {
                return None;
            }
            let text = words.concat();
            // A run whose stem drops the last word is not a compound: `riverred` has the stem `river`.
            let others = text.len() - words.last()?.len();
            let is_all = tokenizer::stem(&text).is_none_or(|stem| stem.len() > others);
            let is_word = words.iter().all(says_something) && text.contains(char::is_alphabetic) && is_all;
            is_word.then_some(QueryCompound { text, of })
        })
        .collect()
    }

    /// The last word, which may be unfinished and therefore matches as a prefix too.
    pub fn unfinished(&self) -> Option<&str> {
        self.phrase.last().map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.phrase.is_empty() && self.clauses.is_empty()
    }
}

/// Parses a query; `None` if it has no words, so that nothing can match.
///
/// # Errors
/// It is longer than [`MAX_CHARS`], or has more words than [`MAX_WORDS`].
pub fn parse(text: &str) -> Result<Option<ParsedQuery>> {
    let chars = text.chars().count();
    if chars > MAX_CHARS {
        let message =
            format!("the query has {chars} characters, at most {MAX_CHARS} are allowed: search for fewer words");
        return Err(Error::Query(message));
    }
    let (alternatives, excluded) = read(&straight(text));
    let clauses = alternatives.iter().flat_map(|alternative| &alternative.clauses).chain(&excluded);
    let words: usize = alternatives.iter().map(|alternative| alternative.words().count()).sum::<usize>()
        + clauses.map(|clause| clause.words.len()).sum::<usize>();
    if words > MAX_WORDS {
        let message =
            format!("the query has {words} words, at most {MAX_WORDS} are allowed: leave out the common ones");
        return Err(Error::Query(message));
    }
    let query = ParsedQuery { key: keys::key(text), name_key: keys::name_key(text), alternatives, excluded };
    Ok((words > 0).then_some(query))
}

/// The alternatives that have words, without duplicates, and the excluded clauses.
fn read(text: &str) -> (Vec<QueryAlternative>, Vec<QueryClause>) {
    let mut alternatives = vec![QueryAlternative::default()];
    let mut excluded = Vec::new();
    let (mut rest, mut at_start) = (text, true);
    while let Some(first) = rest.chars().next() {
        if first != '+' && !first.is_whitespace() {
            let piece = QueryPiece::read(rest, at_start);
            (rest, at_start) = (piece.rest, false);
            piece.put(alternatives.last_mut().expect("there is always one"), &mut excluded);
            continue;
        }
        if first == '+' {
            alternatives.push(QueryAlternative::default());
        }
        (rest, at_start) = (&rest[first.len_utf8()..], true);
    }
    let mut once: Vec<QueryAlternative> = Vec::new();
    for alternative in alternatives {
        if !alternative.is_empty() && !once.contains(&alternative) {
            once.push(alternative);
        }
    }
    (once, excluded)
}

/// The text between two blanks, or the part of it before, inside or after quotes.
struct QueryPiece<'a> {
    is_excluded: bool,
    scope: Option<QueryField>,
    text: &'a str,
    is_quoted: bool,
    rest: &'a str,
}

impl<'a> QueryPiece<'a> {
    /// Parses a piece from the start of a text that does not begin with a blank or `+`.
    fn read(text: &'a str, at_start: bool) -> Self {
        let mut piece = Self { is_excluded: false, scope: None, text, is_quoted: false, rest: "" };
        let said = |rest: &str| rest.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '"');
        if at_start && let Some(rest) = piece.text.strip_prefix('-').filter(|rest| said(rest)) {
            (piece.is_excluded, piece.text) = (true, rest);
        }
        if at_start
            && let Some((word, rest)) = piece.text.split_once(':')
            && word.len() <= "maintainer".len()
            && let Some(scope) = QueryField::of_word(word).filter(|_| said(rest))
        {
            (piece.scope, piece.text) = (Some(scope), rest);
        }
        if let Some((quoted, rest)) = piece.text.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            return Self { text: quoted, is_quoted: true, rest, ..piece };
        }
        // An unclosed quote is treated as a blank.
        let from = piece.text.chars().next().map_or(0, char::len_utf8);
        let is_end = |(at, c): &(usize, char)| {
            c.is_whitespace() || *c == '"' || *c == '+' && !tokenizer::is_sign(&piece.text[..*at], &piece.text[*at..])
        };
        let end = piece.text.char_indices().skip_while(|(at, _)| *at < from).find(is_end);
        let (text, rest) = piece.text.split_at(end.map_or(piece.text.len(), |(end, _)| end));
        Self { text, rest, ..piece }
    }

    fn put(self, alternative: &mut QueryAlternative, excluded: &mut Vec<QueryClause>) {
        // Identifiers in quotes are not split into their parts.
        let words = if self.is_quoted { tokenizer::plain(self.text) } else { tokenizer::typed(self.text) };
        if words.is_empty() {
            return;
        }
        let is_plain = !self.is_excluded && self.scope.is_none() && !self.is_quoted;
        if is_plain {
            if words.len() > 1 {
                alternative.parts.extend(words.iter().cloned());
            }
            alternative.phrase.extend(words);
            return;
        }
        let clause = QueryClause { scope: self.scope, words, text: keys::key(self.text), is_phrase: self.is_quoted };
        let among = if self.is_excluded { excluded } else { &mut alternative.clauses };
        if !among.contains(&clause) {
            among.push(clause);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let query = parse(text).expect("within the limits");
        let alternatives = query.map(|query| query.alternatives).unwrap_or_default();
        alternatives.iter().map(|alternative| alternative.words().map(str::to_owned).collect()).collect()
    }

    /// Clauses in short form: scope, words, and quotes around phrases.
    fn clauses(list: &[QueryClause]) -> Vec<String> {
        list.iter()
            .map(|clause| {
                let words = clause.words.join(" ");
                let words = if clause.is_phrase { format!("\"{words}\"") } else { words };
                clause.scope.map_or(words.clone(), |scope| format!("{scope:?}:{words}"))
            })
            .collect()
    }

    #[test]
    fn reads_words_and_alternatives() {
        let table: &[(&str, &[&[&str]])] = &[
            ("water", &[&["water"]]),
            ("  Open  WATER ", &[&["open", "water"]]),
            ("my-job_0.1.0", &[&["my", "job", "1", "0"]]),
            ("landCover", &[&["land", "cover"]]),
            ("zip+extractor tool", &[&["zip"], &["extractor", "tool"]]),
            ("c++", &[&["c++"]]),
            ("Ｃ＋＋17 f# c#/g++", &[&["c++", "17", "f#", "c#", "g++"]]),
            ("a++b+c++", &[&["a"], &["b"], &["c++"]]),
            ("+c+++", &[&["c"]]),
            ("衛星画像　海氷", &[&["衛星画像", "海氷"]]),
            ("+", &[]),
            ("", &[]),
            ("\"'(){}[]*?~^:\\/!&|-", &[]),
            ("\"\" - -- -\" : \"", &[]),
            ("🛰 🌍", &[]),
            ("water water", &[&["water"]]),
            ("job my job", &[&["my", "job"]]),
            ("a+a+b", &[&["a"], &["b"]]),
            ("Größe Ærøskøbing", &[&["grosse", "aeroskobing"]]),
            ("image/tiff", &[&["image", "tiff"]]),
            ("geo/my-job:1.0", &[&["geo", "my", "job", "1", "0"]]),
            ("a\0b", &[&["a", "b"]]),
            ("السلام عليكم", &[&["السلام", "عليكم"]]),
            ("say \"hello", &[&["say", "hello"]]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), *expected, "{text}");
        }
    }

    #[test]
    fn words_that_say_nothing_need_not_match() {
        let groups = |text: &str| -> Vec<String> {
            let query = parse(text).unwrap().unwrap();
            query.alternatives[0].groups(&SynonymTable::default()).iter().map(|group| group.words.join(" ")).collect()
        };
        for (text, expected) in [
            ("find the ice in my radar", &["find", "ice", "radar"][..]),
            ("my-job", &["my", "job"]),
            ("to be", &["to", "be"]),
        ] {
            assert_eq!(groups(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_phrases_fields_and_exclusions() {
        type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
        let table: &[Row<'_>] = &[
            ("\"open water\" ice", &["ice"], &["\"open water\""], &[]),
            ("tag:radar ice", &["ice"], &["Tag:radar"], &[]),
            ("TITLE:\"sea ice\"", &[], &["Title:\"sea ice\""], &[]),
            ("ice -radar -tag:old -\"two words\"", &["ice"], &[], &["radar", "Tag:old", "\"two words\""]),
            ("sea-ice a:b - x", &["sea", "ice", "a", "b", "x"], &[], &[]),
            ("tag: radar", &["tag", "radar"], &[], &[]),
            ("x\"a b\"y", &["x", "y"], &["\"a b\""], &[]),
            ("media:image/tiff", &[], &["Media:image tiff"], &[]),
            ("“open water” ｔａｇ：radar －old", &[], &["\"open water\"", "Tag:radar"], &["old"]),
            ("ice –radar «a b» — x", &["ice", "x"], &["\"a b\""], &["radar"]),
        ];
        for (text, free, wanted, unwanted) in table {
            let query = parse(text).unwrap().unwrap();
            assert_eq!(query.alternatives[0].phrase, *free, "{text}");
            assert_eq!(clauses(&query.alternatives[0].clauses), *wanted, "{text}");
            assert_eq!(clauses(&query.excluded), *unwanted, "{text}");
        }
        let only = parse("-radar").unwrap().unwrap();
        assert!(only.alternatives.is_empty() && only.excluded.len() == 1);
    }

    #[test]
    fn the_unfinished_word_is_the_last_one_typed() {
        let query = parse("job my job+zip").expect("within the limits").expect("has words");
        let unfinished: Vec<_> = query.alternatives.iter().filter_map(QueryAlternative::unfinished).collect();
        assert_eq!(unfinished, ["job", "zip"]);
    }

    #[test]
    fn limits_are_named() {
        let long = parse(&"x".repeat(10_000)).expect_err("too long").to_string();
        assert!(long.contains("10000 characters") && long.contains("at most 1000"), "{long}");
        let many: String = (0..33).map(|n| format!("w{n} ")).collect();
        let many = parse(&many).expect_err("too many words").to_string();
        assert!(many.contains("33 words") && many.contains("at most 32"), "{many}");
        let excluded: String = (0..33).map(|n| format!("-w{n} ")).collect();
        assert!(parse(&excluded).is_err(), "exclusions are work too");
        assert!(parse(&"é".repeat(MAX_CHARS)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_nothing(text in "\\PC{0,300}|[ +\\-\":a-c\0\u{202e}]{0,60}|((-|tag:|\"|\\+| |name:x){0,20})") {
            if let Some(query) = parse(&text).unwrap_or_default() {
                prop_assert!(!query.alternatives.is_empty() || !query.excluded.is_empty());
                let mut count = 0;
                for alternative in &query.alternatives {
                    prop_assert!(!alternative.is_empty());
                    prop_assert_eq!(alternative.words().last(), alternative.unfinished());
                    prop_assert!(alternative.words().all(|word| !word.is_empty() && !word.contains(' ')));
                    count += alternative.words().count();
                }
                let clauses = query.alternatives.iter().flat_map(|alternative| &alternative.clauses);
                for clause in clauses.chain(&query.excluded) {
                    prop_assert!(!clause.words.is_empty());
                    count += clause.words.len();
                }
                prop_assert!(count <= MAX_WORDS);
            }
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-ZäöüÄÖÜ +:\"-]{0,30}") {
            let (lower, upper) = (parse(&text.to_lowercase()), parse(&text.to_uppercase()));
            prop_assert_eq!(lower.unwrap_or_default(), upper.unwrap_or_default());
        }
    }
}
