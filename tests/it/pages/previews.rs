//! Files that runs left, shown as they are: they may be anything, and do nothing.

use http::Method;

use super::Browser;
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};
use crate::support::stored_run::{successful_run, without_engine};

/// One grey pixel.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cch\0\0\0\x82\0\x81w\xcdr\xb6\0\0\0\0IEND\xaeB`\x82";
const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><script>alert(1)</script></svg>";
const HTML: &[u8] = b"<!doctype html><script>alert(1)</script>";

async fn admin_of(silo: &TestApp) -> Browser<'_> {
    Browser::log_in(silo, ADMIN, ADMIN_PASSWORD).await
}

#[tokio::test]
async fn files_are_shown_as_what_their_content_is() {
    let silo = without_engine().await;
    let lying = [b"GIF89a\x01\0\x01\0".as_slice(), b"*/=1;alert(1)//<script>alert(1)</script>"].concat();
    let files: [(&str, &[u8], &str); 12] = [
        ("a.png", PNG, "image/png"),
        ("sub/deep/a \"b\"~2F..png", PNG, "image/png"),
        ("picture.html", PNG, "image/png"),
        ("lying.png", HTML, "text/plain; charset=utf-8"),
        ("page.html", HTML, "text/plain; charset=utf-8"),
        ("drawing.svg", SVG, "text/plain; charset=utf-8"),
        ("both.js", &lying, "image/gif"),
        ("text.txt", "é\r\n".as_bytes(), "text/plain; charset=utf-8"),
        ("empty.txt", b"", ""),
        ("document.pdf", b"%PDF-1.4\n\0\xff", ""),
        ("huge.gif", b"GIF89a\xff\xff\xff\xff", ""),
        ("binary.json", b"{\"a\": \"\xff\"}", ""),
    ];
    let stored: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes, _)| (*path, *bytes)).collect();
    successful_run(&silo, "0001", &stored).await;
    let browser = admin_of(&silo).await;
    for (path, _, media_type) in files {
        let part = path.replace('~', "~7E").replace('/', "~2F").replace("..", "~2E~2E");
        let encoded = percent_encoding::utf8_percent_encode(&part, percent_encoding::NON_ALPHANUMERIC).to_string();
        let reply = browser.get(&format!("/run/0001/view/{encoded}")).await;
        if media_type.is_empty() {
            assert!(reply.expect(404).text.contains("cannot be shown"), "{path}");
            continue;
        }
        let reply = reply.expect(200);
        assert_eq!((reply.header("content-type"), reply.header("cache-control")), (media_type, "no-store"), "{path}");
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox", "{path}");
        assert_eq!(reply.header("content-disposition"), "", "{path}");
    }
}

#[tokio::test]
async fn files_of_runs_are_for_those_who_see_the_run() {
    let silo = without_engine().await;
    successful_run(&silo, "0001", &[("a.png", PNG)]).await;
    let path = "/run/0001/view/a.png";
    silo.anonymous().send(Method::GET, path, &[], Vec::new()).await.expect(303);
    silo.user_token().await;
    let other = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    other.get(path).await.expect(404);
    let browser = admin_of(&silo).await;
    browser.get(path).await.expect(200);
    for wrong in ["/run/0002/view/a.png", "/run/0001/view/b.png", "/run/0001/view/~2E~2E~2Fattempt-1"] {
        browser.get(wrong).await.expect(404);
    }
    browser.get("/run/0001/view/a.png?picture=0").await.expect(404);
    browser.get("/run/0001/view/a.png?picture=x").await.expect(400);
}

#[tokio::test]
async fn pictures_of_notebooks_are_pictures() {
    use base64::Engine as _;
    let silo = without_engine().await;
    let encode = |bytes: &[u8]| base64::prelude::BASE64_STANDARD.encode(bytes);
    let outputs =
        |bytes: &[u8]| serde_json::json!([{"output_type": "display_data", "data": {"image/png": encode(bytes)}}]);
    let cell = |bytes: &[u8]| serde_json::json!({"cell_type": "code", "source": "", "outputs": outputs(bytes)});
    let notebook = serde_json::json!({"cells": [cell(HTML), cell(PNG)]}).to_string();
    successful_run(&silo, "0001", &[("a.ipynb", notebook.as_bytes())]).await;
    let browser = admin_of(&silo).await;
    let reply = browser.get("/run/0001/view/a.ipynb?picture=0").await.expect(200);
    assert_eq!(reply.header("content-type"), "image/png");
    browser.get("/run/0001/view/a.ipynb?picture=1").await.expect(404);
}

#[tokio::test]
async fn downloads_may_do_nothing_either() {
    let silo = without_engine().await;
    successful_run(&silo, "0001", &[("page.html", HTML)]).await;
    for path in ["files/page.html", "outputs/PICTURES", "archive", "archive?format=zip"] {
        let reply = silo.admin().get(&format!("/api/v1/runs/0001/{path}")).await.expect(200);
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox", "{path}");
        assert!(reply.header("content-disposition").starts_with("attachment; "), "{path}");
    }
}
