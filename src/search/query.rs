//! What a person typed, read as words. Pure.
//!
//! `+` separates alternatives, every other character that is neither letter nor digit separates words. There is no
//! other syntax, so no text is malformed; only its size is limited.

use super::{Error, Result, schema, synonyms, words};

/// The longest query, in characters.
pub const MAX_CHARS: usize = 1_000;

/// The most words of a query.
pub const MAX_WORDS: usize = 32;

/// A query with at least one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The whole text as [`schema::key`] writes it, to recognise somebody's exact name or title.
    pub key: String,
    /// The same as [`schema::name_key`] writes it.
    pub name_key: String,
    /// Any of these must match. Never empty.
    pub alternatives: Vec<Alternative>,
}

/// All of these words must match. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The words in the order they were typed, repetitions included; the last may be unfinished.
    pub phrase: Vec<String>,
}

/// Words that mean one thing, and the other ways to say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// As they were typed: one, unless together they are a way to say something.
    pub words: Vec<String>,
    pub others: Vec<Vec<String>>,
}

/// Words that say nothing beside others.
const FILLERS: [&str; 30] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "how", "i", "in", "is",
    "it", "my", "of", "on", "or", "that", "the", "this", "to", "what", "which", "with",
];

impl Alternative {
    /// What must match, each once, in the order in which it was typed.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut rest = self.phrase.as_slice();
        while !rest.is_empty() {
            let longest = synonyms::LONGEST.min(rest.len());
            let known = (1..=longest).rev().map(|length| (length, synonyms::others(&rest[..length])));
            let (length, others) = known.into_iter().find(|(_, others)| !others.is_empty()).unwrap_or((1, Vec::new()));
            let group = Group { words: rest[..length].to_vec(), others };
            groups.retain(|other| *other != group);
            groups.push(group);
            rest = &rest[length..];
        }
        let says_something = |group: &Group| group.words.len() > 1 || !FILLERS.contains(&group.words[0].as_str());
        if groups.iter().any(says_something) {
            groups.retain(says_something);
        }
        groups
    }

    /// The words that must match, each once.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let phrase = &self.phrase;
        // Of repetitions the last one stays, so that the unfinished word stays last.
        phrase.iter().enumerate().filter(|(at, word)| !phrase[at + 1..].contains(word)).map(|(_, word)| word.as_str())
    }

    /// The last word: a document also matches where one of its words only begins with it.
    pub fn unfinished(&self) -> Option<&str> {
        self.phrase.last().map(String::as_str)
    }
}

/// Reads a query; `None` where it has no words, so that nothing can match.
pub fn parse(text: &str) -> Result<Option<Query>> {
    let chars = text.chars().count();
    if chars > MAX_CHARS {
        let message =
            format!("the query has {chars} characters, at most {MAX_CHARS} are allowed: search for fewer words");
        return Err(Error::Query(message));
    }
    let mut alternatives = Vec::new();
    for part in text.split('+') {
        let alternative = Alternative { phrase: words::typed(part) };
        if !alternative.phrase.is_empty() && !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    let words: usize = alternatives.iter().map(|alternative| alternative.words().count()).sum();
    if words > MAX_WORDS {
        let message =
            format!("the query has {words} words, at most {MAX_WORDS} are allowed: leave out the common ones");
        return Err(Error::Query(message));
    }
    Ok((!alternatives.is_empty()).then(|| Query {
        key: schema::key(text),
        name_key: schema::name_key(text),
        alternatives,
    }))
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

    #[test]
    fn reads_words_and_alternatives() {
        let table: &[(&str, &[&[&str]])] = &[
            ("water", &[&["water"]]),
            ("  Open  WATER ", &[&["open", "water"]]),
            ("my-job_0.1.0", &[&["my", "job", "1", "0"]]),
            ("zip+extractor tool", &[&["zip"], &["extractor", "tool"]]),
            ("c++", &[&["c"]]),
            ("+", &[]),
            ("", &[]),
            ("\"'(){}[]*?~^:\\/!&|-", &[]),
            ("🛰 🌍", &[]),
            ("water water", &[&["water"]]),
            ("job my job", &[&["my", "job"]]),
            ("a+a+b", &[&["a"], &["b"]]),
            ("Größe Ærøskøbing", &[&["grosse", "aeroskobing"]]),
            ("image/tiff", &[&["image", "tiff"]]),
            ("a\0b", &[&["a", "b"]]),
            ("السلام عليكم", &[&["السلام", "عليكم"]]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), *expected, "{text}");
        }
    }

    #[test]
    fn the_unfinished_word_is_the_last_one_typed() {
        let query = parse("job my job+zip").expect("within the limits").expect("has words");
        let unfinished: Vec<_> = query.alternatives.iter().filter_map(Alternative::unfinished).collect();
        assert_eq!(unfinished, ["job", "zip"]);
    }

    #[test]
    fn limits_are_named() {
        let long = parse(&"x".repeat(10_000)).expect_err("too long").to_string();
        assert!(long.contains("10000 characters") && long.contains("at most 1000"), "{long}");
        let many: String = (0..33).map(|n| format!("w{n} ")).collect();
        let many = parse(&many).expect_err("too many words").to_string();
        assert!(many.contains("33 words") && many.contains("at most 32"), "{many}");
        assert!(parse(&"é".repeat(MAX_CHARS)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_nothing(text in "\\PC{0,300}|[ +\\-\"a-c\0\u{202e}]{0,40}") {
            if let Some(query) = parse(&text).unwrap_or_default() {
                prop_assert!(!query.alternatives.is_empty());
                for alternative in query.alternatives {
                    prop_assert_eq!(alternative.words().last(), alternative.unfinished());
                    prop_assert!(alternative.words().all(|word| !word.is_empty() && !word.contains(' ')));
                }
            }
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-ZäöüÄÖÜ +-]{0,30}") {
            let (lower, upper) = (parse(&text.to_lowercase()), parse(&text.to_uppercase()));
            prop_assert_eq!(lower.unwrap_or_default(), upper.unwrap_or_default());
        }
    }
}
