//! `/help`: how searching works, keys, the API.

use askama::Template;
use axum::response::Response;

use super::filters;
use super::frame::PageSection;
use super::{PageFrame, reply};
use crate::http::error::Result;
use crate::http::proxied::PublicUrl;

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    frame: PageFrame,
    /// Address of this server, for commands.
    public_url: String,
    /// Queries to try.
    examples: Vec<SearchExample>,
}

/// A query, with its meaning.
struct SearchExample {
    query: &'static str,
    url: String,
    finds: &'static str,
}

const EXAMPLES: [(&str, &str); 8] = [
    ("sea ice", "jobs with both words, in any field; the last word may be incomplete"),
    ("\"cloud mask\"", "the phrase, spelled exactly so"),
    ("cloud -lidar", "the first word without the second; also -\"two words\" and -tag:old"),
    ("ice+snow", "either word"),
    (
        "tag:radar",
        "the word in one field: name, title, tag, maintainer, org, registry, input, output, media, version, platform",
    ),
    ("media:geotiff", "jobs that take or give a format"),
    ("version:1.2", "version 1.2 and all 1.2.x, of the job or of the package"),
    ("ndvi-1.10.0-seed:1.1.0", "the image with this name"),
];

pub(super) async fn help(frame: PageFrame, PublicUrl(public_url): PublicUrl) -> Result<Response> {
    let example = |(query, finds)| {
        let parameters = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
        SearchExample { query, url: frame.url(&format!("/search?{parameters}")), finds }
    };
    let examples = EXAMPLES.into_iter().map(example).collect();
    reply(&HelpPage { public_url, examples, frame: frame.in_section(PageSection::Help) })
}
