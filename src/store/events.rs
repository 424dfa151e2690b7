//! Events about Seed images. Written in the transaction that makes the change, so that no event is wrong or missing.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::conditions::{QueryConditions, QueryValue};
use super::db::{WriteTransaction, bulk, sql};
use super::{Result, Store};
use crate::catalog::{EventFilter, EventId, EventQuery, ImageEvent, RegistryId, TagChanges};

row!(ImageEvent {
    id,
    kind,
    at,
    registry_id,
    registry,
    repository,
    tag,
    digest,
    image_id,
    job_name,
    job_version,
    package_version,
    title,
});

/// Head of a statement that inserts events.
const INSERT: &str = "INSERT INTO events (kind, at, registry_id, registry, repository, tag, digest, image_id, job_name,
    job_version, package_version, title)";

/// Range of the events' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRange {
    /// Id of the last pruned event; 0 if none was.
    pub pruned: EventId,
    /// Id of the newest event, pruned or not; 0 if there was none yet.
    pub newest: EventId,
}

impl Store {
    /// Events after `after`, in the order in which they happened.
    pub async fn event_list(&self, query: &EventQuery, after: EventId, limit: u32) -> Result<Vec<ImageEvent>> {
        sql("SELECT id, kind, at, registry_id, registry, repository, tag, digest, image_id, job_name, job_version,
                 package_version, title
             FROM events
             WHERE id > $1 AND ($2 = 0 OR registry_id = $2) AND ($3 OR job_name = $4)
             ORDER BY id LIMIT $5")
        .bind(after)
        .bind(query.registry.map_or(0, |id| id.0))
        .bind(query.job.is_none())
        .bind(query.job.as_deref().unwrap_or_default())
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// The newest events before `before`, or of all, newest first.
    pub async fn event_recent(
        &self,
        filter: &EventFilter,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<ImageEvent>> {
        let mut conditions = QueryConditions::default();
        if let Some(EventId(before)) = before {
            conditions.add("id < ?", QueryValue::Integer(before));
        }
        conditions.add_text("registry = ?", filter.registry.as_ref());
        if let Some(word) = &filter.word {
            let literal =
                ['!', '%', '_'].iter().fold(word.to_lowercase(), |it, sign| it.replace(*sign, &format!("!{sign}")));
            let text = "LOWER(job_name || ' ' || title || ' ' || repository) LIKE ? ESCAPE '!'";
            conditions.add(text, QueryValue::Text(format!("%{literal}%")));
        }
        conditions
            .sql(
                "SELECT id, kind, at, registry_id, registry, repository, tag, digest, image_id, job_name, job_version,
                     package_version, title
                 FROM events",
                &format!("ORDER BY id DESC LIMIT {limit}"),
            )
            .all(&self.db)
            .await
    }

    /// The range of the events' ids.
    pub async fn event_range(&self) -> Result<EventRange> {
        let (pruned, newest): (i64, Option<i64>) =
            sql("SELECT events_pruned, (SELECT MAX(id) FROM events) FROM catalogue").one(&self.db).await?;
        Ok(EventRange { pruned: EventId(pruned), newest: EventId(newest.unwrap_or(pruned)) })
    }

    /// Deletes all but the newest `keep` events, and of these the ones before `oldest`; returns the number deleted.
    pub async fn event_prune(&self, keep: u32, oldest: DateTime<Utc>) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let outcome = prune(&mut tx, keep, oldest).await;
        tx.end(outcome).await
    }
}

async fn prune(tx: &mut WriteTransaction, keep: u32, oldest: DateTime<Utc>) -> Result<u64> {
    // If the clock was set back, times are not in the order of ids: delete all up to the last id, so that there are no
    // gaps.
    let (last,): (Option<i64>,) = sql("SELECT MAX(id) FROM events
         WHERE at < $1 OR id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET $2)")
    .bind(oldest)
    .bind(keep)
    .one(&mut *tx)
    .await?;
    let Some(last) = last else { return Ok(0) };
    sql("UPDATE catalogue SET events_pruned = $1").bind(last).execute(&mut *tx).await?;
    sql("DELETE FROM events WHERE id <= $1").bind(last).execute(tx).await
}

/// Inserts events for images that a scan's changes are about to remove or move. Call it before that, and after the
/// contents are stored.
pub(super) async fn record_removed_and_moved(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    changes: &TagChanges,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    bulk(
        &format!(
            "{INSERT} SELECT 'image.removed', {at}, r.id, r.name, i.repository, i.tag, i.digest, i.id, c.job_name,
                 c.job_version, c.package_version, c.title
             FROM images i JOIN registries r ON r.id = i.registry_id JOIN contents c ON c.digest = i.digest
             WHERE c.outcome = 'seed' AND i.registry_id = {registry} AND i.id IN ("
        ),
        changes.remove.iter().map(|id| [(*id).into()]),
        ") ORDER BY i.id",
    )
    .execute(&mut *tx)
    .await?;
    bulk(
        "WITH moved (id, digest) AS (",
        changes.point.iter().map(|(id, digest)| [(*id).into(), digest.into()]),
        // The event describes the new content, or the old one if the new content is not a Seed image.
        &format!(
            ") {INSERT} SELECT
                 CASE WHEN new.outcome <> 'seed' THEN 'image.removed' WHEN old.outcome <> 'seed' THEN 'image.added'
                      ELSE 'image.changed' END,
                 {at}, r.id, r.name, i.repository, i.tag, c.digest, i.id, c.job_name, c.job_version,
                 c.package_version, c.title
             FROM moved JOIN images i ON i.id = moved.id JOIN registries r ON r.id = i.registry_id
             JOIN contents old ON old.digest = i.digest JOIN contents new ON new.digest = moved.digest
             JOIN contents c ON c.digest = CASE WHEN new.outcome = 'seed' THEN new.digest ELSE old.digest END
             WHERE c.outcome = 'seed' AND i.registry_id = {registry} ORDER BY i.id"
        ),
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Inserts events for images whose content was replaced. Call it after the contents are stored and before jobs are
/// derived again, because the image's job tells what it was before.
pub(super) async fn record_replaced_contents(
    tx: &mut WriteTransaction,
    digests: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    bulk(
        &format!(
            "{INSERT} SELECT
                 CASE WHEN c.outcome <> 'seed' THEN 'image.removed' WHEN i.job_version_id IS NULL THEN 'image.added'
                      ELSE 'image.changed' END,
                 {at}, r.id, r.name, i.repository, i.tag, i.digest, i.id,
                 CASE WHEN c.outcome = 'seed' THEN c.job_name ELSE j.name END,
                 CASE WHEN c.outcome = 'seed' THEN c.job_version ELSE v.job_version END,
                 CASE WHEN c.outcome = 'seed' THEN c.package_version ELSE i.package_version END,
                 CASE WHEN c.outcome = 'seed' THEN c.title ELSE j.title END
             FROM images i JOIN registries r ON r.id = i.registry_id JOIN contents c ON c.digest = i.digest
             LEFT JOIN job_versions v ON v.id = i.job_version_id LEFT JOIN jobs j ON j.id = v.job_id
             WHERE (c.outcome = 'seed' OR v.id IS NOT NULL) AND i.digest IN ("
        ),
        digests.iter().map(|digest| [digest.into()]),
        ") ORDER BY i.id",
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Inserts events for images that a scan's changes have added. Call it after the rows are inserted.
pub(super) async fn record_added(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    changes: &TagChanges,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    bulk(
        "WITH came (repository, tag) AS (",
        changes.add.iter().map(|(repository, tag, _)| [repository.into(), tag.into()]),
        &format!(
            ") {INSERT} SELECT 'image.added', {at}, r.id, r.name, i.repository, i.tag, i.digest, i.id, c.job_name,
                 c.job_version, c.package_version, c.title
             FROM came JOIN images i ON i.registry_id = {registry} AND i.repository = came.repository AND i.tag = came.tag
             JOIN registries r ON r.id = i.registry_id JOIN contents c ON c.digest = i.digest
             WHERE c.outcome = 'seed' ORDER BY i.id"
        ),
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Inserts events for the removal of all images of a registry. Call it before the registry is deleted.
pub(super) async fn registry_goes(tx: &mut WriteTransaction, registry: RegistryId, now: DateTime<Utc>) -> Result<()> {
    sql(format!(
        "{INSERT} SELECT 'image.removed', $1, r.id, r.name, i.repository, i.tag, i.digest, i.id, c.job_name,
             c.job_version, c.package_version, c.title
         FROM images i JOIN registries r ON r.id = i.registry_id JOIN contents c ON c.digest = i.digest
         WHERE c.outcome = 'seed' AND i.registry_id = $2 ORDER BY i.id"
    ))
    .bind(now)
    .bind(registry)
    .execute(tx)
    .await
    .map(drop)
}
