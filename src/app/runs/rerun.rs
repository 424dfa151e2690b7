//! Reruns of runs.

use serde_json::Value;

use super::super::accounts::UserSession;
use super::super::{App, Result};
use super::runnable_image::{RunnableImage, reference};
use super::secrets::{RunSecrets, check_secrets, with_queries};
use super::submit::{read_manifest, read_spec};
use super::{RequestedImage, RunChange, RunForm, RunSpec, read_record};
use crate::engine::run::record::RunRecord;
use crate::seed::environment::variable_name;
use secrecy::SecretString;

impl App {
    /// Queues a run again, with changes.
    ///
    /// # Errors
    /// As [`App::run_submit`]; [`super::super::Error::NotFound`] for a run that the user may not see.
    pub async fn run_rerun(&self, session: &UserSession, id: &str, change: &RunChange) -> Result<RunRecord> {
        let (form, subject) = self.rerun_form(session, id, change).await?;
        let machine = self.engine_for_runs().await?;
        let prepared = self.prepared(&session.user, &form, Some(subject), machine.as_ref()).await?;
        let ticket = self.ticket(&session.user, &form, None, Some(id.to_owned()));
        let (new, record) = self.new_run(session.user.clone(), &form, prepared, ticket, None);
        self.queue(&[new]).await?;
        Ok(record)
    }

    /// The form of the earlier run with changes applied; and the very image that was run, whatever its tag points to
    /// now.
    pub(super) async fn rerun_form(
        &self,
        session: &UserSession,
        id: &str,
        change: &RunChange,
    ) -> Result<(RunForm, RunnableImage)> {
        let stored = self.run_stored(session, id).await?;
        let spec: RunSpec = read_spec(&stored.spec)?;
        let secrets = self.secrets_of(id, stored.sealed.as_deref())?;
        let old = read_record(&stored)?;
        let (pinned, registry) = (reference(&spec.pinned)?, spec.registry);
        let form = changed(spec, secrets, &old, change)?;
        let subject = RunnableImage {
            name: old.image.reference.clone(),
            pinned,
            registry,
            digest: old.image.digest.clone(),
            manifest: read_manifest(&old)?,
        };
        Ok((form, subject))
    }
}

/// The old values, with the new ones replacing those of the same names.
pub(super) fn replaced<T: Clone>(
    old: impl Iterator<Item = (String, T)>,
    new: &[(String, T)],
    is_same: impl Fn(&str, &str) -> bool,
) -> Vec<(String, T)> {
    let kept = old.filter(|(name, _)| !new.iter().any(|(other, _)| is_same(name, other)));
    kept.chain(new.iter().cloned()).collect()
}

/// The form of the earlier run, with changes applied.
fn changed(spec: RunSpec, secrets: RunSecrets, old: &RunRecord, change: &RunChange) -> Result<RunForm> {
    let files = with_queries(&spec.files, &secrets);
    let is_same = |a: &str, b: &str| variable_name(a) == variable_name(b);
    let settings = spec.settings.into_iter().map(|(name, shown)| {
        let value = secrets.get(&name).cloned().unwrap_or_else(|| SecretString::from(shown));
        (name, value)
    });
    let settings = replaced(settings, &change.settings, is_same);
    let files = replaced(files.into_iter().map(|file| (file.input, file.source)), &change.files, is_same);
    check_secrets(&files, &settings)?;
    let ticket = &old.ticket;
    let json: Vec<(String, Value)> = spec.json.into_iter().collect();
    Ok(RunForm {
        image: RequestedImage::Reference(spec.image),
        files,
        json: replaced(json.into_iter(), &change.json, is_same),
        settings,
        mounts: replaced(spec.mounts.into_iter(), &change.mounts, is_same),
        timeout_seconds: change.timeout_seconds.or(spec.timeout_seconds),
        max_tries: change.max_tries.or(Some(old.max_tries)),
        priority: change.priority.or(ticket.priority),
        label: change.label.clone().or_else(|| ticket.label.clone()).unwrap_or_default(),
        tags: change.tags.clone().unwrap_or_else(|| ticket.tags.clone()),
        layout: spec.layout,
        platform: spec.platform,
        dedup: false,
    })
}
