//! `/session`: the cookie, the login and the logout, and the way back after it.

use chrono::TimeDelta;
use http::Method;

use super::markup::{heading, link, named};
use super::{Browser, OWN, cookie_of, page, page_with, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, USER, USER_PASSWORD};

const LOGIN: [(&str, &str); 2] = [("username", ADMIN), ("password", ADMIN_PASSWORD)];

async fn log_in(silo: &TestApp, headers: &[(&str, &str)]) -> Reply {
    let headers: Vec<(&str, &str)> = [OWN].into_iter().chain(headers.iter().copied()).collect();
    sent_form(silo, "/session", &headers, &LOGIN).await.expect(303)
}

/// Name of the cookie, and its attributes in order.
fn cookie(reply: &Reply) -> (String, Vec<String>) {
    let mut parts = reply.header("set-cookie").split("; ").map(str::to_owned);
    let pair = parts.next().expect("a cookie");
    let (name, token) = pair.split_once('=').expect("a name and a value");
    assert_eq!(token.split('.').count(), 3, "a JWT");
    (name.to_owned(), parts.collect())
}

#[tokio::test]
async fn the_cookie_is_as_safe_as_the_address_allows() {
    let proxied = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let https = ("x-forwarded-proto", "https");
    let below = ("x-forwarded-prefix", "/tools/silo");
    for (headers, name, path, is_secure) in [
        (&[][..], "silo", "/", false),
        (&[https][..], "__Host-silo", "/", true),
        (&[https, below][..], "__Secure-silo", "/tools/silo", true),
        (&[below][..], "silo", "/tools/silo", false),
    ] {
        let reply = log_in(&proxied, headers).await;
        let mut expected = vec![format!("Path={path}"), "HttpOnly".to_owned(), "SameSite=Lax".to_owned()];
        expected.extend(is_secure.then(|| "Secure".to_owned()));
        assert_eq!(cookie(&reply), (name.to_owned(), expected), "{headers:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        let prefix = if path == "/" { "" } else { path };
        assert_eq!(reply.header("location"), format!("{prefix}/"));
        // The page is the user's only at the address that the cookie was made for.
        let kept = cookie_of(&reply);
        let with_http = page_with(&proxied, "/help", &[("cookie", &kept)]).await;
        assert_eq!(named(&with_http.text, "a").iter().any(|a| a.has_class("who")), name == "silo", "{name}");
    }
    // Headers of a proxy that is not trusted change nothing.
    let plain = TestApp::start().await;
    assert_eq!(cookie(&log_in(&plain, &[https, below]).await).0, "silo");
    let configured = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://geo.example.org/silo/").start().await;
    let reply = log_in(&configured, &[]).await;
    assert_eq!(cookie(&reply).0, "__Secure-silo");
    assert!(cookie(&reply).1.contains(&"Path=/silo".to_owned()));
}

#[tokio::test]
async fn a_login_shows_who_is_there_and_a_logout_ends_it() {
    let silo = TestApp::start().await;
    let form = page(&silo, "/session").await.expect(200);
    assert_eq!(heading(&form.text), "Log in");
    assert!(!form.text.contains("not encrypted"), "nobody listens on this machine's own address: {}", form.text);
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    for path in ["/", "/search", "/help", "/account", "/search?sort=best", "/no/such/page"] {
        let shown = browser.get(path).await;
        let who = named(&shown.text, "a").into_iter().find(|a| a.has_class("who")).expect("the link to the account");
        assert_eq!((who.value("href"), who.value("title")), ("/account", ADMIN), "{path}");
        assert_eq!(shown.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(page(&silo, "/help").await.header("cache-control"), "private, no-cache");
    assert_eq!(heading(&browser.get("/session").await.text), "You are logged in as admin");

    let reply = browser.send("/session/end", &[]).await.expect(303);
    assert_eq!(reply.header("location"), "/session");
    assert_eq!(reply.header("clear-site-data"), "\"cache\", \"storage\"");
    assert_eq!(reply.header("set-cookie"), "silo=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    assert_eq!(browser.get("/account").await.expect(303).header("location"), "/session?next=%2Faccount");
    assert_eq!(browser.ask(Method::GET, "/api/v1/me", &[]).await.status, 401, "the token is dead, too");
    // Also a browser whose session has ended already loses its cookie.
    let again = sent_form(&silo, "/session/end", &[OWN, ("cookie", &browser.cookie)], &[]).await.expect(303);
    assert!(again.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn a_second_login_replaces_the_first_session() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let first = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let second = first.send("/session", &[("username", USER), ("password", USER_PASSWORD)]).await.expect(303);
    assert_ne!(cookie_of(&second), first.cookie);
    first.get("/account").await.expect(303);
    let second = Browser { silo: &silo, cookie: cookie_of(&second) };
    assert_eq!(second.get("/api/v1/me").await.expect(200).json()["username"], USER);
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again() {
    let silo = TestApp::with().manual_clock().start().await;
    let attempt = async |password: &str| {
        let fields = [("username", "<b>admin"), ("password", password), ("next", "/help")];
        sent_form(&silo, "/session", &[OWN], &fields).await
    };
    let wrong = attempt("wrong-password").await.expect(401);
    assert_eq!(heading(&wrong.text), "Log in");
    assert!(wrong.text.contains("do not belong together") && !wrong.text.contains("wrong-password"), "{}", wrong.text);
    assert_eq!(wrong.header("set-cookie"), "");
    let value = |name: &str| {
        let field = named(&wrong.text, "input").into_iter().find(|input| input.value("name") == name);
        field.expect("the field").value("value").to_owned()
    };
    assert_eq!((value("username").as_str(), value("next").as_str()), ("<b>admin", "/help"));
    assert_eq!(value("password"), "");
    let mut last = wrong;
    for _ in 0..20 {
        last = attempt("wrong-password").await;
        if last.status == 429 {
            break;
        }
    }
    let throttled = last.expect(429);
    let seconds = throttled.header("retry-after");
    assert!(throttled.text.contains(&format!("try again in {seconds} seconds")), "{}", throttled.text);
}

#[tokio::test]
async fn a_page_that_needs_a_login_is_come_back_to() {
    let silo = TestApp::start().await;
    let sent_away = page_reply(&silo, "/account?done=session").await;
    let form = page(&silo, sent_away.header("location")).await.expect(200);
    let next = named(&form.text, "input").into_iter().find(|input| input.value("name") == "next");
    let next = next.expect("the field").value("value").to_owned();
    assert_eq!(next, "/account?done=session");
    let fields = [LOGIN[0], LOGIN[1], ("next", next.as_str())];
    assert_eq!(sent_form(&silo, "/session", &[OWN], &fields).await.expect(303).header("location"), next);
    let help = page(&silo, "/search?q=a%20b").await;
    assert_eq!(link(&help.text, "Log in"), "/session?next=%2Fsearch%3Fq%3Da%2520b");
}

async fn page_reply(silo: &TestApp, path: &str) -> Reply {
    silo.anonymous().send(Method::GET, path, &[("accept", super::BROWSER)], Vec::new()).await.expect(303)
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/\t/evil.example/",
        "/\r\nLocation: https://evil.example/",
        "javascript:alert(1)",
        " /help",
    ] {
        let fields = [LOGIN[0], LOGIN[1], ("next", next)];
        let reply = sent_form(&silo, "/session", &[OWN], &fields).await.expect(303);
        assert_eq!(reply.header("location"), "/", "{next:?}");
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        let form = page(&silo, &format!("/session?{query}")).await.expect(200);
        assert!(!form.text.contains("evil.example"), "{next:?}: {}", form.text);
    }
    let fields = [LOGIN[0], LOGIN[1], ("next", "/help")];
    let below = sent_form(&silo, "/session", &[OWN, ("x-forwarded-prefix", "/tools")], &fields).await.expect(303);
    assert_eq!(below.header("location"), "/tools/help");
}

#[tokio::test]
async fn a_session_ends_twelve_hours_after_its_last_use_and_a_day_after_its_login() {
    let silo = TestApp::with().manual_clock().start().await;
    let [idle, used] =
        [Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await, Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await];
    silo.clock.advance(TimeDelta::hours(11));
    used.get("/account").await.expect(200);
    silo.clock.advance(TimeDelta::hours(1));
    idle.get("/account").await.expect(303);
    used.get("/account").await.expect(200);
    silo.clock.advance(TimeDelta::minutes(11 * 60 + 59));
    used.get("/account").await.expect(200);
    silo.clock.advance(TimeDelta::minutes(1));
    used.get("/account").await.expect(303);
}

#[tokio::test]
async fn a_listener_on_the_way_is_warned_of() {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    for (headers, is_warned) in [
        (&[("x-forwarded-host", "silo.example.org")][..], true),
        (&[("x-forwarded-host", "silo.example.org"), ("x-forwarded-proto", "https")][..], false),
        (&[("x-forwarded-host", "localhost:9000")][..], false),
    ] {
        let form = page_with(&silo, "/session", headers).await.expect(200);
        assert_eq!(form.text.contains("not encrypted"), is_warned, "{headers:?}");
    }
}
