//! Whether a request that changes something was sent by a page of ours: a defence against cross-site request forgery.

use http::{HeaderMap, Uri, header};

use super::proxied::PublicUrl;
use crate::app::App;

/// Where a browser says that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    /// A page of ours.
    Own,
    /// A page of another origin, or none.
    Foreign,
    /// It does not say.
    Unknown,
}

impl RequestOrigin {
    /// Browsers send `Sec-Fetch-Site` to https and loopback addresses (W3C Fetch Metadata), `Origin` with each `POST`.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri, app: &App) -> Self {
        Self::read(headers, || PublicUrl::of(headers, uri, app).origin())
    }

    fn read(headers: &HeaderMap, own: impl FnOnce() -> Option<String>) -> Self {
        let is_own = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => own().is_some_and(|own| *origin == own.as_str()),
            (None, None) => return Self::Unknown,
        };
        if is_own { Self::Own } else { Self::Foreign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        for (site, origin, expected) in [
            (Some("same-origin"), None, RequestOrigin::Own),
            (Some("same-origin"), Some("null"), RequestOrigin::Own),
            (Some("same-site"), Some("https://silo.example.org"), RequestOrigin::Foreign),
            (Some("cross-site"), None, RequestOrigin::Foreign),
            (Some("none"), None, RequestOrigin::Foreign),
            (Some(""), None, RequestOrigin::Foreign),
            (None, Some("https://silo.example.org"), RequestOrigin::Own),
            (None, Some("http://silo.example.org"), RequestOrigin::Foreign),
            (None, Some("https://silo.example.org:8443"), RequestOrigin::Foreign),
            (None, Some("https://silo.example.org.evil.example"), RequestOrigin::Foreign),
            (None, Some("null"), RequestOrigin::Foreign),
            (None, None, RequestOrigin::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().expect("a value"));
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            }
            let found = RequestOrigin::read(&headers, || Some("https://silo.example.org".to_owned()));
            assert_eq!(found, expected, "{site:?} {origin:?}");
        }
    }
}
