//! Registries: add (once they have answered), list, change, delete.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::names::check_name;
use super::registry_access::RegistrySecret;
use super::{App, Error, Result};
use crate::catalog::{
    NewRegistry, RegistryId, RegistryKind, RegistryRecord, RepositoryFilter, ScanRecord, ScannedRepository,
    SecretChange, VerifiedMarks, naming_advice,
};
use crate::registry::{self, RegistryEndpoint, RegistryLimits, RegistrySource, TlsSettings, check_repository};
use crate::store::{self, SealedChanges, SealedSecrets};

/// Connect timeout while a user waits: an unreachable host is reported within three seconds.
const REACH: Duration = Duration::from_millis(2500);
/// Time limit of listings while a user waits; what is unknown by then, the first scan finds out.
const LISTING_PATIENCE: Duration = Duration::from_secs(5);
/// Most repositories that may be named, and how many of them are tried when the registry is added.
const MOST_NAMED: usize = 1000;
const MOST_TRIED: usize = 20;

/// Form of a new registry. Empty texts and lists mean the defaults.
#[derive(Debug, Default)]
pub struct RegistryForm {
    pub name: String,
    pub url: String,
    /// The kind of registry. `None`: detected from the URL, and by asking the registry.
    pub kind: Option<RegistryKind>,
    pub org: String,
    pub username: String,
    pub password: SecretString,
    /// CA certificates (PEM) to trust beside the system's.
    pub ca: String,
    /// Client certificate (PEM, with its chain), and its key.
    pub client_certificate: String,
    pub client_key: SecretString,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// The only repositories to scan, for registries that do not list them.
    pub repositories: Vec<String>,
    pub schedule: String,
    pub verified: VerifiedMarks,
}

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
}

impl RegistryChange {
    /// Whether it changes verification marks only, nothing that concerns requests to the registry.
    fn is_about_marks_only(&self) -> bool {
        let Self { url, org, username, password, ca, client_certificate, client_key, include, exclude, .. } = self;
        let texts = [url, org, username, ca, client_certificate, &self.schedule];
        let lists = [include, exclude, &self.repositories];
        texts.iter().all(|text| text.is_none())
            && lists.iter().all(|list| list.is_none())
            && password.is_kept()
            && client_key.is_kept()
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

/// A registry and its last scan.
#[derive(Clone, Debug)]
pub struct RegistryStatus {
    pub registry: RegistryRecord,
    /// The newest scan of the whole registry, also while it is queued or runs.
    pub last_scan: Option<ScanRecord>,
}

impl App {
    /// Adds a registry, once it has answered and accepted the credentials.
    ///
    /// # Errors
    /// [`Error::Invalid`] for unusable values, and with what is wrong with the registry; [`Error::Duplicate`].
    pub async fn registry_add(&self, form: &RegistryForm) -> Result<CheckedRegistry> {
        check_form(form)?;
        let marks = checked_marks(&form.verified)?;
        let duplicate = || Error::Duplicate(format!("Registry already exists with name {}", form.name));
        if self.0.store.registry_by_name(&form.name).await?.is_some() {
            return Err(duplicate());
        }
        let (new, notes) = self.registry_that_answers(form).await?;
        let secrets = SealedSecrets {
            password: self.sealed(RegistrySecret::Password, &form.name, &form.password),
            client_key: self.sealed(RegistrySecret::ClientKey, &form.name, &form.client_key),
        };
        let now = self.0.clock.now();
        let registry = match self.0.store.registry_insert(&new, &secrets, now).await {
            Err(store::Error::Duplicate(_)) => return Err(duplicate()),
            other => other?,
        };
        tracing::info!(registry = registry.name, url = registry.url, "registry added");
        // The schedule task would set it within a minute; set here, the reply shows it.
        let next_scan_at = self.next_scan_of(&registry, now);
        self.0.store.registry_set_next_scan(registry.id, next_scan_at).await?;
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
        let CheckedRegistry { registry, notes } = if change.is_about_marks_only() {
            CheckedRegistry { registry: old, notes: Vec::new() }
        } else {
            self.registry_reconnected(old, change).await?
        };
        Ok(CheckedRegistry { registry: self.registry_marked(registry, marks).await?, notes })
    }

    /// Stores verification marks, if they changed; the registry as it is then.
    async fn registry_marked(&self, registry: RegistryRecord, marks: VerifiedMarks) -> Result<RegistryRecord> {
        if marks == registry.verified {
            return Ok(registry);
        }
        if !self.0.store.registry_verify(registry.id, &registry.verified, &marks, self.0.clock.now()).await? {
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
        check_form(&form)?;
        // Otherwise the stored password could be sent to an address of the admin's choice.
        if form.url != old.url && change.password.is_kept() && !form.password.expose_secret().is_empty() {
            return Err(Error::Invalid(
                "A new address needs the password again: the stored one is for the old address".to_owned(),
            ));
        }
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
        let registry = self.0.store.registry_update(&old, &new, &secrets).await?;
        let registry = registry.ok_or_else(|| changed_meanwhile(&old))?;
        let secrets_given = !change.password.is_kept() || !change.client_key.is_kept();
        tracing::info!(registry = registry.name, url = registry.url, secrets_given, "registry changed");
        if registry.schedule == old.schedule {
            return Ok(CheckedRegistry { registry, notes });
        }
        let next_scan_at = self.next_scan_of(&registry, self.0.clock.now());
        self.0.store.registry_set_next_scan(id, next_scan_at).await?;
        Ok(CheckedRegistry { registry: RegistryRecord { next_scan_at, ..registry }, notes })
    }

    /// The complete form of a registry after a change.
    async fn changed(&self, old: &RegistryRecord, change: &RegistryChange) -> Result<RegistryForm> {
        let text = |given: &Option<String>, old: &str| given.clone().unwrap_or_else(|| old.to_owned());
        let list = |given: &Option<Vec<String>>, old: &[String]| given.clone().unwrap_or_else(|| old.to_vec());
        let (url, username) = (text(&change.url, &old.url), text(&change.username, &old.username));
        let client_certificate = text(&change.client_certificate, &old.client_certificate);
        let sealed = self.0.store.registry_secrets(old.id).await?;
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
        Ok(RegistryForm {
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
            url,
            username,
            client_certificate,
        })
    }

    /// The registry as it is to be stored, once it has answered and accepted the credentials; and notes on what will
    /// keep its scans from being complete.
    async fn registry_that_answers(&self, form: &RegistryForm) -> Result<(NewRegistry, Vec<String>)> {
        let given = |secret: &SecretString| Some(secret.clone()).filter(|secret| !secret.expose_secret().is_empty());
        let mut endpoint = RegistryEndpoint {
            kind: RegistryKind::Distribution,
            url: form.url.clone(),
            org: form.org.trim_matches('/').to_owned(),
            username: form.username.clone(),
            password: given(&form.password),
            tls: TlsSettings {
                ca: form.ca.clone(),
                certificate: form.client_certificate.clone(),
                key: given(&form.client_key),
            },
        };
        // A failure of the registry is an error of the request: the admin can fix it.
        let in_words = |why: registry::Error| Error::Invalid(why.to_string());
        // One page is enough to know whether listings are allowed.
        let limits = RegistryLimits { pages: 1, ..self.impatient_limits() };
        RegistrySource::reach(&form.url, &form.org, form.kind, &limits, REACH).await.map_err(in_words)?;
        endpoint.kind = match form.kind {
            Some(kind) => kind,
            None => RegistrySource::detect(&endpoint, &limits, &self.0.hosts).await.map_err(in_words)?,
        };
        let source = RegistrySource::open(&endpoint, &limits, &self.0.hosts).map_err(in_words)?;
        source.insist();
        source.ping().await.map_err(in_words)?;
        let notes = tokio::time::timeout(LISTING_PATIENCE, unlisted(&source, form)).await.unwrap_or_default();
        for note in &notes {
            tracing::warn!(registry = form.name, note, "the registry answers, but has a problem");
        }
        let new = NewRegistry {
            name: form.name.clone(),
            url: form.url.clone(),
            host: source.host(),
            org: endpoint.org,
            kind: endpoint.kind,
            username: form.username.clone(),
            ca: form.ca.clone(),
            client_certificate: form.client_certificate.clone(),
            include: form.include.clone(),
            exclude: form.exclude.clone(),
            repositories: form.repositories.clone(),
            schedule: form.schedule.clone(),
        };
        Ok((new, notes))
    }

    /// All registries with their last scans, by id.
    pub async fn registry_status_list(&self) -> Result<Vec<RegistryStatus>> {
        let scans = self.0.store.scan_list_last().await?;
        let mut scans: HashMap<RegistryId, ScanRecord> =
            scans.into_iter().map(|scan| (scan.registry_id, scan)).collect();
        let with_scan = |registry: RegistryRecord| {
            let last_scan = scans.remove(&registry.id);
            RegistryStatus { registry, last_scan }
        };
        Ok(self.registry_list().await?.into_iter().map(with_scan).collect())
    }

    /// One registry with its last scan.
    pub async fn registry_status(&self, id: RegistryId) -> Result<RegistryStatus> {
        let found = self.registry_status_list().await?.into_iter().find(|status| status.registry.id == id);
        found.ok_or_else(|| Error::NotFound("No registry found with that ID".to_owned()))
    }

    /// A registry's repositories as of its scans, by name, only those after `after`.
    pub async fn registry_repositories(
        &self,
        id: RegistryId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ScannedRepository>> {
        self.registry_get(id).await?;
        Ok(self.0.store.repository_list(id, after, limit).await?)
    }

    /// All registries, by id.
    pub async fn registry_list(&self) -> Result<Vec<RegistryRecord>> {
        Ok(self.0.store.registry_list().await?)
    }

    /// One registry.
    pub async fn registry_get(&self, id: RegistryId) -> Result<RegistryRecord> {
        let known = self.0.store.registry_get(id).await?;
        known.ok_or_else(|| Error::NotFound("No registry found with that ID".to_owned()))
    }

    /// Deletes a registry with its images, and the jobs that only it had. An unknown id is no error.
    pub async fn registry_delete(&self, id: RegistryId) -> Result<()> {
        if self.0.store.registry_delete(id, self.0.clock.now()).await? {
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

/// Notes on what a registry that answers does not list: its repositories, or the tags of those that are named.
async fn unlisted(source: &RegistrySource, form: &RegistryForm) -> Vec<String> {
    let is_final = |why: &registry::Error| {
        use registry::Error::{Forbidden, LoginRequired, NotFound};
        matches!(why, Forbidden(_) | LoginRequired(_) | NotFound(_))
    };
    if form.repositories.is_empty() {
        let refusal = source.repositories().await.err().filter(is_final);
        let note = |why| format!("{why}. Until then its scans fail, unless you {}", naming_advice(&form.name));
        return refusal.map(note).into_iter().collect();
    }
    let mut notes = Vec::new();
    for name in form.repositories.iter().take(MOST_TRIED) {
        match source.tags(name).await {
            Ok(listing) if listing.items.is_empty() => notes.push(format!("{name} has no tags; check the name")),
            Err(why) if is_final(&why) => notes.push(why.to_string()),
            _ => {}
        }
    }
    notes
}

fn changed_meanwhile(registry: &RegistryRecord) -> Error {
    let name = &registry.name;
    Error::Conflict(format!("Registry {name} was changed by another request; check it, and try again"))
}

/// Normalises namespaces of repositories, without duplicates. They need not exist yet.
fn checked_marks(marks: &VerifiedMarks) -> Result<VerifiedMarks> {
    /// The limit of repository names.
    const LONGEST: usize = 255;
    if marks.namespaces.len() > MOST_NAMED {
        return Err(Error::Invalid(format!("More than {MOST_NAMED} namespaces are named; mark the registry instead")));
    }
    let mut namespaces: Vec<String> =
        marks.namespaces.iter().map(|namespace| namespace.trim_matches('/').to_owned()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let is_one = |name: &&String| name.len() <= LONGEST && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if let Some(wrong) = namespaces.iter().find(|name| !is_one(name)) {
        return Err(Error::Invalid(format!(
            "{wrong:?} cannot be a namespace: a namespace is the part of a repository name before the last slash, \
             such as team/maps in team/maps/ndvi, or / if there is no slash"
        )));
    }
    Ok(VerifiedMarks { registry: marks.registry, namespaces })
}

fn check_form(form: &RegistryForm) -> Result<()> {
    check_name("registry name", &form.name)?;
    check_name("registry url", &form.url)?;
    for (what, text) in [("org", &form.org), ("user name", &form.username)] {
        if !text.is_empty() {
            check_name(what, text)?;
        }
    }
    if form.username.is_empty() && !form.password.expose_secret().is_empty() {
        return Err(Error::Invalid("A password needs a user name".to_owned()));
    }
    if form.repositories.len() > MOST_NAMED {
        return Err(Error::Invalid(format!("More than {MOST_NAMED} repositories are named; give patterns instead")));
    }
    for name in &form.repositories {
        check_repository(name).map_err(|why| Error::Invalid(why.to_string()))?;
    }
    RepositoryFilter::new("", &form.include, &form.exclude).map_err(Error::Invalid)?;
    super::scans::next_scan(&form.schedule, chrono::DateTime::UNIX_EPOCH).map(drop)
}
