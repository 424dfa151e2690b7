//! `/api/v1/users`, on both databases.

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};

use super::keys;
use crate::support::app::{ADMIN, Reply, TestApp, beginning};

const PASSWORD: &str = "ritas very own secret";

async fn patch(silo: &TestApp, id: &Value, change: Value) -> Reply {
    let path = format!("/api/v1/users/{id}");
    let headers = [("content-type", "application/json")];
    silo.admin().send(Method::PATCH, &path, &headers, change.to_string().into_bytes()).await
}

async fn add(silo: &TestApp, body: Value) -> Reply {
    silo.admin().post("/api/v1/users", body).await
}

async fn are_added_changed_and_deleted(silo: &TestApp) {
    let rita = json!({"username": "rita", "password": PASSWORD, "role": "runner"});
    let added = add(silo, rita.clone()).await.expect(201);
    let user = added.json();
    assert_eq!(keys(&user), ["id", "username", "role", "createdAt", "lastLoginAt", "sessions"]);
    assert_eq!(added.header("location"), format!("/api/v1/users/{}", user["id"]));
    assert_eq!((&user["role"], &user["lastLoginAt"], &user["sessions"]), (&json!("runner"), &Value::Null, &json!(0)));
    assert!(add(silo, rita).await.expect(409).error().contains("already exists"));

    silo.clock.advance(TimeDelta::minutes(1));
    let token = silo.login("rita", PASSWORD).await;
    let as_rita = silo.authorized(&format!("Token {token}"));
    as_rita.get("/api/v1/me").await.expect(200);
    let seen = silo.admin().get(added.header("location")).await.expect(200).json();
    assert_eq!((&seen["sessions"], &seen["lastLoginAt"]), (&json!(1), &json!(beginning() + TimeDelta::minutes(1))));
    let listed = silo.admin().get("/api/v1/users?sort=-name").await.expect(200).json();
    assert_eq!(listed["items"][0], seen);

    // The same role and nothing at all end no session.
    for change in [json!({}), json!({"role": "runner"})] {
        patch(silo, &user["id"], change).await.expect(200);
        as_rita.get("/api/v1/me").await.expect(200);
    }
    let changed = patch(silo, &user["id"], json!({"role": "user"})).await.expect(200).json();
    assert_eq!((&changed["role"], &changed["sessions"]), (&json!("user"), &json!(0)));
    as_rita.get("/api/v1/me").await.expect(401);

    let again = silo.authorized(&format!("Token {}", silo.login("rita", PASSWORD).await));
    patch(silo, &user["id"], json!({"password": "another secret"})).await.expect(200);
    again.get("/api/v1/me").await.expect(401);
    silo.login("rita", "another secret").await;

    silo.admin().delete(added.header("location")).await.expect(204);
    silo.admin().delete(added.header("location")).await.expect(404);
    silo.admin().get(added.header("location")).await.expect(404);
    patch(silo, &user["id"], json!({"role": "user"})).await.expect(404);
}

#[tokio::test]
async fn are_added_changed_and_deleted_sqlite() {
    are_added_changed_and_deleted(&TestApp::with().manual_clock().start().await).await;
}

#[tokio::test]
async fn are_added_changed_and_deleted_postgres() {
    are_added_changed_and_deleted(&TestApp::with().postgres().manual_clock().start().await).await;
}

#[tokio::test]
async fn wrong_values_change_nothing() {
    let silo = TestApp::start().await;
    for (body, status, part) in [
        (json!({"username": "x", "password": "short"}), 400, "8 characters"),
        (json!({"username": "", "password": PASSWORD}), 400, "user name"),
        (json!({"username": "x", "password": PASSWORD, "role": "queen"}), 400, "There is no role 'queen'"),
        (json!({"username": "x"}), 422, "password"),
        (json!({"username": "x", "password": PASSWORD, "admin": true}), 422, "admin"),
    ] {
        let reply = add(&silo, body.clone()).await.expect(status);
        assert!(reply.error().contains(part) && !reply.text.contains(PASSWORD), "{body}: {}", reply.text);
    }
    for (change, status, part) in [
        (json!({"role": "queen"}), 400, "There is no role 'queen'"),
        (json!({"role": "user"}), 409, "The last admin must stay one"),
        (json!({"password": "short"}), 400, "8 characters"),
        (json!({"role": "user", "password": "short"}), 400, "8 characters"),
        (json!({"username": "x"}), 422, "username"),
    ] {
        let reply = patch(&silo, &json!(1), change.clone()).await.expect(status);
        assert!(reply.error().contains(part), "{change}: {}", reply.text);
    }
    silo.admin().delete("/api/v1/users/1").await.expect(409);
    let users = silo.admin().get("/api/v1/users").await.expect(200).json();
    assert_eq!((users["items"].as_array().map(Vec::len), &users["items"][0]["username"]), (Some(1), &json!(ADMIN)));
}
