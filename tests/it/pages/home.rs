//! `/` is a page for browsers, and the old list of routes for programs. No other address has two forms.

use http::Method;

use super::markup::{heading, link, titles};
use super::{BROWSER, page};
use crate::support::app::{Reply, TestApp, jobs};

async fn asked(silo: &TestApp, path: &str, accept: Option<&str>) -> Reply {
    let headers: Vec<(&str, &str)> = accept.map(|accept| ("accept", accept)).into_iter().collect();
    silo.anonymous().send(Method::GET, path, &headers, Vec::new()).await
}

#[tokio::test]
async fn the_root_is_a_page_for_those_who_name_html() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    let list = asked(&silo, "/", None).await.expect(200);
    assert_eq!(list.header("content-type"), "application/json");
    assert_eq!(list.json().as_array().map(Vec::len), Some(24));
    for accept in ["*/*", "application/json", "application/json, text/plain, */*", "text/*", "text/html;q=0", "image/*"]
    {
        let reply = asked(&silo, "/", Some(accept)).await.expect(200);
        assert_eq!((reply.header("content-type"), &reply.text), ("application/json", &list.text), "{accept}");
    }
    let html = page(&silo, "/").await.expect(200);
    assert_eq!(heading(&html.text), "1 job");
    for reply in [&list, &html] {
        assert!(reply.header("vary").contains("accept"), "{}: {}", reply.asked, reply.header("vary"));
    }
}

#[tokio::test]
async fn all_other_addresses_of_programs_ignore_what_the_client_accepts() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    for path in [
        "/jobs",
        "/jobs/1",
        "/jobs/999",
        "/jobs/x/y/z",
        "/jobs/1/job-versions",
        "/jobs/search/a",
        "/images",
        "/images/1/manifest",
        "/images/search/a",
        "/registries",
        "/registries/scan",
        "/job-versions",
        "/users",
        "/users/1",
        "/login",
        "/schemas",
        "/healthz",
        "/api/v1/search?q=a",
        "/api/v1/nothing",
        "/hooks/nothing",
    ] {
        let [plain, browser] = [asked(&silo, path, None).await, asked(&silo, path, Some(BROWSER)).await];
        // The request id differs.
        let body = |reply: &Reply| match reply.header("content-type") {
            "application/problem+json" => reply.error(),
            _ => reply.text.clone(),
        };
        assert_eq!(plain.status, browser.status, "{path}");
        assert_eq!(plain.header("content-type"), browser.header("content-type"), "{path}");
        assert_eq!(body(&plain), body(&browser), "{path}");
        assert_eq!(browser.header("content-security-policy"), "", "{path}");
    }
}

#[tokio::test]
async fn the_start_page_shows_all_jobs_and_the_first_one_says_what_to_do() {
    let silo = TestApp::start().await;
    let first = page(&silo, "/").await.expect(200);
    assert_eq!(heading(&first.text), "Welcome to SILO");
    assert!(first.text.contains("silo registry add"), "{}", first.text);

    let registry = silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0")])).await;
    let empty = page(&silo, "/").await.expect(200);
    assert_eq!(heading(&empty.text), "No jobs");
    assert!(empty.text.contains("The catalogue has no Seed images yet"), "{}", empty.text);

    silo.scan(registry).await;
    let start = page(&silo, "/").await.expect(200);
    assert_eq!(heading(&start.text), "All 2 jobs");
    assert_eq!(titles(&start.text).len(), 2);
    assert_eq!(link(&start.text, "Feed"), "/api/v1/feed");
}

#[tokio::test]
async fn help_leads_to_searches_and_to_the_document_of_the_api() {
    let silo = TestApp::start().await;
    let help = page(&silo, "/help").await.expect(200);
    assert_eq!(link(&help.text, "openapi.yaml"), "/openapi.yaml");
    assert!(
        help.text.contains(&format!("curl -G &#39;{}/api/v1/search&#39;", silo.url)) || help.text.contains(&silo.url)
    );
    for query in super::markup::named(&help.text, "a").iter().filter(|tag| tag.value("href").starts_with("/search?q="))
    {
        page(&silo, query.value("href")).await.expect(200);
    }
}

#[tokio::test]
async fn the_theme_is_in_the_first_byte() {
    let silo = TestApp::start().await;
    let dark = super::page_with(&silo, "/help", &[("cookie", "a=b; silo-theme=dark")]).await.expect(200);
    assert!(dark.text.contains("<html lang=\"en\" data-theme=\"dark\">"), "{}", dark.text);
    let other = super::page_with(&silo, "/help", &[("cookie", "silo-theme=\"><script>")]).await.expect(200);
    assert!(other.text.contains("<html lang=\"en\">"), "{}", other.text);
    assert!(dark.header("vary").contains("cookie"));
}
