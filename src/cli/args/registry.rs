//! Options for registries and their credentials, shared by `publish`, `unpublish`, `pull`, `search` and `image`.
//!
//! Passwords come from standard input, the environment, a terminal, or Docker's configuration. They are never passed as
//! arguments of another program, or printed.

use std::io::{IsTerminal as _, Read as _, stderr, stdin};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

pub(in crate::cli) use super::docker_config::{DockerConfig, HUB_KEY, docker_folder};
use crate::app::remote_images::{RegistryAddress, RegistryLogin};
use crate::engine::docker::TOKEN_USER;
use crate::engine::runtime::RegistryCredentials;

/// Limit of a password's length, in bytes: access tokens of clouds have some thousands.
const LONGEST_PASSWORD: u64 = 64 << 10;
/// User name that Azure Container Registry expects with a token as the password.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Args, Clone, Default)]
pub(in crate::cli) struct RegistryOptions {
    /// The registry: host[:port], or http://host[:port] without TLS [default: Docker Hub]
    #[allow(rustdoc::broken_intra_doc_links, reason = "the comment is help text")]
    #[arg(short, long, value_name = "REGISTRY", help_heading = "Registry")]
    registry: Option<String>,
    /// The organisation: Docker Hub namespace, GitLab GROUP/PROJECT, Harbor project; leave it out if repositories have
    /// none
    #[arg(short = 'O', long, value_name = "ORG", help_heading = "Registry")]
    org: Option<String>,
    #[command(flatten)]
    account: RegistryAccount,
}

/// Credentials for a registry.
#[derive(Args, Clone, Default)]
pub(in crate::cli) struct RegistryAccount {
    /// User name [default: the login that `docker login` stored]
    #[arg(short, long, alias = "user", value_name = "USER", env = "SILO_REGISTRY_USER", help_heading = "Registry")]
    username: Option<String>,
    /// Read the password or access token from standard input [env: SILO_REGISTRY_PASSWORD=]
    #[arg(long, requires = "username", conflicts_with = "password", help_heading = "Registry")]
    password_stdin: bool,
    /// The password: every user of this machine can read it here
    #[arg(short, long, value_name = "PASSWORD", requires = "username", hide = true)]
    password: Option<SecretString>,
    #[arg(long, env = "SILO_REGISTRY_PASSWORD", hide = true, hide_env_values = true)]
    password_variable: Option<SecretString>,
    /// Docker's configuration folder, which holds the logins [default: ~/.docker]
    #[arg(long, value_name = "FOLDER", env = "DOCKER_CONFIG", help_heading = "Registry")]
    docker_config: Option<PathBuf>,
    /// Podman's login file
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide = true)]
    auth_file: Option<PathBuf>,
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true)]
    runtime_folder: Option<PathBuf>,
    /// Cached: standard input can be read only once.
    #[arg(skip)]
    known: OnceLock<SecretString>,
}

/// Credentials for pulling a job's image; `--user` means the job's user there.
#[derive(Args, Clone, Default)]
#[group(skip)]
pub(in crate::cli) struct PullAccount {
    /// User name for pulling the image; the password is in SILO_REGISTRY_PASSWORD [default: the login that `docker
    /// login` stored]
    #[arg(long, value_name = "USER", env = "SILO_REGISTRY_USER", help_heading = "Registry")]
    registry_user: Option<String>,
    #[arg(long, env = "SILO_REGISTRY_PASSWORD", hide = true, hide_env_values = true)]
    registry_password: Option<SecretString>,
    /// Docker's configuration folder, which holds the logins [default: ~/.docker]
    #[arg(long, value_name = "FOLDER", env = "DOCKER_CONFIG", help_heading = "Registry")]
    docker_config: Option<PathBuf>,
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide = true)]
    auth_file: Option<PathBuf>,
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true)]
    runtime_folder: Option<PathBuf>,
}

impl PullAccount {
    /// See [`RegistryAccount::credentials`].
    ///
    /// # Errors
    /// See there.
    pub(in crate::cli) fn credentials(&self, host: &str) -> anyhow::Result<Option<RegistryCredentials>> {
        let Self { registry_user, registry_password, docker_config, auth_file, runtime_folder } = self.clone();
        RegistryAccount {
            username: registry_user,
            password_variable: registry_password,
            docker_config,
            auth_file,
            runtime_folder,
            ..RegistryAccount::default()
        }
        .credentials(host)
    }
}

impl RegistryOptions {
    /// Whether a registry, or a namespace of Docker Hub, was given.
    pub(in crate::cli) fn is_named(&self) -> bool {
        self.registry.is_some() || self.org.is_some()
    }

    /// The registry and namespace; on Docker Hub, the namespace defaults to the user's name.
    ///
    /// # Errors
    /// Docker Hub's namespace is unknown: neither an organisation nor a user was given.
    pub(in crate::cli) fn place(&self) -> anyhow::Result<RegistryAddress> {
        let registry = self.registry.as_deref().unwrap_or_default();
        let org = self.org.as_deref().unwrap_or_default();
        let place = RegistryAddress::new(registry, org);
        if place.is_docker_hub() && place.org.is_empty() {
            let Some(user) = self.account.username.as_deref() else {
                bail!("Docker Hub needs a namespace: give yours with -O (or another registry with -r)");
            };
            return Ok(RegistryAddress::new(registry, user));
        }
        Ok(place)
    }

    pub(in crate::cli) fn account(&self) -> &RegistryAccount {
        &self.account
    }
}

impl RegistryAccount {
    /// Credentials for a host, in the form that an engine takes; `None`: anonymous.
    ///
    /// # Errors
    /// A password is missing, or Docker's configuration cannot be read.
    pub(in crate::cli) fn credentials(&self, host: &str) -> anyhow::Result<Option<RegistryCredentials>> {
        match &self.username {
            Some(user) => {
                let password = match self.known.get() {
                    Some(known) => known.clone(),
                    None => self.password(user, host)?,
                };
                let password = self.known.get_or_init(|| password).clone();
                Ok(Some(RegistryCredentials { username: user.clone(), password }))
            }
            None => self.stored_credentials(host),
        }
    }

    /// Credentials for a host stored by `docker login` or `podman login`, for any user. `REGISTRY_AUTH_FILE` comes
    /// first, then Docker's configuration, then Podman's default locations.
    ///
    /// # Errors
    /// A file exists, but cannot be used.
    pub(in crate::cli) fn stored_credentials(&self, host: &str) -> anyhow::Result<Option<RegistryCredentials>> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        if let Some(file) = given(&self.auth_file)
            && let Some(found) = DockerConfig::read_file(&file)?.credentials(host)?
        {
            return Ok(Some(found));
        }
        if let Some(found) = DockerConfig::read(self.docker_config.as_deref())?.credentials(host)? {
            return Ok(Some(found));
        }
        let runtime = given(&self.runtime_folder);
        let home = crate::config::home_folder().map(|home| home.join(".config"));
        for folder in [runtime, home].into_iter().flatten() {
            if let Some(found) = DockerConfig::read_file(&folder.join("containers/auth.json"))?.credentials(host)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a user was given.
    pub(in crate::cli) fn is_named(&self) -> bool {
        self.username.is_some()
    }

    fn password(&self, user: &str, host: &str) -> anyhow::Result<SecretString> {
        if let Some(password) = &self.password {
            stderrln!(
                "warning: every user of this machine can read a password given with -p; use --password-stdin, \
                 SILO_REGISTRY_PASSWORD or docker login"
            );
            return Ok(password.clone());
        }
        if self.password_stdin {
            let mut text = String::new();
            stdin().lock().take(LONGEST_PASSWORD).read_to_string(&mut text).context("the password cannot be read")?;
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                bail!("standard input holds no password");
            }
            return Ok(text.to_owned().into());
        }
        if let Some(password) = &self.password_variable {
            return Ok(password.clone());
        }
        if let Some(known) = self.stored_credentials(host)?.filter(|known| known.username == user) {
            return Ok(known.password);
        }
        if stdin().is_terminal() && stderr().is_terminal() {
            let asked = rpassword::prompt_password(format!("Password of {user} at {host}: "));
            return Ok(asked.context("the password cannot be read")?.into());
        }
        bail!(
            "{user} needs a password at {host}: give it on standard input with --password-stdin, in \
             SILO_REGISTRY_PASSWORD, or log in with: docker login {host}"
        )
    }
}

/// The same credentials, for our own requests.
pub(in crate::cli) fn login(credentials: Option<&RegistryCredentials>) -> RegistryLogin {
    let Some(credentials) = credentials else { return RegistryLogin::default() };
    // An engine exchanges an identity token for an access token; registries that issue them accept them as passwords,
    // too.
    let username = if credentials.username == TOKEN_USER { NOBODY } else { &credentials.username };
    let password = Some(credentials.password.expose_secret().to_owned().into());
    RegistryLogin { username: username.to_owned(), password }
}
