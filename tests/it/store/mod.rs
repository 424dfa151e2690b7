//! The store: each test runs on SQLite and on PostgreSQL.

mod catalogue;
mod events;
mod fixture;
mod limits;
mod model;
mod origins;
mod registries;
mod repositories;
mod run_choices;
mod runs;
mod scans;
mod schema;
mod steps;
mod users;
mod visibility;

/// Makes one test per database from a scenario: `both!(name, |store| { … })` defines `name::sqlite` and
/// `name::postgres`. With `|store, address|` the scenario can open the same database again.
macro_rules! both {
    ($name:ident, |$store:ident| $body:block) => {
        both!($name, |$store, _address| $body);
    };
    ($name:ident, |$store:ident, $address:ident| $body:block) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn scenario($store: silo::store::Store, $address: silo::store::DatabaseAddress) {
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::store::fixture::on_sqlite(scenario).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::store::fixture::on_postgres(scenario).await;
            }
        }
    };
}
use both;
