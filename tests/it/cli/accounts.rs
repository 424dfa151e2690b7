//! `silo user` beside a running service, and `silo login`.

use serde_json::{Value, json};

use crate::support::process::{Engine, Exit, PASSWORD, Setup, Silo, on_both, silo};

/// Runs `silo user …` with a line on standard input.
async fn user(silo: &Silo, arguments: &[&str], input: &str) -> Exit {
    silo.cli_with(&[&["user"], arguments].concat(), &[], input).await
}

async fn login(silo: &Silo, name: &str, password: &str) -> Exit {
    silo.cli_with(&["login", name], &[], &format!("{password}\n")).await
}

async fn users_are_kept_beside_a_running_service(engine: Engine) {
    let silo = Setup::on(engine).await.start().await;
    let added = user(&silo, &["add", "eve"], "apples and pears\n").await;
    assert_eq!((added.code, added.stderr.as_str()), (Some(0), "Added eve with role user.\n"));
    user(&silo, &["add", "ada", "--role", "admin"], "plums and cherries\n").await.expect_success();
    let table = user(&silo, &["list"], "").await.expect_success();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "NAME", "ROLE", "LAST", "LOGIN"], "{table}");
    let first = [&["1", "admin", "admin"][..], &["2", "eve", "user"], &["3", "ada", "admin"]];
    let begin: Vec<&[&str]> = rows[1..].iter().map(|row| &row[..3]).collect();
    assert_eq!(begin, first, "{table}");
    assert_eq!(rows[2].len(), 3, "eve has not logged in: {table}");
    let list: Value = serde_json::from_str(&user(&silo, &["list", "--json"], "").await.expect_success()).unwrap();
    assert_eq!(list[1], json!({"id": 2, "username": "eve", "role": "user", "lastLoginAt": null}));

    // The running service accepts the new user at once; a user is no admin.
    let token = login(&silo, "eve", "apples and pears").await.expect_success();
    let list: Value = serde_json::from_str(&user(&silo, &["list", "--json"], "").await.expect_success()).unwrap();
    let last = list[1]["lastLoginAt"].as_str().unwrap_or_default();
    assert!(last.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{list}");
    let token = token.trim();
    let as_eve = [("SILO_TOKEN", token)];
    let refused = silo.cli_with(&["registry", "add", "x", "http://127.0.0.1:1"], &as_eve, "").await.expect_failure(1);
    let needed = "silo: User does not have permission to perform this action: it needs the role admin, and eve has the role user\n";
    assert_eq!(refused, needed);

    let changed = user(&silo, &["passwd", "eve"], "oranges and lemons\n").await;
    assert_eq!(changed.stderr, "Changed the password of eve; earlier tokens stop working.\n");
    let refused = silo.cli_with(&["scan"], &as_eve, "").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    login(&silo, "eve", "apples and pears").await.expect_failure(1);
    login(&silo, "eve", "oranges and lemons").await.expect_success();

    let token = login(&silo, "eve", "oranges and lemons").await.expect_success();
    let changed = user(&silo, &["role", "eve", "runner"], "").await;
    assert_eq!(changed.stderr, "eve has the role runner; earlier tokens stop working.\n");
    let old = silo.cli_with(&["scan"], &[("SILO_TOKEN", token.trim())], "").await;
    assert_eq!(old.code, Some(1), "{old:?}");

    assert_eq!(user(&silo, &["rm", "eve"], "").await.stderr, "Deleted eve.\n");
    login(&silo, "eve", "oranges and lemons").await.expect_failure(1);
}

on_both!(users_are_kept_beside_a_running_service);

#[tokio::test]
async fn what_cannot_be_done_to_users_is_said() {
    let silo = Setup::new().start().await;
    for (arguments, input, words) in [
        (&["rm", "admin"][..], "", "The last admin cannot be deleted; add another admin first"),
        (&["rm", "nobody"], "", "nobody"),
        (&["passwd", "nobody"], "some password\n", "nobody"),
        (&["add", "admin"], "some password\n", "User already exists with name admin"),
        (&["add", "eve", "--role", "queen"], "some password\n", "There is no role 'queen': give admin, runner or user"),
        (&["role", "admin", "user"], "", "The last admin must stay one; make another user an admin first"),
        (&["role", "admin", "queen"], "", "There is no role 'queen': give admin, runner or user"),
        (&["add", "eve"], "\n", "password"),
        (&["add", ""], "some password\n", "name"),
    ] {
        let error = user(&silo, arguments, input).await.expect_failure(1);
        assert!(error.starts_with("silo: ") && error.contains(words), "{arguments:?}: {error}");
    }
    let list = user(&silo, &["list"], "").await.expect_success();
    assert_eq!(list.lines().count(), 2, "{list}");
}

#[tokio::test]
async fn a_login_gives_a_token_for_the_shell() {
    let silo = Setup::new().start().await;
    let token = login(&silo, "admin", PASSWORD).await.expect_success();
    assert_eq!(token.lines().count(), 1, "{token}");
    let with = [("SILO_TOKEN", token.trim())];
    silo.cli_with(&["registry", "list"], &with, "").await.expect_success();
    let error = login(&silo, "admin", "wrong").await.expect_failure(1);
    assert!(error.contains("does not accept this name and password"), "{error}");
}

#[tokio::test]
async fn who_has_no_token_is_told_how_to_get_one() {
    let silo = Setup::new().start().await;
    for token in ["", "nonsense"] {
        let command = ["registry", "add", "mine", "http://127.0.0.1:1"];
        let error = silo.cli_with(&command, &[("SILO_TOKEN", token)], "").await.expect_failure(1);
        assert!(error.contains("Log in with: silo login"), "{error}");
    }
    // An anonymous command needs no token.
    silo.cli_with(&["registry", "list"], &[("SILO_TOKEN", "")], "").await.expect_success();
}

#[tokio::test]
async fn where_no_server_is_is_said() {
    for arguments in [&["search", "x"][..], &["scan"], &["registry", "list"], &["login"], &["health"]] {
        let environment = [("SILO_URL", "http://127.0.0.1:1"), ("SILO_LISTEN", "127.0.0.1:1")];
        let error = silo(arguments, &environment).await.expect_failure(1);
        assert!(error.contains("http://127.0.0.1:1/ cannot be reached") && error.contains("Is it running?"), "{error}");
        assert!(error.contains("--server or SILO_URL"), "{error}");
    }
    let error = silo(&["search", "x", "--server", "nonsense"], &[]).await.expect_failure(1);
    assert!(error.contains("'nonsense' is not the address of a server"), "{error}");
}
