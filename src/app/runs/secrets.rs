//! Secrets of a run: secret settings, and signed URLs. Masked where they are shown, sealed where they are stored.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::super::{App, Error, Result};
use super::{FileSpec, SpecFile};
use crate::engine::plan::container::MASK;
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// Secret values by the names of their settings; whole URLs by [`place_of_query`].
pub(super) type RunSecrets = BTreeMap<String, SecretString>;

impl App {
    /// The secrets, sealed for the store.
    pub(super) fn seal_secrets(&self, id: &str, secrets: &RunSecrets) -> String {
        let plain: BTreeMap<&String, &str> =
            secrets.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        let text = serde_json::to_string(&plain).expect("texts are JSON");
        self.0.sealer.seal(&place(id), &SecretString::from(text))
    }

    /// The secrets of a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they cannot be opened.
    pub(super) fn secrets_of(&self, id: &str, sealed: Option<&str>) -> Result<RunSecrets> {
        let Some(sealed) = sealed else { return Ok(RunSecrets::new()) };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!("the secret settings of run {id} cannot be read: {why}"))
        };
        let text = self.0.sealer.open(&place(id), sealed).map_err(|why| unreadable(&why))?;
        let plain: BTreeMap<String, String> =
            serde_json::from_str(text.expose_secret()).map_err(|_| unreadable(&"it is no object"))?;
        Ok(plain.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
    }
}

/// The context that a run's secrets are bound to.
pub(in crate::app) fn place(id: &str) -> String {
    format!("runs/{id}/settings")
}

/// Splits settings into values to show and secrets. Secret settings of the manifest are masked, and so are settings
/// that it does not know, since they may be secret.
pub(super) fn split(
    manifest: &SeedManifest,
    given: &[(String, SecretString)],
) -> (BTreeMap<String, String>, RunSecrets) {
    let (mut shown, mut secrets) = (BTreeMap::new(), RunSecrets::new());
    for (name, value) in given {
        let variable = variable_name(name);
        let settings = &manifest.job.interface.settings;
        let known = settings.iter().find(|setting| setting.name == *name || variable_name(&setting.name) == variable);
        if known.is_some_and(|setting| !setting.secret) {
            shown.insert(name.clone(), value.expose_secret().to_owned());
        } else {
            shown.insert(name.clone(), MASK.to_owned());
            secrets.insert(name.clone(), value.clone());
        }
    }
    (shown, secrets)
}

/// Moves URLs with a query, which may be signed, to the secrets; what is stored and shown of them has no query.
pub(super) fn hide_queries(files: &mut [SpecFile], secrets: &mut RunSecrets) {
    for (number, file) in files.iter_mut().enumerate() {
        if let Some(whole) = file.source.url.take_if(|url| url.contains('?')) {
            let shown = whole.split('?').next().unwrap_or_default();
            file.source.url = Some(format!("{shown}?{MASK}"));
            secrets.insert(place_of_query(number), SecretString::from(whole));
        }
    }
}

/// The files with their original URLs.
pub(super) fn with_queries(files: &[SpecFile], secrets: &RunSecrets) -> Vec<SpecFile> {
    let whole = |(number, file): (usize, &SpecFile)| {
        let mut file = file.clone();
        if let Some(url) = secrets.get(&place_of_query(number)) {
            file.source.url = Some(url.expose_secret().to_owned());
        }
        file
    };
    files.iter().enumerate().map(whole).collect()
}

/// Key of a file's URL among the secrets. It cannot clash with a setting: no setting has a space in its name.
fn place_of_query(number: usize) -> String {
    format!("file {number}")
}

/// Refuses masks as values: a run's secrets are deleted with its files, so a rerun finds only masks.
pub(super) fn check_secrets(files: &[(String, FileSpec)], settings: &[(String, SecretString)]) -> Result<()> {
    let settings = settings.iter().filter(|(_, value)| value.expose_secret() == MASK).map(|(name, _)| name);
    let is_masked = |url: &String| url.split_once('?').is_some_and(|(_, query)| query == MASK);
    let files = files.iter().filter(|(_, file)| file.url.as_ref().is_some_and(is_masked)).map(|(name, _)| name);
    let gone: Vec<&str> = settings.chain(files).map(String::as_str).collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "The run's secrets were thrown away with its files: give these again: {}",
        gone.join(", ")
    )))
}
