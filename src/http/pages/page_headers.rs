//! Headers that every page has.

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use super::PageFrame;

/// Nothing but our own files; no inline script or style; texts become markup only in the one policy of `silo.js`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'; \
     require-trusted-types-for 'script'; trusted-types silo";

const SAFE: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers of pages to a reply that is one. `nosniff` comes with every reply.
pub(in crate::http) fn add_page_headers(response: &mut Response) {
    if response.extensions().get::<PageFrame>().is_none() {
        return;
    }
    let headers = response.headers_mut();
    for (name, value) in SAFE {
        // A file of a run has a stricter policy of its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // A page shows what the catalogue has now, in the theme of this browser.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("accept, cookie, x-fragment"));
}
