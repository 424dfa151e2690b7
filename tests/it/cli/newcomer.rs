//! The first five minutes: the welcome and its commands.

use super::plain;
use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::LayoutBuilder;
use crate::support::process::{Setup, Silo};

/// The commands at the end of the welcome.
fn commands(silo: &Silo) -> String {
    let commands: Vec<&str> = silo.welcome.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!((commands.len(), silo.welcome.lines().last()), (5, commands.last().copied()), "{}", silo.welcome);
    commands.join("\n")
}

/// A registry with one job, which the search for "marks clouds" finds.
async fn registry() -> DockerRegistry {
    let registry = DockerRegistry::open().await;
    let mut layout = LayoutBuilder::oci();
    let label = r#"{"seedVersion":"1.0.0","job":{"name":"cloud-mask","jobVersion":"1.0.0","packageVersion":"1.0.0",
        "title":"Marks clouds","description":"","maintainer":{"name":"Ada","email":"a@example.org"},"timeout":60}}"#;
    layout.image("cloud-mask-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, label)]);
    registry.put(&layout, "cloud-mask-1.0.0-seed:1.0.0").await;
    registry
}

async fn assert_the_commands_work(silo: &Silo) {
    let registry = registry().await;
    let script = commands(silo).replace("http://127.0.0.1:5000", &registry.url()).replace("WORDS", "clouds");
    let run = silo.shell(&format!("set -e\n{script}")).await;
    let said = run.expect_success();
    assert!(said.lines().last().unwrap().starts_with("cloud-mask  1.0.0    Marks clouds"), "{script}\n{said}");
}

#[tokio::test]
async fn the_welcome_tells_how_to_go_on() {
    let silo = Setup::new().without("SILO_ADMIN_PASSWORD").start().await;
    let file = silo.data().join("initial-admin-password");
    let password = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let data = silo.data().display().to_string();
    let replaced = [(silo.url(), "http://ADDRESS"), (&data, "DATA"), (&password, "PASSWORD")];
    insta::assert_snapshot!(plain(&silo.welcome, &replaced), @r#"
    SILO listens on http://ADDRESS
    Data:    DATA (SQLite)
    Admin:   admin, first password in DATA/initial-admin-password

    Log in, add a registry, scan and search:
      export SILO_URL=http://ADDRESS
      silo login admin <DATA/initial-admin-password
      silo registry add mine http://127.0.0.1:5000
      silo scan mine --wait
      silo search WORDS
    "#);
    assert_the_commands_work(&silo).await;
    assert!(!silo.log().contains(&password), "the log is no place for it");
    assert!(!silo.welcome.contains(&password), "and a service manager keeps this, too");
}

#[tokio::test]
async fn the_commands_work_with_the_default_folder_and_after_a_restart() {
    let mut silo = Setup::new().without("SILO_ADMIN_PASSWORD").without("SILO_DATA").start().await;
    silo.terminate().await;
    silo.start_again().await;
    assert_the_commands_work(&silo).await;
}

#[tokio::test]
async fn the_commands_work_where_paths_have_blanks() {
    let setup = Setup::new().without("SILO_ADMIN_PASSWORD");
    let data = setup.data().with_file_name("Ada's data & more");
    let silo = setup.env("SILO_DATA", data.display()).start().await;
    assert_the_commands_work(&silo).await;
}

#[tokio::test]
async fn the_commands_work_with_a_password_of_ones_own() {
    // The password contains blanks.
    let silo = Setup::new().start().await;
    let password = crate::support::process::PASSWORD;
    assert!(!silo.welcome.contains(password), "{}", silo.welcome);
    let registry = registry().await;
    let script = commands(&silo).replace("http://127.0.0.1:5000", &registry.url()).replace("WORDS", "clouds");
    // `silo login` reads the password from a terminal or from standard input.
    let run = silo.shell(&format!("set -e\n{{ {script}\n}} <<<'{password}'")).await;
    assert!(run.expect_success().contains("Marks clouds"));
}

#[tokio::test]
async fn the_demo_has_something_to_find() {
    let mut silo = Setup::new().argument("--demo").start().await;
    let run = silo.cli(&["scan", "demo", "--wait"]).await;
    run.expect_success();
    let table = silo.cli(&["search", "ndvi"]).await.expect_success();
    assert!(table.lines().nth(1).unwrap().starts_with("ndvi"), "{table}");
    assert_eq!(silo.get("/jobs").await.expect(200).as_array().unwrap().len(), 12);
    assert!(
        silo.welcome
            .ends_with(&format!("search:\n  export SILO_URL={}\n  silo login admin\n  silo search ndvi\n", silo.url())),
        "{}",
        silo.welcome
    );

    // Again: the same registry, the same ids.
    let before = silo.catalogue().await;
    silo.terminate().await;
    silo.start_again().await;
    silo.cli(&["scan", "demo", "--wait"]).await.expect_success();
    assert_eq!(silo.catalogue().await, before);
    assert_eq!(silo.get("/api/v1/registries").await.expect(200).as_array().unwrap().len(), 1);
}
