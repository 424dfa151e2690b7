//! The queue of scans, their leases and reports. Scans end in `scan_commit.rs`.

use chrono::{DateTime, Utc};

use super::columns::{json, row};
use super::db::{RowLock, sql};
use super::{ClaimedScan, Error, Result, ScanRequest, Store};
use crate::catalog::{
    NewScanProblem, RegistryId, RepositoryState, ScanCounts, ScanId, ScanProblem, ScanProblemCount, ScanRecord,
    ScanTrigger, TagCounts,
};

row!(ScanRecord {
    id,
    registry_id,
    registry_name,
    state,
    trigger = "cause",
    counts,
    error,
    attempts,
    created_at,
    started_at,
    finished_at,
});
row!(NewScanProblem { code, repository, tag, message });
row!(ScanProblem { seq } + { problem });
row!(ScanProblemCount { code, count });

/// Selects [`ScanRecord`]s.
macro_rules! scan_select {
    ($tail:literal) => {
        concat!(
            "SELECT s.id, s.registry_id, r.name AS registry_name, s.state, s.cause, s.counts, s.error, s.attempts,
                 s.created_at, s.started_at, s.finished_at
             FROM scans s JOIN registries r ON r.id = s.registry_id ",
            $tail
        )
    };
}

impl Store {
    /// Requests a scan. A registry has at most one active scan, even with concurrent requests. `None`: no such
    /// registry.
    pub async fn scan_request(
        &self,
        registry: RegistryId,
        trigger: ScanTrigger,
        now: DateTime<Utc>,
    ) -> Result<Option<ScanRequest>> {
        // If neither an insert nor an active scan is found, the active scan ended in between: try again.
        loop {
            let queued = sql("INSERT INTO scans (registry_id, state, cause, counts, attempts, created_at)
                 VALUES ($1, 'queued', $2, $3, 0, $4)
                 ON CONFLICT (registry_id) WHERE state IN ('queued', 'running') DO NOTHING RETURNING id")
            .bind(registry)
            .bind(trigger)
            .bind(json(&ScanCounts::default()))
            .bind(now)
            .optional(&self.db)
            .await;
            match queued {
                Ok(Some((id,))) => return Ok(Some(ScanRequest::Queued(ScanId(id)))),
                Ok(None) => {}
                Err(error) if error.is_dangling() => return Ok(None),
                Err(error) => return Err(error),
            }
            let active = sql("SELECT id FROM scans WHERE registry_id = $1 AND state IN ('queued', 'running')")
                .bind(registry)
                .optional(&self.db)
                .await?;
            if let Some((id,)) = active {
                return Ok(Some(ScanRequest::Active(ScanId(id))));
            }
        }
    }

    /// Claims the oldest scan that is queued, or running with an expired lease. `token` must be new for each call. A
    /// lease that ends after `lease_until` was made by a clock that was ahead, and is cut to it.
    pub async fn scan_claim(
        &self,
        token: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<ClaimedScan>> {
        sql("UPDATE scans SET lease_until = $1 WHERE state = 'running' AND lease_until > $1")
            .bind(lease_until)
            .execute(&self.db)
            .await?;
        let claimed = sql(format!(
            "UPDATE scans SET state = 'running', lease_token = $1, lease_until = $2, attempts = attempts + 1,
                 started_at = COALESCE(started_at, $3)
             WHERE id = (SELECT id FROM scans WHERE state = 'queued' OR (state = 'running' AND lease_until <= $3)
                         ORDER BY id LIMIT 1 {})
             RETURNING id, registry_id, attempts - store_failures",
            self.db.lock(RowLock::Skip)
        ))
        .bind(token)
        .bind(lease_until)
        .bind(now)
        .optional(&self.db)
        .await?;
        Ok(claimed.map(|(id, registry, tries)| ClaimedScan {
            id: ScanId(id),
            registry_id: RegistryId(registry),
            token: token.to_owned(),
            tries,
        }))
    }

    /// Resumes a scan that another worker left; returns its counts. Deletes the problems of repositories that were not
    /// finished, because these are scanned again.
    pub async fn scan_resume(&self, claim: &ClaimedScan) -> Result<ScanCounts> {
        sql("DELETE FROM scan_problems WHERE scan_id = $1 AND NOT EXISTS (
                 SELECT 1 FROM repositories r
                 WHERE r.registry_id = $2 AND r.name = scan_problems.repository AND r.listed_by = $1)")
        .bind(claim.id)
        .bind(claim.registry_id)
        .execute(&self.db)
        .await?;
        let Some(scan) = self.scan_get(claim.id).await? else { return Err(Error::LeaseLost) };
        let since = scan.started_at.unwrap_or(scan.created_at);
        let states = self.repository_states(claim.registry_id).await?;
        let done: Vec<&RepositoryState> = states.iter().filter(|state| state.listed_by == claim.id).collect();
        let mut outcomes = TagCounts::default();
        done.iter().for_each(|state| outcomes.put(&state.outcomes));
        let missing: usize = done.iter().map(|state| state.missing.len()).sum();
        let (added, changed, unchanged): (i64, i64, i64) =
            sql("SELECT COUNT(CASE WHEN i.first_seen_at >= $1 THEN 1 END),
                     COUNT(CASE WHEN i.first_seen_at < $1 AND i.changed_at >= $1 THEN 1 END),
                     COUNT(CASE WHEN i.changed_at < $1 AND r.name IS NOT NULL THEN 1 END)
                 FROM images i
                 LEFT JOIN repositories r ON r.registry_id = i.registry_id AND r.name = i.repository AND r.listed_by = $2
                 WHERE i.registry_id = $3")
            .bind(since)
            .bind(claim.id)
            .bind(claim.registry_id)
            .one(&self.db)
            .await?;
        let (problems,): (i64,) =
            sql("SELECT COUNT(*) FROM scan_problems WHERE scan_id = $1").bind(claim.id).one(&self.db).await?;
        Ok(ScanCounts {
            problems: problems.unsigned_abs(),
            repositories_done: done.len() as u64,
            repositories_refused: 0,
            tags: outcomes.sum(),
            tags_done: outcomes.sum(),
            outcomes,
            added: added.unsigned_abs(),
            changed: changed.unsigned_abs(),
            // Missing images are in the catalogue until the end of the scan.
            unchanged: unchanged.unsigned_abs().saturating_sub(missing as u64),
            ..scan.counts
        })
    }

    /// Stores the counts and renews the lease.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the scan is no longer this worker's.
    pub async fn scan_progress(
        &self,
        claim: &ClaimedScan,
        counts: &ScanCounts,
        lease_until: DateTime<Utc>,
    ) -> Result<()> {
        sql("UPDATE scans SET counts = $1, lease_until = $2 WHERE id = $3 AND state = 'running' AND lease_token = $4")
            .bind(json(counts))
            .bind(lease_until)
            .bind(claim.id)
            .bind(&claim.token)
            .execute(&self.db)
            .await
            .and_then(held)
    }

    /// Puts a running scan back into the queue (graceful stop).
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the scan is no longer this worker's.
    pub async fn scan_release(&self, claim: &ClaimedScan) -> Result<()> {
        sql("UPDATE scans SET state = 'queued', lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND state = 'running' AND lease_token = $2")
        .bind(claim.id)
        .bind(&claim.token)
        .execute(&self.db)
        .await
        .and_then(held)
    }

    /// Puts a scan that an error ended back into the queue; an error of the store does not count as an attempt. Does
    /// nothing if the scan is no longer this worker's.
    pub async fn scan_requeue(&self, claim: &ClaimedScan, is_stores: bool) -> Result<()> {
        sql("UPDATE scans SET state = 'queued', lease_token = NULL, lease_until = NULL,
                 store_failures = store_failures + $1
             WHERE id = $2 AND state = 'running' AND lease_token = $3")
        .bind(i64::from(is_stores))
        .bind(claim.id)
        .bind(&claim.token)
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// Puts all running scans back into the queue, for a process that knows it is the only one; returns their number.
    pub async fn scan_release_all(&self) -> Result<u64> {
        sql("UPDATE scans SET state = 'queued', lease_token = NULL, lease_until = NULL WHERE state = 'running'")
            .execute(&self.db)
            .await
    }

    /// Cancels an active scan; its worker finds its lease lost and stores nothing more. `false`: it is not active.
    pub async fn scan_cancel(&self, id: ScanId, why: &str, now: DateTime<Utc>) -> Result<bool> {
        let ended = sql("UPDATE scans SET state = 'cancelled', error = $1, finished_at = $2, lease_token = NULL,
                 lease_until = NULL
             WHERE id = $3 AND state IN ('queued', 'running')")
        .bind(why)
        .bind(now)
        .bind(id)
        .execute(&self.db)
        .await?;
        Ok(ended == 1)
    }

    pub async fn scan_get(&self, id: ScanId) -> Result<Option<ScanRecord>> {
        sql(scan_select!("WHERE s.id = $1")).bind(id).optional(&self.db).await
    }

    /// Scans, newest first. Of one registry, or all; only those with an id below `before`.
    pub async fn scan_list(
        &self,
        registry: Option<RegistryId>,
        before: Option<ScanId>,
        limit: u32,
    ) -> Result<Vec<ScanRecord>> {
        let before = before.unwrap_or(ScanId(i64::MAX));
        match registry {
            Some(registry) => sql(scan_select!("WHERE s.id < $1 AND s.registry_id = $2 ORDER BY s.id DESC LIMIT $3"))
                .bind(before)
                .bind(registry)
                .bind(limit),
            None => sql(scan_select!("WHERE s.id < $1 ORDER BY s.id DESC LIMIT $2")).bind(before).bind(limit),
        }
        .all(&self.db)
        .await
    }

    /// The newest scan of each registry, by registry. Without scans started by hooks, which do not cover the whole
    /// registry.
    pub async fn scan_list_last(&self) -> Result<Vec<ScanRecord>> {
        sql(scan_select!(
            "WHERE s.id IN (SELECT MAX(id) FROM scans WHERE cause <> 'hook' GROUP BY registry_id) ORDER BY s.registry_id"
        ))
        .all(&self.db)
        .await
    }

    /// When a scan of the whole registry last completed, for each registry: `(registry, finished_at)`.
    pub async fn scan_last_success(&self) -> Result<Vec<(RegistryId, DateTime<Utc>)>> {
        let rows: Vec<(i64, i64)> = sql("SELECT registry_id, MAX(finished_at) FROM scans
             WHERE state = 'complete' AND cause <> 'hook' GROUP BY registry_id ORDER BY registry_id")
        .all(&self.db)
        .await?;
        let moment = |millis| DateTime::from_timestamp_millis(millis).unwrap_or_default();
        Ok(rows.into_iter().map(|(id, at)| (RegistryId(id), moment(at))).collect())
    }

    /// Number of queued and of running scans.
    pub async fn scan_queue(&self) -> Result<(u64, u64)> {
        let rows: Vec<(String, i64)> =
            sql("SELECT state, COUNT(*) FROM scans WHERE state IN ('queued', 'running') GROUP BY state")
                .all(&self.db)
                .await?;
        let of = |wanted: &str| rows.iter().find(|(state, _)| state == wanted).map_or(0, |(_, n)| n.unsigned_abs());
        Ok((of("queued"), of("running")))
    }

    /// Problems of a scan by `seq`, only those above `after`, and with this code if it is not empty.
    pub async fn scan_problem_list(&self, id: ScanId, code: &str, after: i64, limit: u32) -> Result<Vec<ScanProblem>> {
        sql("SELECT seq, code, repository, tag, message FROM scan_problems
             WHERE scan_id = $1 AND seq > $2 AND ($3 = '' OR code = $3) ORDER BY seq LIMIT $4")
        .bind(id)
        .bind(after)
        .bind(code)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// The number of a scan's problems by code, the most frequent first.
    pub async fn scan_problem_counts(&self, id: ScanId) -> Result<Vec<ScanProblemCount>> {
        sql("SELECT code, COUNT(*) AS count FROM scan_problems WHERE scan_id = $1
             GROUP BY code ORDER BY count DESC, code")
        .bind(id)
        .all(&self.db)
        .await
    }

    /// Deletes all but the newest `keep` ended scans of each registry. Scans started by hooks are counted separately,
    /// because they would displace the others. Returns the number deleted.
    pub async fn scan_prune(&self, keep: u32) -> Result<u64> {
        sql("DELETE FROM scans WHERE id IN (
                 SELECT id FROM (
                     SELECT id, ROW_NUMBER() OVER (PARTITION BY registry_id, CASE WHEN cause = 'hook' THEN 1 ELSE 0 END
                                                  ORDER BY id DESC) AS place
                     FROM scans WHERE state NOT IN ('queued', 'running')
                 ) AS ended WHERE place > $1)")
        .bind(keep)
        .execute(&self.db)
        .await
    }
}

/// Checks that a statement with a claim affected its row; otherwise the lease is lost.
pub(super) fn held(touched: u64) -> Result<()> {
    if touched == 1 { Ok(()) } else { Err(Error::LeaseLost) }
}
