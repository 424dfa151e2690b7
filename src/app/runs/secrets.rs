//! Secrets of a run: secret settings, and signed URLs. Masked where they are shown, sealed where they are stored.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::super::{App, Error, Result};
use super::run_inputs::{FileAddress, FileSpec, InputFile, RunInputs, SettingValue};

/// Prefix of the key of an address, before the number of its file.
const FILE: &str = "file ";

/// The secrets of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct RunSecrets {
    /// By the names of their settings.
    pub settings: BTreeMap<String, SecretString>,
    /// Addresses of files that have a query, by their index among the run's files.
    pub addresses: BTreeMap<usize, FileAddress>,
}

impl App {
    /// The secrets, sealed for the store.
    pub(super) fn seal_secrets(&self, id: &str, secrets: &RunSecrets) -> String {
        let text = serde_json::to_string(&secrets.at_rest()).expect("texts are JSON");
        self.0.sealer.seal(&place(id), &SecretString::from(text))
    }

    /// The secrets of a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they cannot be opened.
    pub(super) fn secrets_of(&self, id: &str, sealed: Option<&str>) -> Result<RunSecrets> {
        let Some(sealed) = sealed else { return Ok(RunSecrets::default()) };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!("the secret settings of run {id} cannot be read: {why}"))
        };
        let text = self.0.sealer.open(&place(id), sealed).map_err(|why| unreadable(&why))?;
        let plain: BTreeMap<String, String> =
            serde_json::from_str(text.expose_secret()).map_err(|_| unreadable(&"it is not an object"))?;
        Ok(RunSecrets::from_rest(plain))
    }
}

/// The context that a run's secrets are bound to.
pub(in crate::app) fn place(id: &str) -> String {
    format!("runs/{id}/settings")
}

impl RunSecrets {
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.addresses.is_empty()
    }

    /// All of them, by their names at rest. The key of an address cannot clash with a setting: no setting has a space in
    /// its name.
    pub(super) fn at_rest(&self) -> BTreeMap<String, &str> {
        let settings = self.settings.iter().map(|(name, value)| (name.clone(), value.expose_secret()));
        let addresses = self.addresses.iter().map(|(number, address)| (format!("{FILE}{number}"), address.expose()));
        settings.chain(addresses).collect()
    }

    fn from_rest(plain: BTreeMap<String, String>) -> Self {
        let mut secrets = Self::default();
        for (name, value) in plain {
            match name.strip_prefix(FILE).and_then(|number| number.parse().ok()) {
                Some(number) => _ = secrets.addresses.insert(number, FileAddress::from(value)),
                None => _ = secrets.settings.insert(name, SecretString::from(value)),
            }
        }
        secrets
    }
}

impl RunInputs {
    /// The secrets, which the JSON has masks for.
    pub(super) fn secrets(&self) -> RunSecrets {
        let secret = |(name, value): (&String, &SettingValue)| match value {
            SettingValue::Secret(secret) => Some((name.clone(), secret.clone())),
            SettingValue::Shown(_) => None,
        };
        let address = |(number, file): (usize, &InputFile)| match &file.source {
            FileSpec::Url { url, .. } if url.has_query() => Some((number, url.clone())),
            _ => None,
        };
        RunSecrets {
            settings: self.settings.iter().filter_map(secret).collect(),
            addresses: self.files.iter().enumerate().filter_map(address).collect(),
        }
    }

    /// Puts the secrets in place of their masks.
    pub(super) fn unmask(&mut self, secrets: &RunSecrets) {
        for (name, value) in &mut self.settings {
            if let Some(secret) = secrets.settings.get(name) {
                *value = SettingValue::Secret(secret.clone());
            }
        }
        for (number, file) in self.files.iter_mut().enumerate() {
            if let (FileSpec::Url { url, .. }, Some(whole)) = (&mut file.source, secrets.addresses.get(&number)) {
                url.clone_from(whole);
            }
        }
    }
}

/// Refuses masks as values: a run's secrets are deleted with its files, so a rerun finds only masks.
pub(super) fn check_secrets(inputs: &RunInputs) -> Result<()> {
    let gone = inputs.masked();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!("The run's secrets were deleted with its files. Give these again: {}", gone.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Services of different versions may work on the same runs during an upgrade.
    #[test]
    fn secrets_at_rest_are_read_by_other_versions() {
        let plain = BTreeMap::from([
            ("DB_KEY".to_owned(), "hunter2".to_owned()),
            ("file 3".to_owned(), "https://example.org/a.tif?signature=hunter2".to_owned()),
        ]);
        let secrets = RunSecrets::from_rest(plain.clone());
        assert_eq!(secrets.settings["DB_KEY"].expose_secret(), "hunter2");
        assert_eq!(secrets.addresses[&3].expose(), plain["file 3"]);
        let again: BTreeMap<String, String> =
            secrets.at_rest().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(again, plain);
    }
}
