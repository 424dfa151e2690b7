//! What statements of a [`super::Store`] read: all rows, or only those of registries that a view sees.
//!
//! A `SELECT` of a restricted store begins with common table expressions that have the names of our tables, so that no
//! statement can read past them. They hide rows of hidden registries, and give jobs and origins the values that they
//! would have without these: which origins form a group does not depend on them (`maintainer_key`), which group
//! represents a job is decided here by the rule of [`crate::catalog::place_origins`].

use std::sync::Arc;

use crate::catalog::CatalogueView;

/// The common table expressions of a view; none for the whole catalogue.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadScope(Option<Arc<str>>);

impl ReadScope {
    /// `schema` is where the tables are.
    pub(super) fn of(view: &CatalogueView, schema: &str) -> Self {
        Self((!view.is_whole()).then(|| expressions(view, schema).into()))
    }

    /// A `SELECT` that reads only what the view sees.
    pub(super) fn restrict(&self, select: &str) -> String {
        format!("{}{select}", self.0.as_deref().unwrap_or_default())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.0.is_none()
    }
}

fn expressions(view: &CatalogueView, schema: &str) -> String {
    let ids: Vec<String> = view.hidden().iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    let of_registry = |table: &str| {
        format!("{table} AS NOT MATERIALIZED (SELECT * FROM {schema}.{table} WHERE registry_id NOT IN ({ids}))")
    };
    let [images, events, scans, repositories] = ["images", "events", "scans", "repositories"].map(of_registry);
    format!(
        "WITH registries AS NOT MATERIALIZED (SELECT * FROM {schema}.registries WHERE id NOT IN ({ids})),
         {images}, {events}, {scans}, {repositories},
         job_origins AS NOT MATERIALIZED (
             SELECT p.id, p.job_id, p.registry_id, p.namespace, p.is_verified, p.latest_job_version,
                 p.latest_package_version, p.image_id, p.maintainer_key, p.group_id, p.leads,
                 (p.group_id = (SELECT f.group_id FROM {schema}.job_origins f
                                WHERE f.job_id = p.job_id AND f.registry_id NOT IN ({ids})
                                ORDER BY f.is_verified DESC, f.id LIMIT 1)
                  AND (p.is_verified
                       OR NOT EXISTS (SELECT 1 FROM {schema}.job_origins g
                                      WHERE g.job_id = p.job_id AND g.group_id = p.group_id AND g.is_verified)))
                     AS represents
             FROM {schema}.job_origins p WHERE p.registry_id NOT IN ({ids})),
         jobs AS NOT MATERIALIZED (
             SELECT k.id, k.name, h.job_version AS latest_job_version, h.package_version AS latest_package_version,
                 h.title, h.maintainer, h.email, h.maint_org, h.description, l.image_id
             FROM {schema}.jobs k JOIN job_origins l ON l.job_id = k.id AND l.leads AND l.represents
             JOIN {schema}.images e ON e.id = l.image_id JOIN {schema}.contents h ON h.digest = e.digest),
         job_versions AS NOT MATERIALIZED (
             SELECT * FROM {schema}.job_versions w
             WHERE EXISTS (SELECT 1 FROM images x WHERE x.job_version_id = w.id)) "
    )
}
