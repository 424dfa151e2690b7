//! An interactive container: a terminal, or commands on standard input.

use std::pin::Pin;

use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use tokio::io::AsyncWrite;

use super::{DockerClient, container_id};
use crate::engine::plan::container::ContainerSpec;
use crate::engine::run::removal_guard::{ContainerGuard, KeepContainer, create};
use crate::engine::runtime::{ContainerExit, ContainerOutput, ContainerRuntime as _, Result};

/// A running container with attached input; it is removed on drop.
pub struct ContainerSession {
    docker: DockerClient,
    removal: ContainerGuard<DockerClient>,
    /// Its output. A terminal has standard output only.
    pub output: ContainerOutput,
    /// Its standard input; shutting it down sends EOF. `None`: it was taken.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl ContainerSession {
    /// Creates and starts a container.
    ///
    /// # Errors
    /// The engine's; the container is removed then.
    pub async fn open(docker: &DockerClient, container: &ContainerSpec) -> Result<Self> {
        let removal = create(docker, container, &KeepContainer::default()).await?;
        match begin(docker, &removal).await {
            Ok((output, input)) => Ok(Self { docker: docker.clone(), removal, output, input: Some(input) }),
            Err(why) => {
                removal.now().await;
                Err(why)
            }
        }
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// The engine's.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let options = ResizeContainerTTYOptionsBuilder::default().h(rows.into()).w(columns.into()).build();
        let id = container_id(self.removal.id())?;
        let resized = self.docker.client.resize_container_tty(id, options).await;
        resized.map_err(|why| self.docker.failure(why).other())
    }

    /// Waits for the exit, then removes the container.
    ///
    /// # Errors
    /// The engine's; removal is attempted in any case.
    pub async fn end(self) -> Result<ContainerExit> {
        let id = self.removal.id();
        let ended = match self.docker.wait(id).await {
            // What was printed is on the user's terminal.
            Ok(ended) => self.docker.not_begun(id, ended.exit_code, "").await.map_or(Ok(ended), Err),
            failed => failed,
        };
        let removed = self.removal.now().await;
        let ended = ended?;
        removed.map_or(Ok(ended), Err)
    }

    /// Kills and removes the container.
    ///
    /// # Errors
    /// The engine's.
    pub async fn stop(self) -> Result<()> {
        self.removal.now().await.map_or(Ok(()), Err)
    }
}

async fn begin(
    docker: &DockerClient,
    removal: &ContainerGuard<DockerClient>,
) -> Result<(ContainerOutput, Pin<Box<dyn AsyncWrite + Send>>)> {
    let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    let id = container_id(removal.id())?;
    let attached = docker.client.attach_container(id, Some(options)).await;
    let attached = attached.map_err(|why| docker.failure(why).start())?;
    docker.client.start_container(id, None).await.map_err(|why| docker.failure(why).start())?;
    Ok((docker.chunks(attached.output), attached.input))
}
