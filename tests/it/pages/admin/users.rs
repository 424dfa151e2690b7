//! `/admin/users`, on both databases.

use super::{admin, field};
use crate::pages::Browser;
use crate::pages::markup::{heading, named};
use crate::support::app::{ADMIN, TestApp};

const PASSWORD: &str = "ritas very own secret";

async fn are_added_changed_and_deleted(silo: &TestApp) {
    let browser = admin(silo).await;
    let add = async |username: &str, password: &str, role: &str| {
        browser.send("/admin/users", &[("username", username), ("password", password), ("role", role)]).await
    };
    for (username, password, role, part) in [
        ("", PASSWORD, "user", "user name is empty"),
        ("rita", "sh0rt", "runner", "8 characters"),
        ("rita", PASSWORD, "queen", "There is no role"),
        (ADMIN, PASSWORD, "runner", "User already exists with name admin"),
    ] {
        let wrong = add(username, password, role).await.expect(400);
        assert!(wrong.text.contains(part), "{}", wrong.text);
        assert_eq!(field(&wrong.text, "username").value("value"), username);
        assert!(!wrong.text.contains(password) && field(&wrong.text, "password").value("value").is_empty());
        let chosen = named(&wrong.text, "option").into_iter().find(|one| one.attributes.contains_key("selected"));
        assert_eq!(chosen.map(|one| one.text), (role != "queen").then(|| role.to_owned()));
    }
    assert_eq!(add(" rita ", PASSWORD, "admin").await.expect(303).header("location"), "/admin/users?done=added");
    let list = browser.get("/admin/users?done=added").await.expect(200);
    let links: Vec<String> = named(&list.text, "a")
        .iter()
        .map(|a| a.value("href").to_owned())
        .filter(|url| url.starts_with("/admin/users/"))
        .collect();
    assert_eq!(links.len(), 2, "{links:?}");
    // PostgreSQL gives no id twice, not even that of a user whose name was taken.
    let ritas = links[1].as_str();
    assert!(list.text.contains("The user is added") && list.text.contains("none in 90 days"), "{}", list.text);

    let rita = Browser::log_in(silo, "rita", PASSWORD).await;
    rita.get("/admin/users").await.expect(200);
    let changed = browser.send(&format!("{ritas}/role"), &[("role", "user")]).await.expect(303);
    assert_eq!(changed.header("location"), format!("{ritas}?done=role"));
    assert_eq!(rita.get("/admin/users").await.expect(303).header("location"), "/session?next=%2Fadmin%2Fusers");
    let rita = Browser::log_in(silo, "rita", PASSWORD).await;
    rita.get("/admin/users").await.expect(403);
    rita.send("/admin/users/1/delete", &[]).await.expect(403);
    let page = browser.get(&format!("{ritas}?done=role")).await.expect(200);
    assert_eq!(heading(&page.text), "rita");
    assert!(page.text.contains("1 session ") && page.text.contains("The role is changed"), "{}", page.text);
    // The role that the user has already ends no session.
    browser.send(&format!("{ritas}/role"), &[("role", "user")]).await.expect(303);
    rita.get("/account").await.expect(200);

    let short = browser.send(&format!("{ritas}/password"), &[("password", "sh0rt")]).await.expect(400);
    assert!(short.text.contains("8 characters") && !short.text.contains("sh0rt"), "{}", short.text);
    browser.send(&format!("{ritas}/role"), &[("role", "queen")]).await.expect(400);
    let reset = browser.send(&format!("{ritas}/password"), &[("password", "another secret")]).await.expect(303);
    assert_eq!(reset.header("location"), format!("{ritas}?done=password"));
    rita.get("/account").await.expect(303);
    let rita = Browser::log_in(silo, "rita", "another secret").await;
    let gone = browser.send(&format!("{ritas}/delete"), &[]).await.expect(303);
    assert_eq!(gone.header("location"), "/admin/users?done=deleted");
    rita.get("/account").await.expect(303);
    browser.get(ritas).await.expect(404);
    for action in ["role", "password", "delete"] {
        browser
            .send(&format!("{ritas}/{action}"), &[("role", "user"), ("password", "another secret")])
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn are_added_changed_and_deleted_sqlite() {
    are_added_changed_and_deleted(&TestApp::start().await).await;
}

#[tokio::test]
async fn are_added_changed_and_deleted_postgres() {
    are_added_changed_and_deleted(&TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn the_last_admin_stays_and_one_who_goes_is_logged_out() {
    let silo = TestApp::start().await;
    let browser = admin(&silo).await;
    for (path, part) in [
        ("/admin/users/1/delete", "The last admin cannot be deleted"),
        ("/admin/users/1/role", "The last admin must stay one"),
    ] {
        let refused = browser.send(path, &[("role", "user")]).await.expect(409);
        assert_eq!(heading(&refused.text), ADMIN);
        assert!(refused.text.contains(part), "{}", refused.text);
    }
    let fields = [("username", "rita"), ("password", PASSWORD), ("role", "admin")];
    browser.send("/admin/users", &fields).await.expect(303);
    let reset = browser.send("/admin/users/1/password", &[("password", "another secret")]).await.expect(303);
    assert_eq!((reset.header("location"), reset.header("clear-site-data")), ("/session", "\"cache\", \"storage\""));
    assert!(reset.header("set-cookie").contains("Max-Age=0"));
    browser.get("/admin/users").await.expect(303);
    let browser = Browser::log_in(&silo, ADMIN, "another secret").await;
    assert_eq!(
        browser.send("/admin/users/1/role", &[("role", "user")]).await.expect(303).header("location"),
        "/session"
    );
    let browser = Browser::log_in(&silo, ADMIN, "another secret").await;
    browser.get("/admin/users").await.expect(403);
}

#[tokio::test]
async fn long_lists_have_pages() {
    let silo = TestApp::start().await;
    let browser = admin(&silo).await;
    // One password hash each: the fewest that need a second page.
    let users = (0..50).map(|number| {
        let new = silo::app::NewUser {
            username: format!("user-{number:02}"),
            password: PASSWORD.into(),
            role: "user".to_owned(),
        };
        let app = silo.app.clone();
        async move { app.user_add(&new).await.expect("a user") }
    });
    futures_util::future::join_all(users).await;
    let first = browser.get("/admin/users").await.expect(200);
    let names = |html: &str| named(html, "b").into_iter().map(|name| name.text).collect::<Vec<_>>();
    assert_eq!((names(&first.text).len(), names(&first.text)[0].as_str()), (50, ADMIN));
    let next = named(&first.text, "a").into_iter().find(|a| a.value("rel") == "next").expect("a next page");
    let second = browser.get(next.value("href")).await.expect(200);
    assert_eq!(names(&second.text), ["user-49"]);
}
