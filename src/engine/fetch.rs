//! Makes an image available on the engine, by a pull policy.

use super::runtime::{ContainerRuntime, EngineImage, Error, PullProgress, RegistryCredentials, Result};
use crate::seed::image_reference::ImageReference;

/// An image to run.
#[derive(Clone, Copy, Debug)]
pub struct WantedImage<'a> {
    pub image: &'a ImageReference,
    /// As in `linux/arm64`; `None`: the engine's choice.
    pub platform: Option<&'a str>,
    pub policy: PullPolicy,
    /// Credentials for its registry.
    pub credentials: Option<&'a RegistryCredentials>,
}

/// When to pull an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// If the engine does not have it.
    #[default]
    Missing,
    /// Always, to get changes.
    Always,
    Never,
}

/// Returns the image, after a pull if the policy says so. `progress` receives pull events.
///
/// # Errors
/// [`Error::NoImage`] if it is missing and must not be pulled; errors of [`ContainerRuntime::pull`].
pub async fn fetch<R: ContainerRuntime>(
    runtime: &R,
    wanted: &WantedImage<'_>,
    progress: impl FnMut(PullProgress) + Send,
) -> Result<EngineImage> {
    if wanted.policy != PullPolicy::Always {
        match runtime.image(wanted.image).await {
            Ok(image) if wanted.platform.is_none_or(|platform| image.platform.starts_with(platform)) => {
                return Ok(image);
            }
            Err(why) if wanted.policy == PullPolicy::Never || !matches!(why, Error::NoImage { .. }) => {
                return Err(why);
            }
            Ok(_) if wanted.policy == PullPolicy::Never => {
                return Err(Error::NoImage { image: wanted.image.to_string() });
            }
            _ => {}
        }
    }
    runtime.pull(wanted.image, wanted.platform, wanted.credentials, progress).await?;
    runtime.image(wanted.image).await
}
