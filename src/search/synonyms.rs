//! Synonyms of this field of work. Pure.

use std::collections::HashMap;

const OURS: &str = include_str!("../../config/synonyms.txt");

/// Maximum number of words of a synonym.
const LONGEST: usize = 4;
/// Maximum number of synonyms in a group, and of groups: each adds work to queries.
const WAYS: usize = 16;
const GROUPS: usize = 10_000;

type SynonymPhrase = Vec<String>;

/// Groups of words and phrases with the same meaning.
#[derive(Debug)]
pub struct SynonymTable {
    ways: HashMap<SynonymPhrase, Vec<usize>>,
    groups: Vec<Vec<SynonymPhrase>>,
}

impl Default for SynonymTable {
    fn default() -> Self {
        Self::with("").expect("the tests read our own")
    }
}

impl SynonymTable {
    /// The built-in groups, and those of a text in the same format: one group a line, `#` starts a comment, `_` joins
    /// the words of a phrase.
    ///
    /// # Errors
    /// Names the line and what is wrong with it.
    pub fn with(more: &str) -> Result<Self, String> {
        let mut all = Self { ways: HashMap::new(), groups: Vec::new() };
        for text in [OURS, more] {
            for (number, line) in text.lines().enumerate() {
                let line = line.split('#').next().unwrap_or_default();
                all.add(line).map_err(|why| format!("line {}: {why}", number + 1))?;
            }
        }
        Ok(all)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        // Split into words like queries, since blanks do not separate words in every script.
        let way = |way: &str| way.split('_').flat_map(super::tokenizer::plain).collect();
        let group: Vec<SynonymPhrase> = line.split_whitespace().map(way).collect();
        if group.is_empty() {
            return Ok(());
        }
        if group.len() < 2 || group.len() > WAYS {
            return Err(format!("a group has 2 to {WAYS} words, this one {}", group.len()));
        }
        if let Some(way) = group.iter().find(|way| way.is_empty() || way.len() > LONGEST) {
            return Err(format!("'{}' is {} words; 1 to {LONGEST} are allowed", way.join("_"), way.len()));
        }
        if self.groups.len() == GROUPS {
            return Err(format!("at most {GROUPS} groups are allowed"));
        }
        for way in &group {
            self.ways.entry(way.clone()).or_default().push(self.groups.len());
        }
        self.groups.push(group);
        Ok(())
    }

    pub fn longest(&self) -> usize {
        LONGEST
    }

    /// The synonyms of these words; empty if there are none.
    pub fn others(&self, words: &[String]) -> Vec<SynonymPhrase> {
        let groups = self.ways.get(words).into_iter().flatten().flat_map(|number| &self.groups[*number]);
        let mut others: Vec<SynonymPhrase> = groups.filter(|way| way.as_slice() != words).cloned().collect();
        others.sort_unstable();
        others.dedup();
        others.truncate(WAYS);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> SynonymPhrase {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn others_are_found_from_each_side() {
        let synonyms = SynonymTable::default();
        assert!(synonyms.others(&words("tif")).contains(&words("geotiff")));
        assert!(synonyms.others(&words("machine learning")).contains(&words("ml")));
        assert_eq!(synonyms.others(&words("machine")), Vec::<SynonymPhrase>::new());
    }

    #[test]
    fn more_groups_are_added_to_ours() {
        let synonyms = SynonymTable::with("# ours\n\nfoo bar_baz\ntif foo\n").unwrap();
        assert_eq!(synonyms.others(&words("bar baz")), [words("foo")]);
        let others = synonyms.others(&words("tif"));
        assert!(others.contains(&words("foo")) && others.contains(&words("geotiff")), "a word may be in several");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, names) in [("\none", "line 2"), ("a b_c_d_e_f", "5 words"), ("a ++", "0 words")] {
            let why = SynonymTable::with(text).unwrap_err();
            assert!(why.contains(names), "{why}");
        }
    }
}
