//! Address of a container engine, and connecting to it.

use std::path::{Path, PathBuf};

use bollard::API_DEFAULT_VERSION;

use super::{ANSWER, failure};
use crate::engine::runtime::{Error, Result};

/// The address of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// `unix:///…`, `tcp://HOST:PORT`, `https://HOST:PORT`.
    pub url: String,
    /// TLS credentials; `None`: an address that needs TLS is refused.
    pub tls: Option<EngineTls>,
}

/// Client key and certificate, and the CA of the engine's certificate: PEM files with Docker's names, `ca.pem`,
/// `cert.pem`, `key.pem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineTls {
    pub folder: PathBuf,
}

impl EngineAddress {
    pub(super) fn connect(&self) -> Result<bollard::Docker> {
        let url = self.url.as_str();
        let (seconds, version) = (ANSWER.as_secs(), API_DEFAULT_VERSION);
        let is_tcp = ["tcp://", "http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
        let opened = match &self.tls {
            Some(tls) if is_tcp => {
                let [ca, certificate, key] = tls.files()?;
                bollard::Docker::connect_with_ssl(url, &key, &certificate, &ca, seconds, version)
            }
            None if url.starts_with("https://") => {
                return Err(unusable(format!(
                    "the engine's address {url} needs TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the \
                     folder with ca.pem, cert.pem and key.pem (of a service: runs.engine_certificates)"
                )));
            }
            None if is_tcp => bollard::Docker::connect_with_http(url, seconds, version),
            // A local socket: TLS is not needed.
            _ if url.starts_with('/') || url.starts_with("unix://") => {
                bollard::Docker::connect_with_socket(url, seconds, version)
            }
            _ => return Err(self.unsupported_scheme()),
        };
        opened.map_err(|why| Error::NoEngine { address: self.url.clone(), reason: failure::words(&why) })
    }

    fn unsupported_scheme(&self) -> Error {
        let url = &self.url;
        match url.strip_prefix("ssh://") {
            Some(host) => unusable(format!(
                "silo does not open SSH connections ({url}). Open one yourself: ssh -nNT -L \
                 /tmp/docker.sock:/var/run/docker.sock {host}, and set DOCKER_HOST=unix:///tmp/docker.sock. Files of \
                 jobs must have the same paths on both machines"
            )),
            None => unusable(format!("'{url}' is not an engine address: write unix:///PATH or tcp://HOST:PORT")),
        }
    }
}

impl EngineTls {
    fn files(&self) -> Result<[PathBuf; 3]> {
        let files = ["ca.pem", "cert.pem", "key.pem"].map(|name| self.folder.join(name));
        match files.iter().find(|file| !file.is_file()) {
            None => Ok(files),
            Some(missing) => Err(unusable(format!(
                "TLS to the engine needs {}, which does not exist: set DOCKER_CERT_PATH to the folder of ca.pem, \
                 cert.pem and key.pem",
                shown(missing)
            ))),
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unusable(reason: String) -> Error {
    Error::Address { reason }
}
