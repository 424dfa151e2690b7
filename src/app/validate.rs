//! Validates a manifest on request. The rules are in `seed::validate`; here is only where the manifest comes from.

use std::time::Duration;

use bytes::Bytes;

use super::{App, Error, RequestCaller, Result};
use crate::catalog::{CatalogueImage, ImageId};
use crate::registry::image_name;
use crate::scan;
use crate::seed::validate::{self, ValidationReport, ValidationRules};

/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// The manifest to validate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// The manifest itself, of any bytes.
    Manifest(Bytes),
    /// The manifest of a catalogued image.
    ImageId(ImageId),
    /// What `docker pull` takes: an image of the catalogue, or of a registry that an admin added.
    Image(String),
}

/// A manifest that was loaded.
enum LoadedManifest {
    Manifest(Bytes),
    /// The image's raw label; `None` if it has none.
    Label(Option<String>),
}

impl App {
    /// Validates a manifest. An invalid one, and an image without one, give a report and no error.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an image that is unknown or must not be read; those of [`App::remote_manifest`] for one
    /// that is not in the catalogue.
    pub async fn validate(
        &self,
        caller: &RequestCaller,
        subject: ManifestSource,
        rules: ValidationRules,
    ) -> Result<ValidationReport> {
        let found = match subject {
            ManifestSource::Manifest(text) => LoadedManifest::Manifest(text),
            ManifestSource::ImageId(id) => manifest_of(self.image_get(id).await?),
            ManifestSource::Image(reference) => match self.image_by_reference(&reference).await? {
                Some(image) => manifest_of(image),
                None => LoadedManifest::Label(self.label_by_reference(caller, &reference).await?),
            },
        };
        let judge = move || match found {
            LoadedManifest::Manifest(text) => validate::judge(&text, rules),
            LoadedManifest::Label(Some(label)) => validate::judge_label(&label, rules),
            LoadedManifest::Label(None) => validate::judge_unlabelled(rules),
        };
        // The slowest manifest of a mebibyte takes a tenth of a second.
        let place = tokio::time::timeout(WAIT, self.0.judgements.acquire()).await;
        let busy = "Too many manifests are being checked; try again later";
        let Ok(Ok(_place)) = place else { return Err(Error::Unavailable(busy.to_owned())) };
        Ok(tokio::task::spawn_blocking(judge).await?)
    }

    /// Validates again some of the stored manifests that were judged by older rules; whether there may be more.
    pub async fn judge_again(&self) -> Result<bool> {
        /// Manifests at once: some tens of milliseconds of work.
        const BATCH: u32 = 500;
        let store = self.store().in_background();
        let stale = store.content_stale(BATCH).await?;
        let there_may_be_more = stale.len() == BATCH as usize;
        let judge = move || stale.into_iter().map(scan::judge_again).collect::<Vec<_>>();
        let judgements = tokio::task::spawn_blocking(judge).await?;
        if !judgements.is_empty() {
            store.content_set_validation(&judgements).await?;
            tracing::info!(manifests = judgements.len(), "checked again with the current rules");
        }
        Ok(there_may_be_more)
    }

    /// The catalogued image of a pull reference.
    pub(super) async fn image_by_reference(&self, reference: &str) -> Result<Option<CatalogueImage>> {
        // Images of a layout on disk have no host.
        for (host, name) in reference.split_once('/').into_iter().chain([("", reference)]) {
            if let Ok((repository, tag)) = image_name(name)
                && let Some(image) = self.store().image_by_name(host, &repository, &tag).await?
            {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// The raw label of an image that is not in the catalogue, read from its registry.
    async fn label_by_reference(&self, caller: &RequestCaller, reference: &str) -> Result<Option<String>> {
        let unnamed = || {
            Error::NotFound(format!(
                "There is no image {reference} in the catalogue; the form of a name is HOST/REPOSITORY:TAG"
            ))
        };
        let (host, image) = reference.split_once('/').ok_or_else(unnamed)?;
        self.remote_label(caller, host, image).await
    }
}

fn manifest_of(image: CatalogueImage) -> LoadedManifest {
    LoadedManifest::Manifest(image.facts.manifest.into())
}
