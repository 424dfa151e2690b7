//! The pages, over HTTP, as a browser without JavaScript uses them. Every reply is also checked for the headers of
//! pages (`support/contract.rs`). `tests/pages/run` looks at them with a real browser.

mod assets;
mod errors;
mod home;
mod hostile;
mod job;
mod markup;
mod prefix;
mod search;
mod templates;

use http::Method;

use crate::support::app::{Reply, TestApp};

/// What Firefox sends for a navigation.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A page, as a browser asks for it.
async fn page(silo: &TestApp, path: &str) -> Reply {
    page_with(silo, path, &[]).await
}

async fn page_with(silo: &TestApp, path: &str, headers: &[(&str, &str)]) -> Reply {
    let headers: Vec<(&str, &str)> = [("accept", BROWSER)].into_iter().chain(headers.iter().copied()).collect();
    let reply = silo.anonymous().send(Method::GET, path, &headers, Vec::new()).await;
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{}: {}", reply.asked, reply.text);
    reply
}
