//! Reads the origins of the images of jobs, for views.

use super::columns::row;
use super::db::{bulk, sql};
use super::jobs::reference;
use super::{Result, Store};
use crate::catalog::{ImageId, ImageOrigin, JobGroup, JobId, JobOrigin, MaintainerContact, OriginId};

row!(ImageOrigin { registry_id, registry, host, namespace, is_verified, represents });

struct OriginRow {
    id: OriginId,
    job_id: JobId,
    group_id: OriginId,
    title: String,
    job_version: String,
    package_version: String,
    image_id: ImageId,
    repository: String,
    tag: String,
    valid: bool,
    origin: ImageOrigin,
    maintainer: MaintainerContact,
}
row!(
    OriginRow {
        id,
        job_id,
        group_id,
        title,
        job_version = "latest_job_version",
        package_version = "latest_package_version",
        image_id,
        repository,
        tag,
        valid,
    } + { origin, maintainer }
);

impl From<OriginRow> for JobOrigin {
    fn from(row: OriginRow) -> Self {
        JobOrigin {
            reference: reference(&row.origin.host, &row.repository, &row.tag),
            id: row.id,
            group_id: row.group_id,
            origin: row.origin,
            maintainer: row.maintainer,
            title: row.title,
            job_version: row.job_version,
            package_version: row.package_version,
            image_id: row.image_id,
            valid: row.valid,
        }
    }
}

struct GroupRow {
    origin_count: u64,
    leader: OriginRow,
}
row!(GroupRow { origin_count } + { leader });

/// Columns and joins that [`OriginRow`]s are read from; `o` are the origins.
const COLUMNS: &str = "o.id, o.job_id, o.group_id, o.latest_job_version, o.latest_package_version, o.image_id,
    i.repository, i.tag, o.registry_id, r.name AS registry, r.host, o.namespace, o.is_verified, o.represents, c.title,
    c.maintainer, c.email, c.maint_org, c.valid";
const JOINS: &str = "JOIN registries r ON r.id = o.registry_id JOIN images i ON i.id = o.image_id
    JOIN contents c ON c.digest = i.digest";

impl Store {
    /// The first `most` groups of each of these jobs: the group that represents it, verified ones, then in the order
    /// they were seen. By job.
    pub async fn job_group_list(&self, jobs: &[JobId], most: u32) -> Result<Vec<(JobId, JobGroup)>> {
        let select = format!(
            "SELECT {COLUMNS},
                 (SELECT COUNT(*) FROM job_origins m WHERE m.job_id = o.job_id AND m.group_id = o.group_id) AS origin_count
             FROM (SELECT n.*, ROW_NUMBER() OVER (PARTITION BY n.job_id
                                                  ORDER BY n.represents DESC, n.is_verified DESC, n.group_id) AS place
                   FROM job_origins n WHERE n.leads AND n.job_id IN ("
        );
        let tail = format!(")) o {JOINS} WHERE o.place <= {most} ORDER BY o.job_id, o.place");
        let rows: Vec<GroupRow> = bulk(&select, jobs.iter().map(|id| [(*id).into()]), &tail).all(&self.db).await?;
        let group = |GroupRow { origin_count, leader }: GroupRow| {
            (leader.job_id, JobGroup { leader: leader.into(), origin_count })
        };
        Ok(rows.into_iter().map(group).collect())
    }

    /// The first `most` origins of each of these groups of a job: the group's leader, then in the order they were seen.
    /// By group.
    pub async fn job_group_origins(&self, groups: &[OriginId], most: u32) -> Result<Vec<JobOrigin>> {
        let select = format!(
            "SELECT {COLUMNS}
             FROM (SELECT n.*, ROW_NUMBER() OVER (PARTITION BY n.job_id, n.group_id ORDER BY n.leads DESC, n.id) AS place
                   FROM job_origins g JOIN job_origins n ON n.job_id = g.job_id AND n.group_id = g.id WHERE g.id IN ("
        );
        let tail = format!(")) o {JOINS} WHERE o.place <= {most} ORDER BY o.group_id, o.place");
        let rows: Vec<OriginRow> = bulk(&select, groups.iter().map(|id| [(*id).into()]), &tail).all(&self.db).await?;
        Ok(rows.into_iter().map(JobOrigin::from).collect())
    }

    /// A page of a job's origins, in the order they were seen, only those after `after`; if `group` is given, only of
    /// this group.
    pub async fn job_origin_page(
        &self,
        job: JobId,
        group: Option<OriginId>,
        after: OriginId,
        limit: u32,
    ) -> Result<Vec<JobOrigin>> {
        let rows: Vec<OriginRow> = sql(format!(
            "SELECT {COLUMNS} FROM job_origins o {JOINS}
             WHERE o.job_id = $1 AND o.id > $2 AND o.group_id = COALESCE($3, o.group_id) ORDER BY o.id LIMIT {limit}"
        ))
        .bind(job)
        .bind(after)
        .bind(group.map(|group| group.0))
        .all(&self.db)
        .await?;
        Ok(rows.into_iter().map(JobOrigin::from).collect())
    }
}
