//! Words that mean the same in this field of work. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

const GROUPS: &str = include_str!("../../config/synonyms.txt");

/// The most words that one meaning has.
pub const LONGEST: usize = 4;

/// Each way to say something, by its words, with the number of its group.
static WAYS: LazyLock<(HashMap<Vec<String>, usize>, Vec<Vec<Vec<String>>>)> = LazyLock::new(|| {
    let lines = GROUPS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words = |way: &str| way.split('_').map(str::to_owned).collect::<Vec<String>>();
    let groups: Vec<Vec<Vec<String>>> = lines.map(|line| line.split_whitespace().map(words).collect()).collect();
    let of =
        |(number, group): (usize, &Vec<Vec<String>>)| group.iter().map(|way| (way.clone(), number)).collect::<Vec<_>>();
    (groups.iter().enumerate().flat_map(of).collect(), groups)
});

/// The other ways to say these words; empty when there are none.
pub fn others(words: &[String]) -> Vec<Vec<String>> {
    let (ways, groups) = &*WAYS;
    let group = ways.get(words).map(|number| &groups[*number]);
    group.into_iter().flatten().filter(|way| way.as_slice() != words).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_in_one_group_only_and_is_written_as_words_are() {
        let (ways, groups) = &*WAYS;
        assert_eq!(ways.len(), groups.iter().map(Vec::len).sum::<usize>(), "a word is in two groups");
        for way in ways.keys() {
            assert!(way.len() <= LONGEST);
            assert_eq!(*way, super::super::words::plain(&way.join(" ")), "{way:?}");
        }
    }

    #[test]
    fn others_are_found_from_each_side() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(others(&words("tif")).contains(&words("geotiff")));
        assert!(others(&words("machine learning")).contains(&words("ml")));
        assert_eq!(others(&words("machine")), Vec::<Vec<String>>::new());
    }
}
