//! A service for measurements: a fresh data directory (SQLite) and one registry.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use silo::app::{App, RegistryForm};
use silo::catalog::{RegistryId, RegistryKind, ScanRecord, ScanTrigger};
use silo::clock::Clock;
use silo::config::{ConfigFlags, ServiceSettings};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) struct Service {
    pub app: App,
    registry: RegistryId,
    _data: TempDir,
}

impl Service {
    /// With this limit of concurrent requests.
    pub(crate) async fn start(url: &str, kind: RegistryKind, concurrency: usize) -> Self {
        let data = tempfile::tempdir().expect("a folder for the service");
        let flags = ConfigFlags { data: Some(data.path().join("data")), ..ConfigFlags::default() };
        let mut settings = ServiceSettings::from_layers(&flags, &HashMap::new()).expect("the defaults are fine");
        settings.scan.concurrency = concurrency;
        settings.admin.password = SecretString::from("for benchmarks only");
        let (app, _) = App::start(settings, Clock::system()).await.expect("a fresh service starts");
        let form = RegistryForm {
            name: "bench".to_owned(),
            url: url.to_owned(),
            kind: Some(kind),
            schedule: "off".to_owned(),
            ..RegistryForm::default()
        };
        let added = app.registry_add(&form).await.expect("the registry answers");
        Self { app, registry: added.registry.id, _data: data }
    }

    /// Scans: the time from the request until the result can be found.
    pub(crate) async fn scan(&self) -> (Duration, ScanRecord) {
        let started = Instant::now();
        let id = self.app.scan_request(self.registry, ScanTrigger::Manual).await.expect("the registry is known");
        assert!(self.app.scan_work(&CancellationToken::new()).await.expect("the scan ends"));
        let took = started.elapsed();
        (took, self.app.scan_get(id).await.expect("the scan is known"))
    }
}
