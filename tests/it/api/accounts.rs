//! `/login` and `/users`: passwords, roles, the throttle.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::keys;
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, USER, USER_PASSWORD, text};

async fn add(silo: &TestApp, body: Value) -> Reply {
    silo.admin().post("/users/add", body).await
}

#[tokio::test]
async fn a_login_gives_a_token() {
    let silo = TestApp::start().await;
    let body = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    let reply = silo.anonymous().post("/login", body.clone()).await.expect(200).json();
    assert_eq!(keys(&reply), ["token"]);
    let reply = silo.anonymous().post("/api/v1/login", body).await.expect(200).json();
    assert_eq!(keys(&reply), ["token", "expiresAt"]);
    for (username, password) in [(ADMIN, "wrong"), ("nobody", ADMIN_PASSWORD), ("", ""), (ADMIN, "")] {
        let body = json!({"username": username, "password": password});
        assert_eq!(silo.anonymous().post("/login", body.clone()).await.expect(401).error(), "Invalid login");
        assert_eq!(silo.anonymous().post("/api/v1/login", body).await.expect(401).error(), "Invalid login");
    }
}

#[tokio::test]
async fn a_user_is_added_seen_and_deleted() {
    let silo = TestApp::start().await;
    let added = add(&silo, json!({"username": "bob", "password": "bobs secret", "role": "user"})).await.expect(201);
    assert_eq!(keys(&added.json()), ["ID", "username", "password", "role"]);
    assert_eq!(added.json(), json!({"ID": 2, "username": "bob", "password": "", "role": "user"}));
    let all = silo.admin().get("/users").await.expect(200);
    assert_eq!(all.text, r#"[{"ID":1,"username":"admin","role":"admin"},{"ID":2,"username":"bob","role":"user"}]"#);
    let bob = silo.admin().get("/users/2").await.expect(200);
    assert_eq!(bob.text, r#"{"ID":2,"username":"bob","role":"user"}"#);
    assert_eq!(
        add(&silo, json!({"username": "bob", "password": "another secret"})).await.expect(400).error(),
        "User already exists with name bob"
    );
    for _ in 0..2 {
        let gone = silo.admin().delete("/users/delete/2").await.expect(200);
        assert_eq!(gone.text, r#"{"result":"success"}"#, "also when it is gone already");
    }
    assert_eq!(silo.admin().get("/users/2").await.expect(404).error(), "No user found with that ID");
}

#[tokio::test]
async fn roles_names_and_passwords_are_checked() {
    let silo = TestApp::start().await;
    let added =
        add(&silo, json!({"USERNAME": "anna", "Password": "long enough", "extra": [1]})).await.expect(201).json();
    assert_eq!(added["role"], "user", "no role means user");
    add(&silo, json!({"username": "arne", "password": "long enough", "role": "admin"})).await.expect(201);
    for (body, names) in [
        (json!({"username": "x", "password": "long enough", "role": "root"}), "root"),
        (json!({"username": "x", "password": "long enough", "role": "Admin"}), "Admin"),
        (json!({"username": "", "password": "long enough"}), "user name"),
        (json!({"username": "  ", "password": "long enough"}), "user name"),
        (json!({"username": "x\ny", "password": "long enough"}), "user name"),
        (json!({"username": "x".repeat(256), "password": "long enough"}), "user name"),
        (json!({"username": "x"}), "password"),
        (json!({"username": "x", "password": "p".repeat(1025)}), "password"),
        (json!({"username": "x", "password": "seven c"}), "8 characters"),
        (json!({"username": " x", "password": "long enough"}), "space"),
        (json!({"username": "x\u{a0}", "password": "long enough"}), "invisible"),
        (json!({"username": "x\u{200b}y", "password": "long enough"}), "invisible"),
        (json!({"username": "\u{430}dmin", "password": "long enough"}), "scripts"),
        (json!({"username": "Admin", "password": "long enough"}), "looks like that of the user admin"),
        (json!({}), "user name"),
    ] {
        let why = add(&silo, body.clone()).await.expect(400).error();
        assert!(why.contains(names), "{body}: {why}");
    }
    assert_eq!(silo.admin().get("/users").await.json().as_array().expect("a list").len(), 3);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let silo = TestApp::start().await;
    add(&silo, json!({"username": "bob", "password": "long enough"})).await.expect(201);
    assert!(silo.admin().delete("/users/delete/1").await.expect(409).error().contains("last admin"));
    add(&silo, json!({"username": "ann", "password": "long enough", "role": "admin"})).await.expect(201);
    silo.admin().delete("/users/delete/1").await.expect(200);
    // The admin deleted himself, so his token is invalid.
    silo.admin().get("/users").await.expect(401);
}

#[tokio::test]
async fn the_user_list_can_be_opened() {
    let silo = TestApp::with().set("SILO__AUTH__OPEN_USER_LIST", "true").start().await;
    silo.anonymous().get("/users").await.expect(200);
    silo.user().get("/users").await.expect(200);
    silo.anonymous().get("/users/1").await.expect(401);
}

#[tokio::test]
async fn after_some_failures_the_next_try_has_to_wait() {
    let silo = TestApp::with().manual_clock().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let attempt = async |name: &str, address: &str, password: &str| {
        let body = json!({"username": name, "password": password}).to_string().into_bytes();
        silo.anonymous().send(http::Method::POST, "/login", &[("x-forwarded-for", address)], body).await
    };
    let mut histories = Vec::new();
    for (name, address) in [(ADMIN, "192.0.2.1"), ("nobody", "192.0.2.2")] {
        let mut history = Vec::new();
        for _ in 0..9 {
            let reply = attempt(name, address, "wrong").await;
            let wait: i64 = reply.header("retry-after").parse().unwrap_or(0);
            history.push((reply.status, wait, reply.text.clone()));
            silo.clock.advance(TimeDelta::seconds(wait));
        }
        histories.push(history);
    }
    assert_eq!(histories[0], histories[1], "a known and an unknown name are alike");
    let statuses: Vec<(u16, i64)> = histories[0].iter().map(|(status, wait, _)| (*status, *wait)).collect();
    let (no, later) = ((401, 0), |seconds| (429, seconds));
    assert_eq!(statuses, [no, no, no, no, no, no, later(1), no, later(2)]);

    attempt(ADMIN, "192.0.2.3", "wrong").await.expect(401);
    assert_eq!(attempt(ADMIN, "192.0.2.3", ADMIN_PASSWORD).await.expect(429).header("retry-after"), "4");
    let native = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    silo.anonymous().post("/api/v1/login", native).await.expect(429);
    silo.clock.advance(TimeDelta::seconds(4));
    attempt(ADMIN, "192.0.2.3", ADMIN_PASSWORD).await.expect(200);
    attempt(ADMIN, "192.0.2.3", "wrong").await.expect(401);
    attempt(ADMIN, "192.0.2.3", ADMIN_PASSWORD).await.expect(200);
}

/// Of concurrent attempts, only the free ones and one more are checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tries_at_once_few_are_judged() {
    let silo = TestApp::with().manual_clock().start().await;
    let anonymous = silo.anonymous();
    let guesses =
        (0..60).map(|n| anonymous.post("/login", json!({"username": ADMIN, "password": format!("guess {n}")})));
    let statuses: Vec<u16> = join_all(guesses).await.iter().map(|reply| reply.status).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (6, 54));
    // The burst does not extend the wait beyond that for six failures.
    let reply = anonymous.post("/login", json!({"username": ADMIN, "password": ADMIN_PASSWORD})).await.expect(429);
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test]
async fn strangers_cannot_keep_an_owner_out() {
    let silo = TestApp::with().manual_clock().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let attempt = async |headers: &[(&str, &str)], password: &str| {
        let body = json!({"username": ADMIN, "password": password}).to_string().into_bytes();
        silo.anonymous().send(http::Method::POST, "/login", headers, body).await
    };
    fn from(address: &str) -> [(&str, &str); 1] {
        [("x-forwarded-for", address)]
    }
    let token = text(&attempt(&from("2001:db8:1:2::7"), ADMIN_PASSWORD).await.json()["token"]);
    // Guesses from many addresses, slowly.
    for n in 0..20 {
        let address = format!("198.51.100.{n}:4711");
        let reply = attempt(&from(&address), "wrong").await;
        let wait = reply.header("retry-after").parse().unwrap_or(0);
        silo.clock.advance(TimeDelta::seconds(wait));
    }
    attempt(&from("198.51.100.99"), "wrong").await;
    attempt(&from("203.0.113.1"), ADMIN_PASSWORD).await.expect(429);
    attempt(&from("[2001:db8:1:2:3:4:5:6]:443"), ADMIN_PASSWORD).await.expect(200);
    let with_token = [("x-forwarded-for", "203.0.113.1"), ("authorization", &*format!("Token {token}"))];
    attempt(&with_token, ADMIN_PASSWORD).await.expect(200);
    // The owner's known addresses do not bypass the throttle.
    let known = from("2001:db8:1:2::7");
    let mut judged = 0;
    for _ in 0..20 {
        judged += usize::from(attempt(&known, "wrong").await.status == 401);
    }
    assert_eq!(judged, 6);
}

#[tokio::test]
async fn a_user_changes_the_own_password() {
    let silo = TestApp::start().await;
    let change = async |token: &str, old: &str, new: &str| {
        let body = json!({"oldPassword": old, "newPassword": new}).to_string();
        silo.authorized(&format!("Token {token}")).send(http::Method::PUT, PATH, &[], body.into()).await
    };
    const PATH: &str = "/api/v1/me/password";
    silo.user_token().await;
    let (here, there) = (silo.login(USER, USER_PASSWORD).await, silo.login(USER, USER_PASSWORD).await);
    assert!(change(&here, "wrong", "another secret").await.expect(400).error().contains("old password"));
    assert!(change(&here, USER_PASSWORD, "short").await.expect(400).error().contains("8 characters"));
    change(&here, USER_PASSWORD, "another secret").await.expect(204);
    let scans = async |token: &str| silo.authorized(&format!("Token {token}")).get("/api/v1/scans").await.status;
    assert_eq!((scans(&here).await, scans(&there).await), (200, 401), "other sessions end");
    silo.anonymous().post("/login", json!({"username": USER, "password": USER_PASSWORD})).await.expect(401);
    silo.login(USER, "another secret").await;
    for _ in 0..6 {
        change(&here, "wrong", "yet another secret").await.expect(400);
    }
    change(&here, "another secret", "yet another secret").await.expect(429);
}

#[tokio::test]
async fn one_address_cannot_try_many_names() {
    let silo = TestApp::with().manual_clock().set("SILO__AUTH__FREE_FAILURES_PER_ADDRESS", "3").start().await;
    for n in 0..4 {
        let body = json!({"username": format!("name-{n}"), "password": "wrong"});
        silo.anonymous().post("/login", body).await.expect(401);
    }
    let body = json!({"username": "another", "password": "wrong"});
    silo.anonymous().post("/login", body).await.expect(429);
}
