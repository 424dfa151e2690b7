//! Configuration: defaults (`config/silo.toml`, compiled in), then a file, then the environment, then flags.
//!
//! The only place that reads the environment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

const DEFAULTS: &str = include_str!("../config/silo.toml");

/// Short environment names that predate the general rule, and the keys they set. Later ones win.
const SHORT_NAMES: [(&str, &str); 8] = [
    ("SILO_DATA", "data"),
    ("SILO_LISTEN", "listen"),
    ("DATABASE_URL", "database.url"),
    ("SILO_LITE_PATH", "database.sqlite_path"),
    ("SILO_ADMIN", "admin.username"),
    ("SILO_ADMIN_PASSWORD", "admin.password"),
    ("RUST_LOG", "log.filter"),
    ("SILO_LOG", "log.filter"),
];

/// The keys whose values are lists, which the environment has with commas.
const LISTS: [&str; 8] = [
    "http.cors_origins",
    "scan.include",
    "scan.exclude",
    "scan.layout_roots",
    "scan.private_hosts",
    "runs.input_roots",
    "runs.mount_roots",
    "runs.private_hosts",
];

/// Everything that can be set. Field by field as in `config/silo.toml`, which documents them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub database: Database,
    pub admin: Admin,
    pub auth: Auth,
    pub http: Http,
    pub scan: Scan,
    pub hooks: Hooks,
    pub events: Events,
    pub runs: Runs,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    #[serde(serialize_with = "masked")]
    pub url: SecretString,
    pub sqlite_path: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    pub username: String,
    #[serde(serialize_with = "masked")]
    pub password: SecretString,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub token_hours: u32,
    #[serde(serialize_with = "masked")]
    pub token_key: SecretString,
    #[serde(serialize_with = "masked")]
    pub seal_key: SecretString,
    pub free_failures_per_account: u32,
    pub free_failures_per_address: u32,
    pub longest_wait_seconds: u32,
    pub open_user_list: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub public_url: String,
    pub request_timeout_seconds: u32,
    pub cors_origins: Vec<String>,
    pub trust_forwarded_for: bool,
    pub shutdown_seconds: u32,
    pub streams: usize,
    pub heartbeat_seconds: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    pub per_minute: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub keep: u32,
    pub keep_days: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    pub schedule: String,
    pub jitter_minutes: u32,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub workers: usize,
    pub concurrency: usize,
    pub connect_timeout_seconds: u32,
    pub request_timeout_seconds: u32,
    pub tries: u32,
    pub longest_wait_seconds: u32,
    pub pages: u32,
    pub pull_reserve: u32,
    pub longest_hours: u32,
    pub hold_percent: u32,
    pub relist_hours: u32,
    pub step_seconds: u32,
    pub wait_seconds: u32,
    pub lease_seconds: u32,
    pub layout_roots: Vec<PathBuf>,
    pub allow_private: bool,
    pub private_hosts: Vec<String>,
    pub keep: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    pub workers: usize,
    pub engine: String,
    pub folder: PathBuf,
    pub local_images: bool,
    pub input_roots: Vec<PathBuf>,
    pub mount_roots: Vec<PathBuf>,
    pub network: RunNetwork,
    pub per_user_running: u32,
    pub per_user_active: u32,
    pub tries: u32,
    pub retry_seconds: u32,
    pub longest_hours: u32,
    pub grace_seconds: u32,
    pub default_cpus: f64,
    pub default_memory_mib: u32,
    pub processes: u32,
    pub log_mib: u32,
    pub output_mib: u32,
    pub upload_mib: u32,
    pub uploads_per_user_mib: u32,
    pub private_hosts: Vec<String>,
    pub keep_files_days: u32,
    pub keep_days: u32,
    pub keep_uploads_days: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunNetwork {
    None,
    Bridge,
    Host,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// What the command line sets.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
}

/// A configuration that cannot be used; the text names the key, the reason and where to look.
#[derive(Debug, thiserror::Error)]
#[error("{0}\nEvery option, its default and its meaning: `silo config --defaults`.")]
pub struct Error(String);

impl Settings {
    /// Reads all layers, the environment of this process among them.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong type or out of range.
    pub fn load(flags: &Flags) -> Result<Self, Error> {
        Self::from_layers(flags, &std::env::vars().collect())
    }

    /// As [`Settings::load`], with the environment given.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn from_layers(flags: &Flags, environment: &HashMap<String, String>) -> Result<Self, Error> {
        let mut layers = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = flags.config.clone().or_else(|| environment.get("SILO_CONFIG").map(PathBuf::from)) {
            layers = layers.add_source(File::from(path).format(FileFormat::Toml));
        }
        let named = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        for (name, key) in SHORT_NAMES {
            if let Some(value) = named(name) {
                layers = layers.set_override(key, value.as_str()).map_err(|why| Error(format!("{name}: {why}")))?;
            }
        }
        let mut general = Environment::with_prefix("SILO")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .source(Some(environment.clone()));
        for list in LISTS {
            general = general.with_list_parse_key(list);
        }
        layers = layers.add_source(general);
        let flag = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        for (key, value) in [("data", flag(&flags.data)), ("listen", flags.listen.clone())] {
            if let Some(value) = value {
                layers = layers.set_override(key, value).map_err(|why| Error(format!("{key}: {why}")))?;
            }
        }
        let settings: Settings = layers
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|why| Error(format!("the configuration cannot be used: {why}")))?;
        settings.check()?;
        Ok(settings)
    }

    /// The compiled-in file with every option.
    pub fn defaults() -> &'static str {
        DEFAULTS
    }

    /// The merged configuration as TOML, secrets masked.
    pub fn show(&self) -> String {
        toml::to_string_pretty(self).expect("settings are plain tables, texts and numbers")
    }

    /// The SQLite file.
    pub fn sqlite_path(&self) -> PathBuf {
        if self.database.sqlite_path.as_os_str().is_empty() {
            self.data.join("silo.db")
        } else {
            self.database.sqlite_path.clone()
        }
    }

    /// A file or folder in the data directory.
    pub fn in_data(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data.join(name)
    }

    fn check(&self) -> Result<(), Error> {
        let zeroes = [
            ("auth.token_hours", u64::from(self.auth.token_hours)),
            ("http.request_timeout_seconds", u64::from(self.http.request_timeout_seconds)),
            ("http.heartbeat_seconds", u64::from(self.http.heartbeat_seconds)),
            ("hooks.per_minute", u64::from(self.hooks.per_minute)),
            ("scan.workers", self.scan.workers as u64),
            ("scan.concurrency", self.scan.concurrency as u64),
            ("scan.connect_timeout_seconds", u64::from(self.scan.connect_timeout_seconds)),
            ("scan.request_timeout_seconds", u64::from(self.scan.request_timeout_seconds)),
            ("scan.tries", u64::from(self.scan.tries)),
            ("scan.pages", u64::from(self.scan.pages)),
            ("scan.longest_hours", u64::from(self.scan.longest_hours)),
            ("scan.keep", u64::from(self.scan.keep)),
            ("runs.per_user_running", u64::from(self.runs.per_user_running)),
            ("runs.per_user_active", u64::from(self.runs.per_user_active)),
            ("runs.tries", u64::from(self.runs.tries)),
            ("runs.longest_hours", u64::from(self.runs.longest_hours)),
            ("runs.log_mib", u64::from(self.runs.log_mib)),
            ("runs.upload_mib", u64::from(self.runs.upload_mib)),
        ];
        if let Some((key, _)) = zeroes.iter().find(|(_, value)| *value == 0) {
            return Err(Error(format!("{key} is 0; it must be at least 1")));
        }
        let public_url = &self.http.public_url;
        let is_http = url::Url::parse(public_url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
        if !public_url.is_empty() && !is_http {
            return Err(Error(format!(
                "http.public_url is '{public_url}'; it must be http(s)://HOST[:PORT][/PATH], or empty"
            )));
        }
        if self.scan.pull_reserve > 100 {
            return Err(Error("scan.pull_reserve is in percent; it must be at most 100".to_owned()));
        }
        if self.scan.lease_seconds < 5 {
            return Err(Error(
                "scan.lease_seconds must be at least 5, or a busy worker would lose its scans".to_owned(),
            ));
        }
        for (key, secret) in [("auth.token_key", &self.auth.token_key), ("auth.seal_key", &self.auth.seal_key)] {
            let text = secret.expose_secret();
            if !text.is_empty() && hex::decode(text).map_or(0, |bytes| bytes.len()) != 32 {
                return Err(Error(format!("{key} must be 64 hexadecimal digits (32 bytes), or empty")));
            }
        }
        let url = self.database.url.expose_secret();
        if !url.is_empty()
            && !["postgres://", "postgresql://", "postgis://"].iter().any(|scheme| url.starts_with(scheme))
        {
            return Err(Error(
                "DATABASE_URL (database.url) must start with postgres://, postgresql:// or postgis://; leave it empty for SQLite"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// Shows that a secret is set, never what it is.
fn masked<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.expose_secret().is_empty() { "" } else { "********" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, Error> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::from_layers(&Flags::default(), &environment)
    }

    #[test]
    fn the_default_file_holds_every_option() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.port(), 9000);
        assert_eq!(settings.sqlite_path(), Path::new("silo-data/silo.db"));
    }

    #[test]
    fn the_environment_overrides_by_short_and_by_general_names() {
        let settings = load(&[
            ("SILO_DATA", "/tmp/x"),
            ("DATABASE_URL", "postgis://u:geheim@h/db?sslmode=disable"),
            ("SILO__SCAN__CONCURRENCY", "3"),
            ("SILO__SCAN__INCLUDE", "*,other/*"),
            ("SILO_ADMIN_PASSWORD", "12345678"),
        ])
        .unwrap();
        assert_eq!(settings.data, Path::new("/tmp/x"));
        assert_eq!(settings.scan.concurrency, 3);
        assert_eq!(settings.scan.include, ["*", "other/*"]);
        assert_eq!(settings.admin.password.expose_secret(), "12345678", "a password of digits stays a text");
        let shown = settings.show();
        assert!(!shown.contains("geheim") && !shown.contains("12345678"), "{shown}");
    }

    #[test]
    fn a_file_overrides_the_defaults_and_flags_override_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silo.toml");
        std::fs::write(&path, "data = 'from-file'\n[scan]\nworkers = 7\n").unwrap();
        let flags = Flags { config: Some(path), data: None, listen: Some("127.0.0.1:1".into()) };
        let settings = Settings::from_layers(&flags, &HashMap::new()).unwrap();
        assert_eq!(
            (settings.data.to_str().unwrap(), settings.scan.workers, settings.listen.port()),
            ("from-file", 7, 1)
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (key, value, expected) in [
            ("SILO__SCAN__WORKERS", "0", "scan.workers"),
            ("SILO__SCAN__NONSENSE", "1", "nonsense"),
            ("SILO__SCAN__PULL_RESERVE", "101", "scan.pull_reserve"),
            ("SILO__AUTH__SEAL_KEY", "abcd", "auth.seal_key"),
            ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
            ("SILO_LISTEN", "9000", "listen"),
        ] {
            let error = load(&[(key, value)]).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{key}: {error}");
        }
    }
}
