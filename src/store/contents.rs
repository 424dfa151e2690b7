//! Contents of digests. Immutable, so written once; shared by all tags, of any registry, that point to the digest.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::columns::{SqlValue, json, row};
use super::db::{WriteTransaction, bulk, select, sql};
use super::{Result, Store};
use crate::catalog::{
    ContentOutcome, ContentProblem, ContentSummary, ContentTrust, DigestContent, KnownConfig, ManifestFacts,
    RegistryId, RevalidatedContent, StaleContent, TagOutcome,
};
use crate::seed::label;
use crate::seed::validate::REVISION;

row!(ManifestFacts {
    job_name,
    job_version,
    package_version,
    title,
    description,
    maintainer,
    email,
    maint_org,
    manifest,
    valid,
    problems = "manifest_problems",
});

struct KnownRow {
    digest: String,
    outcome: TagOutcome,
    job_name: String,
    problems: Vec<ContentProblem>,
    told_by: Option<i64>,
}
row!(KnownRow { digest, outcome, job_name, problems, told_by });

struct ConfigRow {
    digest: String,
    platform: String,
    created: String,
    is_manifest: bool,
    label: Option<String>,
    manifest: String,
}
row!(ConfigRow { digest, platform, created, is_manifest, label, manifest });
row!(StaleContent { digest, manifest, problems });

/// The word in the column `outcome`.
fn word(outcome: &ContentOutcome) -> &'static str {
    match outcome {
        ContentOutcome::Seed(_) => "seed",
        ContentOutcome::Unlabelled => "unlabelled",
        ContentOutcome::Refused => "refused",
        ContentOutcome::NotAnImage(_) => "not-an-image",
    }
}

/// Selects from the contents `c` the outcome of a tag that points to the digest.
macro_rules! tag_outcome {
    () => {
        "CASE c.outcome WHEN 'refused' THEN 'label-refused' WHEN 'not-an-image' THEN c.artifact ELSE c.outcome END
             AS outcome"
    };
}
pub(super) use tag_outcome;

/// Values of the manifest's columns if there is no Seed manifest.
static NO_FACTS: LazyLock<ManifestFacts> = LazyLock::new(ManifestFacts::default);

impl Store {
    /// What is known of these digests, for a registry; unknown digests are left out.
    pub async fn content_trust(
        &self,
        registry: RegistryId,
        digests: &HashSet<String>,
    ) -> Result<HashMap<String, ContentTrust>> {
        let known = concat!("SELECT c.digest, ", tag_outcome!(), ", c.job_name, c.problems, c.told_by FROM contents c");
        let rows: Vec<KnownRow> = select(known, Some(("c.digest", digests))).all(&self.db).await?;
        let standing = |row: KnownRow| match row.told_by {
            Some(other) if other != registry.0 => (row.digest, ContentTrust::Hearsay),
            _ => {
                let (outcome, job_name, problems) = (row.outcome, row.job_name, row.problems);
                (row.digest, ContentTrust::Known(ContentSummary { outcome, job_name, problems }))
            }
        };
        Ok(rows.into_iter().map(standing).collect())
    }

    /// A config that was read before.
    pub async fn config_get(&self, digest: &str) -> Result<Option<KnownConfig>> {
        let row: Option<ConfigRow> = sql("SELECT f.digest, f.platform, f.created, f.is_manifest, f.label, c.manifest
             FROM configs f JOIN contents c ON c.digest = f.content WHERE f.digest = $1")
        .bind(digest)
        .optional(&self.db)
        .await?;
        Ok(row.map(|row| {
            let ConfigRow { digest, platform, created, is_manifest, label, manifest } = row;
            KnownConfig { digest, platform, created, label: if is_manifest { Some(manifest) } else { label } }
        }))
    }

    /// At most `limit` manifests that were validated under older rules.
    pub async fn content_stale(&self, limit: u32) -> Result<Vec<StaleContent>> {
        sql("SELECT digest, manifest, problems FROM contents WHERE judged_by < $1 AND outcome = 'seed' LIMIT $2")
            .bind(REVISION)
            .bind(limit)
            .all(&self.db)
            .await
    }

    /// Stores the results of validating manifests again.
    pub async fn content_set_validation(&self, judgements: &[RevalidatedContent]) -> Result<()> {
        let mut tx = self.db.write().await?;
        let rows = judgements.iter().map(|judgement| {
            let RevalidatedContent { digest, problems, valid, manifest_problems } = judgement;
            [digest.into(), json(problems).into(), (*valid).into(), json(manifest_problems).into()]
        });
        let judged = bulk(
            "WITH judged (digest, problems, valid, manifest_problems) AS (",
            rows,
            &format!(
                ") UPDATE contents SET problems = judged.problems, valid = judged.valid,
                     manifest_problems = judged.manifest_problems, judged_by = {REVISION}
                 FROM judged WHERE contents.digest = judged.digest AND contents.judged_by < {REVISION}"
            ),
        );
        let outcome = judged.execute(&mut tx).await.map(drop);
        tx.end(outcome).await
    }

    /// Deletes contents that no image points to; returns their number. Deletes none while a scan runs, because the scan
    /// may have found one of them here and be about to point an image to it.
    pub async fn content_prune(&self) -> Result<u64> {
        sql("DELETE FROM contents
             WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.digest = contents.digest)
               AND NOT EXISTS (SELECT 1 FROM scans WHERE state = 'running')")
        .execute(&self.db)
        .await
    }
}

/// Inserts contents with their configs. Existing contents stay, except that an unchecked one is replaced by a checked
/// one. Returns the digests whose content was replaced.
pub(super) async fn insert(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    contents: &[DigestContent],
) -> Result<Vec<String>> {
    let mut digests = HashSet::new();
    let contents: Vec<&DigestContent> = contents.iter().filter(|content| digests.insert(&content.digest)).collect();
    let checked =
        contents.iter().filter(|content| !content.is_hearsay).map(|content| [SqlValue::from(&content.digest)]);
    let replaced: Vec<(String,)> =
        bulk("SELECT digest FROM contents WHERE told_by IS NOT NULL AND digest IN (", checked, ")")
            .all(&mut *tx)
            .await?;
    let replaced: Vec<String> = replaced.into_iter().map(|(digest,)| digest).collect();
    // Configs stored for a replaced content may not belong to the new one.
    bulk("DELETE FROM configs WHERE content IN (", replaced.iter().map(|digest| [digest.into()]), ")")
        .execute(&mut *tx)
        .await?;
    bulk(
        "INSERT INTO contents (digest, outcome, platforms, problems, job_name, job_version, package_version, title,
             description, maintainer, email, maint_org, manifest, valid, manifest_problems, judged_by, size, built_at,
             told_by, artifact)",
        contents.iter().map(|content| values(content, registry)),
        "ON CONFLICT (digest) DO UPDATE SET outcome = excluded.outcome, platforms = excluded.platforms,
             problems = excluded.problems, job_name = excluded.job_name, job_version = excluded.job_version,
             package_version = excluded.package_version, title = excluded.title, description = excluded.description,
             maintainer = excluded.maintainer, email = excluded.email, maint_org = excluded.maint_org,
             manifest = excluded.manifest, valid = excluded.valid, manifest_problems = excluded.manifest_problems,
             judged_by = excluded.judged_by, size = excluded.size, built_at = excluded.built_at, told_by = NULL,
             artifact = excluded.artifact
         WHERE contents.told_by IS NOT NULL AND excluded.told_by IS NULL",
    )
    .execute(&mut *tx)
    .await?;
    let configs = contents.iter().flat_map(|content| content.configs.iter().map(move |config| (*content, config)));
    bulk(
        "INSERT INTO configs (digest, content, platform, created, is_manifest, label)",
        configs.map(|(content, config)| config_values(content, config)),
        "ON CONFLICT (digest) DO NOTHING",
    )
    .execute(tx)
    .await?;
    Ok(replaced)
}

/// The label is stored once: not again if it equals the content's manifest.
fn config_values<'a>(content: &'a DigestContent, config: &'a KnownConfig) -> [SqlValue<'a>; 6] {
    let is_manifest = match (&content.outcome, &config.label) {
        (ContentOutcome::Seed(facts), Some(label)) => label::read(label).is_ok_and(|text| text == facts.manifest),
        _ => false,
    };
    [
        SqlValue::from(&config.digest),
        SqlValue::from(&content.digest),
        SqlValue::from(&config.platform),
        SqlValue::from(&config.created),
        is_manifest.into(),
        config.label.as_deref().filter(|_| !is_manifest).into(),
    ]
}

fn values(content: &DigestContent, registry: RegistryId) -> [SqlValue<'_>; 20] {
    let facts = match &content.outcome {
        ContentOutcome::Seed(facts) => facts,
        _ => &*NO_FACTS,
    };
    [
        SqlValue::from(&content.digest),
        word(&content.outcome).into(),
        json(&content.platforms).into(),
        json(&content.problems).into(),
        SqlValue::from(&facts.job_name),
        SqlValue::from(&facts.job_version),
        SqlValue::from(&facts.package_version),
        SqlValue::from(&facts.title),
        SqlValue::from(&facts.description),
        SqlValue::from(&facts.maintainer),
        SqlValue::from(&facts.email),
        SqlValue::from(&facts.maint_org),
        SqlValue::from(&facts.manifest),
        facts.valid.into(),
        json(&facts.problems).into(),
        REVISION.into(),
        content.size.into(),
        content.built_at.into(),
        content.is_hearsay.then_some(registry.0).into(),
        match &content.outcome {
            ContentOutcome::NotAnImage(what) => (*what).into(),
            _ => "".into(),
        },
    ]
}
