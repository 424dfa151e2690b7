//! What digests hold. Immutable, so written once; shared by every tag, in whatever registry, that points there.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::db::{Tx, bulk, select, sql};
use super::value::{Value, json, row};
use super::{Result, Store};
use crate::catalog::{Content, ContentProblem, Judgement, ManifestFacts, Outcome, StaleContent};
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

struct ProblemRow {
    digest: String,
    problems: Vec<ContentProblem>,
}
row!(ProblemRow { digest, problems });
row!(StaleContent { digest, manifest, problems });

/// The word in the column `outcome`.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Seed(_) => "seed",
        Outcome::Unlabelled => "unlabelled",
        Outcome::Refused => "refused",
        Outcome::NotAnImage => "not-an-image",
    }
}

/// What the manifest's columns hold where there is no Seed manifest.
static NO_FACTS: LazyLock<ManifestFacts> = LazyLock::new(ManifestFacts::default);

impl Store {
    /// Which of these digests are known, and so need no fetching.
    pub async fn content_known(&self, digests: &HashSet<String>) -> Result<HashSet<String>> {
        let rows: Vec<(String,)> =
            select("SELECT digest FROM contents", Some(("digest", digests))).all(&self.db).await?;
        Ok(rows.into_iter().map(|(digest,)| digest).collect())
    }

    /// Problems of all contents that have any, by digest.
    pub async fn content_problem_list(&self) -> Result<HashMap<String, Vec<ContentProblem>>> {
        let rows: Vec<ProblemRow> =
            sql("SELECT digest, problems FROM contents WHERE problems <> '[]'").all(&self.db).await?;
        Ok(rows.into_iter().map(|row| (row.digest, row.problems)).collect())
    }

    /// At most `limit` manifests that rules before today's judged.
    pub async fn content_stale(&self, limit: u32) -> Result<Vec<StaleContent>> {
        sql("SELECT digest, manifest, problems FROM contents WHERE judged_by < $1 AND outcome = 'seed' LIMIT $2")
            .bind(REVISION)
            .bind(limit)
            .all(&self.db)
            .await
    }

    /// Keeps what today's rules say of them.
    pub async fn content_judged(&self, judgements: &[Judgement]) -> Result<()> {
        let mut tx = self.db.write().await?;
        let rows = judgements.iter().map(|judgement| {
            let Judgement { digest, problems, valid, manifest_problems } = judgement;
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

    /// Deletes contents that no image points to; how many. None while a scan runs, which may have found one of them
    /// here and be about to point at it.
    pub async fn content_prune(&self) -> Result<u64> {
        sql("DELETE FROM contents
             WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.digest = contents.digest)
               AND NOT EXISTS (SELECT 1 FROM scans WHERE state = 'running')")
        .execute(&self.db)
        .await
    }
}

/// Keeps contents. One that is there already stays as it is.
pub(super) async fn insert(tx: &mut Tx, contents: &[Content]) -> Result<()> {
    bulk(
        "INSERT INTO contents (digest, outcome, platforms, problems, job_name, job_version, package_version, title,
             description, maintainer, email, maint_org, manifest, valid, manifest_problems, judged_by)",
        contents.iter().map(values),
        "ON CONFLICT (digest) DO NOTHING",
    )
    .execute(tx)
    .await
    .map(drop)
}

fn values(content: &Content) -> [Value<'_>; 16] {
    let facts = match &content.outcome {
        Outcome::Seed(facts) => facts,
        _ => &*NO_FACTS,
    };
    [
        Value::from(&content.digest),
        word(&content.outcome).into(),
        json(&content.platforms).into(),
        json(&content.problems).into(),
        Value::from(&facts.job_name),
        Value::from(&facts.job_version),
        Value::from(&facts.package_version),
        Value::from(&facts.title),
        Value::from(&facts.description),
        Value::from(&facts.maintainer),
        Value::from(&facts.email),
        Value::from(&facts.maint_org),
        Value::from(&facts.manifest),
        facts.valid.into(),
        json(&facts.problems).into(),
        REVISION.into(),
    ]
}
