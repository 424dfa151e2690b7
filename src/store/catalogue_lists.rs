//! Pages of the lists of jobs, images and users.

use super::conditions::{QueryConditions, QueryValue};
use super::images::{ImageRow, image_select, images};
use super::jobs::{SUMMARIES, SummaryRow};
use super::{Result, Store};
use crate::catalog::{
    CatalogueImage, ImageFilter, ImageOrder, JobFilter, JobSummary, ListPage, NameOrder, UserAccount, UserFilter,
};

impl Store {
    /// A page of the jobs that match `filter`.
    pub async fn job_page(&self, filter: &JobFilter, page: &ListPage<NameOrder>) -> Result<Vec<JobSummary>> {
        let mut conditions = QueryConditions::default();
        conditions.add_text("j.name = ?", filter.name.as_ref());
        conditions.add_text("j.maintainer = ?", filter.maintainer.as_ref());
        conditions.add_text("j.maint_org = ?", filter.organization.as_ref());
        if let Some(registry) = filter.registry {
            let text = "EXISTS (SELECT 1 FROM images f JOIN job_versions w ON w.id = f.job_version_id
                                WHERE w.job_id = j.id AND f.registry_id = ?)";
            conditions.add(text, QueryValue::Integer(registry.0));
        }
        if let Some(verified) = filter.verified {
            conditions.add("o.is_verified = ?", QueryValue::Bool(verified));
        }
        let key = if page.order == NameOrder::Name { "j.name" } else { "j.id" };
        let tail = conditions.page(page, key, "j.id");
        let rows: Vec<SummaryRow> = conditions.sql(SUMMARIES, &tail).all(&self.db).await?;
        self.with_groups(rows).await
    }

    /// A page of the catalogued images that match `filter`.
    pub async fn image_page(&self, filter: &ImageFilter, page: &ListPage<ImageOrder>) -> Result<Vec<CatalogueImage>> {
        let mut conditions = QueryConditions::default();
        conditions.add_text("c.job_name = ?", filter.job.as_ref());
        conditions.add_text("c.job_version = ?", filter.job_version.as_ref());
        conditions.add_text("i.digest = ?", filter.digest.as_ref());
        if let Some(registry) = filter.registry {
            conditions.add("i.registry_id = ?", QueryValue::Integer(registry.0));
        }
        if let Some(valid) = filter.valid {
            conditions.add("c.valid = ?", QueryValue::Bool(valid));
        }
        let key = if page.order == ImageOrder::Changed { "i.changed_at" } else { "i.id" };
        let tail = conditions.page(page, key, "i.id");
        let rows: Vec<ImageRow> = conditions.sql(image_select!(""), &tail).all(&self.db).await?;
        Ok(images(rows))
    }

    /// A page of the users that match `filter`.
    pub async fn user_page(&self, filter: &UserFilter, page: &ListPage<NameOrder>) -> Result<Vec<UserAccount>> {
        let mut conditions = QueryConditions::default();
        if let Some(role) = filter.role {
            conditions.add("role = ?", QueryValue::Text(role.as_str().to_owned()));
        }
        let key = if page.order == NameOrder::Name { "username" } else { "id" };
        let tail = conditions.page(page, key, "id");
        conditions.sql("SELECT id, username, role, created_at FROM users", &tail).all(&self.db).await
    }
}
