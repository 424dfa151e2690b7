//! The files of `assets/`, embedded, under an address that changes with their content.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::app::Error;
use crate::http::error::Result;
use crate::http::extract::PathParameters;
use crate::http::file::is_known;

#[derive(RustEmbed)]
#[folder = "assets"]
struct EmbeddedAssets;

/// A file, as it is and compressed.
struct AssetFile {
    media_type: &'static str,
    plain: Cow<'static, [u8]>,
    gzipped: Vec<u8>,
}

/// All files by name. Compressed once, at the first request.
static ASSETS: LazyLock<BTreeMap<String, AssetFile>> = LazyLock::new(|| {
    let read = |name: Cow<'static, str>| {
        let plain = EmbeddedAssets::get(&name).expect("the name was listed").data;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain).expect("memory takes what is written");
        let gzipped = encoder.finish().expect("memory takes what is written");
        (name.to_string(), AssetFile { media_type: media_type(&name), plain, gzipped })
    };
    EmbeddedAssets::iter().map(read).collect()
});

/// Hash of the names and contents of all files.
static REVISION: LazyLock<String> = LazyLock::new(|| {
    /// In hexadecimal digits.
    const LENGTH: usize = 16;
    let mut hash = Sha256::new();
    for (name, file) in &*ASSETS {
        hash.update(name);
        hash.update(file.plain.len().to_le_bytes());
        hash.update(&file.plain);
    }
    hex::encode(hash.finalize())[..LENGTH].to_owned()
});

/// The part of the address of assets that changes with their content.
pub(super) fn revision() -> &'static str {
    &REVISION
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// `/assets/{hash}/{name}`: never changes for the current hash. Other hashes, of a process before an update, get the
/// current file, which is then not to be kept.
pub(super) async fn asset(
    PathParameters((hash, name)): PathParameters<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let Some(file) = ASSETS.get(&name) else { return Err(Error::NotFound("There is no such file".to_owned()).into()) };
    let is_gzip = accepts_gzip(&headers);
    let tag = format!("\"{}{}\"", revision(), if is_gzip { "-gzip" } else { "" });
    let lasting = if hash == revision() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [
        (header::CACHE_CONTROL, lasting),
        (header::ETAG, tag.as_str()),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_TYPE, file.media_type),
    ];
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok(if is_gzip {
        (common, [(header::CONTENT_ENCODING, "gzip")], file.gzipped.as_slice()).into_response()
    } else {
        (common, &*file.plain).into_response()
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && parts.all(|part| !matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}
