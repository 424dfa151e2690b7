//! The seal key: loss, replacement and rotation.

use std::fs;

use serde_json::json;

use crate::scan::registry_of;
use crate::support::fake_registry::FakeRegistry;
use crate::support::process::{Engine, Setup, Silo, on_both};

const DOCTOR: [&str; 4] = ["doctor", "--json", "--engine", "unix:///nowhere.sock"];

/// A service with a registry `mine` that has a sealed password.
async fn with_a_password(engine: Engine) -> (Silo, FakeRegistry, i64) {
    let registry = registry_of(&["ice"]).await;
    registry.require_basic("ada", "secret");
    let silo = Setup::on(engine).await.start().await;
    let form = json!({"name": "mine", "url": registry.url(), "username": "ada", "password": "secret"});
    let id = silo.add_with(form).await;
    (silo, registry, id)
}

/// The doctor's finding on the keys, and its full output.
async fn keys(silo: &Silo) -> (String, String) {
    let exit = silo.cli(&DOCTOR).await;
    let findings: Vec<serde_json::Value> = serde_json::from_str(&exit.stdout).expect("JSON");
    let keys = findings.into_iter().find(|finding| finding["about"] == "keys").expect("a finding");
    (keys["verdict"].as_str().expect("a text").to_owned(), keys.to_string())
}

async fn state(silo: &Silo, id: i64) -> String {
    silo.scan(id).await["state"].as_str().expect("a text").to_owned()
}

async fn rotation_seals_everything_again(engine: Engine) {
    let (mut silo, _registry, id) = with_a_password(engine).await;
    let refused = silo.cli(&["keys", "rotate"]).await.expect_failure(1);
    assert!(refused.contains("another silo process already uses"), "{refused}");
    silo.terminate().await;
    let (file, next) = (silo.data().join("seal.key"), silo.data().join("seal.key.next"));
    let old = fs::read_to_string(&file).expect("a key");
    assert_eq!(silo.cli(&["keys", "rotate"]).await.expect_success(), "Sealed again: 1.\n");
    let new = fs::read_to_string(&file).expect("a key");
    assert_ne!(old, new);
    assert!(!next.exists());
    assert_eq!(keys(&silo).await.0, "good");

    // Killed after the database was written, and before the new key file was renamed.
    fs::copy(&file, &next).expect("our own file");
    fs::write(&file, &old).expect("our own file");
    assert_eq!(keys(&silo).await.0, "notice");
    silo.start_again().await;
    assert_eq!(state(&silo, id).await, "complete");
    assert_eq!((fs::read_to_string(&file).expect("a key"), next.exists()), (new.clone(), false));

    // Killed before the database was written.
    silo.terminate().await;
    fs::write(&next, &old).expect("our own file");
    silo.start_again().await;
    assert_eq!(state(&silo, id).await, "complete");
    assert_eq!(fs::read_to_string(&file).expect("a key"), new);
    silo.terminate().await;
    silo.cli(&["keys", "rotate"]).await.expect_success();
    assert!(!next.exists());
}

async fn a_lost_key_is_told(engine: Engine) {
    let (mut silo, _registry, id) = with_a_password(engine).await;
    silo.terminate().await;
    let file = silo.data().join("seal.key");
    let kept = silo.data().join("backup");
    fs::rename(&file, &kept).expect("our own file");
    let (verdict, said) = keys(&silo).await;
    assert!(verdict == "bad" && said.contains("seal.key is missing") && said.contains("(mine)"), "{said}");
    silo.start_again().await;
    let told =
        silo.log().lines().any(|line| line.contains("ERROR") && line.contains("(mine)") && line.contains("backup"));
    assert!(told, "{}", silo.log());
    let (verdict, said) = keys(&silo).await;
    assert!(verdict == "bad" && said.contains("is not the key") && said.contains("--forget-lost"), "{said}");
    assert_eq!(state(&silo, id).await, "failed");
    silo.terminate().await;

    let refused = silo.cli(&["keys", "rotate"]).await.expect_failure(1);
    assert!(refused.contains("(mine)") && refused.contains("--from"), "{refused}");
    let from = kept.display().to_string();
    assert_eq!(silo.cli(&["keys", "rotate", "--from", &from]).await.expect_success(), "Sealed again: 1.\n");
    silo.start_again().await;
    assert_eq!((state(&silo, id).await.as_str(), keys(&silo).await.0.as_str()), ("complete", "good"));

    silo.terminate().await;
    fs::remove_file(&file).expect("our own file");
    let exit = silo.cli(&["keys", "rotate", "--forget-lost"]).await;
    assert!(exit.stderr.contains("Deleted") && exit.stderr.contains("(mine)"), "{exit:?}");
    silo.start_again().await;
    assert_eq!(keys(&silo).await.0, "good");
}

on_both!(rotation_seals_everything_again, a_lost_key_is_told);

/// A key in the configuration must be changed there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_key_is_rotated_from_the_old_one() {
    let (mut silo, _registry, _id) = with_a_password(Engine::Sqlite).await;
    silo.terminate().await;
    let file = silo.data().join("seal.key");
    let old = silo.data().join("old.key");
    fs::rename(&file, &old).expect("our own file");
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let environment = [("SILO__AUTH__SEAL_KEY", key)];
    let from = old.display().to_string();
    let rotated = silo.cli_with(&["keys", "rotate", "--from", &from], &environment, "").await.expect_success();
    assert_eq!(rotated, "Sealed again: 1.\n");
    assert!(!file.exists());
    let exit = silo.cli_with(&DOCTOR, &environment, "").await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_key_is_told_as_what_it_is() {
    let mut silo = Setup::new().start().await;
    silo.terminate().await;
    let file = silo.data().join("token.key");
    fs::write(&file, "short").expect("our own file");
    let exit = silo.second_start_error().await;
    assert!(exit.stderr.contains("token.key") && exit.stderr.contains("log in again"), "{exit:?}");
    assert!(!exit.stderr.contains("registries"), "{exit:?}");
    fs::remove_file(&file).expect("our own file");
    assert_eq!(keys(&silo).await.0, "notice");
    silo.start_again().await;
    assert!(silo.log().contains("token.key has changed"), "{}", silo.log());
    assert_eq!(keys(&silo).await.0, "good");
}
