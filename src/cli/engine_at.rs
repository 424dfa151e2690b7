//! Which container engine a command speaks to: the one that is named, else that of Docker's context, else the first that is
//! found on this machine. As `docker` has it: an address goes before a context, and an empty variable is none.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::manifest_file::shown;
use super::place::{DockerConfig, docker_folder};
use super::render::tame;
use crate::engine::docker::{Docker, EngineAddress, EngineTls};
use crate::engine::runtime::{Error, Result};

/// The name of the context that is none.
const DEFAULT: &str = "default";

#[derive(Args, Clone, Default)]
// Commands' own structures may have this name too.
#[group(skip)]
pub(super) struct EngineAt {
    /// Address of the container engine; without one that of Docker's context, or the usual sockets of Docker and Podman
    #[arg(long = "engine", value_name = "ADDRESS", env = "DOCKER_HOST")]
    address: Option<String>,
    /// The context of Docker that names the engine [default: the current one]
    #[arg(long = "engine-context", value_name = "NAME", env = "DOCKER_CONTEXT", hide = true)]
    context: Option<String>,
    /// Podman's own variable, for who has neither.
    #[arg(long = "engine-of-podman", env = "CONTAINER_HOST", hide = true)]
    of_podman: Option<String>,
    #[arg(long = "engine-tls-verify", env = "DOCKER_TLS_VERIFY", hide = true)]
    tls_verify: Option<String>,
    #[arg(long = "engine-cert-path", env = "DOCKER_CERT_PATH", hide = true)]
    cert_path: Option<PathBuf>,
    #[arg(long = "engine-config", env = "DOCKER_CONFIG", hide = true)]
    config: Option<PathBuf>,
}

/// `meta.json` of a context, as far as it is about Docker's engine.
#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: ContextEndpoints,
}

#[derive(Default, Deserialize)]
struct ContextEndpoints {
    #[serde(default)]
    docker: ContextEndpoint,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContextEndpoint {
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl EngineAt {
    /// # Errors
    /// [`Error::Address`] for an address, a context or certificates that cannot be used; [`Error::NoEngine`].
    pub(super) async fn open(&self) -> Result<Docker> {
        Docker::open_at(self.address()?).await
    }

    /// The address that was named; an empty one is none.
    pub(super) fn named(&self) -> Option<&str> {
        self.address.as_deref().filter(|address| !address.is_empty())
    }

    /// `None`: none is named anywhere.
    fn address(&self) -> Result<Option<EngineAddress>> {
        let of_podman = || {
            let url = self.of_podman.clone().filter(|url| !url.is_empty());
            url.map(|url| EngineAddress { url, tls: None })
        };
        Ok(self.of_docker()?.or_else(of_podman))
    }

    fn of_docker(&self) -> Result<Option<EngineAddress>> {
        if let Some(url) = self.named() {
            let tls = self.wants_tls().then(|| self.certificates()).transpose()?;
            return Ok(Some(EngineAddress { url: url.to_owned(), tls }));
        }
        let Some(folder) = docker_folder(self.config.as_deref()) else { return Ok(None) };
        let named = self.context.clone().filter(|name| !name.is_empty());
        let name = match named {
            Some(name) => name,
            None => DockerConfig::read(Some(&folder)).map_err(|why| unusable(format!("{why:#}")))?.current_context(),
        };
        if name.is_empty() || name == DEFAULT { Ok(None) } else { context(&folder, &name) }
    }

    /// Any text switches it on, as for Docker.
    fn wants_tls(&self) -> bool {
        self.tls_verify.as_deref().is_some_and(|text| !text.is_empty())
    }

    fn certificates(&self) -> Result<EngineTls> {
        let own = self.cert_path.clone().filter(|path| !path.as_os_str().is_empty());
        let folder = own.or_else(|| docker_folder(self.config.as_deref()));
        folder.map(|folder| EngineTls { folder }).ok_or_else(|| {
            unusable(
                "DOCKER_TLS_VERIFY is set: set DOCKER_CERT_PATH, too, to the folder of ca.pem, cert.pem and key.pem",
            )
        })
    }
}

/// A context is kept in folders that are called after the digest of its name.
fn context(folder: &Path, name: &str) -> Result<Option<EngineAddress>> {
    let id = hex::encode(Sha256::digest(name));
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = std::fs::read_to_string(&path).map_err(|why| {
        unusable(format!(
            "Docker has no context '{}' that can be read ({}: {why}); look at docker context ls, DOCKER_CONTEXT and DOCKER_HOST",
            tame(name),
            shown(&path)
        ))
    })?;
    let meta: ContextMeta = serde_json::from_str(&text).map_err(|why| {
        unusable(format!("Docker's context '{}' cannot be used ({}: {why})", tame(name), shown(&path)))
    })?;
    let ContextEndpoint { host: url, skip_tls_verify } = meta.endpoints.docker;
    if url.is_empty() {
        return Ok(None);
    }
    let certificates = folder.join("contexts/tls").join(&id).join("docker");
    let tls = certificates.is_dir().then_some(EngineTls { folder: certificates });
    if skip_tls_verify && tls.is_some() {
        return Err(unusable(format!(
            "Docker's context '{}' has TLS without a check of the engine's certificate, which silo does not do: give the context the \
             engine's authority (docker context update)",
            tame(name)
        )));
    }
    Ok(Some(EngineAddress { url, tls }))
}

fn unusable(reason: impl Into<String>) -> Error {
    Error::Address { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &Path) -> EngineAt {
        EngineAt { config: Some(folder.to_owned()), ..EngineAt::default() }
    }

    fn add_context(folder: &Path, name: &str, meta: &str) -> PathBuf {
        let id = hex::encode(Sha256::digest(name));
        let meta_folder = folder.join("contexts/meta").join(&id);
        std::fs::create_dir_all(&meta_folder).unwrap();
        std::fs::write(meta_folder.join("meta.json"), meta).unwrap();
        folder.join("contexts/tls").join(&id).join("docker")
    }

    fn url(at: &EngineAt) -> Option<String> {
        at.address().unwrap().map(|address| address.url)
    }

    #[test]
    fn an_address_goes_before_a_context_and_the_variable_before_the_current_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = at(folder.path());
        assert_eq!(url(&at), None, "there is no configuration");
        for name in ["one", "two"] {
            let meta = format!(
                r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"unix:///{name}.sock"}}}}}}"#
            );
            add_context(folder.path(), name, &meta);
        }
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"one","auths":null}"#).unwrap();
        assert_eq!(url(&at).as_deref(), Some("unix:///one.sock"));
        at.context = Some("two".to_owned());
        assert_eq!(url(&at).as_deref(), Some("unix:///two.sock"));
        at.context = Some(String::new());
        at.address = Some(String::new());
        assert_eq!(url(&at).as_deref(), Some("unix:///one.sock"), "empty variables are none");
        at.context = Some(DEFAULT.to_owned());
        assert_eq!(url(&at), None);
        at.of_podman = Some("unix:///podman.sock".to_owned());
        assert_eq!(url(&at).as_deref(), Some("unix:///podman.sock"));
        at.address = Some("tcp://engine:2375".to_owned());
        at.context = Some("none-such".to_owned());
        assert_eq!(url(&at).as_deref(), Some("tcp://engine:2375"));
        at.address = None;
        let why = at.address().unwrap_err().to_string();
        assert!(why.contains("'none-such'") && why.contains("docker context ls"), "{why}");
    }

    #[test]
    fn tls_is_done_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = at(folder.path());
        at.address = Some("tcp://engine:2376".to_owned());
        at.tls_verify = Some(String::new());
        assert_eq!(at.address().unwrap().unwrap().tls, None);
        at.tls_verify = Some("0".to_owned());
        assert_eq!(at.address().unwrap().unwrap().tls.unwrap().folder, folder.path(), "any text switches it on");
        at.cert_path = Some("/certs".into());
        assert_eq!(at.address().unwrap().unwrap().tls.unwrap().folder, Path::new("/certs"));
        let mut of_context = self::at(folder.path());
        of_context.context = Some("far".to_owned());
        let host = |skip| format!(r#"{{"Endpoints":{{"docker":{{"Host":"tcp://far:2376","SkipTLSVerify":{skip}}}}}}}"#);
        let certificates = add_context(folder.path(), "far", &host(false));
        std::fs::create_dir_all(&certificates).unwrap();
        assert_eq!(of_context.address().unwrap().unwrap().tls.unwrap().folder, certificates);
        add_context(folder.path(), "far", &host(true));
        assert!(of_context.address().unwrap_err().to_string().contains("without a check"));
    }
}
