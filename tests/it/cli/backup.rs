//! `deploy/backup` and `deploy/restore`, from a running service to an empty place.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::scan::registry_of;
use crate::support::process::{Engine, PASSWORD, Setup, Silo, on_both};

/// Runs a script of `deploy/` with a data directory and a database.
fn script(name: &str, arguments: &[&str], data: &Path, database: Option<&str>) -> Output {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name));
    command.args(arguments).env_remove("DATABASE_URL").env("SILO_DATA", data);
    if let Some(url) = database {
        // libpq does not accept sqlx's own parameters.
        command.env("DATABASE_URL", url.split('?').next().unwrap_or_default());
    }
    command.output().expect("bash runs it")
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(reason), "{output:#?}");
}

async fn what_is_backed_up_is_there_after_a_restore(engine: Engine) {
    let registry = registry_of(&["ice", "fog"]).await;
    let setup = Setup::on(engine).await;
    let url = setup.database_url();
    let mut silo = setup.start().await;
    // The password is sealed, and can be restored only with the key.
    let form = json!({"name": "mine", "url": registry.url(), "username": "robot", "password": "s3cret"});
    let id = silo.add_with(form).await;
    silo.scan(id).await;
    let token = silo.login("admin", PASSWORD).await;
    let catalogue = silo.catalogue().await;
    let (backup, again) = (silo.folder().join("backup"), silo.folder().join("backup").display().to_string());
    succeeded(&script("backup", &[&again], &silo.data(), url.as_deref()));
    refused(&script("backup", &[&again], &silo.data(), url.as_deref()), "exists");
    refused(&script("restore", &[&again], &silo.data(), url.as_deref()), "then restore");
    assert_eq!(silo.terminate().await.code, Some(0));

    let fresh = Setup::on(engine).await;
    succeeded(&script("restore", &[&again], &fresh.data(), fresh.database_url().as_deref()));
    let restored = fresh.start().await;
    assert_eq!(restored.catalogue().await, catalogue);
    let exit = restored.cli_with(&["registry", "list"], &[("SILO_TOKEN", &token)], "").await;
    assert!(exit.expect_success().contains("mine"), "the tokens of before are good");
    doctor_is_content(&restored).await;
    assert_eq!(restored.scan(id).await["state"], "complete");

    std::fs::write(backup.join("seal.key"), "damaged").expect("written");
    let other = Setup::on(engine).await;
    refused(&script("restore", &[&again], &other.data(), other.database_url().as_deref()), "damaged");
    assert!(!other.data().exists(), "nothing was changed");
}

async fn doctor_is_content(silo: &Silo) {
    let exit = silo.cli(&["doctor", "--engine", "unix:///nowhere.sock"]).await;
    exit.expect_success();
}

on_both!(what_is_backed_up_is_there_after_a_restore);

#[test]
fn what_cannot_be_backed_up_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("backup").display().to_string();
    refused(&script("backup", &[], folder.path(), None), "usage");
    refused(&script("backup", &[&target], &folder.path().join("none"), None), "there is no data directory");
    refused(&script("backup", &[&target], folder.path(), None), "there is no database");
    refused(&script("restore", &[&target], folder.path(), None), "is no backup");
    assert!(!folder.path().join("backup").exists() && !folder.path().join("backup.part").exists());
}
