//! Databases for tests: a fresh one on the server that `tests/run` starts, dropped at the end.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::needs;

/// An empty database for one test.
pub(crate) struct TestDatabase {
    admin: PgConnectOptions,
    name: String,
}

/// Creates a database.
///
/// # Panics
/// If there is no server.
pub(crate) async fn database() -> TestDatabase {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    needs::check("postgres");
    let admin: PgConnectOptions = admin_url().parse().expect("SILO_TEST_DATABASE_URL is an address of PostgreSQL");
    let name = format!("silo_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect_with(&admin).await.unwrap_or_else(|why| {
        panic!("no PostgreSQL at SILO_TEST_DATABASE_URL ({why}): run tests/run, which starts one")
    });
    // Removes a database left by a killed process with the same id. template0 has no connections, so many tests can
    // copy it at once.
    for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
        let template = if statement.starts_with("CREATE") { "TEMPLATE template0" } else { "" };
        connection.execute(AssertSqlSafe(format!("{statement} {name} {template}"))).await.expect("a fresh database");
    }
    TestDatabase { admin, name }
}

#[expect(clippy::disallowed_methods, reason = "how tests/run tells where its server is")]
fn admin_url() -> String {
    std::env::var("SILO_TEST_DATABASE_URL")
        .expect("SILO_TEST_DATABASE_URL is not set: run tests/run, which starts what is needed")
}

impl TestDatabase {
    /// The address for `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        self.options().to_url_lossy().into()
    }

    /// For direct access to the database.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    /// Terminates all connections, and refuses new ones.
    pub(crate) async fn close(&self) {
        self.allow(false).await;
        let mut connection = PgConnection::connect_with(&self.admin).await.expect("the server answers");
        let all = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        connection.execute(AssertSqlSafe(all)).await.expect("whoever is connected is cut off");
    }

    /// Allows connections again, after [`TestDatabase::close`].
    pub(crate) async fn open(&self) {
        self.allow(true).await;
    }

    async fn allow(&self, allow: bool) {
        let mut connection = PgConnection::connect_with(&self.admin).await.expect("the server answers");
        let statement = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {allow}", self.name);
        connection.execute(AssertSqlSafe(statement)).await.expect("the database is ours");
    }
}

impl Drop for TestDatabase {
    /// Also after a failed test; open connections are terminated. A database that cannot be dropped goes with the
    /// server.
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let drop_it = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&admin).await.map_err(std::io::Error::other)?;
                let statement = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                connection.execute(statement).await.map(drop).map_err(std::io::Error::other)
            })
        };
        let dropped: std::io::Result<()> =
            std::thread::spawn(drop_it).join().unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
        if let Err(why) = dropped {
            eprintln!("a test database stays behind: {why}");
        }
    }
}
