//! A container that somebody speaks with: by a terminal, or by commands that come on standard input.

use std::pin::Pin;

use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use tokio::io::AsyncWrite;

use super::{Docker, container_id};
use crate::engine::container::Container;
use crate::engine::removal::{Leave, Removal, create};
use crate::engine::runtime::{Ended, Output, Result, Runtime as _};

/// A container that runs, and is removed when this is dropped.
pub struct Session {
    docker: Docker,
    removal: Removal<Docker>,
    /// What it prints. Of a terminal everything is standard output.
    pub output: Output,
    /// What it reads; shut down, it has come to its end. `None`: it was taken.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl Session {
    /// Makes a container and starts it.
    ///
    /// # Errors
    /// The engine's; then there is no container.
    pub async fn open(docker: &Docker, container: &Container) -> Result<Self> {
        let removal = create(docker, container, &Leave::default()).await?;
        match begin(docker, &removal).await {
            Ok((output, input)) => Ok(Self { docker: docker.clone(), removal, output, input: Some(input) }),
            Err(why) => {
                removal.now().await;
                Err(why)
            }
        }
    }

    /// Says how large the terminal is.
    ///
    /// # Errors
    /// The engine's.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let options = ResizeContainerTTYOptionsBuilder::default().h(rows.into()).w(columns.into()).build();
        let id = container_id(self.removal.id())?;
        let resized = self.docker.client.resize_container_tty(id, options).await;
        resized.map_err(|why| self.docker.failure(why).other())
    }

    /// Waits for its end, and removes it.
    ///
    /// # Errors
    /// The engine's; it is removed all the same, if that can be.
    pub async fn end(self) -> Result<Ended> {
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

    /// Ends it at once, and removes it.
    ///
    /// # Errors
    /// The engine's.
    pub async fn stop(self) -> Result<()> {
        self.removal.now().await.map_or(Ok(()), Err)
    }
}

async fn begin(docker: &Docker, removal: &Removal<Docker>) -> Result<(Output, Pin<Box<dyn AsyncWrite + Send>>)> {
    let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    let id = container_id(removal.id())?;
    let attached = docker.client.attach_container(id, Some(options)).await;
    let attached = attached.map_err(|why| docker.failure(why).start())?;
    docker.client.start_container(id, None).await.map_err(|why| docker.failure(why).start())?;
    Ok((docker.chunks(attached.output), attached.input))
}
