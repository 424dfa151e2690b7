//! Judging a manifest for somebody who asks. The rules are `seed::validate`'s; here is only where the manifest comes
//! from.

use std::time::Duration;

use bytes::Bytes;

use super::{App, Caller, Error, Result};
use crate::catalog::{Image, ImageId};
use crate::registry::image_name;
use crate::scan;
use crate::seed::validate::{self, Report, Rules};

/// How long a manifest waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The manifest itself, whatever bytes it is made of.
    Manifest(Bytes),
    /// The manifest of a catalogued image.
    ImageId(ImageId),
    /// What `docker pull` takes: an image of the catalogue, or of a registry that an admin added.
    Image(String),
}

/// A subject at hand.
enum Found {
    Manifest(Bytes),
    /// The image's raw label, where it has one.
    Label(Option<String>),
}

impl App {
    /// Judges a manifest. One that breaks every rule, and an image without one, give a report and no error.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an image that nobody knows or may ask for; those of [`App::remote_manifest`] for one that
    /// is not catalogued.
    pub async fn validate(&self, caller: &Caller, subject: Subject, rules: Rules) -> Result<Report> {
        let found = match subject {
            Subject::Manifest(text) => Found::Manifest(text),
            Subject::ImageId(id) => manifest_of(self.image_get(id).await?),
            Subject::Image(reference) => match self.image_by_reference(&reference).await? {
                Some(image) => manifest_of(image),
                None => Found::Label(self.label_by_reference(caller, &reference).await?),
            },
        };
        let judge = move || match found {
            Found::Manifest(text) => validate::judge(&text, rules),
            Found::Label(Some(label)) => validate::judge_label(&label, rules),
            Found::Label(None) => validate::judge_unlabelled(rules),
        };
        // A mebibyte that is made to be slow takes a tenth of a second.
        let place = tokio::time::timeout(WAIT, self.0.judgements.acquire()).await;
        let busy = "Too many manifests are being judged; try again later";
        let Ok(Ok(_place)) = place else { return Err(Error::Unavailable(busy.to_owned())) };
        Ok(tokio::task::spawn_blocking(judge).await?)
    }

    /// Judges some of the manifests that older rules judged when they were stored; whether there may be more.
    pub async fn judge_again(&self) -> Result<bool> {
        /// How many at once: some tens of milliseconds of work.
        const BATCH: u32 = 500;
        let store = self.0.store.in_background();
        let stale = store.content_stale(BATCH).await?;
        let there_may_be_more = stale.len() == BATCH as usize;
        let judge = move || stale.into_iter().map(scan::judge_again).collect::<Vec<_>>();
        let judgements = tokio::task::spawn_blocking(judge).await?;
        if !judgements.is_empty() {
            store.content_judged(&judgements).await?;
            tracing::info!(manifests = judgements.len(), "judged again by today's rules");
        }
        Ok(there_may_be_more)
    }

    /// The catalogued image that a pull reference names.
    pub(super) async fn image_by_reference(&self, reference: &str) -> Result<Option<Image>> {
        // Images of a layout on disk have no host.
        for (host, name) in reference.split_once('/').into_iter().chain([("", reference)]) {
            if let Ok((repository, tag)) = image_name(name)
                && let Some(image) = self.0.store.image_by_name(host, &repository, &tag).await?
            {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// The raw label of an image that is not catalogued, read now.
    async fn label_by_reference(&self, caller: &Caller, reference: &str) -> Result<Option<String>> {
        let unnamed = || {
            Error::NotFound(format!(
                "There is no image {reference} in the catalogue; one of a registry is named HOST/REPOSITORY:TAG"
            ))
        };
        let (host, image) = reference.split_once('/').ok_or_else(unnamed)?;
        self.remote_label(caller, host, image).await
    }
}

fn manifest_of(image: Image) -> Found {
    Found::Manifest(image.facts.manifest.into())
}
