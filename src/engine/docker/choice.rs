//! Which container engine is spoken to: the one that is named, else that of Docker's context, else Podman's own. As `docker` has it: an
//! address goes before a context, and an empty text is none. Who asks knows where these come from: flags, variables, a configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{DockerClient, EngineAddress, EngineTls};
use crate::engine::runtime::{Error, Result};

/// The name of the context that is none.
const DEFAULT: &str = "default";

/// What names an engine, in the order in which it counts.
#[derive(Clone, Debug, Default)]
pub struct EngineChoice {
    pub address: Option<String>,
    /// One of Docker's contexts.
    pub context: Option<String>,
    /// Podman's address, for who has neither.
    pub of_podman: Option<String>,
    /// Whether TLS is done with an address: any text that is not empty switches it on.
    pub tls_verify: Option<String>,
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`, if it is not Docker's.
    pub certificates: Option<PathBuf>,
    /// Docker's folder, with its contexts and the name of the current one.
    pub docker_folder: Option<PathBuf>,
}

/// Docker's `config.json`, as far as it is about contexts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContextConfig {
    current_context: Option<String>,
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

impl EngineChoice {
    /// # Errors
    /// [`Error::Address`] for an address, a context or certificates that cannot be used; [`Error::NoEngine`].
    pub async fn open(&self) -> Result<DockerClient> {
        DockerClient::open_at(self.engine_address()?).await
    }

    /// Options that the `docker` command needs to reach this engine; none if it finds the engine by itself. `found` is the address
    /// of the engine in use.
    pub fn docker_options(&self, found: Option<&str>) -> Vec<String> {
        /// The address that `docker` uses by default.
        const USUAL: &str = "unix:///var/run/docker.sock";
        let named = self.engine_address().ok().flatten();
        let address = named.as_ref().map(|address| &*address.url).or(found);
        let Some(address) = address.filter(|address| *address != USUAL) else { return Vec::new() };
        let mut options = vec!["-H".to_owned(), address.to_owned()];
        if let Some(tls) = named.as_ref().and_then(|address| address.tls.as_ref()) {
            let file = |name: &str| tls.folder.join(name).display().to_string();
            options.push("--tlsverify".to_owned());
            for (option, name) in [("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")] {
                options.extend([option.to_owned(), file(name)]);
            }
        }
        options
    }

    /// `None`: none is named anywhere.
    fn engine_address(&self) -> Result<Option<EngineAddress>> {
        let of_podman = || given(self.of_podman.as_ref()).map(|url| EngineAddress { url, tls: None });
        Ok(self.of_docker()?.or_else(of_podman))
    }

    fn of_docker(&self) -> Result<Option<EngineAddress>> {
        if let Some(url) = given(self.address.as_ref()) {
            let tls = given(self.tls_verify.as_ref()).map(|_| self.tls()).transpose()?;
            return Ok(Some(EngineAddress { url, tls }));
        }
        let Some(folder) = &self.docker_folder else { return Ok(None) };
        let name = match given(self.context.as_ref()) {
            Some(name) => name,
            None => current_context(folder)?,
        };
        if name.is_empty() || name == DEFAULT { Ok(None) } else { context(folder, &name) }
    }

    fn tls(&self) -> Result<EngineTls> {
        let own = self.certificates.clone().filter(|path| !path.as_os_str().is_empty());
        own.or_else(|| self.docker_folder.clone()).map(|folder| EngineTls { folder }).ok_or_else(|| {
            unusable(
                "DOCKER_TLS_VERIFY is set: set DOCKER_CERT_PATH, too, to the folder of ca.pem, cert.pem and key.pem",
            )
        })
    }
}

fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// Empty for none.
fn current_context(folder: &Path) -> Result<String> {
    let path = folder.join("config.json");
    let text = match std::fs::read_to_string(&path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        read => read.map_err(|why| unusable(format!("{} cannot be read: {why}", path.display())))?,
    };
    // What a parser says may quote what it read, and that may be a password.
    let config: ContextConfig = serde_json::from_str(&text).map_err(|why| {
        let (line, column) = (why.line(), why.column());
        unusable(format!("{} is not valid JSON for this file (line {line}, column {column})", path.display()))
    })?;
    Ok(config.current_context.unwrap_or_default())
}

/// A context is kept in folders that are called after the digest of its name.
fn context(folder: &Path, name: &str) -> Result<Option<EngineAddress>> {
    let id = hex::encode(Sha256::digest(name));
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = std::fs::read_to_string(&path).map_err(|why| {
        unusable(format!(
            "Docker's context '{}' cannot be read ({}: {why}); check docker context ls, DOCKER_CONTEXT and DOCKER_HOST",
            name.escape_debug(),
            path.display()
        ))
    })?;
    let meta: ContextMeta = serde_json::from_str(&text).map_err(|why| {
        unusable(format!("Docker's context '{}' cannot be used ({}: {why})", name.escape_debug(), path.display()))
    })?;
    let ContextEndpoint { host: url, skip_tls_verify } = meta.endpoints.docker;
    if url.is_empty() {
        return Ok(None);
    }
    let certificates = folder.join("contexts/tls").join(&id).join("docker");
    let tls = certificates.is_dir().then_some(EngineTls { folder: certificates });
    if skip_tls_verify && tls.is_some() {
        return Err(unusable(format!(
            "Docker's context '{}' uses TLS without verifying the engine's certificate, which silo does not support: \
             give the context the engine's CA certificate (docker context update)",
            name.escape_debug()
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

    fn at(folder: &Path) -> EngineChoice {
        EngineChoice { docker_folder: Some(folder.to_owned()), ..EngineChoice::default() }
    }

    fn add_context(folder: &Path, name: &str, meta: &str) -> PathBuf {
        let id = hex::encode(Sha256::digest(name));
        let meta_folder = folder.join("contexts/meta").join(&id);
        std::fs::create_dir_all(&meta_folder).unwrap();
        std::fs::write(meta_folder.join("meta.json"), meta).unwrap();
        folder.join("contexts/tls").join(&id).join("docker")
    }

    fn url(at: &EngineChoice) -> Option<String> {
        at.engine_address().unwrap().map(|address| address.url)
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
        assert_eq!(at.docker_options(Some("unix:///var/run/docker.sock")), [""; 0], "docker finds it by itself");
        assert_eq!(at.docker_options(Some("unix:///run/podman/podman.sock"))[1], "unix:///run/podman/podman.sock");
        at.of_podman = Some("unix:///podman.sock".to_owned());
        assert_eq!(url(&at).as_deref(), Some("unix:///podman.sock"));
        at.address = Some("tcp://engine:2375".to_owned());
        at.context = Some("none-such".to_owned());
        assert_eq!(url(&at).as_deref(), Some("tcp://engine:2375"));
        at.address = None;
        let why = at.engine_address().unwrap_err().to_string();
        assert!(why.contains("'none-such'") && why.contains("docker context ls"), "{why}");
    }

    #[test]
    fn tls_is_done_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = at(folder.path());
        at.address = Some("tcp://engine:2376".to_owned());
        at.tls_verify = Some(String::new());
        assert_eq!(at.engine_address().unwrap().unwrap().tls, None);
        at.tls_verify = Some("0".to_owned());
        assert_eq!(at.engine_address().unwrap().unwrap().tls.unwrap().folder, folder.path(), "any text switches it on");
        at.certificates = Some("/certs".into());
        assert_eq!(at.engine_address().unwrap().unwrap().tls.unwrap().folder, Path::new("/certs"));
        let line = at.docker_options(None).join(" ");
        let certificates = "--tlscacert /certs/ca.pem --tlscert /certs/cert.pem --tlskey /certs/key.pem";
        assert_eq!(line, format!("-H tcp://engine:2376 --tlsverify {certificates}"));
        let mut of_context = self::at(folder.path());
        of_context.context = Some("far".to_owned());
        let host = |skip| format!(r#"{{"Endpoints":{{"docker":{{"Host":"tcp://far:2376","SkipTLSVerify":{skip}}}}}}}"#);
        let certificates = add_context(folder.path(), "far", &host(false));
        std::fs::create_dir_all(&certificates).unwrap();
        assert_eq!(of_context.engine_address().unwrap().unwrap().tls.unwrap().folder, certificates);
        add_context(folder.path(), "far", &host(true));
        assert!(of_context.engine_address().unwrap_err().to_string().contains("without verifying"));
    }
}
