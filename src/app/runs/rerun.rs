//! Reruns of runs.

use super::super::accounts::UserSession;
use super::super::{App, Result};
use super::runnable_image::{RunnableImage, reference};
use super::secrets::{RunSecrets, check_secrets};
use super::submit::{read_manifest, read_spec};
use super::{RequestedImage, RunChange, RunForm, RunOptions, RunSpec, read_record};
use crate::engine::run::record::RunRecord;
use crate::seed::environment::variable_name;

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
        let form = changed(spec, &secrets, &old, change)?;
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

/// The form of the earlier run, with changes applied.
fn changed(spec: RunSpec, secrets: &RunSecrets, old: &RunRecord, change: &RunChange) -> Result<RunForm> {
    let mut form = form_of(spec, old);
    form.inputs.unmask(secrets);
    form.inputs = form.inputs.changed(&change.inputs, |a, b| variable_name(a) == variable_name(b));
    check_secrets(&form.inputs)?;
    form.options = form.options.changed(&change.options);
    Ok(form)
}

/// The form of an earlier run, with masks in place of secrets.
pub(super) fn form_of(spec: RunSpec, old: &RunRecord) -> RunForm {
    RunForm {
        image: RequestedImage::Reference(spec.image),
        inputs: spec.inputs,
        options: RunOptions {
            timeout_seconds: spec.timeout_seconds,
            max_tries: Some(old.max_tries),
            priority: old.ticket.priority,
            label: old.ticket.label.clone(),
            tags: Some(old.ticket.tags.clone()),
        },
        layout: spec.layout,
        platform: spec.platform,
        dedup: false,
        kept: None,
    }
}
