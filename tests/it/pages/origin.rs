//! Requests that other sites make a browser send, and addresses that a browser's cookie does not open.

use http::Method;
use silo::http::{RouteContent, RouteEntry};

use super::{Browser, OWN, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER};

/// What browsers send with a request of another site's page.
const FOREIGN: [&[(&str, &str)]; 6] = [
    &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.org")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "none")],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
];

/// The forms of pages that change something, with an id that does not exist.
fn forms(silo: &TestApp) -> Vec<String> {
    let is_form = |route: &&RouteEntry| {
        route.content == RouteContent::Page && route.method == Method::POST && route.path != "/validate"
    };
    silo.routes().iter().filter(is_form).map(|route| route.path.replace("{id}", "999")).collect()
}

#[tokio::test]
async fn no_other_site_sends_a_form() {
    let silo = TestApp::start().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let token = browser.token().await;
    let forms = forms(&silo);
    assert!(forms.len() >= 5, "{forms:?}");
    let fields = [("token", token.as_str()), ("username", ADMIN), ("password", ADMIN_PASSWORD)];
    for path in &forms {
        for foreign in FOREIGN {
            let headers: Vec<(&str, &str)> =
                foreign.iter().copied().chain([("cookie", browser.cookie.as_str())]).collect();
            let reply = sent_form(&silo, path, &headers, &fields).await.expect(403);
            assert!(reply.text.contains("page of another site"), "{path} {foreign:?}: {}", reply.text);
            assert_eq!(reply.header("set-cookie"), "");
            // A stranger must not log a browser in or out, either.
            sent_form(&silo, path, foreign, &fields).await.expect(403);
        }
        // Nobody says where it comes from, and there is no session whose token could.
        sent_form(&silo, path, &[], &fields).await.expect(403);
        sent_form(&silo, path, &[("cookie", "silo=x")], &fields).await.expect(403);
    }
    browser.get("/account").await.expect(200);
}

#[tokio::test]
async fn a_form_carries_the_token_of_its_session() {
    let silo = TestApp::start().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let other = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let (own, foreign) = (browser.token().await, other.token().await);
    assert_ne!(own, foreign);
    let cookie = ("cookie", browser.cookie.as_str());
    for path in forms(&silo) {
        for fields in [&[][..], &[("token", "")][..], &[("token", "x")][..], &[("token", foreign.as_str())][..]] {
            for headers in [&[OWN, cookie][..], &[cookie][..]] {
                let reply = sent_form(&silo, &path, headers, fields).await.expect(403);
                assert!(reply.text.contains("earlier session"), "{path} {fields:?}: {}", reply.text);
            }
        }
    }
    browser.get("/account").await.expect(200);
    // An old proxy that strips both headers: the token proves enough. On plain http, browsers send `Origin` only.
    let fields = [("token", own.as_str())];
    sent_form(&silo, "/account/sessions/x", &[cookie], &fields).await.expect(404);
    sent_form(&silo, "/account/sessions/x", &[cookie, ("origin", &silo.url)], &fields).await.expect(404);
    sent_form(&silo, "/session/end", &[cookie, ("origin", &silo.url)], &fields).await.expect(303);
    browser.get("/account").await.expect(303);
}

#[tokio::test]
async fn behind_a_proxy_the_own_origin_is_that_of_the_outside() {
    let silo = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://geo.example.org/silo").start().await;
    let fields = [("username", ADMIN), ("password", ADMIN_PASSWORD)];
    for (origin, status) in [
        ("https://geo.example.org", 303),
        ("https://geo.example.org:8443", 403),
        ("http://geo.example.org", 403),
        (silo.url.as_str(), 403),
    ] {
        sent_form(&silo, "/session", &[("origin", origin)], &fields).await.expect(status);
    }
}

#[tokio::test]
async fn the_api_takes_the_cookie_from_our_own_pages_only() {
    let silo = TestApp::start().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    assert_eq!(browser.get("/api/v1/me").await.expect(200).json()["username"], ADMIN);
    // Reading is safe: without CORS for credentials, no other site sees the reply.
    browser.ask(Method::GET, "/api/v1/me", FOREIGN[0]).await.expect(200);
    for (method, path) in [
        (Method::DELETE, "/api/v1/me/sessions"),
        (Method::POST, "/api/v1/logout"),
        (Method::POST, "/api/v1/tickets"),
        (Method::DELETE, "/api/v1/registries/999"),
    ] {
        for headers in FOREIGN.into_iter().chain([&[][..]]) {
            browser.ask(method.clone(), path, headers).await.expect(403);
        }
    }
    browser.ask(Method::POST, "/api/v1/tickets", &[OWN]).await.expect(201);
    browser.ask(Method::POST, "/api/v1/tickets", &[("origin", &silo.url)]).await.expect(201);
    let reply = browser.get("/api/v1/me").await;
    assert_eq!((reply.header("cache-control"), reply.header("access-control-allow-credentials")), ("no-store", ""));
}

#[tokio::test]
async fn a_header_counts_before_the_cookie() {
    let silo = TestApp::start().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let header = format!("Bearer {}", silo.user_token().await);
    let me = browser.ask(Method::GET, "/api/v1/me", &[("authorization", &header)]).await.expect(200);
    assert_eq!(me.json()["username"], USER);
    browser.ask(Method::GET, "/api/v1/me", &[("authorization", "Bearer x")]).await.expect(401);
    browser.ask(Method::GET, "/account", &[("authorization", "Bearer x")]).await.expect(303);
    // No browser adds the header on its own.
    browser.ask(Method::POST, "/api/v1/tickets", &[("authorization", &header)]).await.expect(201);
}

#[tokio::test]
async fn the_cookie_opens_no_old_address_and_no_hook() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let scans = async || {
        let list = silo.admin().get("/api/v1/scans").await.expect(200).json();
        list["items"].as_array().map(Vec::len)
    };
    let before = scans().await;
    for (method, path) in [
        (Method::GET, "/registries/scan"),
        (Method::GET, "/registries/1/scan"),
        (Method::POST, "/registries/scan"),
        (Method::POST, "/registries/1/scan"),
        (Method::GET, "/users"),
        (Method::GET, "/users/1"),
        (Method::DELETE, "/users/delete/999"),
        (Method::DELETE, "/registries/delete/999"),
    ] {
        browser.ask(method.clone(), path, &[OWN]).await.expect(401);
    }
    assert_eq!(scans().await, before, "nothing was scanned");
    let [with, without] = [browser.cookie.as_str(), "x=y"].map(|cookie| {
        let silo = &silo;
        async move { silo.anonymous().send(Method::GET, "/", &[("cookie", cookie)], Vec::new()).await.expect(200) }
    });
    let (with, without) = (with.await, without.await);
    assert_eq!(with.text, without.text, "the old list is the same to everybody");
    assert_eq!(with.header("cache-control"), without.header("cache-control"));
    let unknown = "/hooks/0123456789abcdef0123456789abcdef";
    let [with, without] = [("cookie", browser.cookie.as_str()), ("x-nothing", "x")];
    let with = silo.anonymous().send(Method::POST, unknown, &[with, OWN], b"{}".to_vec()).await;
    let without = silo.anonymous().send(Method::POST, unknown, &[without, OWN], b"{}".to_vec()).await;
    assert_eq!(with.status, without.status);
}
