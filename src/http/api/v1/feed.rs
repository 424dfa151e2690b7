//! `/api/v1/feed`: the newest images as an Atom feed (RFC 4287), for feed readers.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::catalog::CatalogueImage;
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::file::is_known;
use crate::http::proxied::PublicPrefix;
use crate::xml::escaped;

/// Most entries of a feed.
const ENTRIES: u32 = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    #[serde(default)]
    q: String,
}

pub(super) async fn feed(
    RequestApp(app): RequestApp,
    QueryParameters(FeedQuery { q }): QueryParameters<FeedQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let tag = format!("W/\"{}\"", app.feed_revision().await?);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let images = app.feed_images(&q, ENTRIES).await?;
    let updated = images.iter().map(|image| image.changed_at).max().unwrap_or_default();
    let base = match app.settings().http.public_url.trim_end_matches('/') {
        "" => PublicPrefix::of(&headers, &app).0,
        configured => configured.to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8".to_owned()),
        (header::ETAG, tag),
        (header::LAST_MODIFIED, updated.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, atom(&base, &q, updated, &images)).into_response())
}

/// The Atom document. Links without a base are relative to the feed's own URL.
fn atom(base: &str, query: &str, updated: DateTime<Utc>, images: &[CatalogueImage]) -> String {
    let about = if query.is_empty() { "Seed images".to_owned() } else { format!("Seed images: {query}") };
    let address = if query.is_empty() {
        format!("{base}/api/v1/feed")
    } else {
        format!("{base}/api/v1/feed?q={}", utf8_percent_encode(query, NON_ALPHANUMERIC))
    };
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n");
    let mut line = |text: std::fmt::Arguments<'_>| xml.write_fmt(text).expect("a text takes what is written to it");
    line(format_args!("<id>{}</id>\n<title>{}</title>\n", urn(&["feed", base, query]), escaped(&about)));
    line(format_args!("<updated>{}</updated>\n<author><name>SILO</name></author>\n", time(updated)));
    line(format_args!("<link rel=\"self\" type=\"application/atom+xml\" href=\"{}\"/>\n", escaped(&address)));
    for image in images {
        let reference = image.pull_reference();
        let facts = &image.facts;
        let id = urn(&["image", &image.registry_id.to_string(), &reference]);
        let title = format!("{} {} ({})", facts.title, facts.job_version, facts.package_version);
        line(format_args!("<entry>\n<id>{id}</id>\n<title>{}</title>\n", escaped(&title)));
        line(format_args!("<updated>{}</updated>\n", time(image.changed_at)));
        line(format_args!("<published>{}</published>\n", time(image.first_seen_at)));
        line(format_args!("<author><name>{}</name></author>\n", escaped(&facts.maintainer)));
        line(format_args!("<category term=\"{}\"/>\n", escaped(&facts.job_name)));
        let address = format!("{base}/api/v1/images/{}", image.id);
        line(format_args!("<link rel=\"alternate\" type=\"application/json\" href=\"{}\"/>\n", escaped(&address)));
        let summary = format!("{}\n\n{reference}", facts.description);
        line(format_args!("<summary>{}</summary>\n</entry>\n", escaped(&summary)));
    }
    xml.push_str("</feed>\n");
    xml
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A URN that is the same for the same parts (UUID version 8 of RFC 9562, made from a hash).
fn urn(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\n"));
    let bytes = *hash.first_chunk().expect("a hash is longer than a UUID");
    uuid::Uuid::new_v8(bytes).urn().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_differ() {
        assert_eq!(urn(&["image", "1", "a/b:1"]), urn(&["image", "1", "a/b:1"]));
        assert_ne!(urn(&["image", "1", "a/b:1"]), urn(&["image", "2", "a/b:1"]));
        assert!(urn(&["a"]).starts_with("urn:uuid:"));
    }
}
