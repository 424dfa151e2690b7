//! The container engine of this machine, opened on first use.

use super::{App, Error, Result};
use crate::config::ServiceSettings;
use crate::engine::docker::{ContainerEngine, EngineChoice};
use crate::engine::runtime::{self, ContainerRuntime as _};

/// Name of the folder in which it is tried whether mounting is permitted.
pub(super) const PROBE: &str = "probe";

/// Which engine a configuration names: its options go before the variables of Docker and Podman.
pub(super) fn engine_choice(settings: &ServiceSettings) -> EngineChoice {
    let (runs, variables) = (&settings.runs, settings.engine_variables.clone());
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let has_certificates = !runs.engine_certificates.as_os_str().is_empty();
    let [address, context] = [&runs.engine, &runs.engine_context].map(given);
    EngineChoice {
        address: address.or_else(|| variables.docker_host.filter(|_| context.is_none())),
        context: context.or(variables.docker_context),
        of_podman: variables.container_host,
        tls_verify: if has_certificates { Some("1".to_owned()) } else { variables.docker_tls_verify },
        certificates: if has_certificates {
            Some(runs.engine_certificates.clone())
        } else {
            variables.docker_cert_path
        },
        docker_folder: variables.docker_folder,
    }
}

impl App {
    /// The engine, opened once and cached until it fails.
    ///
    /// # Errors
    /// [`runtime::Error::NoEngine`] among others, with advice.
    pub(super) async fn machine(&self) -> runtime::Result<ContainerEngine> {
        let mut kept = self.0.machine.lock().await;
        if let Some(machine) = &*kept {
            return Ok(machine.clone());
        }
        let machine = ContainerEngine::of(engine_choice(self.settings()).open().await?).await?;
        let machine = machine.probe_held_paths(self.held_folder().join(PROBE)).await;
        *kept = Some(machine.clone());
        Ok(machine)
    }

    /// The engine, once it has answered: for callers that are about to rely on it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with what is missing and how to get it.
    pub(super) async fn engine_require(&self) -> Result<ContainerEngine> {
        let in_words = |why: runtime::Error| Error::Unavailable(format!("Jobs cannot be run here: {why}"));
        let machine = self.machine().await.map_err(in_words)?;
        match machine.docker.engine().await {
            Ok(facts) => Ok(ContainerEngine { facts, ..machine }),
            Err(_) => {
                self.engine_forget().await;
                self.machine().await.map_err(in_words)
            }
        }
    }

    /// Drops the cached engine after a failure; the next use opens it anew.
    pub(super) async fn engine_forget(&self) {
        *self.0.machine.lock().await = None;
    }
}
