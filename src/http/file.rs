//! Files as replies: strong ETags, one range (RFC 9110, sections 13 and 14), and safe file names.

use std::io::SeekFrom;
use std::path::Path;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::Result;
use crate::app::Error;

/// Characters that need no encoding in `filename*` (RFC 8187, `attr-char`).
const ATTRIBUTE: AsciiSet = NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// The policy of files of users, so that a browser that opens one, against its disposition or type, runs nothing of it.
pub(super) const SANDBOX: &str = "default-src 'none'; sandbox";
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A file to serve.
pub(super) struct ServedFile<'a> {
    pub path: &'a Path,
    pub media_type: &'a str,
    /// The ETag without quotes; `None` for a file that may grow.
    pub tag: Option<&'a str>,
    /// File name for a download; `None` if browsers may display it.
    pub save_as: Option<&'a str>,
}

/// Replies with the file, or the requested range of it.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist.
pub(super) async fn serve(served: ServedFile<'_>, asked: &HeaderMap) -> Result<Response> {
    let gone = || Error::NotFound("The file no longer exists".to_owned());
    let mut file = File::open(served.path).await.map_err(|_| gone())?;
    let size = file.metadata().await.map_err(|_| gone())?.len();
    let mut headers = HeaderMap::new();
    let tag = served.tag.map(|tag| format!("\"{tag}\""));
    if let Some(tag) = tag.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    if tag.as_deref().is_some_and(|tag| is_known(asked, tag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let plain = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(served.media_type).unwrap_or(plain));
    if let Some(name) = served.save_as {
        headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    }
    let range = match asked_range(asked, tag.as_deref(), size) {
        RequestedRange::Whole => None,
        RequestedRange::Part(first, last) => Some((first, last)),
        RequestedRange::Nothing => {
            headers.insert(header::CONTENT_RANGE, number(&format!("bytes */{size}")));
            headers.remove(header::CONTENT_TYPE);
            headers.remove(header::CONTENT_DISPOSITION);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let (status, first, length) = match range {
        None => (StatusCode::OK, 0, size),
        Some((first, last)) => {
            headers.insert(header::CONTENT_RANGE, number(&format!("bytes {first}-{last}/{size}")));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    file.seek(SeekFrom::Start(first)).await.map_err(|why| Error::Internal(why.to_string()))?;
    // A file that grows meanwhile keeps the length in the header.
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE));
    Ok((status, headers, body).into_response())
}

/// A header value of digits and ASCII.
fn number(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and ASCII make a header")
}

/// Whether the client has the version with this ETag already (`If-None-Match`).
pub(in crate::http) fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let (Some(known), Ok(tag)) = (asked.typed_get::<IfNoneMatch>(), tag.parse::<ETag>()) else { return false };
    !known.precondition_passes(&tag)
}

/// The requested part of a file.
#[derive(Debug, PartialEq, Eq)]
enum RequestedRange {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    /// A range outside of the file.
    Nothing,
}

/// Evaluates `Range` and `If-Range`. By hand: `headers::Range` answers a suffix longer than the file, such as the last 99
/// bytes of 10, with nothing instead of the whole (RFC 9110, section 14.1.2). Other units, and several ranges at once, are ignored, as RFC 9110 allows: the
/// whole file is sent.
fn asked_range(asked: &HeaderMap, tag: Option<&str>, size: u64) -> RequestedRange {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|condition| Some(condition) != tag) {
        return RequestedRange::Whole;
    }
    let Some((first, last)) = text(header::RANGE)
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|range| !range.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return RequestedRange::Whole;
    };
    let digits = |text: &str| if text.is_empty() { Ok(None) } else { text.parse::<u64>().map(Some) };
    match (digits(first), digits(last)) {
        (Ok(None), Ok(Some(0))) => RequestedRange::Nothing,
        (Ok(None), Ok(Some(_))) if size == 0 => RequestedRange::Nothing,
        (Ok(None), Ok(Some(most))) => RequestedRange::Part(size.saturating_sub(most), size - 1),
        (Ok(Some(first)), Ok(last)) if last.is_none_or(|last| first <= last) => {
            if first >= size {
                RequestedRange::Nothing
            } else {
                RequestedRange::Part(first, last.unwrap_or(size).min(size - 1))
            }
        }
        _ => RequestedRange::Whole,
    }
}

/// `attachment`, with the name in ASCII for old clients, and as in RFC 8187.
pub(super) fn disposition(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    let whole = utf8_percent_encode(name, &ATTRIBUTE);
    number(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(range: &str, size: u64) -> RequestedRange {
        let headers = HeaderMap::from_iter([(header::RANGE, range.parse().expect("a header"))]);
        asked_range(&headers, Some("\"a\""), size)
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        for (text, size, expected) in [
            ("bytes=0-4", 10, RequestedRange::Part(0, 4)),
            ("bytes=4-", 10, RequestedRange::Part(4, 9)),
            ("bytes=4-99", 10, RequestedRange::Part(4, 9)),
            ("bytes=-3", 10, RequestedRange::Part(7, 9)),
            ("bytes=-99", 10, RequestedRange::Part(0, 9)),
            ("bytes=10-", 10, RequestedRange::Nothing),
            ("bytes=-0", 10, RequestedRange::Nothing),
            ("bytes=0-", 0, RequestedRange::Nothing),
            ("bytes=-1", 0, RequestedRange::Nothing),
            ("bytes=5-4", 10, RequestedRange::Whole),
            ("bytes=a-b", 10, RequestedRange::Whole),
            ("bytes=-", 10, RequestedRange::Whole),
            ("bytes=0-1,3-4", 10, RequestedRange::Whole),
            ("lines=0-1", 10, RequestedRange::Whole),
            ("bytes=0-99999999999999999999999", 10, RequestedRange::Whole),
        ] {
            assert_eq!(range(text, size), expected, "{text} of {size}");
        }
        let mut headers = HeaderMap::from_iter([(header::RANGE, "bytes=0-4".parse().expect("a header"))]);
        headers.insert(header::IF_RANGE, "\"b\"".parse().expect("a header"));
        assert_eq!(asked_range(&headers, Some("\"a\""), 10), RequestedRange::Whole);
        assert_eq!(asked_range(&headers, Some("\"b\""), 10), RequestedRange::Part(0, 4));
    }

    #[test]
    fn versions_are_known_by_weak_comparison() {
        let known = |asked: &str, tag: &str| {
            is_known(&HeaderMap::from_iter([(header::IF_NONE_MATCH, asked.parse().expect("a header"))]), tag)
        };
        for asked in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(known(asked, "\"a\"") && known(asked, "W/\"a\""), "{asked}");
        }
        for asked in ["\"b\"", "a", "", "\"a,b\""] {
            assert!(!known(asked, "\"a\""), "{asked}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn names_cannot_break_out_of_their_header() {
        let shown = disposition("a\"; x=\"\r\nb/ä.tif");
        let expected =
            "attachment; filename=\"a__ x____b__.tif\"; filename*=UTF-8''a%22%3B%20x%3D%22%0D%0Ab%2F%C3%A4.tif";
        assert_eq!(shown, expected);
    }
}
