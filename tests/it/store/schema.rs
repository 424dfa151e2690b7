//! The schema on both databases, migrations, and a check that every public method has a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use silo::catalog::UserRole;
use silo::store::{DatabaseAddress, Error, Store};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use super::both;
use super::fixture::at;
use crate::support::postgres;

/// Table, column, whether it may be NULL.
type Columns = BTreeSet<(String, String, bool)>;

async fn sqlite_columns(path: &Path) -> Columns {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT t.name, c.name, c.\"notnull\" FROM pragma_table_list t JOIN pragma_table_info(t.name) c
         WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND t.name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    rows.into_iter().map(|(table, column, not_null)| (table, column, not_null == 0)).collect()
}

async fn postgres_columns(connection: &mut PgConnection) -> Columns {
    let rows: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, is_nullable = 'YES' FROM information_schema.columns
         WHERE table_schema = 'silo' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn both_engines_have_the_same_tables_columns_and_nullability() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silo.db");
    let database = postgres::database().await;
    for address in [DatabaseAddress::Sqlite(path.clone()), DatabaseAddress::Postgres(database.url().into())] {
        Store::connect(&address).await.unwrap().close().await;
    }
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let (sqlite, postgres) = (sqlite_columns(&path).await, postgres_columns(&mut connection).await);
    assert!(sqlite.contains(&("images".into(), "job_version_id".into(), true)), "{sqlite:?}");
    assert_eq!(sqlite, postgres);
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<String> {
        std::fs::read_dir(root().join("migrations").join(engine))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let connect = std::fs::read_to_string(root().join("src/store/connect.rs")).unwrap();
    assert_eq!(names("sqlite"), names("postgres"));
    for name in names("sqlite") {
        assert!(connect.contains(&name), "migration {name} is never run: add it to src/store/connect.rs");
    }
}

both!(a_database_opens_again_with_what_it_held, |store, address| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    let again = Store::connect(&address).await.unwrap();
    again.ping().await.unwrap();
    assert_eq!(again.user_list().await.unwrap(), [ada]);
    again.close().await;
});

both!(a_closed_store_does_not_answer, |store| {
    store.ping().await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());
});

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_migrate_at_once() {
    let database = postgres::database().await;
    let address = DatabaseAddress::Postgres(database.url().into());
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { Store::connect(&address).await })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().expect("each finds a migrated database").close().await;
    }
}

/// The old service's tables in the same schema, and a table of another program.
const NEIGHBOURS: &str = "
    CREATE TABLE public.batch (id BIGINT);
    CREATE SCHEMA silo;
    CREATE TABLE silo.registryinfo (id SERIAL PRIMARY KEY, name TEXT);
    CREATE TABLE silo.job (id SERIAL PRIMARY KEY, name TEXT);
    CREATE TABLE silo.jobversion (id SERIAL PRIMARY KEY, job_name TEXT);
    CREATE TABLE silo.image (id SERIAL PRIMARY KEY, full_name TEXT);
    CREATE TABLE silo.silouser (id SERIAL PRIMARY KEY, username TEXT);
    INSERT INTO silo.silouser (username) VALUES ('old');
    INSERT INTO public.batch VALUES (7);";

#[tokio::test]
async fn the_neighbours_in_a_shared_database_stay_as_they_are() {
    let database = postgres::database().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    connection.execute(NEIGHBOURS).await.unwrap();
    let old: Columns = postgres_columns(&mut connection).await;

    let url = database.url().replacen("postgres://", "postgis://", 1);
    let separator = if url.contains('?') { '&' } else { '?' };
    let store =
        Store::connect(&DatabaseAddress::Postgres(format!("{url}{separator}sslmode=disable").into())).await.unwrap();
    store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    store.close().await;

    assert!(postgres_columns(&mut connection).await.is_superset(&old));
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT username FROM silo.silouser").fetch_all(&mut connection).await.unwrap();
    assert_eq!(names, [("old".to_owned(),)]);
    let public: Vec<(String,)> =
        sqlx::query_as("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(public, [("batch".to_owned(),)], "nothing of ours outside our schema");
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_explained_without_its_password() {
    // Nothing listens on port 1.
    let address = DatabaseAddress::Postgres("postgres://ada:hunter2@127.0.0.1:1/silo?sslmode=disable".into());
    let Err(Error::Open(text)) = Store::connect(&address).await else { panic!("it cannot open") };
    assert!(text.contains("127.0.0.1:1") && text.contains("'ada'") && text.contains("check"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let Err(Error::Open(text)) = Store::connect(&DatabaseAddress::Sqlite(folder.path().into())).await else {
        panic!("a folder is no database")
    };
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
}

both!(a_look_changes_nothing, |store, address| {
    let look = Store::look(&address).await.unwrap();
    assert_eq!((look.version, look.catalogue), (Some(look.newest), Some(store.catalogue_state().await.unwrap())));
    assert_eq!(look.catalogue.map(|state| (state.revision, state.removed_at, state.images)), Some((0, 0, 0)));
});

#[tokio::test]
async fn a_look_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silo.db");
    let database = postgres::database().await;
    for address in [DatabaseAddress::Sqlite(path.clone()), DatabaseAddress::Postgres(database.url().into())] {
        let look = Store::look(&address).await.unwrap();
        assert_eq!((look.version, look.catalogue), (None, None), "{address:?}");
        assert!(look.newest > 0);
    }
    assert!(!path.exists());
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    assert_eq!(postgres_columns(&mut connection).await, Columns::new());

    let nowhere = DatabaseAddress::Postgres("postgres://ada:hunter2@127.0.0.1:1/silo?sslmode=disable".into());
    let Err(Error::Open(text)) = Store::look(&nowhere).await else { panic!("it cannot open") };
    assert!(text.contains("127.0.0.1:1") && !text.contains("hunter2"), "{text}");
    std::fs::write(&path, "no database, but long enough to be looked at as if it were one".repeat(99)).unwrap();
    Store::look(&DatabaseAddress::Sqlite(path)).await.unwrap_err();
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<String> {
    std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn every_public_method_has_a_test() {
    let tests = sources("tests/it/store").concat();
    let methods: BTreeSet<String> = sources("src/store")
        .iter()
        .flat_map(|source| source.split("pub async fn ").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect();
    assert!(methods.len() > 40, "the methods were not found: {methods:?}");
    let untested: Vec<_> = methods
        .iter()
        .filter(|name| !tests.contains(&format!(".{name}(")) && !tests.contains(&format!("Store::{name}(")))
        .collect();
    assert!(untested.is_empty(), "no test in tests/it/store calls {untested:?}");
}
