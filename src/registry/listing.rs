//! Parses listings of repositories and tags, and decides which page is next. Pure.
//!
//! Only the query of the link to the next page is used, with our own path. So a link cannot direct requests to another
//! host, and wrong links of registries behind a path prefix still work.

use std::collections::{HashMap, HashSet};

use http::HeaderMap;
use http::header::LINK;
use url::form_urlencoded;

use super::RawListing;
use super::login::header_reader::{HeaderReader, is_token};
use super::wire::{CatalogPage, TagList};

/// Page size that is requested; halved if a registry rejects it.
const PAGE: usize = 1000;
/// From this size on, a page whose number of names is a multiple of ten or a power of two may have been truncated by a
/// registry with a smaller page limit, whose link to the next page was lost on the way.
const ROUND_PAGE: usize = 10;
/// Most names of one listing.
const NAMES: usize = 1_000_000;

/// The listing: the catalogue, or the tags of a repository.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListingTarget<'a> {
    Catalog,
    /// The tags of this repository.
    Tags(&'a str),
}

impl ListingTarget<'_> {
    /// Path below `/v2/`.
    pub(super) fn path(&self) -> String {
        match self {
            ListingTarget::Catalog => "_catalog".to_owned(),
            ListingTarget::Tags(repository) => format!("{repository}/tags/list"),
        }
    }

    /// The names on a page. `None`: the body is not such a page.
    pub(super) fn read(&self, body: &[u8]) -> Option<Vec<String>> {
        let names = match self {
            ListingTarget::Catalog => serde_json::from_slice::<CatalogPage>(body).ok()?.repositories,
            ListingTarget::Tags(_) => serde_json::from_slice::<TagList>(body).ok()?.tags,
        };
        names.map(Option::unwrap_or_default)
    }
}

/// Pagination state of one listing.
pub(super) struct ListingWalk {
    /// Requested page size; `None`: the registry's default.
    page_size: Option<usize>,
    next: ListingCursor,
    pages: u32,
    most_pages: u32,
    items: Vec<String>,
    /// Name → the page on which it appeared first.
    seen: HashMap<String, u32>,
    /// Number of names on the last page.
    last_count: usize,
    /// Whether any page had a link to the next one.
    has_links: bool,
    cursors: HashSet<ListingCursor>,
}

/// Position in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ListingCursor {
    First,
    /// The query of the registry's link.
    Linked(String),
    /// After this name (`last=`): tried if a full page has no link.
    After(String),
}

impl ListingWalk {
    pub(super) fn new(most_pages: u32) -> Self {
        Self {
            page_size: Some(PAGE),
            next: ListingCursor::First,
            pages: 0,
            most_pages,
            items: Vec::new(),
            seen: HashMap::new(),
            last_count: 0,
            has_links: false,
            cursors: HashSet::new(),
        }
    }

    pub(super) fn is_at_start(&self) -> bool {
        self.next == ListingCursor::First
    }

    /// The query of the page to request.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(size) = self.page_size {
            query.append_pair("n", &size.to_string());
        }
        match &self.next {
            ListingCursor::Linked(query) => return query.clone(),
            ListingCursor::First => {}
            ListingCursor::After(name) => {
                query.append_pair("last", name);
            }
        }
        query.finish()
    }

    /// Halves the page size, finally to the registry's default. `false`: that was tried already, or the registry's own
    /// link determines the page.
    pub(super) fn shrink(&mut self) -> bool {
        if matches!(self.next, ListingCursor::Linked(_)) {
            return false;
        }
        let Some(size) = self.page_size else { return false };
        self.page_size = Some(size / 2).filter(|half| *half > 0);
        true
    }

    /// Adds a page. Returns the listing once it is complete or cut.
    pub(super) fn take(&mut self, names: Vec<String>, link: Option<String>) -> Option<RawListing<String>> {
        self.pages += 1;
        let (count, last) = (names.len(), names.last().cloned());
        let (mut news, mut repeated) = (0, 0);
        for name in names {
            match self.seen.get(&name) {
                Some(page) => repeated += usize::from(*page < self.pages),
                None => {
                    news += 1;
                    self.items.push(name.clone());
                    self.seen.insert(name, self.pages);
                }
            }
        }
        if repeated > 0 {
            return Some(self.end_at_repeated(news, repeated));
        }
        self.has_links |= link.is_some();
        self.next = match (link, last) {
            (Some(query), _) => ListingCursor::Linked(query),
            (None, Some(last)) if self.may_be_cut(count) => ListingCursor::After(last),
            _ => return Some(self.end(None)),
        };
        self.last_count = count;
        if !self.cursors.insert(self.next.clone()) {
            return Some(self.end(Some("its pages lead in circles".to_owned())));
        }
        if self.seen.len() >= NAMES {
            return Some(self.end(Some(format!("it has more than {NAMES} names"))));
        }
        if self.pages >= self.most_pages {
            return Some(self.end(Some(format!("it has more than {} pages, the limit set here", self.most_pages))));
        }
        None
    }

    /// Whether a page without a link may not be the last one: it is full or, if no page had a link, has a round number
    /// of names.
    fn may_be_cut(&self, count: usize) -> bool {
        let is_full = self.page_size.is_some_and(|size| count >= size);
        let is_round = count >= ROUND_PAGE && (count.is_multiple_of(10) || count.is_power_of_two());
        is_full || (is_round && !self.has_links)
    }

    /// Ends the listing at a page that repeats earlier names. It is complete if the registry ignores paging: then the
    /// second page repeats the first, whose size differs from the requested one. Otherwise the registry cannot be paged
    /// further.
    fn end_at_repeated(&mut self, news: usize, repeated: usize) -> RawListing<String> {
        let is_second_of_one = self.pages == 2 && matches!(self.next, ListingCursor::After(_));
        let knows_no_pages = is_second_of_one && news == 0 && repeated == self.last_count;
        if knows_no_pages && self.page_size != Some(self.last_count) {
            return self.end(None);
        }
        self.end(Some("it repeats names of earlier pages, so some may be missing".to_owned()))
    }

    fn end(&mut self, truncated: Option<String>) -> RawListing<String> {
        RawListing { items: std::mem::take(&mut self.items), truncated }
    }
}

/// The query of the link to the next page (RFC 8288 §3). `None`: there is none.
pub(super) fn next_query(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().find_map(|value| next_link_query(&String::from_utf8_lossy(value.as_bytes())))
}

fn next_link_query(header: &str) -> Option<String> {
    let mut rest = HeaderReader::new(header);
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return None;
        }
        if !rest.eat('<') {
            rest.element();
            continue;
        }
        let target = rest.take(|c| c != '>');
        rest.eat('>');
        if is_next(&mut rest) {
            let target = target.split('#').next().unwrap_or_default();
            return target.split_once('?').map(|(_, query)| query.to_owned()).filter(|query| !query.is_empty());
        }
    }
}

/// Parses the parameters of one link. Only its first `rel` counts, which may hold several words.
fn is_next(rest: &mut HeaderReader<'_>) -> bool {
    let mut rel: Option<String> = None;
    loop {
        rest.skip(|c| c == ';' || c.is_ascii_whitespace());
        let name = rest.take(is_token).to_ascii_lowercase();
        rest.skip(|c| c.is_ascii_whitespace());
        if name.is_empty() {
            rest.element();
            return rel.is_some_and(|rel| rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next")));
        }
        if rest.eat('=') {
            let value = rest.value(Some(';'));
            if name == "rel" && rel.is_none() {
                rel = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links() {
        let query = |text: &str| next_link_query(text);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(query(r#"</v2/_catalog?last=b&n=2>; rel="next""#), some("last=b&n=2"));
        assert_eq!(query("<https://evil.example/x?last=b>; rel=next"), some("last=b"), "its host is not read");
        assert_eq!(query("<?a=1#x>;rel=next;title=\"a, <b>; rel=prev\""), some("a=1"));
        assert_eq!(query("<?a=1>; rel=prev, <?b=2>; title=\"x,y\"; REL=\"last Next\""), some("b=2"));
        assert_eq!(query("<?a=1>; rel=prev; rel=next"), None, "only the first counts");
        for none in
            ["", "<", "<?a>", "<?a>; rel", "<?a>; rel=", "</x>; rel=next", "<?>; rel=next", "x; rel=next", "<?a"]
        {
            assert_eq!(query(none), None, "{none}");
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn many(from: usize, count: usize) -> Vec<String> {
        (from..from + count).map(|i| format!("r{i}")).collect()
    }

    #[test]
    fn a_short_page_without_link_is_the_end() {
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.query(), "n=1000");
        assert_eq!(walk.take(names(&["a"]), Some("last=a".to_owned())), None, "a short page with a link is not");
        assert_eq!(walk.query(), "last=a");
        let listing = walk.take(names(&["b", "b"]), None).unwrap();
        assert_eq!(listing, RawListing { items: names(&["a", "b"]), truncated: None });
    }

    #[test]
    fn a_full_page_without_link_is_probed_until_nothing_new_comes() {
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.take(many(0, PAGE), None), None);
        assert_eq!(walk.query(), "n=1000&last=r999");
        let listing = walk.take(Vec::new(), None).unwrap();
        assert_eq!((listing.items.len(), listing.truncated), (PAGE, None));
    }

    #[test]
    fn a_round_page_without_link_is_probed() {
        for (count, is_probed) in [(9, false), (10, true), (99, false), (100, true), (128, true), (130, true)] {
            let mut walk = ListingWalk::new(10);
            assert_eq!(walk.take(many(0, count), None).is_none(), is_probed, "{count}");
        }
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.take(many(0, 100), None), None);
        assert_eq!(walk.query(), "n=1000&last=r99");
        let listing = walk.take(many(100, 31), None).unwrap();
        assert_eq!((listing.items.len(), listing.truncated), (131, None));
    }

    #[test]
    fn names_that_come_again_end_a_listing() {
        // All names at once, whatever size was requested: the registry ignores paging.
        for count in [100, PAGE + 1] {
            let mut walk = ListingWalk::new(10);
            assert_eq!(walk.take(many(0, count), None), None);
            let listing = walk.take(many(0, count), None).unwrap();
            assert_eq!((listing.items.len(), listing.truncated), (count, None));
        }
        // Exactly the requested number, and the next page repeats them.
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.take(many(0, PAGE), None), None);
        assert!(walk.take(many(0, PAGE), None).unwrap().truncated.unwrap().contains("repeats names"));
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.take(names(&["a", "b"]), Some("x".to_owned())), None);
        let listing = walk.take(names(&["b", "c"]), Some("y".to_owned())).unwrap();
        assert_eq!(listing.items, names(&["a", "b", "c"]));
        assert!(listing.truncated.unwrap().contains("repeats names"));
    }

    #[test]
    fn circles_and_endless_pages_are_cut() {
        let mut walk = ListingWalk::new(10);
        assert_eq!(walk.take(names(&["a"]), Some("x".to_owned())), None);
        assert!(walk.take(names(&["b"]), Some("x".to_owned())).unwrap().truncated.is_some());
        let mut walk = ListingWalk::new(2);
        assert_eq!(walk.take(names(&["a"]), Some("x".to_owned())), None);
        let listing = walk.take(names(&["b"]), Some("y".to_owned())).unwrap();
        assert_eq!(listing.items, names(&["a", "b"]));
        assert!(listing.truncated.unwrap().contains("2 pages"));
    }

    #[test]
    fn pages_shrink_to_a_point() {
        let mut walk = ListingWalk::new(10);
        let mut sizes = Vec::new();
        while walk.shrink() {
            sizes.push(walk.query());
        }
        assert_eq!(sizes, ["n=500", "n=250", "n=125", "n=62", "n=31", "n=15", "n=7", "n=3", "n=1", ""]);
    }

    #[test]
    fn a_page_must_say_what_it_lists() {
        assert_eq!(ListingTarget::Catalog.read(br#"{"repositories":null}"#), Some(vec![]));
        assert_eq!(ListingTarget::Catalog.read(br#"{"status":"ok"}"#), None);
        assert_eq!(ListingTarget::Tags("a").read(br#"{"name":"a","tags":null}"#), Some(vec![]));
        assert_eq!(ListingTarget::Tags("a").read(b"<html>"), None);
    }

    proptest! {
        #[test]
        fn link_parsing_never_panics(header in "\\PC{0,200}") {
            next_link_query(&header);
        }

        #[test]
        fn link_parsing_never_panics_on_near_misses(header in "(<|>|rel|next|;|=|,|\"|\\\\| |\\?|a){0,30}") {
            next_link_query(&header);
        }

        #[test]
        fn the_query_is_found_among_others(query in "[a-zA-Z0-9=&%._-]{1,40}", title in "[ -~&&[^\"\\\\]]{0,20}") {
            let header = format!("</a?x=1>; rel=prev; title=\"{title}\", </v2/x?{query}>; title=\"{title}\"; rel=\"next\"");
            prop_assert_eq!(next_link_query(&header), Some(query));
        }

        #[test]
        fn a_walk_ends(pages in proptest::collection::vec((0usize..3, proptest::option::of("[ab]{1,2}")), 20..40)) {
            let mut walk = ListingWalk::new(15);
            let mut next = 0..;
            let over = pages.into_iter().position(|(count, link)| {
                let names = next.by_ref().take(count).map(|i| format!("r{i}")).collect();
                walk.take(names, link).is_some()
            });
            prop_assert!(over.is_some_and(|at| at < 15));
        }
    }
}
