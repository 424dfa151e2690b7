//! The container engine of this machine, opened when somebody needs it.

use super::{App, Error, Result};
use crate::engine::docker::Docker;
use crate::engine::hold::may_mount;
use crate::engine::runtime::{self, Engine, Runtime as _};

/// Where it is tried whether we may mount.
pub(super) const PROBE: &str = "probe";

/// The engine, and what it has.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub docker: Docker,
    pub engine: Engine,
    /// Whether runs can be given folders by mounts of ours: see [`crate::engine::hold`].
    pub holds: bool,
}

impl App {
    /// The engine; what is known of it is kept until it fails.
    ///
    /// # Errors
    /// [`runtime::Error::NoEngine`] among others, saying what to do.
    pub(super) async fn machine(&self) -> runtime::Result<Machine> {
        let mut kept = self.0.machine.lock().await;
        if let Some(machine) = &*kept {
            return Ok(machine.clone());
        }
        let address = Some(self.settings().runs.engine.as_str()).filter(|address| !address.is_empty());
        let docker = Docker::open(address).await?;
        let place = self.held_folder().join(PROBE);
        let may_mount = tokio::task::spawn_blocking(move || may_mount(&place)).await.unwrap_or_default();
        let holds = may_mount && docker.sees_our_mounts().await;
        let machine = Machine { engine: docker.engine().await?, docker, holds };
        *kept = Some(machine.clone());
        Ok(machine)
    }

    /// The engine, asked whether it is there: for somebody who is about to rely on it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with what is missing and how to get it.
    pub(super) async fn machine_that_answers(&self) -> Result<Machine> {
        let in_words = |why: runtime::Error| Error::Unavailable(format!("Jobs cannot be run here: {why}"));
        let machine = self.machine().await.map_err(in_words)?;
        match machine.docker.engine().await {
            Ok(engine) => Ok(Machine { engine, ..machine }),
            Err(_) => {
                self.machine_forget().await;
                self.machine().await.map_err(in_words)
            }
        }
    }

    /// The engine has failed: whoever needs it next opens it anew.
    pub(super) async fn machine_forget(&self) {
        *self.0.machine.lock().await = None;
    }
}
