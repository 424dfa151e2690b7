//! Registries: add (once they have answered), list, change, delete. What they must be for that is in
//! `registry_check.rs`.

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};

use super::registry_access::RegistrySecret;
use super::registry_check::{RegistryCheck, RegistryForm, check_form, checked_marks};
use super::visibility::RegistryAccessChange;
use super::{App, Error, Result};
use crate::catalog::{
    NewRegistry, RegistryId, RegistryLoss, RegistryMembers, RegistryRecord, RegistrySize, RepositoryFilter, ScanRecord,
    ScannedRepository, SecretChange, VerifiedMarks,
};
use crate::registry;
use crate::store::{self, SealedChanges, SealedSecrets};

/// A change of a registry: `None` keeps a value, an empty value removes it. Secrets say which of it is meant.
#[derive(Debug, Default)]
pub struct RegistryChange {
    pub url: Option<String>,
    pub org: Option<String>,
    pub username: Option<String>,
    pub password: SecretChange<SecretString>,
    pub ca: Option<String>,
    pub client_certificate: Option<String>,
    pub client_key: SecretChange<SecretString>,
    pub include: Option<Vec<String>>,
    pub exclude: Option<Vec<String>>,
    pub repositories: Option<Vec<String>>,
    pub schedule: Option<String>,
    /// Whether the whole registry is verified.
    pub verified: Option<bool>,
    pub verified_namespaces: Option<Vec<String>>,
    /// Who sees and maintains it.
    pub access: RegistryAccessChange,
}

impl RegistryChange {
    /// Whether it changes nothing that concerns requests to the registry.
    fn is_local(&self) -> bool {
        let Self { url, org, username, password, ca, client_certificate, client_key, include, exclude, .. } = self;
        let texts = [url, org, username, ca, client_certificate, &self.schedule];
        let lists = [include, exclude, &self.repositories];
        texts.iter().all(|text| text.is_none())
            && lists.iter().all(|list| list.is_none())
            && password.is_kept()
            && client_key.is_kept()
    }

    /// Whether maintainers may make it: they neither open the registry to others nor mark it as verified, and what is
    /// read, from where, stays as an admin set it. Otherwise the admin's credentials would read more for them.
    pub fn is_for_maintainers(&self) -> bool {
        let Self { url, org, ca, include, exclude, repositories, verified, verified_namespaces, access, .. } = self;
        let lists = [include, exclude, repositories, verified_namespaces];
        [url, org, ca].iter().all(|text| text.is_none())
            && lists.iter().all(|list| list.is_none())
            && verified.is_none()
            && access.is_empty()
    }
}

impl From<Option<SecretString>> for SecretChange<SecretString> {
    /// As for other values of a [`RegistryChange`]: `None` keeps, an empty one removes.
    fn from(given: Option<SecretString>) -> Self {
        match given {
            None => Self::Keep,
            Some(secret) if secret.expose_secret().is_empty() => Self::Remove,
            Some(secret) => Self::Set(secret),
        }
    }
}

/// SHA-256 fingerprints of the CA certificates that are trusted for a registry beside the system's.
pub fn ca_fingerprints(registry: &RegistryRecord) -> Vec<String> {
    registry::fingerprints(&registry.ca)
}

/// A registry that has answered, and notes for its admin.
#[derive(Clone, Debug)]
pub struct CheckedRegistry {
    pub registry: RegistryRecord,
    pub notes: Vec<String>,
}

/// A registry, its last scan and what it has.
#[derive(Clone, Debug)]
pub struct RegistryStatus {
    pub registry: RegistryRecord,
    /// The newest scan of the whole registry, also while it is queued or runs.
    pub last_scan: Option<ScanRecord>,
    pub size: RegistrySize,
    /// Who sees it if it is private, and who maintains it.
    pub members: RegistryMembers,
}

impl App {
    /// Adds a registry, once it has answered and accepted the credentials.
    ///
    /// # Errors
    /// [`Error::Invalid`] for unusable values, and with what is wrong with the registry; [`Error::Duplicate`].
    pub async fn registry_add(&self, form: &RegistryForm) -> Result<CheckedRegistry> {
        let (new, notes) = self.registry_new(form).await?;
        let marks = checked_marks(&form.verified)?;
        let members = self.member_ids(&form.members).await?;
        let secrets = SealedSecrets {
            password: self.sealed(RegistrySecret::Password, &form.name, &form.password),
            client_key: self.sealed(RegistrySecret::ClientKey, &form.name, &form.client_key),
        };
        let now = self.0.clock.now();
        let registry = match self.store().registry_insert(&new, &secrets, now).await {
            Err(store::Error::Duplicate(_)) => return Err(duplicate(&form.name)),
            other => other?,
        };
        self.visibility_changed();
        if form.members != RegistryMembers::default() {
            self.0.whole_store.registry_set_members(registry.id, &members).await?;
        }
        tracing::info!(registry = registry.name, url = registry.url, "registry added");
        // The schedule task would set it within a minute; set here, the reply shows it.
        let next_scan_at = self.next_scan_of(&registry, now);
        self.store().registry_set_next_scan(registry.id, next_scan_at).await?;
        let registry = self.registry_marked(RegistryRecord { next_scan_at, ..registry }, marks).await?;
        Ok(CheckedRegistry { registry, notes })
    }

    /// Changes a registry: its verification marks; anything else once it has answered and accepted the new credentials.
    /// Its images stay; at another URL the next scan finds out which exist.
    ///
    /// # Errors
    /// As [`App::registry_add`]; [`Error::NotFound`]; [`Error::Conflict`] if it was changed concurrently.
    pub async fn registry_change(&self, id: RegistryId, change: &RegistryChange) -> Result<CheckedRegistry> {
        let old = self.registry_get(id).await?;
        let namespaces = change.verified_namespaces.as_ref().unwrap_or(&old.verified.namespaces).clone();
        let marks =
            checked_marks(&VerifiedMarks { registry: change.verified.unwrap_or(old.verified.registry), namespaces })?;
        let CheckedRegistry { registry, notes } = if change.is_local() {
            CheckedRegistry { registry: old, notes: Vec::new() }
        } else {
            self.registry_reconnected(old, change).await?
        };
        let registry = self.registry_marked(registry, marks).await?;
        if change.access.is_empty() {
            return Ok(CheckedRegistry { registry, notes });
        }
        self.registry_change_access(id, &change.access).await?;
        Ok(CheckedRegistry { registry: self.registry_get(id).await?, notes })
    }

    /// Stores verification marks, if they changed; the registry as it is then.
    async fn registry_marked(&self, registry: RegistryRecord, marks: VerifiedMarks) -> Result<RegistryRecord> {
        if marks == registry.verified {
            return Ok(registry);
        }
        if !self.store().registry_verify(registry.id, &registry.verified, &marks, self.0.clock.now()).await? {
            return Err(changed_meanwhile(&registry));
        }
        tracing::info!(
            registry = registry.name,
            all = marks.registry,
            namespaces = ?marks.namespaces,
            "the registry's verified marks changed"
        );
        self.index_bring_up_to_date().await?;
        Ok(RegistryRecord { verified: marks, ..registry })
    }

    async fn registry_reconnected(&self, old: RegistryRecord, change: &RegistryChange) -> Result<CheckedRegistry> {
        let id = old.id;
        let form = self.changed(&old, change).await?;
        let (new, notes) = self.registry_that_answers(&form).await?;
        // Secrets that are not given stay as they are, but are removed with the user name or certificate they belong
        // to.
        let sealed = |secret, is_kept: bool, value: &SecretString| {
            if is_kept {
                return SecretChange::Keep;
            }
            self.sealed(secret, &old.name, value).map_or(SecretChange::Remove, SecretChange::Set)
        };
        let keeps_password = change.password.is_kept() && !form.username.is_empty();
        let keeps_key = change.client_key.is_kept() && !form.client_certificate.is_empty();
        let secrets = SealedChanges {
            password: sealed(RegistrySecret::Password, keeps_password, &form.password),
            client_key: sealed(RegistrySecret::ClientKey, keeps_key, &form.client_key),
        };
        let registry = self.store().registry_update(&old, &new, &secrets).await?;
        let registry = registry.ok_or_else(|| changed_meanwhile(&old))?;
        let secrets_given = !change.password.is_kept() || !change.client_key.is_kept();
        tracing::info!(registry = registry.name, url = registry.url, secrets_given, "registry changed");
        if registry.schedule == old.schedule {
            return Ok(CheckedRegistry { registry, notes });
        }
        let next_scan_at = self.next_scan_of(&registry, self.0.clock.now());
        self.store().registry_set_next_scan(id, next_scan_at).await?;
        Ok(CheckedRegistry { registry: RegistryRecord { next_scan_at, ..registry }, notes })
    }

    /// The complete form of a registry after a change, without problems of its own.
    async fn changed(&self, old: &RegistryRecord, change: &RegistryChange) -> Result<RegistryForm> {
        let text = |given: &Option<String>, old: &str| given.clone().unwrap_or_else(|| old.to_owned());
        let list = |given: &Option<Vec<String>>, old: &[String]| given.clone().unwrap_or_else(|| old.to_vec());
        let (url, username) = (text(&change.url, &old.url), text(&change.username, &old.username));
        let client_certificate = text(&change.client_certificate, &old.client_certificate);
        let sealed = self.store().registry_secrets(old.id).await?;
        // A secret is removed with the user name or certificate it belongs to. One that is replaced need not be
        // readable.
        let secret =
            |secret, given: &SecretChange<SecretString>, sealed: Option<String>, goes: bool| -> Result<SecretString> {
                match given {
                    SecretChange::Set(given) => Ok(given.clone()),
                    SecretChange::Remove => Ok(SecretString::default()),
                    SecretChange::Keep if goes => Ok(SecretString::default()),
                    SecretChange::Keep => Ok(self.unsealed(secret, &old.name, sealed.as_deref())?.unwrap_or_default()),
                }
            };
        let no_certificate = client_certificate.is_empty();
        let form = RegistryForm {
            name: old.name.clone(),
            kind: Some(old.kind),
            org: text(&change.org, &old.org),
            password: secret(RegistrySecret::Password, &change.password, sealed.password, username.is_empty())?,
            ca: text(&change.ca, &old.ca),
            client_key: secret(RegistrySecret::ClientKey, &change.client_key, sealed.client_key, no_certificate)?,
            include: list(&change.include, &old.include),
            exclude: list(&change.exclude, &old.exclude),
            repositories: list(&change.repositories, &old.repositories),
            schedule: text(&change.schedule, &old.schedule),
            verified: old.verified.clone(),
            visibility: old.visibility,
            members: RegistryMembers::default(),
            url,
            username,
            client_certificate,
        };
        check_form(&form)?;
        // Otherwise the stored password could be sent to an address of the admin's choice.
        if form.url != old.url && change.password.is_kept() && !form.password.expose_secret().is_empty() {
            return Err(Error::Invalid(
                "A new address needs the password again: the stored one is for the old address".to_owned(),
            ));
        }
        Ok(form)
    }

    /// Checks a new registry as [`App::registry_add`] does, and adds nothing.
    ///
    /// # Errors
    /// As [`App::registry_add`].
    pub async fn registry_check(&self, form: &RegistryForm) -> Result<RegistryCheck> {
        Ok(self.registry_new(form).await?.into())
    }

    /// Checks a registry with a change as [`App::registry_change`] does, and changes nothing.
    ///
    /// # Errors
    /// As [`App::registry_change`].
    pub async fn registry_check_change(&self, id: RegistryId, change: &RegistryChange) -> Result<RegistryCheck> {
        let old = self.registry_get(id).await?;
        if let Some(namespaces) = change.verified_namespaces.clone() {
            checked_marks(&VerifiedMarks { registry: false, namespaces })?;
        }
        let form = self.changed(&old, change).await?;
        Ok(self.registry_that_answers(&form).await?.into())
    }

    async fn registry_new(&self, form: &RegistryForm) -> Result<(NewRegistry, Vec<String>)> {
        check_form(form)?;
        if self.store().registry_by_name(&form.name).await?.is_some() {
            return Err(duplicate(&form.name));
        }
        self.registry_that_answers(form).await
    }

    /// What goes when the registry is deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn registry_loss(&self, id: RegistryId) -> Result<RegistryLoss> {
        self.registry_get(id).await?;
        Ok(self.store().registry_loss(id).await?)
    }

    /// All registries with their last scans and sizes, by id.
    pub async fn registry_status_list(&self) -> Result<Vec<RegistryStatus>> {
        let sizes: HashMap<RegistryId, RegistrySize> = self.store().registry_sizes().await?.into_iter().collect();
        let scans = self.store().scan_list_last().await?;
        let mut scans: HashMap<RegistryId, ScanRecord> =
            scans.into_iter().map(|scan| (scan.registry_id, scan)).collect();
        let mut members = self.registry_members().await?;
        let with_scan = |registry: RegistryRecord| {
            let (last_scan, size) = (scans.remove(&registry.id), sizes.get(&registry.id).copied().unwrap_or_default());
            let members = members.remove(&registry.id).unwrap_or_default();
            RegistryStatus { registry, last_scan, size, members }
        };
        Ok(self.registry_list().await?.into_iter().map(with_scan).collect())
    }

    /// One registry with its last scan.
    pub async fn registry_status(&self, id: RegistryId) -> Result<RegistryStatus> {
        let found = self.registry_status_list().await?.into_iter().find(|status| status.registry.id == id);
        found.ok_or_else(|| Error::NotFound("No registry found with that ID".to_owned()))
    }

    /// A registry's repositories as of its scans, by name, only those after `after`; if asked for, only those whose last
    /// scan failed.
    pub async fn registry_repositories(
        &self,
        id: RegistryId,
        is_failing: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ScannedRepository>> {
        self.registry_get(id).await?;
        Ok(self.store().repository_list(id, u32::from(is_failing), after, limit).await?)
    }

    /// All registries, by id.
    pub async fn registry_list(&self) -> Result<Vec<RegistryRecord>> {
        Ok(self.store().registry_list().await?)
    }

    /// One registry.
    pub async fn registry_get(&self, id: RegistryId) -> Result<RegistryRecord> {
        let known = self.store().registry_get(id).await?;
        known.ok_or_else(|| Error::NotFound("No registry found with that ID".to_owned()))
    }

    /// Deletes a registry with its images, and the jobs that only it had. An unknown id is no error.
    pub async fn registry_delete(&self, id: RegistryId) -> Result<()> {
        if self.store().registry_delete(id, self.0.clock.now()).await? {
            self.visibility_changed();
            tracing::info!(registry = %id, "registry deleted");
            self.index_bring_up_to_date().await?;
        }
        Ok(())
    }

    /// Which repositories of a registry are scanned.
    pub(super) fn filter_of(&self, registry: &RegistryRecord) -> Result<RepositoryFilter> {
        let include = if registry.include.is_empty() { &self.settings().scan.include } else { &registry.include };
        let exclude = if registry.exclude.is_empty() { &self.settings().scan.exclude } else { &registry.exclude };
        let filter = RepositoryFilter::new(&registry.org, include, exclude).map_err(Error::Invalid)?;
        Ok(filter.naming(&registry.repositories))
    }
}

fn duplicate(name: &str) -> Error {
    Error::Duplicate(format!("Registry already exists with name {name}"))
}

fn changed_meanwhile(registry: &RegistryRecord) -> Error {
    let name = &registry.name;
    Error::Conflict(format!("Registry {name} was changed by another request; check it, and try again"))
}
