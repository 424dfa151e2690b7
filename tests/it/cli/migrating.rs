//! docs/migrating.md: its commands, on a database of the old SILO.

use std::process::Command;

use super::seed_cli::shell;
use crate::scan::registry_of;
use crate::support::docker_registry::DockerRegistry;
use crate::support::process::{Engine, PASSWORD, Setup};

const PAGE: &str = include_str!("../../../docs/migrating.md");
/// The tables of the old SILO that users filled; its other tables are derived from scans.
const OLD_TABLES: &str = "
    CREATE SCHEMA silo;
    CREATE TABLE silo.registryinfo (id serial PRIMARY KEY, name text NOT NULL UNIQUE, url text, org text, username text, password text);
    CREATE TABLE silo.silouser (id serial PRIMARY KEY, username text NOT NULL UNIQUE, password text, role text);
    CREATE TABLE silo.job (id serial PRIMARY KEY, name text NOT NULL UNIQUE, title text);
    INSERT INTO silo.job (name, title) VALUES ('ice', 'Ice');
    INSERT INTO silo.silouser (username, password, role) VALUES
        ('admin', '$2a$14$aaaaaaaaaaaaaaaaaaaaaa', 'admin'), ('ada', '$2a$14$bbbbbbbbbbbbbbbbbbbbbb', 'user');";

fn psql(url: &str, words: &str) {
    let output = Command::new("psql").args([url, "-v", "ON_ERROR_STOP=1", "-qc", words]).output();
    let output = output.expect("psql is there: tests/run installs postgresql-client");
    assert!(output.status.success(), "{output:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_the_page_take_registries_and_users_along() {
    let open = registry_of(&["ice", "fog"]).await;
    let locked = DockerRegistry::htpasswd("robot", "pa|ss wörd").await;
    let setup = Setup::on(Engine::Postgres).await;
    let url = setup.database_url().expect("a database");
    // libpq does not accept sqlx's own parameters.
    let old = url.split('?').next().expect("a first part").to_owned();
    psql(&old, OLD_TABLES);
    for (name, address, user) in [
        ("open", open.url(), "NULL, NULL"),
        ("with a blank", locked.url(), "'robot', 'pa|ss wörd'"),
        ("gone", "http://127.0.0.1:1".to_owned(), "'', ''"),
    ] {
        let row = format!("('{name}', '{address}', '', {user})");
        psql(&old, &format!("INSERT INTO silo.registryinfo (name, url, org, username, password) VALUES {row}"));
    }
    let aside = PAGE.split('`').find(|code| code.starts_with("psql \"$OLD\" -c")).expect("how it is put aside");
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(shell(folder.path(), &[("OLD", &old)], aside).code, Some(0));

    let silo = setup.start().await;
    let blocks: Vec<&str> = PAGE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [registries, users] = blocks[..] else { panic!("the page has other blocks") };
    // `silo login` reads the password from standard input.
    let registries = registries.replace("http://127.0.0.1:9000", silo.url());
    let registries = registries.replace("$(silo login", &format!("$(echo '{PASSWORD}' | silo login"));
    let (home, data) = (folder.path().display().to_string(), silo.data().display().to_string());
    let environment = [("OLD", old.as_str()), ("HOME", &home), ("SILO_DATA", &data), ("DATABASE_URL", &url)];
    let exit = shell(folder.path(), &environment, &registries);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    assert!(exit.stderr.contains("127.0.0.1:1 "), "the one that is gone is told: {exit:#?}");
    let listed = silo.get("/api/v1/registries").await.expect(200);
    let names: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["open", "with a blank"], "{exit:#?}");
    assert_eq!(silo.get("/api/v1/images").await.expect(200)["items"].as_array().map(Vec::len), Some(2));

    let exit = shell(folder.path(), &environment, users);
    assert_eq!(exit.code, Some(0), "{exit:#?}");
    let password = std::fs::read_to_string(folder.path().join("ada.password")).expect("her new password");
    silo.login("ada", password.trim_end()).await;
}
