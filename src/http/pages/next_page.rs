//! Redirects, and the page to go to after a login: one of ours, whatever the address says.

use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, Uri, header};
use url::Url;

/// Longest address to come back to, in bytes.
const LONGEST: usize = 2000;

/// The path of the page to log in, which leads back to the page at `here`.
pub(super) fn login_path(here: &str) -> String {
    match own_path(here).filter(|here| *here != "/" && !here.starts_with("/session")) {
        Some(here) => {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
            format!("/session?{query}")
        }
        None => "/session".to_owned(),
    }
}

/// The reply to a request for a page that needs a login. Only a page that was only looked at is come back to.
pub(in crate::http) fn log_in_first(method: &Method, uri: &Uri) -> Response {
    let here = uri.path_and_query().map(|here| here.as_str()).filter(|_| method.is_safe());
    see_other(&login_path(here.unwrap_or_default()))
}

/// A redirect to a path of ours; the envelope adds the prefix of a proxy.
pub(super) fn see_other(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

/// The address, if it is a path of this server, as browsers read it: they take `\` for `/`, and leave out tabs and line
/// breaks.
pub(super) fn own_path(next: &str) -> Option<&str> {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let is_plain = next.len() <= LONGEST && next.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path || !is_plain {
        return None;
    }
    let base = Url::parse("http://silo.invalid/").ok()?;
    base.join(next).is_ok_and(|url| url.origin() == base.origin()).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_paths_of_this_server_are_gone_to() {
        for own in
            ["/", "/search?q=a%20b&facet.tag=x", "/job/a~2Fb/1.0.0/1.0.0", "/a//b", "/?next=https://evil.example"]
        {
            assert_eq!(own_path(own), Some(own));
        }
        for foreign in [
            "",
            "search",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\r\nSet-Cookie: a=b",
            "/\u{e4}",
        ] {
            assert_eq!(own_path(foreign), None, "{foreign:?}");
        }
        assert_eq!(own_path(&format!("/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn a_login_leads_back() {
        for (here, expected) in [
            ("/search?q=a b", "/session"),
            ("/search?q=a+b&c", "/session?next=%2Fsearch%3Fq%3Da%2Bb%26c"),
            ("/", "/session"),
            ("", "/session"),
            ("/session?next=%2Fjobs", "/session"),
        ] {
            assert_eq!(login_path(here), expected, "{here}");
        }
    }

    proptest! {
        #[test]
        fn no_text_leads_elsewhere(text in "[/\\\\a-z.:@?#\t\n ]{0,12}") {
            let base = Url::parse("https://silo.example:8443/session").expect("a URL");
            if let Some(own) = own_path(&text) {
                let url = base.join(own).expect("a path");
                prop_assert_eq!(url.origin(), base.origin());
                prop_assert!(url.username().is_empty());
            }
        }
    }
}
