//! What a form takes over from an earlier run of its user, instead of telling it again: secrets, which are not shown, and
//! files.

use std::borrow::Cow;

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use super::rerun::form_of;
use super::secrets::check_secrets;
use super::submit::read_spec;
use super::{RunForm, read_record};
use crate::catalog::UserAccount;
use crate::seed::environment::variable_name;

/// Inputs of an earlier run that a form takes over. The run must be the user's own, and of the same job: its secrets are
/// for nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptInputs {
    /// Id of the run.
    pub run: String,
    /// Names of file inputs.
    pub files: Vec<String>,
    /// Names of settings.
    pub settings: Vec<String>,
}

/// The form of an earlier run, with masks in place of secrets.
#[derive(Clone, Debug)]
pub struct EarlierRun {
    pub id: String,
    /// Name of its job.
    pub job: String,
    pub form: RunForm,
    /// Settings with masks.
    pub secrets: Vec<String>,
    /// Whether a form of this user can take over inputs.
    pub is_own: bool,
}

impl App {
    /// What a run was asked for.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a run that the user may not see.
    pub async fn run_earlier(&self, session: &UserSession, id: &str) -> Result<EarlierRun> {
        let stored = self.run_stored(session, id).await?;
        let form = form_of(read_spec(&stored.spec)?, &read_record(&stored)?);
        let masked = form.inputs.masked();
        let secrets = form.inputs.settings.keys().filter(|name| masked.contains(&name.as_str())).cloned().collect();
        Ok(EarlierRun {
            id: stored.summary.id,
            job: stored.summary.job_name,
            secrets,
            is_own: stored.summary.owner_id == session.user.id,
            form,
        })
    }

    /// The form with what it takes over; `job` is the name of the job that it is for.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the run is not the user's, or of another job; [`Error::Invalid`] if its secrets are gone.
    pub(super) async fn with_kept<'f>(
        &self,
        user: &UserAccount,
        form: &'f RunForm,
        job: &str,
    ) -> Result<Cow<'f, RunForm>> {
        let Some(kept) = &form.kept else { return Ok(Cow::Borrowed(form)) };
        let stored = self.store().run_get(&kept.run).await?;
        let stored = stored.filter(|stored| stored.summary.owner_id == user.id && stored.summary.job_name == job);
        let stored = stored.ok_or_else(|| {
            Error::NotFound(format!(
                "You have no run {} of the job {job} to take inputs from: give them again",
                kept.run
            ))
        })?;
        let mut inputs = read_spec(&stored.spec)?.inputs;
        inputs.unmask(&self.secrets_of(&kept.run, stored.sealed.as_deref())?);
        let is_same = |a: &str, b: &str| variable_name(a) == variable_name(b);
        inputs.files.retain(|file| kept.files.iter().any(|name| is_same(name, &file.input)));
        inputs.settings.retain(|known, _| kept.settings.iter().any(|name| is_same(name, known)));
        inputs.json.clear();
        inputs.mounts.clear();
        check_secrets(&inputs)?;
        Ok(Cow::Owned(RunForm { inputs: inputs.changed(&form.inputs, is_same), ..form.clone() }))
    }
}
