//! Registries: add after a check that they answer, list, delete.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::accounts::check_name;
use super::{App, Error, Result};
use crate::catalog::{NewRegistry, Registry, RegistryId, RegistryKind, Repository, RepositoryFilter, Scan};
use crate::registry::{Endpoint, Limits, Source};
use crate::store;

/// How long a registry may take to answer when somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an admin gives to add a registry. Empty texts and lists mean the defaults.
#[derive(Debug)]
pub struct RegistryForm {
    pub name: String,
    pub url: String,
    /// `None`: found out from the address, and by asking the registry.
    pub kind: Option<RegistryKind>,
    pub org: String,
    pub username: String,
    pub password: SecretString,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub schedule: String,
}

/// A registry, and how it is doing.
#[derive(Clone, Debug)]
pub struct RegistryStatus {
    pub registry: Registry,
    /// The newest scan of the whole registry, also while it waits or runs.
    pub last_scan: Option<Scan>,
}

impl App {
    /// Adds a registry, once it has answered and taken the credentials.
    ///
    /// # Errors
    /// [`Error::Invalid`] for unusable values, and saying what is wrong with the registry; [`Error::Duplicate`].
    pub async fn registry_add(&self, form: &RegistryForm) -> Result<Registry> {
        check_form(form)?;
        let duplicate = || Error::Duplicate(format!("Registry already exists with name {}", form.name));
        if self.0.store.registry_by_name(&form.name).await?.is_some() {
            return Err(duplicate());
        }
        let has_password = !form.password.expose_secret().is_empty();
        let mut endpoint = Endpoint {
            kind: RegistryKind::Distribution,
            url: form.url.clone(),
            org: form.org.trim_matches('/').to_owned(),
            username: form.username.clone(),
            password: has_password.then(|| form.password.clone()),
        };
        // What is wrong with the registry is wrong with the request: the admin can mend it.
        let in_words = |why: crate::registry::Error| Error::Invalid(why.to_string());
        let limits = self.impatient_limits();
        endpoint.kind = match form.kind {
            Some(kind) => kind,
            None => Source::detect(&endpoint, &limits, &self.0.hosts).await.map_err(in_words)?,
        };
        let source = Source::open(&endpoint, &limits, &self.0.hosts).map_err(in_words)?;
        source.insist();
        source.ping().await.map_err(in_words)?;
        let new = NewRegistry {
            name: form.name.clone(),
            url: form.url.clone(),
            host: source.host(),
            org: endpoint.org,
            kind: endpoint.kind,
            username: form.username.clone(),
            include: form.include.clone(),
            exclude: form.exclude.clone(),
            schedule: form.schedule.clone(),
        };
        let sealed = has_password.then(|| self.0.sealer.seal(&place(&form.name), &form.password));
        let now = self.0.clock.now();
        let registry = match self.0.store.registry_insert(&new, sealed.as_deref(), now).await {
            Err(store::Error::Duplicate(_)) => return Err(duplicate()),
            other => other?,
        };
        // The schedule's task would do it too, within a minute; so whoever looks now sees it.
        let next_scan_at = self.next_scan_of(&registry, now);
        self.0.store.registry_set_next_scan(registry.id, next_scan_at).await?;
        Ok(Registry { next_scan_at, ..registry })
    }

    /// All registries with their last scans, by id.
    pub async fn registry_status_list(&self) -> Result<Vec<RegistryStatus>> {
        let scans = self.0.store.scan_list_last().await?;
        let mut scans: HashMap<RegistryId, Scan> = scans.into_iter().map(|scan| (scan.registry_id, scan)).collect();
        let with_scan = |registry: Registry| {
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

    /// What scans know of a registry's repositories, by name, only those after `after`.
    pub async fn registry_repositories(&self, id: RegistryId, after: &str, limit: u32) -> Result<Vec<Repository>> {
        self.registry_get(id).await?;
        Ok(self.0.store.repository_list(id, after, limit).await?)
    }

    /// All registries, by id.
    pub async fn registry_list(&self) -> Result<Vec<Registry>> {
        Ok(self.0.store.registry_list().await?)
    }

    /// One registry.
    pub async fn registry_get(&self, id: RegistryId) -> Result<Registry> {
        let known = self.0.store.registry_get(id).await?;
        known.ok_or_else(|| Error::NotFound("No registry found with that ID".to_owned()))
    }

    /// Deletes a registry with its images, and the jobs that only it had. An unknown id is fine: it is gone.
    pub async fn registry_delete(&self, id: RegistryId) -> Result<()> {
        if self.0.store.registry_delete(id, self.0.clock.now()).await? {
            self.index_bring_up_to_date().await?;
        }
        Ok(())
    }

    /// Which repositories of a registry are scanned.
    pub(super) fn filter_of(&self, registry: &Registry) -> Result<RepositoryFilter> {
        let include = if registry.include.is_empty() { &self.settings().scan.include } else { &registry.include };
        let exclude = if registry.exclude.is_empty() { &self.settings().scan.exclude } else { &registry.exclude };
        RepositoryFilter::new(&registry.org, include, exclude).map_err(Error::Invalid)
    }

    /// A connection to a stored registry, with its password unsealed.
    pub(super) async fn source_of(&self, registry: &Registry, limits: &Limits) -> Result<Source> {
        let sealed = self.0.store.registry_sealed_password(registry.id).await?;
        let password = match sealed {
            None => None,
            Some(sealed) => Some(self.0.sealer.open(&place(&registry.name), &sealed).map_err(|why| {
                Error::Invalid(format!("the stored password of registry {} cannot be read: {why}", registry.name))
            })?),
        };
        let endpoint = Endpoint {
            kind: registry.kind,
            url: registry.url.clone(),
            org: registry.org.clone(),
            username: registry.username.clone(),
            password,
        };
        Ok(Source::open(&endpoint, limits, &self.0.hosts)?)
    }

    /// For somebody who waits for the answer: it must come before the request's own time is over.
    pub(super) fn impatient_limits(&self) -> Limits {
        let limits = self.limits();
        Limits {
            tries: limits.tries.min(2),
            connect_timeout: limits.connect_timeout.min(PATIENCE),
            request_timeout: limits.request_timeout.min(PATIENCE),
            longest_wait: limits.longest_wait.min(PATIENCE),
            ..limits
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let scan = &self.settings().scan;
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        let mut layout_roots = scan.layout_roots.clone();
        layout_roots.push(self.demo_folder());
        Limits {
            concurrency: scan.concurrency,
            connect_timeout: seconds(scan.connect_timeout_seconds),
            request_timeout: seconds(scan.request_timeout_seconds),
            tries: scan.tries,
            longest_wait: seconds(scan.longest_wait_seconds),
            pages: scan.pages,
            pull_reserve: scan.pull_reserve,
            layout_roots,
        }
    }
}

/// What a sealed password is bound to. Names are unique and never change.
fn place(name: &str) -> String {
    format!("registries/{name}/password")
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
    RepositoryFilter::new("", &form.include, &form.exclude).map_err(Error::Invalid)?;
    super::scans::next_scan(&form.schedule, chrono::DateTime::UNIX_EPOCH).map(drop)
}
