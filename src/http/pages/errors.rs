//! Errors as pages.

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::PageFrame;
use super::filters;
use super::frame::PageSection;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: PageFrame,
    title: &'static str,
    /// What is wrong, and what to do.
    detail: &'a str,
    request_id: &'a str,
    /// What to search for instead; empty if nothing fits.
    instead: String,
    /// Seconds after which the page loads itself again.
    reload: Option<&'a str>,
}

/// The reply to a failed request for a page: the same status and headers, with a page that says what is wrong.
pub(in crate::http) fn with_error_page(
    response: Response,
    frame: PageFrame,
    path: &str,
    detail: &str,
    request_id: &str,
) -> Response {
    let (mut parts, _) = response.into_parts();
    let reload = parts.headers.get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok());
    let page = ErrorPage {
        frame: frame.in_section(PageSection::Other),
        title: title(parts.status),
        detail,
        request_id,
        instead: if parts.status == StatusCode::NOT_FOUND { last_word(path) } else { String::new() },
        reload: reload.filter(|_| parts.status == StatusCode::SERVICE_UNAVAILABLE),
    };
    // The template writes to memory, which does not fail.
    let html = page.render().unwrap_or_else(|_| detail.to_owned());
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(html))
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "This address cannot be understood",
        StatusCode::UNAUTHORIZED => "Log in first",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "This is too long",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "Not available now",
        status if status.is_server_error() => "Something went wrong",
        _ => "This does not work",
    }
}

/// The last part of a path, as words to search for.
fn last_word(path: &str) -> String {
    /// In characters.
    const LONGEST: usize = 100;
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let text = percent_decode_str(last).decode_utf8_lossy();
    text.split(|c: char| !c.is_alphanumeric() && !"-_.".contains(c))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::app::Error;
    use crate::http::error::HttpFailure;
    use crate::search::IndexBuildStatus;

    #[tokio::test]
    async fn a_page_that_is_not_available_yet_loads_itself_again() {
        let failed = |error: Error| HttpFailure::from(error).into_response();
        let page = |error: Error| with_error_page(failed(error), PageFrame::default(), "/search", "Wait", "id");
        let waiting = page(Error::Building(IndexBuildStatus::default()));
        assert_eq!(waiting.status(), StatusCode::SERVICE_UNAVAILABLE);
        let seconds = waiting.headers()[header::RETRY_AFTER].to_str().expect("a number").to_owned();
        let html = text(waiting).await;
        assert!(html.contains(&format!("data-reload=\"{seconds}\"")), "{html}");
        assert!(html.contains(&format!("<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>")));
        let html = text(page(Error::NotFound(String::new()))).await;
        assert!(!html.contains("data-reload") && !html.contains("refresh"), "{html}");
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory");
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_last_part_of_a_path_is_searched_for() {
        for (path, expected) in [
            ("/job/cloud-mask", "cloud-mask"),
            ("/job/cloud%20mask/", "cloud mask"),
            ("/job/%3Cscript%3E", "script"),
            ("/job/%ff%fe", ""),
            ("/", ""),
        ] {
            assert_eq!(last_word(path), expected, "{path}");
        }
    }
}
