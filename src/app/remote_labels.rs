//! Labels of images that a registry has and the catalogue has not. A registry's password is used only for repositories
//! that the registry includes; requests are rate-limited, and results are cached.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{App, Error, RequestCaller, Result};
use crate::auth::{ClientNetwork, RateLimiter};
use crate::catalog::{RegistryId, RegistryRecord, UserId};
use crate::registry::{FetchedContent, image_name, pull_host};
use crate::scan::seed_label;
use crate::seed::{LABEL, label};

/// How long a result is cached.
const KEPT_FOR: TimeDelta = TimeDelta::seconds(60);
/// Most cached results, and most bytes of labels in them.
const MOST_KEPT: usize = 256;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Rate limit and cache, shared by all callers.
pub(super) struct RemoteLabels {
    pace: RateLimiter<RateLimitKey>,
    kept: Mutex<HashMap<RemoteImage, CachedLabel>>,
}

#[derive(PartialEq, Eq, Hash)]
enum RateLimitKey {
    User(UserId),
    Stranger(Option<ClientNetwork>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct RemoteImage {
    registry: RegistryId,
    repository: String,
    reference: String,
}

#[derive(Clone)]
struct CachedLabel {
    at: DateTime<Utc>,
    answer: LabelResult,
}

/// An image's label, `None` if it has none; or why there is no image.
type LabelResult = std::result::Result<Option<String>, String>;

impl RemoteLabels {
    /// `per_minute`: requests of each caller.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { pace: RateLimiter::new(per_minute), kept: Mutex::default() }
    }

    fn kept(&self, image: &RemoteImage, now: DateTime<Utc>) -> Option<LabelResult> {
        let kept = self.kept.lock();
        kept.get(image).filter(|kept| kept.is_fresh(now)).map(|kept| kept.answer.clone())
    }

    fn keep(&self, image: RemoteImage, answer: LabelResult, now: DateTime<Utc>) {
        let mut kept = self.kept.lock();
        kept.insert(image, CachedLabel { at: now, answer });
        let is_full = |kept: &HashMap<_, CachedLabel>| {
            kept.len() > MOST_KEPT || kept.values().map(CachedLabel::bytes).sum::<usize>() > MOST_BYTES
        };
        if is_full(&kept) {
            kept.retain(|_, kept| kept.is_fresh(now));
        }
        if is_full(&kept) {
            kept.clear();
        }
    }
}

impl CachedLabel {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.at <= now && now - self.at < KEPT_FOR
    }

    fn bytes(&self) -> usize {
        match &self.answer {
            Ok(label) => label.as_ref().map_or(0, String::len),
            Err(why) => why.len(),
        }
    }
}

impl App {
    /// The manifest text of an image that need not be in the catalogue. Only registries that an admin added are asked,
    /// and only for repositories that they include, so that a stranger can use neither this service nor its passwords
    /// to read others.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where a login is required (`auth.open_remote_images`); [`Error::Invalid`] for an
    /// invalid image name; [`Error::NotFound`] for an unknown host, a repository that is not included, and an image
    /// without a Seed manifest; [`Error::Throttled`]; [`Error::Registry`].
    pub async fn remote_manifest(&self, caller: &RequestCaller, host: &str, image: &str) -> Result<String> {
        let label = self.remote_label(caller, host, image).await?;
        let label = label.ok_or_else(|| Error::NotFound(format!("the image has no label {LABEL}")))?;
        label::read(&label).map_err(|why| Error::NotFound(why.to_string()))
    }

    /// The raw Seed label of such an image; `None` if it has none.
    ///
    /// # Errors
    /// As [`App::remote_manifest`], but the label's content is not checked.
    pub(super) async fn remote_label(&self, caller: &RequestCaller, host: &str, image: &str) -> Result<Option<String>> {
        let asker = match &caller.session {
            Some(session) => RateLimitKey::User(session.user.id),
            None if !self.settings().auth.open_remote_images => {
                return Err(Error::Unauthenticated("Missing authorization token"));
            }
            None => RateLimitKey::Stranger(caller.network),
        };
        // The old service's text, for names that carry a port by mistake.
        if image.split('@').next().is_some_and(|name| name.matches(':').count() > 1) {
            return Err(Error::Invalid("More than one colon in image name".to_owned()));
        }
        let (repository, reference) = image_name(image).map_err(Error::Invalid)?;
        let registry = self.registry_that_includes(host, &repository).await?;
        let remote = RemoteImage { registry: registry.id, repository, reference };
        let labels = &self.0.remote_labels;
        let answer = match labels.kept(&remote, self.0.clock.now()) {
            Some(answer) => answer,
            None => {
                labels
                    .pace
                    .take(asker, self.0.clock.now())
                    .map_err(|wait| Error::Throttled { what: "Too many requests for images in registries", wait })?;
                let answer = self.remote_answer(&registry, &remote, host).await?;
                labels.keep(remote, answer.clone(), self.0.clock.now());
                answer
            }
        };
        answer.map_err(Error::NotFound)
    }

    /// Of several registries on the host, such as namespaces of Docker Hub, the one with the longest organisation that
    /// fits.
    async fn registry_that_includes(&self, host: &str, repository: &str) -> Result<RegistryRecord> {
        let mut registries = self.registry_list().await?;
        registries.retain(|registry| !host.is_empty() && registry.host == pull_host(host));
        if registries.is_empty() {
            let why = format!("No registry with the host {host} is registered; an admin can add it");
            return Err(Error::NotFound(why));
        }
        registries.retain(|registry| {
            self.filter_of(registry).is_ok_and(|filter| filter.in_org(repository) && filter.includes(repository))
        });
        let closest = registries.into_iter().rev().max_by_key(|registry| registry.org.len());
        closest.ok_or_else(|| {
            Error::NotFound(format!(
                "No registry with the host {host} includes the repository {repository}; an admin can include it"
            ))
        })
    }

    async fn remote_answer(&self, registry: &RegistryRecord, image: &RemoteImage, host: &str) -> Result<LabelResult> {
        let RemoteImage { repository, reference, .. } = image;
        let source = self.source_of(registry, &self.impatient_limits()).await?;
        let Some(digest) = source.digest(repository, reference).await? else {
            let separator = if reference.contains(':') { '@' } else { ':' };
            return Ok(Err(format!("There is no image {host}/{repository}{separator}{reference}")));
        };
        Ok(match source.fetch(repository, &digest).await? {
            FetchedContent::Image(configs) => Ok(seed_label(&configs).map(str::to_owned)),
            FetchedContent::Other(kind) => Err(format!("{repository} is not a container image but {kind}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_ends() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a moment");
        let image =
            |n: usize| RemoteImage { registry: RegistryId(1), repository: n.to_string(), reference: String::new() };
        let labels = RemoteLabels::new(60);
        labels.keep(image(0), Ok(Some("label".to_owned())), at(0));
        assert_eq!(labels.kept(&image(0), at(59)), Some(Ok(Some("label".to_owned()))));
        assert_eq!((labels.kept(&image(0), at(60)), labels.kept(&image(0), at(-1))), (None, None));
        for n in 0..1000 {
            labels.keep(image(n), Ok(Some("x".repeat(100_000))), at(0));
            let kept = labels.kept.lock();
            assert!(kept.len() <= MOST_KEPT && kept.values().map(CachedLabel::bytes).sum::<usize>() <= MOST_BYTES);
        }
        (0..1000).for_each(|n| labels.keep(image(n), Err(String::new()), at(0)));
        assert!(labels.kept.lock().len() <= MOST_KEPT);
    }
}
