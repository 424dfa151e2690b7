//! `/api/v1/me/sessions`, on both databases.

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};

use super::keys;
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Client, TestApp, beginning, text};

async fn sessions(client: &Client<'_>) -> Vec<Value> {
    client.get("/api/v1/me/sessions").await.expect(200).json()["items"].as_array().expect("a list").clone()
}

/// Logs in with a name for the session.
async fn named<'a>(silo: &'a TestApp, name: &str) -> Client<'a> {
    let body = json!({"username": ADMIN, "password": ADMIN_PASSWORD, "name": name}).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", "lab/1")];
    let reply = silo.anonymous().send(Method::POST, "/api/v1/login", &headers, body.into()).await.expect(200);
    silo.authorized(&format!("Bearer {}", text(&reply.json()["token"])))
}

async fn are_listed_and_ended(silo: &TestApp) {
    let first = named(silo, "night job").await;
    silo.clock.advance(TimeDelta::minutes(5));
    let second = named(silo, "").await;
    let list = sessions(&second).await;
    assert_eq!(
        keys(&list[0]),
        ["id", "name", "kind", "isCurrent", "createdAt", "lastUsedAt", "expiresAt", "address", "agent"]
    );
    let facts = |one: &Value| {
        (text(&one["name"]), text(&one["kind"]), one["isCurrent"] == true, text(&one["agent"]), text(&one["address"]))
    };
    let expected = |name: &str, is_current| {
        (name.to_owned(), "token".to_owned(), is_current, "lab/1".to_owned(), "127.0.0.1".to_owned())
    };
    assert_eq!(list.iter().map(facts).collect::<Vec<_>>(), [expected("", true), expected("night job", false)]);
    let begun = beginning() + TimeDelta::minutes(5);
    assert_eq!(list[0]["createdAt"], json!(begun));
    assert_eq!(list[0]["expiresAt"], json!(begun + TimeDelta::hours(24)));

    // A use is noted to the minute, and prolongs no token.
    silo.clock.advance(TimeDelta::seconds(90));
    let list = sessions(&first).await;
    assert_eq!(facts(&list[0]), expected("night job", true));
    assert_eq!(list[0]["lastUsedAt"], json!(begun + TimeDelta::seconds(90)));
    assert_eq!(list[0]["expiresAt"], json!(beginning() + TimeDelta::hours(24)));

    let id = text(&list[0]["id"]);
    silo.user().delete(&format!("/api/v1/me/sessions/{id}")).await.expect(404);
    second.delete(&format!("/api/v1/me/sessions/{id}")).await.expect(204);
    second.delete(&format!("/api/v1/me/sessions/{id}")).await.expect(404);
    first.get("/api/v1/me").await.expect(401);
    let third = named(silo, "").await;
    third.delete("/api/v1/me/sessions").await.expect(204);
    for client in [&second, &third] {
        client.get("/api/v1/me").await.expect(401);
    }
    silo.user().get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_on_sqlite() {
    are_listed_and_ended(&TestApp::with().manual_clock().start().await).await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_on_postgres() {
    are_listed_and_ended(&TestApp::with().manual_clock().postgres().start().await).await;
}

#[tokio::test]
async fn the_name_of_a_session_is_short() {
    let silo = TestApp::start().await;
    let body = json!({"username": ADMIN, "password": ADMIN_PASSWORD, "name": "n".repeat(101)});
    assert!(silo.anonymous().post("/api/v1/login", body).await.expect(400).error().contains("100 characters"));
}
