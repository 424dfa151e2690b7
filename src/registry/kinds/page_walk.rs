//! Pagination that terminates whatever the registry sends, and tells why a listing was cut. Pure.

use std::collections::HashSet;

/// Most names of one listing.
const NAMES: usize = 1_000_000;

/// Pagination state of a listing whose pages each name the query of the next.
pub(super) struct PageWalk {
    next: Option<String>,
    asked: HashSet<String>,
    seen: HashSet<String>,
    /// Whether the current page had a new name.
    news: bool,
    most_pages: usize,
    truncated: Option<String>,
}

impl PageWalk {
    pub(super) fn new(first: &str, most_pages: u32) -> Self {
        Self {
            next: Some(first.to_owned()),
            asked: HashSet::new(),
            seen: HashSet::new(),
            news: false,
            most_pages: most_pages as usize,
            truncated: None,
        }
    }

    /// The query of the page to request; `None` at the end.
    pub(super) fn query(&mut self) -> Option<String> {
        let query = self.next.take()?;
        self.asked.insert(query.clone());
        self.news = false;
        Some(query)
    }

    pub(super) fn is_first(&self) -> bool {
        self.asked.len() == 1
    }

    /// Whether this name appears for the first time.
    pub(super) fn is_new(&mut self, name: &str) -> bool {
        let new = self.seen.insert(name.to_owned());
        self.news |= new;
        new
    }

    /// Number of distinct repository or tag names so far.
    pub(super) fn names(&self) -> usize {
        self.seen.len()
    }

    /// Continues with the page that the current one names; `None`: it is the last.
    pub(super) fn turn(&mut self, next: Option<String>) {
        let Some(next) = next else { return };
        if !self.news || self.asked.contains(&next) {
            self.cut("its pages lead in circles".to_owned());
        } else if self.seen.len() >= NAMES {
            self.cut(format!("it has more than {NAMES} names"));
        } else if self.asked.len() >= self.most_pages {
            self.cut(format!("it has more than {} pages, the limit set here", self.most_pages));
        } else {
            self.next = Some(next);
        }
    }

    /// Continues with the next page number, if there is more; for listings with pages numbered from 1.
    pub(super) fn turn_number(&mut self, more: bool) {
        let next = (self.asked.len() + 1).to_string();
        self.turn(more.then_some(next));
    }

    /// Ends the listing early.
    pub(super) fn cut(&mut self, why: String) {
        self.truncated = Some(why);
    }

    /// Why it was cut; `None`: complete.
    pub(super) fn truncated(self) -> Option<String> {
        self.truncated
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_walk_ends_and_says_when_it_was_cut(
            pages in proptest::collection::vec((0usize..4, proptest::option::weighted(0.9, "[a-d]{1,2}")), 1..30),
        ) {
            let mut walk = PageWalk::new("first", 15);
            let mut asked = HashSet::new();
            let mut pages = pages.into_iter().cycle();
            while let Some(query) = walk.query() {
                prop_assert!(asked.insert(query), "no page twice");
                let (names, next) = pages.next().unwrap_or_default();
                for name in 0..names {
                    walk.is_new(&format!("{}-{name}", asked.len()));
                }
                let is_last = next.is_none();
                walk.turn(next);
                if walk.next.is_none() {
                    prop_assert_eq!(walk.truncated.is_none(), is_last);
                }
            }
            prop_assert!(asked.len() <= 15);
        }
    }
}
