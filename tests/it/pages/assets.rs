//! The files that pages need: kept by browsers for good, compressed once.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::{Client, Response};

use super::markup::named;
use super::page;
use crate::support::app::TestApp;

fn client() -> Client {
    silo::registry::install_tls();
    Client::builder().no_proxy().no_gzip().build().expect("a client")
}

async fn ask(silo: &TestApp, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = client().get(format!("{}{path}", silo.url));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("a reply")
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

/// The style sheet and the script of a page.
async fn addresses(silo: &TestApp) -> Vec<(String, &'static str)> {
    let html = page(silo, "/help").await.expect(200).text;
    let sheet = named(&html, "link").into_iter().find(|link| link.value("rel") == "stylesheet").expect("a style sheet");
    let icon = named(&html, "link").into_iter().find(|link| link.value("rel") == "icon").expect("an icon");
    let script = named(&html, "script").pop().expect("a script");
    vec![
        (sheet.value("href").to_owned(), "text/css; charset=utf-8"),
        (script.value("src").to_owned(), "text/javascript; charset=utf-8"),
        (icon.value("href").to_owned(), "image/svg+xml"),
    ]
}

#[tokio::test]
async fn files_are_kept_for_good_and_sent_compressed() {
    let silo = TestApp::start().await;
    for (path, media_type) in addresses(&silo).await {
        let plain = ask(&silo, &path, &[("accept-encoding", "identity")]).await;
        let tag = header(&plain, "etag").to_owned();
        assert_eq!((plain.status().as_u16(), header(&plain, "content-type")), (200, media_type), "{path}");
        assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable", "{path}");
        assert_eq!(header(&plain, "content-encoding"), "", "{path}");
        assert!(header(&plain, "vary").contains("accept-encoding"), "{path}");
        let plain = plain.bytes().await.expect("a body");
        let name = path.rsplit('/').next().expect("a name");
        let file = std::fs::read(format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the file");
        assert!(plain == file, "{path} is not assets/{name}");

        let packed = ask(&silo, &path, &[("accept-encoding", "br, gzip;q=0.8")]).await;
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{path}");
        assert_ne!(header(&packed, "etag"), tag, "{path}: other bytes");
        let packed = packed.bytes().await.expect("a body");
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
        assert!(unpacked == file, "{path}");

        let known = ask(&silo, &path, &[("accept-encoding", "identity"), ("if-none-match", &tag)]).await;
        assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, tag.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_version_gets_files_that_are_not_kept() {
    let silo = TestApp::start().await;
    let reply = ask(&silo, "/assets/0123456789abcdef/silo.css", &[]).await;
    assert_eq!((reply.status().as_u16(), header(&reply, "cache-control")), (200, "no-cache"));
    for path in ["/assets/0123456789abcdef/none.css", "/assets/0123456789abcdef/..%2fCargo.toml", "/assets/silo.css"] {
        assert_eq!(ask(&silo, path, &[]).await.status().as_u16(), 404, "{path}");
    }
}
