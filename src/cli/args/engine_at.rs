//! Which container engine a command uses, by flags and the environment variables of Docker and Podman (precedence as in
//! [`EngineChoice`]), and the image that it runs there.

use std::path::PathBuf;

use clap::Args;

use super::registry::docker_folder;
use crate::engine::docker::{ContainerEngine, DockerClient, EngineChoice};
use crate::engine::runtime::{EngineImage, Result};

#[derive(Args, Clone, Default)]
// Avoids a clash of clap's group names: other commands have a struct of this name.
#[group(skip)]
pub(in crate::cli) struct EngineAt {
    /// Address of the container engine [default: Docker's current context, then the usual sockets of Docker and Podman]
    #[arg(long = "engine", value_name = "ADDRESS", env = "DOCKER_HOST")]
    address: Option<String>,
    /// Docker context of the engine [default: the current one]
    #[arg(long = "engine-context", value_name = "NAME", env = "DOCKER_CONTEXT", hide = true)]
    context: Option<String>,
    /// Podman's variable, used if neither of the above is set.
    #[arg(long = "engine-of-podman", env = "CONTAINER_HOST", hide = true)]
    of_podman: Option<String>,
    #[arg(long = "engine-tls-verify", env = "DOCKER_TLS_VERIFY", hide = true)]
    tls_verify: Option<String>,
    #[arg(long = "engine-cert-path", env = "DOCKER_CERT_PATH", hide = true)]
    cert_path: Option<PathBuf>,
    #[arg(long = "engine-config", env = "DOCKER_CONFIG", hide = true)]
    config: Option<PathBuf>,
}

impl EngineAt {
    /// # Errors
    /// See [`EngineChoice::open`].
    pub(in crate::cli) async fn open(&self) -> Result<DockerClient> {
        self.choice().open().await
    }

    pub(in crate::cli) fn choice(&self) -> EngineChoice {
        EngineChoice {
            address: self.address.clone(),
            context: self.context.clone(),
            of_podman: self.of_podman.clone(),
            tls_verify: self.tls_verify.clone(),
            certificates: self.cert_path.clone(),
            docker_folder: docker_folder(self.config.as_deref()),
        }
    }
}

/// The container engine, and the image there.
pub(in crate::cli) struct EngineWithImage {
    pub engine: ContainerEngine,
    /// As the engine describes it.
    pub image: EngineImage,
}
