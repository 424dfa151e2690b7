//! Stored times with which a wrong system clock is detected.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{DatabaseHandle, sql};
use super::{Result, Store};

/// Times that reveal a wrong clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTimes {
    /// The clock of the database server; `None` for SQLite, which uses this machine's.
    pub database_now: Option<DateTime<Utc>>,
    /// The latest creation time of a scan, run, registry or user.
    pub latest: Option<DateTime<Utc>>,
    /// The latest ends of leases.
    pub scan_lease: Option<DateTime<Utc>>,
    pub run_lease: Option<DateTime<Utc>>,
}

row!(StoredTimes { database_now, latest, scan_lease, run_lease });

impl Store {
    pub(super) async fn stored_times(&self) -> Result<StoredTimes> {
        let now = match &self.db {
            DatabaseHandle::Sqlite(..) => "CAST(NULL AS INTEGER)",
            DatabaseHandle::Postgres(..) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        };
        sql(format!(
            "SELECT {now} AS database_now,
                 (SELECT MAX(at) FROM (SELECT MAX(created_at) AS at FROM scans UNION ALL SELECT MAX(created_at) FROM runs
                      UNION ALL SELECT MAX(created_at) FROM registries UNION ALL SELECT MAX(created_at) FROM users) AS times) AS latest,
                 (SELECT MAX(lease_until) FROM scans WHERE state = 'running') AS scan_lease,
                 (SELECT MAX(lease_until) FROM runs WHERE finished_at IS NULL) AS run_lease"
        ))
        .one(&self.db)
        .await
    }
}
