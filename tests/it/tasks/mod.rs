//! Background tasks, with a manual clock.

mod index;
mod leases;
mod schedule;

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use silo::app::{App, RegistryForm};
use silo::catalog::{RegistryId, RegistryKind, RegistryRecord};
use silo::clock::Clock;
use silo::config::{ConfigFlags, ServiceSettings};
use tempfile::TempDir;

/// An application without an HTTP server.
pub(crate) struct House {
    pub app: App,
    pub clock: Clock,
    folder: TempDir,
}

impl House {
    pub(crate) async fn new(start: &str, environment: &[(&str, &str)]) -> Self {
        let start: DateTime<Utc> = start.parse().expect("a time of day");
        Self::open(tempfile::tempdir().expect("a folder"), Clock::manual(start), environment).await
    }

    pub(crate) async fn open(folder: TempDir, clock: Clock, environment: &[(&str, &str)]) -> Self {
        let mut all: HashMap<String, String> =
            [("SILO_ADMIN_PASSWORD", "s3cret-s3cret"), ("SILO__SCAN__JITTER_MINUTES", "0")]
                .iter()
                .chain(environment)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
        all.insert("SILO_DATA".to_owned(), folder.path().display().to_string());
        let settings = ServiceSettings::from_layers(&ConfigFlags::default(), &all).expect("settings");
        let (app, _) = App::start(settings, clock.clone()).await.expect("it starts");
        Self { app, clock, folder }
    }

    /// Closes it, and starts it again on the same data with another configuration.
    pub(crate) async fn again(self, environment: &[(&str, &str)]) -> Self {
        let Self { app, clock, folder } = self;
        app.close().await;
        drop(app);
        Self::open(folder, clock, environment).await
    }

    /// Its data folder, for direct access.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn add(&self, name: &str, url: &str, schedule: &str) -> RegistryRecord {
        let form = form(name, url, schedule);
        self.app.registry_add(&form).await.expect("a registry that answers").registry
    }

    /// Adds a registry of a kind, with credentials given as `name:password`.
    pub(crate) async fn add_kind(&self, kind: RegistryKind, org: &str, url: &str, account: &str) -> RegistryId {
        let (username, password) = account.split_once(':').unwrap_or_default();
        let form = RegistryForm {
            kind: Some(kind),
            org: org.to_owned(),
            username: username.to_owned(),
            password: SecretString::from(password),
            ..form("mine", url, "off")
        };
        self.app.registry_add(&form).await.expect("a registry that answers").registry.id
    }
}

fn form(name: &str, url: &str, schedule: &str) -> RegistryForm {
    RegistryForm {
        name: name.to_owned(),
        url: url.to_owned(),
        schedule: schedule.to_owned(),
        ..RegistryForm::default()
    }
}
