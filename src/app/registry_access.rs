//! How a stored registry is reached: its secrets, its connection, and the limits of requests to it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{App, Error, Result};
use crate::catalog::{RegistryId, RegistryRecord};
use crate::engine::runtime::RegistryCredentials;
use crate::registry::{RegistryEndpoint, RegistryLimits, RegistrySource, TlsSettings};

/// Response timeout while a user waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A registry's secrets, each sealed in a context of its own. Names of registries are unique and never change.
#[derive(Clone, Copy)]
pub(super) enum RegistrySecret {
    Password,
    ClientKey,
}

impl RegistrySecret {
    /// The context that the sealed secret is bound to.
    pub(super) fn place(self, registry: &str) -> String {
        match self {
            RegistrySecret::Password => format!("registries/{registry}/password"),
            RegistrySecret::ClientKey => format!("registries/{registry}/client-key"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            RegistrySecret::Password => "password",
            RegistrySecret::ClientKey => "client key",
        }
    }
}

impl App {
    /// `None` for an empty secret.
    pub(super) fn sealed(&self, secret: RegistrySecret, registry: &str, value: &SecretString) -> Option<String> {
        let is_given = !value.expose_secret().is_empty();
        is_given.then(|| self.0.sealer.seal(&secret.place(registry), value))
    }

    /// The secret as it was given.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be read.
    pub(super) fn unsealed(
        &self,
        secret: RegistrySecret,
        registry: &str,
        sealed: Option<&str>,
    ) -> Result<Option<SecretString>> {
        let open = |sealed| {
            self.0.sealer.open(&secret.place(registry), sealed).map_err(|why| {
                let word = secret.word();
                Error::Invalid(format!("the stored {word} of registry {registry} cannot be read: {why}"))
            })
        };
        sealed.map(open).transpose()
    }

    /// A connection to a stored registry, with its secrets unsealed.
    pub(super) async fn source_of(&self, registry: &RegistryRecord, limits: &RegistryLimits) -> Result<RegistrySource> {
        let sealed = self.store().registry_secrets(registry.id).await?;
        let endpoint = RegistryEndpoint {
            kind: registry.kind,
            url: registry.url.clone(),
            org: registry.org.clone(),
            username: registry.username.clone(),
            password: self.unsealed(RegistrySecret::Password, &registry.name, sealed.password.as_deref())?,
            tls: TlsSettings {
                ca: registry.ca.clone(),
                certificate: registry.client_certificate.clone(),
                key: self.unsealed(RegistrySecret::ClientKey, &registry.name, sealed.client_key.as_deref())?,
            },
        };
        Ok(RegistrySource::open(&endpoint, limits, &self.0.hosts)?)
    }

    /// Credentials for the container engine to pull from a registry; `None` if none are stored, or the registry is
    /// gone.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the stored password cannot be read.
    pub(super) async fn registry_credentials(&self, id: RegistryId) -> Result<Option<RegistryCredentials>> {
        let Some(registry) = self.store().registry_get(id).await? else { return Ok(None) };
        let sealed = self.store().registry_secrets(id).await?;
        let password = self.unsealed(RegistrySecret::Password, &registry.name, sealed.password.as_deref())?;
        Ok(password.map(|password| RegistryCredentials { username: registry.username, password }))
    }

    /// Limits for a user who waits: the answer must come before the request's own timeout.
    pub(super) fn impatient_limits(&self) -> RegistryLimits {
        let limits = self.limits();
        RegistryLimits {
            tries: limits.tries.min(2),
            connect_timeout: limits.connect_timeout.min(PATIENCE),
            request_timeout: limits.request_timeout.min(PATIENCE),
            longest_wait: limits.longest_wait.min(PATIENCE),
            ..limits
        }
    }

    pub(super) fn limits(&self) -> RegistryLimits {
        let scan = &self.settings().scan;
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        let mut layout_roots = scan.layout_roots.clone();
        layout_roots.push(self.demo_folder());
        RegistryLimits {
            concurrency: scan.concurrency,
            connect_timeout: seconds(scan.connect_timeout_seconds),
            request_timeout: seconds(scan.request_timeout_seconds),
            tries: scan.tries,
            longest_wait: seconds(scan.longest_wait_seconds),
            pages: scan.pages,
            pull_reserve: scan.pull_reserve,
            layout_roots,
            private: self.0.private.clone(),
        }
    }
}
