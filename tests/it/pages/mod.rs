//! The pages, over HTTP, as a browser without JavaScript uses them. Every reply is also checked for the headers of
//! pages (`support/contract.rs`). `tests/pages/run` looks at them with a real browser.

mod account;
mod admin;
mod assets;
mod batch;
mod errors;
mod home;
mod hostile;
mod job;
mod markup;
mod news;
mod origin;
mod prefix;
mod previews;
mod real_run;
mod run;
mod run_form;
mod run_list;
mod search;
mod sent_form;
mod session;
mod stored_runs;
mod system;
mod templates;
mod validate;

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

/// What a browser sends with a form of our own page.
const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A browser that is logged in: the `Cookie` header that it sends.
struct Browser<'a> {
    silo: &'a TestApp,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Logs in through the form.
    async fn log_in(silo: &'a TestApp, username: &str, password: &str) -> Self {
        let fields = [("username", username), ("password", password)];
        let reply = sent_form(silo, "/session", &[OWN], &fields).await.expect(303);
        Self { silo, cookie: cookie_of(&reply) }
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, &[]).await
    }

    /// Any request without a body.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let own = [("accept", BROWSER), ("cookie", self.cookie.as_str())];
        let headers: Vec<(&str, &str)> = own.into_iter().chain(headers.iter().copied()).collect();
        self.silo.anonymous().send(method, path, &headers, Vec::new()).await
    }

    /// The token in the forms of this session.
    async fn token(&self) -> String {
        let page = self.get("/account").await.expect(200);
        let field = markup::named(&page.text, "input").into_iter().find(|input| input.value("name") == "token");
        field.expect("a form with a token").value("value").to_owned()
    }

    /// Sends a form of the page, with the token of its session.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token().await;
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("token", token.as_str())]).collect();
        sent_form(self.silo, path, &[OWN, ("cookie", &self.cookie)], &fields).await
    }
}

/// Sends a form.
async fn sent_form(silo: &TestApp, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Reply {
    let own = [("accept", BROWSER), ("content-type", "application/x-www-form-urlencoded")];
    let headers: Vec<(&str, &str)> = own.into_iter().chain(headers.iter().copied()).collect();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    silo.anonymous().send(Method::POST, path, &headers, body.into()).await
}

/// The `Cookie` header that follows from a reply's `Set-Cookie`.
fn cookie_of(reply: &Reply) -> String {
    let set = reply.header("set-cookie");
    set.split(';').next().filter(|pair| pair.contains('=')).unwrap_or_else(|| panic!("no cookie: {set}")).to_owned()
}
