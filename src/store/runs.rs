//! Runs: the queue, its leases and states. Queries are in `run_queries.rs`.

use chrono::{DateTime, Utc};

use super::columns::json;
use super::db::{RowLock, WriteTransaction, sql};
use super::scans::held;
use super::{ClaimedRun, Error, NewRun, Result, RunState, Store};
use crate::catalog::{LONGEST_RETRY_WAIT, RunPhase, RunStatus, UserId};

impl Store {
    /// Inserts runs, all or none. `most` is the limit of active runs per user.
    ///
    /// # Errors
    /// [`Error::TooMany`] if the owner would have more than `most`.
    pub async fn run_insert(&self, runs: &[NewRun], most: u64) -> Result<()> {
        let mut tx = self.db.write().await?;
        let inserted = insert_all(&mut tx, self.db.lock(RowLock::Wait), runs, most).await;
        tx.end(inserted).await
    }

    /// Claims a run: one whose lease has expired (the process or host that had it is gone), else the waiting run with
    /// the highest priority, among equals that of the owner with the fewest claimed runs, who must have fewer than
    /// `most_per_owner`. Skips the runs in `busy`, which this process executes. A run with an expired lease counts for
    /// its owner until it is claimed again. `token` must be new for each call. Times too far in the future come from a
    /// clock that was ahead: a lease that ends after `lease_until` is cut to it, and a run that would wait longer than
    /// [`LONGEST_RETRY_WAIT`] is due.
    pub async fn run_claim(
        &self,
        token: &str,
        host: &str,
        busy: &[String],
        most_per_owner: u64,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<ClaimedRun>> {
        let mut tx = self.db.write().await?;
        let claimed = self.claim(&mut tx, (token, host, busy), most_per_owner, (now, lease_until)).await;
        tx.end(claimed).await
    }

    async fn claim(
        &self,
        tx: &mut WriteTransaction,
        (token, host, busy): (&str, &str, &[String]),
        most_per_owner: u64,
        (now, lease_until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Option<ClaimedRun>> {
        sql(format!("SELECT id FROM run_queue {}", self.db.lock(RowLock::Wait))).one::<(i64,)>(&mut *tx).await?;
        sql("UPDATE runs SET lease_until = $1 WHERE finished_at IS NULL AND lease_until > $1")
            .bind(lease_until)
            .execute(&mut *tx)
            .await?;
        let passed_over: String = (4..).take(busy.len()).map(|place| format!(" AND r.id <> ${place}")).collect();
        let select = format!(
            "SELECT r.id, r.host FROM runs r
             LEFT JOIN (SELECT owner_id, COUNT(*) AS going FROM runs
                        WHERE lease_token IS NOT NULL GROUP BY owner_id) AS o
                 ON o.owner_id = r.owner_id
             WHERE r.finished_at IS NULL AND (r.lease_until IS NULL OR r.lease_until <= $1)
                 AND (r.due_at <= $1 OR r.due_at > $3 OR r.attempts = 0 OR r.lease_token IS NOT NULL)
                 AND (r.lease_token IS NOT NULL OR COALESCE(o.going, 0) < $2){passed_over}
             ORDER BY CASE WHEN r.lease_token IS NULL THEN 1 ELSE 0 END, r.priority DESC, COALESCE(o.going, 0), r.id
             LIMIT 1"
        );
        let select = sql(select).bind(now).bind(most_per_owner).bind(now + LONGEST_RETRY_WAIT);
        let select = busy.iter().fold(select, |select, id| select.bind(id));
        let found: Option<(String, Option<String>)> = select.optional(&mut *tx).await?;
        let Some((id, last_host)) = found else { return Ok(None) };
        sql("UPDATE runs SET lease_token = $1, lease_until = $2, host = $3 WHERE id = $4")
            .bind(token)
            .bind(lease_until)
            .bind(host)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        Ok(Some(ClaimedRun { id, token: token.to_owned(), last_host }))
    }

    /// Lets the leases of a host's runs expire. For a process that knows it is the only one on the host. Returns their
    /// number.
    pub async fn run_release_host(&self, host: &str) -> Result<u64> {
        sql("UPDATE runs SET lease_until = 0 WHERE host = $1 AND lease_token IS NOT NULL AND finished_at IS NULL")
            .bind(host)
            .execute(&self.db)
            .await
    }

    /// Renews the lease. Returns who has cancelled the run, if anyone.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the run is no longer this worker's.
    pub async fn run_renew(&self, claim: &ClaimedRun, lease_until: DateTime<Utc>) -> Result<Option<String>> {
        let renewed: Option<(Option<String>,)> =
            sql("UPDATE runs SET lease_until = $1 WHERE id = $2 AND lease_token = $3 RETURNING cancelled_by")
                .bind(lease_until)
                .bind(&claim.id)
                .bind(&claim.token)
                .optional(&self.db)
                .await?;
        renewed.map(|(cancelled_by,)| cancelled_by).ok_or(Error::LeaseLost)
    }

    /// Stores the state of an active run.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn run_update(&self, claim: &ClaimedRun, state: &RunState) -> Result<()> {
        self.run_set(claim, state, "").await
    }

    /// Stores the end of an attempt and releases the run: it has ended, or waits until `due_at` for another attempt.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub async fn run_finish_attempt(&self, claim: &ClaimedRun, state: &RunState) -> Result<()> {
        self.run_set(claim, state, ", lease_token = NULL, lease_until = NULL, fetched_bytes = 0").await
    }

    async fn run_set(&self, claim: &ClaimedRun, state: &RunState, more: &'static str) -> Result<()> {
        sql(format!(
            "UPDATE runs SET status = $1, phase = $2, progress = $3, message = $4, error_name = $5, error_category = $6,
                 attempts = $7, started_at = $8, finished_at = $9, updated_at = $10, due_at = $11, record = $12{more}
             WHERE id = $13 AND lease_token = $14"
        ))
        .bind(state.status)
        .bind(state.phase)
        .bind(state.progress)
        .bind(&state.message)
        .bind(state.error_name.as_deref())
        .bind(state.error_category.as_deref())
        .bind(state.attempts)
        .bind(state.started_at)
        .bind(state.finished_at)
        .bind(state.updated_at)
        .bind(state.due_at)
        .bind(&state.record)
        .bind(&claim.id)
        .bind(&claim.token)
        .execute(&self.db)
        .await
        .and_then(held)
    }

    /// Requests the cancellation of a run. A run that is not claimed ends at once, with `state`. `false`: it had ended
    /// before.
    pub async fn run_cancel(&self, id: &str, by: &str, state: &RunState) -> Result<bool> {
        let at_once = sql("UPDATE runs SET cancelled_by = $1, status = $2, phase = $3, progress = $4, message = $5,
                 error_name = $6, error_category = $7, finished_at = $8, updated_at = $8, record = $9
             WHERE id = $10 AND lease_token IS NULL AND finished_at IS NULL")
        .bind(by)
        .bind(state.status)
        .bind(state.phase)
        .bind(state.progress)
        .bind(&state.message)
        .bind(state.error_name.as_deref())
        .bind(state.error_category.as_deref())
        .bind(state.updated_at)
        .bind(&state.record)
        .bind(id)
        .execute(&self.db)
        .await?;
        if at_once == 1 {
            return Ok(true);
        }
        let asked =
            sql("UPDATE runs SET cancelled_by = COALESCE(cancelled_by, $1) WHERE id = $2 AND finished_at IS NULL")
                .bind(by)
                .bind(id)
                .execute(&self.db)
                .await?;
        Ok(asked == 1)
    }

    /// Notes that a run's logs and outputs are deleted. `false`: it is active, or there is no such run.
    pub async fn run_purge(&self, id: &str, now: DateTime<Utc>) -> Result<bool> {
        let purged = sql("UPDATE runs SET purged_at = COALESCE(purged_at, $1), sealed = NULL
             WHERE id = $2 AND finished_at IS NOT NULL")
        .bind(now)
        .bind(id)
        .execute(&self.db)
        .await?;
        Ok(purged == 1)
    }

    /// Deletes runs that ended before `before` and whose files are deleted; returns their number.
    pub async fn run_prune(&self, before: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM runs WHERE finished_at < $1 AND purged_at IS NOT NULL").bind(before).execute(&self.db).await
    }
}

async fn insert_all(tx: &mut WriteTransaction, lock: &'static str, runs: &[NewRun], most: u64) -> Result<()> {
    let Some(first) = runs.first() else { return Ok(()) };
    sql(format!("SELECT id FROM run_queue {lock}")).one::<(i64,)>(&mut *tx).await?;
    let active = active(&mut *tx, first.owner_id).await?;
    if active + runs.len() as u64 > most {
        return Err(Error::TooMany { there: active, most });
    }
    for run in runs {
        insert(&mut *tx, run).await?;
    }
    Ok(())
}

async fn active(tx: &mut WriteTransaction, owner: UserId) -> Result<u64> {
    let (active,): (i64,) = sql("SELECT COUNT(*) FROM runs WHERE owner_id = $1 AND status IN ('accepted', 'running')")
        .bind(owner)
        .one(tx)
        .await?;
    Ok(active.unsigned_abs())
}

async fn insert(tx: &mut WriteTransaction, run: &NewRun) -> Result<()> {
    sql("INSERT INTO runs (id, owner_id, owner, batch_id, batch_row, rerun_of, label, tags, job_name, job_version,
             package_version, image, status, phase, progress, message, priority, attempts, max_tries, created_at, updated_at,
             due_at, dedup_key, spec, sealed, record)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '', $15, 0, $16, $17, $17, $17, $18, $19,
             $20, $21)")
    .bind(&run.id)
    .bind(run.owner_id)
    .bind(&run.owner)
    .bind(run.batch_id.as_deref())
    .bind(run.batch_row)
    .bind(run.rerun_of.as_deref())
    .bind(&run.label)
    .bind(json(&run.tags))
    .bind(&run.job_name)
    .bind(&run.job_version)
    .bind(&run.package_version)
    .bind(&run.image)
    .bind(RunStatus::Accepted)
    .bind(RunPhase::Queued)
    .bind(run.priority)
    .bind(run.max_tries)
    .bind(run.created_at)
    .bind(run.dedup_key.as_deref())
    .bind(&run.spec)
    .bind(run.sealed.as_deref())
    .bind(&run.record)
    .execute(&mut *tx)
    .await?;
    for tag in &run.tags {
        sql("INSERT INTO run_tags (tag, run_id) VALUES ($1, $2)").bind(tag).bind(&run.id).execute(&mut *tx).await?;
    }
    Ok(())
}
