//! Turning the pages of a kind's own listing: which comes next, and when a listing is cut. Pure.

use std::collections::HashSet;
use std::ops::ControlFlow;

/// Things taken from one listing.
const MOST: usize = 1_000_000;

/// The pages of one listing, from the first on.
pub(super) struct Pages {
    number: u32,
    most: u32,
    seen: HashSet<String>,
}

impl Pages {
    /// `most`: pages that may be asked for.
    pub(super) fn new(most: u32) -> Self {
        Self { number: 1, most, seen: HashSet::new() }
    }

    /// The page to ask for, where pages have numbers.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether something (by its name, or by the cursor that leads to it) comes for the first time.
    pub(super) fn is_new(&mut self, key: &str) -> bool {
        self.seen.insert(key.to_owned())
    }

    /// After a page: goes on to the next, or ends the listing, with the reason if it is cut. `more`: the registry has
    /// more to show; `news`: this page, or the way to the next, was new.
    pub(super) fn turn(&mut self, more: bool, news: bool) -> ControlFlow<Option<String>> {
        let cut = if !more {
            None
        } else if !news {
            Some("its pages lead in circles".to_owned())
        } else if self.seen.len() >= MOST {
            Some(format!("it has more than {MOST} entries"))
        } else if self.number >= self.most {
            Some(format!("it has more than {} pages, the limit set here", self.most))
        } else {
            self.number += 1;
            return ControlFlow::Continue(());
        };
        ControlFlow::Break(cut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_is_complete_and_a_cut_is_not() {
        let mut pages = Pages::new(2);
        assert_eq!(pages.turn(true, true), ControlFlow::Continue(()));
        assert_eq!(pages.number(), 2);
        assert_eq!(pages.turn(false, false), ControlFlow::Break(None), "a last page may be empty");
        let ControlFlow::Break(Some(why)) = pages.turn(true, true) else { panic!("the third page of two") };
        assert!(why.contains("2 pages"), "{why}");
        assert!(matches!(Pages::new(9).turn(true, false), ControlFlow::Break(Some(_))), "a circle");
    }

    proptest! {
        #[test]
        fn no_listing_is_endless(most in 1u32..50, pages in proptest::collection::vec(any::<(bool, bool)>(), 50..60)) {
            let mut walk = Pages::new(most);
            let end = pages.into_iter().position(|(more, news)| walk.turn(more, news).is_break());
            prop_assert!(end.is_some_and(|at| at < most as usize));
        }
    }
}
