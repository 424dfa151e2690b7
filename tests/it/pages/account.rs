//! `/account`: the own password and sessions.

use http::Method;

use super::markup::{heading, named};
use super::{BROWSER, Browser, page_with, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};

/// The targets of the forms that end one session, in the order of the page.
fn ends(html: &str) -> Vec<String> {
    let forms = named(html, "form").into_iter().map(|form| form.value("action").to_owned());
    forms.filter(|action| action.starts_with("/account/sessions/")).collect()
}

#[tokio::test]
async fn a_user_sees_the_own_sessions_and_ends_them() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let here = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let there = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let other = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    let page = here.get("/account").await.expect(200);
    assert_eq!(heading(&page.text), ADMIN);
    assert_eq!(ends(&page.text).len(), 2, "{}", page.text);
    assert_eq!(page.text.matches("this one").count(), 2, "one in the list, one in the text: {}", page.text);

    let [mine, theirs] = [&here, &there].map(|browser| async move {
        let list = browser.get("/api/v1/me/sessions").await.expect(200).json();
        let items = list["items"].as_array().expect("a list").clone();
        items.into_iter().find(|one| one["isCurrent"] == true).expect("the own one")["id"]
            .as_str()
            .expect("a text")
            .to_owned()
    });
    let (mine, theirs) = (mine.await, theirs.await);
    other.send(&format!("/account/sessions/{theirs}"), &[]).await.expect(404);
    there.get("/account").await.expect(200);
    let ended = here.send(&format!("/account/sessions/{theirs}"), &[]).await.expect(303);
    assert_eq!(ended.header("location"), "/account?done=session");
    there.get("/account").await.expect(303);
    let after = here.get("/account?done=session").await.expect(200);
    assert!(after.text.contains("The session has ended") && ends(&after.text).len() == 1, "{}", after.text);

    let own = here.send(&format!("/account/sessions/{mine}"), &[]).await.expect(303);
    assert_eq!((own.header("location"), own.header("clear-site-data")), ("/session", "\"cache\", \"storage\""));
    here.get("/account").await.expect(303);
    other.get("/account").await.expect(200);
}

#[tokio::test]
async fn logging_out_everywhere_ends_tokens_too() {
    let silo = TestApp::start().await;
    let here = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let token = silo.authorized(&format!("Bearer {}", silo.login(ADMIN, ADMIN_PASSWORD).await));
    token.get("/api/v1/me").await.expect(200);
    let reply = here.send("/account/sessions", &[]).await.expect(303);
    assert_eq!(reply.header("location"), "/session");
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    here.get("/account").await.expect(303);
    token.get("/api/v1/me").await.expect(401);
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let [here, there] =
        [Browser::log_in(&silo, USER, USER_PASSWORD).await, Browser::log_in(&silo, USER, USER_PASSWORD).await];
    let change = async |old: &str, new: &str, again: &str| {
        here.send("/account/password", &[("old", old), ("new", new), ("again", again)]).await
    };
    for (old, new, again, words) in [
        ("wrong-password", "another secret", "another secret", "The old password is wrong"),
        (USER_PASSWORD, "another secret", "another secrets", "The two new passwords differ"),
        (USER_PASSWORD, "short", "short", "8 characters"),
    ] {
        let reply = change(old, new, again).await.expect(400);
        assert_eq!(heading(&reply.text), USER);
        assert!(reply.text.contains(words), "{}", reply.text);
        let values: Vec<_> =
            named(&reply.text, "input").into_iter().filter(|i| i.value("type") == "password").collect();
        assert!(values.len() == 3 && values.iter().all(|input| input.value("value").is_empty()), "{values:?}");
    }
    there.get("/account").await.expect(200);
    let done = change(USER_PASSWORD, "another secret", "another secret").await.expect(303);
    assert_eq!(done.header("location"), "/account?done=password");
    assert!(here.get("/account?done=password").await.expect(200).text.contains("Your password is changed"));
    there.get("/account").await.expect(303);
    silo.login(USER, "another secret").await;
}

#[tokio::test]
async fn the_program_of_a_session_is_a_hostile_text() {
    let silo = TestApp::start().await;
    let agent = "<script>alert(1)</script> \"x\" Firefox/1.0 (Windows)";
    let fields = [("username", ADMIN), ("password", ADMIN_PASSWORD)];
    let reply = sent_form(&silo, "/session", &[super::OWN, ("user-agent", agent)], &fields).await.expect(303);
    let cookie = super::cookie_of(&reply);
    let page = page_with(&silo, "/account", &[("cookie", &cookie)]).await.expect(200);
    assert!(page.text.contains("Firefox on Windows") && !page.text.contains("<script>alert"), "{}", page.text);
    assert!(named(&page.text, "td").iter().any(|cell| cell.value("title") == agent), "{}", page.text);
}

#[tokio::test]
async fn who_is_not_logged_in_is_sent_to_the_login() {
    let silo = TestApp::start().await;
    let asked = silo.anonymous().send(Method::GET, "/account", &[("accept", BROWSER)], Vec::new()).await.expect(303);
    assert_eq!(asked.header("location"), "/session?next=%2Faccount");
    let form = sent_form(&silo, "/account/sessions", &[super::OWN], &[]).await.expect(303);
    assert_eq!(form.header("location"), "/session", "a form is not sent again by itself");
}
