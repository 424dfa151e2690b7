//! `/` and `/search`: the catalogue, searched and narrowed. All state is in the address.

use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::facets::{self, ChosenFacet, FacetGroup};
use super::filters;
use super::frame::wants_html;
use super::hits::{self, SearchHitView};
use super::{PageFrame, reply, welcome};
use crate::app::{App, Error, SearchOptions, SearchOrder, UserSession};
use crate::http::api::legacy::route_list;
use crate::http::api::v1::search::{KindWord, SearchQuery};
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};

/// Results on a page.
const PAGE_SIZE: usize = 20;

/// The orders that a page offers, with their words in addresses.
const ORDERS: [(SearchOrder, &str, &str); 4] = [
    (SearchOrder::Relevance, "relevance", "best match"),
    (SearchOrder::Newest, "newest", "newest"),
    (SearchOrder::Name, "name", "name"),
    (SearchOrder::Version, "version", "version"),
];

#[derive(Template)]
#[template(path = "search.html", blocks = ["main"])]
struct SearchResultsPage {
    frame: PageFrame,
    /// Such as `10 jobs for “image”`.
    heading: String,
    /// The text that was searched for; empty for everything.
    query: String,
    /// The corrected query, if a word of it is unknown.
    did_you_mean: Option<String>,
    /// Address of the same query, taken literally.
    literal_url: String,
    is_images: bool,
    /// Address of the same query for images, or for jobs.
    other_kind_url: String,
    orders: Vec<SortChoice>,
    feed_url: String,
    facets: Vec<FacetGroup>,
    chosen: Vec<ChosenFacet>,
    /// Address without any facet.
    clear_url: String,
    hits: Vec<SearchHitView>,
    total: u64,
    first_url: Option<String>,
    next_url: Option<String>,
}

/// An order to choose.
struct SortChoice {
    word: &'static str,
    label: &'static str,
    is_chosen: bool,
}

/// `/`: all jobs for people; the legacy list of routes for programs.
pub(super) async fn home(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    // Unknown while the database is unreachable, as by an anonymous client.
    session: Option<Extension<UserSession>>,
    headers: HeaderMap,
) -> Result<Response> {
    if !wants_html(&headers) {
        return Ok(route_list().into_response());
    }
    match app.registry_list().await {
        Ok(registries) if registries.is_empty() => welcome::show(&app, frame, session.as_deref()),
        // The index answers without the database.
        Ok(_) | Err(Error::StoreAway(_)) => show(&app, frame, Vec::new()).await,
        Err(why) => Err(why.into()),
    }
}

pub(super) async fn search(
    RequestApp(app): RequestApp,
    frame: PageFrame,
    QueryParameters(pairs): QueryParameters<Vec<(String, String)>>,
) -> Result<Response> {
    show(&app, frame, pairs).await
}

async fn show(app: &App, frame: PageFrame, pairs: Vec<(String, String)>) -> Result<Response> {
    let address = SearchAddress::of(pairs);
    let SearchQuery { text, kind, page } = SearchQuery::read(address.pairs.clone())?;
    let options = SearchOptions {
        limit: PAGE_SIZE,
        count: true,
        details: true,
        highlight: text.is_some(),
        // Without a query there is no best match.
        order: match page.order {
            SearchOrder::Relevance if text.is_none() => SearchOrder::Newest,
            order => order,
        },
        ..page
    };
    let text = text.as_deref();
    let (found, is_images) = match kind {
        KindWord::Job => (hits::of_jobs(&frame, app.search_jobs(text, &options).await?), false),
        KindWord::Image => (hits::of_images(&frame, app.search_images(text, &options).await?), true),
    };
    let query = text.unwrap_or_default().trim().to_owned();
    let url = |address: SearchAddress| frame.url(&address.path());
    let first_page = address.without("cursor");
    let view = SearchResultsPage {
        heading: heading(found.total, is_images, &query, !options.filters.is_empty()),
        literal_url: url(first_page.with("q", &format!("\"{}\"", query.replace('"', " ")))),
        did_you_mean: found.did_you_mean,
        is_images,
        other_kind_url: url(match is_images {
            true => first_page.without("kind"),
            false => first_page.with("kind", "image"),
        }),
        orders: orders(options.order, text.is_some()),
        feed_url: frame.url(&feed_path(&query)),
        facets: facets::groups(&found.facets, &options.filters),
        chosen: facets::chosen(&options.filters, |facet, value| url(first_page.without_facet(facet, value))),
        clear_url: url(first_page.without_facets()),
        hits: found.hits,
        total: found.total,
        first_url: options.cursor.is_some().then(|| url(first_page.clone())),
        next_url: found.next.map(|cursor| url(first_page.with("cursor", &cursor))),
        frame: frame.clone().with_query(&query),
        query,
    };
    if frame.is_fragment() { reply(&view.as_main()) } else { reply(&view) }
}

fn heading(total: u64, is_images: bool, query: &str, is_narrowed: bool) -> String {
    let things = match (is_images, total) {
        (false, 1) => "job",
        (false, _) => "jobs",
        (true, 1) => "image",
        (true, _) => "images",
    };
    match (total, query, is_narrowed) {
        (0, "", _) => format!("No {things}"),
        (0, query, _) => format!("No {things} for “{query}”"),
        (1, "", _) | (_, "", true) => format!("{total} {things}"),
        (_, "", false) => format!("All {total} {things}"),
        (_, query, _) => format!("{total} {things} for “{query}”"),
    }
}

/// Without a query there is no best match.
fn orders(order: SearchOrder, has_query: bool) -> Vec<SortChoice> {
    let offered = ORDERS.into_iter().filter(|(one, ..)| has_query || *one != SearchOrder::Relevance);
    offered.map(|(one, word, label)| SortChoice { word, label, is_chosen: one == order }).collect()
}

fn feed_path(query: &str) -> String {
    match query {
        "" => "/api/v1/feed".to_owned(),
        query => format!("/api/v1/feed?q={}", utf8_percent_encode(query, NON_ALPHANUMERIC)),
    }
}

/// The state of a search as its address has it.
#[derive(Clone, Debug)]
struct SearchAddress {
    pairs: Vec<(String, String)>,
}

impl SearchAddress {
    /// Forms send empty fields, too; they mean nothing.
    fn of(pairs: Vec<(String, String)>) -> Self {
        Self { pairs: pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect() }
    }

    fn without(&self, name: &str) -> Self {
        self.keep(|other, _| other != name)
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let mut address = self.without(name);
        address.pairs.push((name.to_owned(), value.to_owned()));
        address
    }

    fn without_facets(&self) -> Self {
        self.keep(|name, _| !is_facet(name))
    }

    /// `value` is as the search reads it: trimmed.
    fn without_facet(&self, facet: &str, value: &str) -> Self {
        self.keep(|name, other| {
            let (word, other) = match name.strip_prefix("facet.") {
                Some(word) => (word, other),
                None if name == "facet" => other.split_once(':').unwrap_or_default(),
                None => return true,
            };
            word != facet || other.trim() != value
        })
    }

    fn keep(&self, is_kept: impl Fn(&str, &str) -> bool) -> Self {
        Self { pairs: self.pairs.iter().filter(|(name, value)| is_kept(name, value)).cloned().collect() }
    }

    fn path(&self) -> String {
        if self.pairs.is_empty() {
            return "/search".to_owned();
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish();
        format!("/search?{query}")
    }
}

fn is_facet(name: &str) -> bool {
    name == "facet" || name.starts_with("facet.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(query: &str) -> SearchAddress {
        SearchAddress::of(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    #[test]
    fn addresses_keep_the_rest_of_the_state() {
        let all = address("q=a+%26+b&sort=&facet.tag=x&facet=tag:y&facet.org=+x+&cursor=c");
        assert_eq!(all.path(), "/search?q=a+%26+b&facet.tag=x&facet=tag%3Ay&facet.org=+x+&cursor=c");
        let first = all.without("cursor");
        assert_eq!(first.without_facet("tag", "x").path(), "/search?q=a+%26+b&facet=tag%3Ay&facet.org=+x+");
        assert_eq!(first.without_facet("tag", "y").path(), "/search?q=a+%26+b&facet.tag=x&facet.org=+x+");
        assert_eq!(first.without_facet("org", "x").path(), "/search?q=a+%26+b&facet.tag=x&facet=tag%3Ay");
        assert_eq!(first.without_facets().path(), "/search?q=a+%26+b");
        assert_eq!(first.without_facets().with("q", "\"c\"").path(), "/search?q=%22c%22");
        assert_eq!(address("").path(), "/search");
    }

    #[test]
    fn headings_count() {
        for (total, is_images, query, is_narrowed, expected) in [
            (10, false, "image", false, "10 jobs for “image”"),
            (1, false, "a", false, "1 job for “a”"),
            (0, false, "a", false, "No jobs for “a”"),
            (12, false, "", false, "All 12 jobs"),
            (1, true, "", false, "1 image"),
            (3, true, "", true, "3 images"),
            (0, false, "", false, "No jobs"),
        ] {
            assert_eq!(heading(total, is_images, query, is_narrowed), expected);
        }
    }
}
