//! The image of a run: found in the catalogue, or at the engine.

use super::super::{App, Error, Result};
use super::RequestedImage;
use crate::catalog::CatalogueImage;
use crate::engine::docker::ContainerEngine;
use crate::engine::runtime::{self, ContainerRuntime as _, RegistryCredentials};
use crate::seed::image_reference::ImageReference;
use crate::seed::model::SeedManifest;
use crate::seed::validate::{self, ValidationRules};
use crate::seed::{LABEL, label};

/// An image that can be run.
#[derive(Clone, Debug)]
pub(super) struct RunnableImage {
    /// As the user named it.
    pub name: String,
    /// The reference for the engine: by digest, or by the engine's id.
    pub pinned: ImageReference,
    pub registry: Option<i64>,
    pub digest: Option<String>,
    pub manifest: SeedManifest,
}

impl App {
    /// Finds the image. Unknown images are not pulled.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for an image that cannot be run, with the reason.
    pub(super) async fn run_subject(
        &self,
        asked: &RequestedImage,
        machine: Option<&ContainerEngine>,
    ) -> Result<RunnableImage> {
        let (known, name) = match asked {
            RequestedImage::Id(id) => {
                let image = self.image_get(*id).await?;
                let name = image.pull_reference();
                (Some(image), name)
            }
            RequestedImage::Reference(name) if name.trim().is_empty() => {
                return Err(Error::Invalid("image is missing: give the image to run".to_owned()));
            }
            RequestedImage::Reference(name) => (self.image_by_reference(name).await?, name.clone()),
        };
        if let Some(image) = known.as_ref().filter(|image| !image.registry.is_empty()) {
            return of_catalogue(image);
        }
        let may_be_local = self.settings().runs.local_images && !self.is_of_hidden_registry(&name).await?;
        let locals = machine.filter(|_| may_be_local);
        if let Some(machine) = locals
            && let Some(subject) = of_engine(machine, &name).await?
        {
            return Ok(subject);
        }
        Err(match known {
            Some(_) => Error::Invalid(format!(
                "{name} is in an image layout on the disk, which the container engine cannot pull from: load it into the engine \
                 (`skopeo copy oci:FOLDER:TAG docker-daemon:{name}`), or push it to a registry"
            )),
            None => Error::NotFound(format!(
                "The image {name} is neither in the catalogue nor in the container engine: scan its registry first, \
                 or pull it"
            )),
        })
    }

    /// Credentials for pulling from a registry.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the stored password cannot be read.
    pub(super) async fn run_credentials(&self, registry: Option<i64>) -> Result<Option<RegistryCredentials>> {
        match registry {
            Some(id) => self.registry_credentials(crate::catalog::RegistryId(id)).await,
            None => Ok(None),
        }
    }
}

fn of_catalogue(image: &CatalogueImage) -> Result<RunnableImage> {
    let name = image.pull_reference();
    if !image.facts.valid {
        return Err(invalid(&name));
    }
    Ok(RunnableImage {
        pinned: reference(&image.pinned_reference())?,
        registry: Some(image.registry_id.0),
        digest: Some(image.digest.clone()),
        manifest: SeedManifest::parse(&image.facts.manifest).map_err(|_| invalid(&name))?,
        name,
    })
}

/// `None`: the engine has no image of this name.
async fn of_engine(machine: &ContainerEngine, name: &str) -> Result<Option<RunnableImage>> {
    let image = match machine.docker.image(&reference(name)?).await {
        Ok(image) => image,
        Err(runtime::Error::NoImage { .. } | runtime::Error::Refused { .. }) => return Ok(None),
        Err(why) => return Err(Error::Unavailable(format!("Jobs cannot be run here: {why}"))),
    };
    let Some(raw) = image.labels.get(LABEL) else {
        return Err(Error::Invalid(format!("{name} is no Seed image: it has no label {LABEL}")));
    };
    let text = label::read(raw).map_err(|_| invalid(name))?;
    if !validate::judge(text.as_bytes(), ValidationRules::default()).valid {
        return Err(invalid(name));
    }
    Ok(Some(RunnableImage {
        name: name.to_owned(),
        pinned: image.id,
        registry: None,
        digest: image.digests.first().cloned(),
        manifest: SeedManifest::parse(&text).map_err(|_| invalid(name))?,
    }))
}

/// Parses a name that an engine accepts.
pub(super) fn reference(name: &str) -> Result<ImageReference> {
    name.parse().map_err(|why| {
        Error::Invalid(format!("'{}' names no image: {why}", name.chars().take(200).collect::<String>().escape_debug()))
    })
}

fn invalid(name: &str) -> Error {
    Error::Invalid(format!(
        "The manifest of {name} is not valid, so it cannot be run: POST /api/v1/validate says what is wrong with it"
    ))
}
