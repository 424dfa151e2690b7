//! The sections of `config/silo.toml`, which documents their options.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Options of the section `[database]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    #[serde(serialize_with = "masked")]
    pub url: SecretString,
    pub password_file: PathBuf,
    pub sqlite_path: PathBuf,
}

/// Options of the section `[admin]`: the first user.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    pub username: String,
    #[serde(serialize_with = "masked")]
    pub password: SecretString,
}

/// Options of the section `[auth]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    pub token_hours: u32,
    #[serde(serialize_with = "masked")]
    pub token_key: SecretString,
    #[serde(serialize_with = "masked")]
    pub seal_key: SecretString,
    pub free_failures_per_account: u32,
    pub free_failures_per_address: u32,
    pub longest_wait_seconds: u32,
    pub open_user_list: bool,
    pub open_remote_images: bool,
    pub remote_images_per_minute: u32,
}

/// Options of the section `[http]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    pub public_url: String,
    pub request_timeout_seconds: u32,
    pub cors_origins: Vec<String>,
    pub trust_forwarded_for: bool,
    pub shutdown_seconds: u32,
    pub connections: usize,
    pub connections_per_address: usize,
    pub idle_seconds: u32,
    pub stalled_seconds: u32,
    pub body_mib: usize,
    pub streams: usize,
    pub streams_per_client: usize,
    pub heartbeat_seconds: u32,
}

/// Options of the section `[hooks]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    pub per_minute: u32,
}

/// Options of the section `[events]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    pub keep: u32,
    pub keep_days: u32,
}

/// Options of the section `[scan]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScanSettings {
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

/// Options of the section `[runs]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    pub workers: usize,
    pub engine: String,
    pub engine_context: String,
    pub engine_certificates: PathBuf,
    pub folder: PathBuf,
    pub local_images: bool,
    pub input_roots: Vec<PathBuf>,
    pub mount_roots: Vec<PathBuf>,
    pub network: RunNetwork,
    pub bridge_registries: Vec<String>,
    pub per_user_running: u32,
    pub per_user_active: u32,
    pub tries: u32,
    pub retry_seconds: u32,
    pub longest_hours: u32,
    pub grace_seconds: u32,
    pub default_cpus: f64,
    pub default_memory_mib: u32,
    pub most_cpus: f64,
    pub most_memory_mib: u32,
    pub most_gpus: u32,
    pub processes: u32,
    pub log_mib: u32,
    pub output_mib: u32,
    pub capture_minutes: u32,
    pub fetch_seconds: u32,
    pub reserve_mib: u32,
    pub purge_after_hours: u32,
    pub upload_mib: u32,
    pub uploads_per_user_mib: u32,
    pub private_hosts: Vec<String>,
    pub keep_files_days: u32,
    pub keep_days: u32,
    pub keep_uploads_days: u32,
}

/// The network of runs' containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunNetwork {
    None,
    Bridge,
    Host,
}

/// Options of the section `[search]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    pub synonyms: PathBuf,
}

/// Options of the section `[log]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    pub filter: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl RunSettings {
    /// Checks that no root lies in a mount root: a job that mounts the outer one could replace the inner one.
    pub(super) fn check_roots(&self) -> Result<(), String> {
        for (key, roots) in [("runs.input_roots", &self.input_roots), ("runs.mount_roots", &self.mount_roots)] {
            let inner = roots.iter().find_map(|root| {
                let outer = self.mount_roots.iter().find(|outer| root != *outer && root.starts_with(outer))?;
                Some((root.display(), outer.display()))
            });
            if let Some((inner, outer)) = inner {
                return Err(format!(
                    "{key} has {inner}, which is below {outer} in runs.mount_roots: a job that mounts {outer} could \
                     replace it; list only one of them, or move one"
                ));
            }
        }
        Ok(())
    }
}

impl DatabaseSettings {
    /// Inserts the password from the file into the address.
    pub(super) fn read_password(&mut self) -> Result<(), String> {
        if self.password_file.as_os_str().is_empty() {
            return Ok(());
        }
        let wrong = |why: &str| format!("database.password_file ({}): {why}", self.password_file.display());
        let password = std::fs::read_to_string(&self.password_file).map_err(|why| {
            wrong(&format!("the file cannot be read: {why}; it must be readable for the user that runs SILO"))
        })?;
        let password = SecretString::from(password.trim_end_matches(['\r', '\n']));
        let mut url = url::Url::parse(self.url.expose_secret())
            .map_err(|_| wrong("it needs an address in database.url (DATABASE_URL), which is empty"))?;
        url.set_password(Some(password.expose_secret()))
            .map_err(|()| wrong("the address in database.url has no host, so it cannot have a password"))?;
        self.url = SecretString::from(String::from(url));
        Ok(())
    }
}

/// Serializes whether a secret is set, never its value.
fn masked<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.expose_secret().is_empty() { "" } else { "********" })
}
