//! One spelling of each path: `/x/`, `//x` and `/a/../x` are redirected to `/x`.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, Uri, header};

/// The redirect of a request with another spelling. Its URL is relative, so that it stays below a prefix that a proxy
/// added. 301, as the old service answered; for methods other than `GET` and `HEAD` 308, since 301 turns them into
/// `GET`.
pub(super) fn redirect(method: &Method, uri: &Uri) -> Option<Response> {
    let location = relative_location(uri.path(), uri.query())?;
    let status = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    Some((status, [(header::LOCATION, HeaderValue::from_str(&location).ok()?)]).into_response())
}

/// `None` if the spelling is right.
fn relative_location(path: &str, query: Option<&str>) -> Option<String> {
    let mut clean: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = clean.pop(),
            other => clean.push(other),
        }
    }
    let clean = clean.join("/");
    if path.strip_prefix('/') == Some(&clean) || path == "*" {
        return None;
    }
    let up = "../".repeat(depth(path));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    // A first segment with a colon would be read as a scheme.
    let here = if up.is_empty() { "./" } else { "" };
    Some(format!("{here}{up}{clean}{query}"))
}

/// Number of folders between a path and its root (RFC 3986, section 5.2: an empty segment is a folder, too).
fn depth(path: &str) -> usize {
    let folder = path.rsplit_once('/').map_or("", |(folder, _last)| folder);
    folder.split('/').skip(1).fold(0, |depth: usize, part| match part {
        "." => depth,
        ".." => depth.saturating_sub(1),
        _ => depth + 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    /// The path that a client follows the redirect to, if it called the path below a prefix.
    fn followed(prefix: &str, path: &str, query: Option<&str>) -> Option<String> {
        let location = relative_location(path, query)?;
        let asked = Url::parse(&format!("http://silo.example{prefix}{path}")).unwrap();
        let went = asked.join(&location).unwrap();
        assert_eq!(went.host_str(), Some("silo.example"));
        Some(went[url::Position::BeforePath..].to_owned())
    }

    #[test]
    fn a_prefix_stays() {
        for (path, clean) in
            [("/jobs/", "/jobs"), ("//jobs", "/jobs"), ("/", "/"), ("//", "/"), ("/a//b///c", "/a/b/c")]
        {
            let clean = format!("/silo{clean}");
            let went = followed("/silo", path, None).unwrap_or_else(|| format!("/silo{path}"));
            assert_eq!(went, clean, "{path}");
        }
        assert_eq!(followed("/silo", "/a/x:y/", Some("q=//")), Some("/silo/a/x:y?q=//".to_owned()));
        assert_eq!(relative_location("/..", None).as_deref(), Some("./"));
    }

    proptest! {
        #[test]
        fn whoever_follows_comes_to_an_address_that_sends_nowhere(parts in prop::collection::vec("(|\\.|[a-c]|[a-c]{2}:?)", 0..6)) {
            let path = format!("/{}", parts.join("/"));
            if let Some(went) = followed("/silo/below", &path, None) {
                let went = went.strip_prefix("/silo/below").expect("the prefix stays");
                prop_assert_eq!(relative_location(went, None), None, "{} to {}", path, went);
            }
        }
    }
}
