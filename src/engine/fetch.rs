//! Seeing to it that the engine has an image.

use super::runtime::{Credentials, Error, Image, PullProgress, Result, Runtime};
use crate::seed::image_reference::ImageReference;

/// An image that is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub image: &'a ImageReference,
    /// As in `linux/arm64`; `None`: the engine's choice.
    pub platform: Option<&'a str>,
    pub policy: PullPolicy,
    /// For its registry.
    pub credentials: Option<&'a Credentials>,
}

/// When to ask the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When the engine does not have the image.
    #[default]
    Missing,
    /// Also for an image that may have changed.
    Always,
    Never,
}

/// The image, pulled if that is to be. `progress` is told of a pull.
///
/// # Errors
/// [`Error::NoImage`] when it is not there and must not be pulled; what [`Runtime::pull`] gives.
pub async fn fetch<R: Runtime>(
    runtime: &R,
    wanted: &Wanted<'_>,
    progress: impl FnMut(PullProgress) + Send,
) -> Result<Image> {
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
