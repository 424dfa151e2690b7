//! Pages below the path prefix of a proxy.

use super::markup::tags;
use super::page_with;
use crate::support::app::{TestApp, jobs};

async fn links_stay_below(silo: &TestApp, headers: &[(&str, &str)], prefix: &str) {
    for path in [
        "/",
        "/search?q=job&facet.tag=example",
        "/search?q=nothing-like-that",
        "/new",
        "/validate?example=faulty",
        "/job/job/1.0.0/1.0.0/run",
        "/help",
        "/no/such/page",
    ] {
        let reply = page_with(silo, path, headers).await;
        let mut inside = 0;
        for tag in tags(&reply.text) {
            for url in ["href", "src", "action"].iter().filter_map(|name| tag.attributes.get(*name)) {
                if url.is_empty() || url.starts_with('#') {
                    continue;
                }
                assert!(url.starts_with(&format!("{prefix}/")), "{path}: {tag:?}");
                inside += 1;
            }
        }
        assert!(inside > 10, "{path}: {}", reply.text);
        assert!(reply.text.contains(&format!("<meta name=\"base\" content=\"{prefix}\">")), "{path}");
    }
}

#[tokio::test]
async fn the_first_page_and_those_of_a_session_have_the_prefix() {
    let silo = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://geo.example.org/silo/").start().await;
    let token = silo.admin_token().await;
    let authorization = format!("Bearer {token}");
    for path in ["/", "/admin/system", "/batches", "/batches/new", "/batches/new?image=999"] {
        let reply = page_with(&silo, path, &[("authorization", &authorization)]).await;
        let addresses = tags(&reply.text).into_iter().flat_map(|tag| {
            ["href", "src", "action"].map(|name| tag.value(name).to_owned()).into_iter().filter(|url| !url.is_empty())
        });
        for url in addresses {
            assert!(url.starts_with("/silo/") || url.starts_with('#'), "{path}: {url}");
        }
    }
}

#[tokio::test]
async fn every_address_of_a_page_has_the_prefix() {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let registry = silo.add_layout("geo", &jobs(&[("job", "1.0.0", "1.0.0"), ("job-2", "1.0.0", "1.0.0")])).await;
    silo.scan(registry).await;
    links_stay_below(&silo, &[("x-forwarded-prefix", "/tools/silo")], "/tools/silo").await;
    links_stay_below(&silo, &[], "").await;
    let configured = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://geo.example.org/silo/").start().await;
    links_stay_below(&configured, &[], "/silo").await;
}
