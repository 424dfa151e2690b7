//! Images of an engine: list, tag, push.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::models::PushImageInfo;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use secrecy::ExposeSecret as _;

use super::{DockerClient, failure};
use crate::engine::runtime::{ContainerRuntime as _, Error, PullProgress, RegistryCredentials, Result};
use crate::seed::image_reference::ImageReference;

/// User name that Docker's configuration gives for an identity token in place of a password.
pub const TOKEN_USER: &str = "<token>";
/// Tag of a name without one.
const LATEST: &str = "latest";

/// An image in the list of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    pub id: String,
    /// All its names with tags, sorted.
    pub names: Vec<String>,
    pub labels: HashMap<String, String>,
    /// Unix time, seconds.
    pub created: i64,
    /// Bytes on the engine's disk, including shared layers.
    pub size: u64,
}

/// A temporary tag of an image. See [`DockerClient::tag_temporarily`].
#[derive(Debug)]
pub struct TemporaryTag {
    name: ImageReference,
    /// The image that the tag pointed to before.
    before: Option<ImageReference>,
    is_ours: bool,
}

impl DockerClient {
    /// All images with a label, newest first.
    pub async fn images(&self, label: &str) -> Result<Vec<ListedImage>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let listed = self.client.list_images(Some(options)).await.map_err(|why| self.failure(why).other())?;
        let mut listed: Vec<ListedImage> = listed
            .into_iter()
            .map(|image| {
                let mut names = image.repo_tags;
                names.retain(|name| !name.starts_with("<none>"));
                names.sort();
                let size = image.size.try_into().unwrap_or_default();
                ListedImage { id: image.id, names, labels: image.labels, created: image.created, size }
            })
            .collect();
        listed.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.names.cmp(&b.names)));
        Ok(listed)
    }

    /// Tags an image with `REPOSITORY:TAG`.
    pub async fn name(&self, image: &ImageReference, name: &ImageReference) -> Result<()> {
        let (image, tag) = (image.as_str(), name.tag().unwrap_or(LATEST));
        let options = TagImageOptionsBuilder::default().repo(name.repository()).tag(tag).build();
        self.client.tag_image(image, Some(options)).await.map_err(|why| self.failure(why).image(image))
    }

    /// Tags an image temporarily: [`DockerClient::restore_tag`] removes the tag, or points it to its earlier image.
    pub async fn tag_temporarily(&self, image: &ImageReference, name: &ImageReference) -> Result<TemporaryTag> {
        let wanted = self.image(image).await?.id;
        let before = match self.image(name).await {
            Ok(there) => Some(there.id),
            Err(Error::NoImage { .. }) => None,
            Err(why) => return Err(why),
        };
        let is_ours = before.as_ref() != Some(&wanted);
        if is_ours {
            self.name(image, name).await?;
        }
        Ok(TemporaryTag { name: name.clone(), before, is_ours })
    }

    /// Ends [`DockerClient::tag_temporarily`].
    pub async fn restore_tag(&self, named: TemporaryTag) -> Result<()> {
        match (named.is_ours, named.before) {
            (false, _) => Ok(()),
            (true, Some(before)) => self.name(&before, &named.name).await,
            (true, None) => {
                // Removing the last tag would delete the image; `noprune` keeps its layers.
                let options = RemoveImageOptionsBuilder::default().noprune(true).build();
                match self.client.remove_image(named.name.as_str(), Some(options), None).await {
                    Err(BollardError::DockerResponseServerError { status_code: 404, .. }) | Ok(_) => Ok(()),
                    Err(why) => Err(self.failure(why).other()),
                }
            }
        }
    }

    /// Pushes an image by its name, `HOST/REPOSITORY:TAG`.
    ///
    /// # Errors
    /// [`Error::Push`].
    pub async fn push(
        &self,
        name: &ImageReference,
        credentials: Option<&RegistryCredentials>,
        mut progress: impl FnMut(PullProgress),
    ) -> Result<()> {
        let (repository, tag) = (name.repository(), name.tag().unwrap_or(LATEST));
        let host = repository.split_once('/').map(|(host, _)| host).unwrap_or_default();
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let credentials = credentials.map(|login| for_engine(login, host));
        let mut events = Box::pin(self.client.push_image(repository, Some(options), credentials));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => told(event, &mut progress),
                Err(
                    why @ (BollardError::DockerStreamError { .. } | BollardError::DockerResponseServerError { .. }),
                ) => {
                    return Err(Error::Push { image: name.to_string(), reason: failure::words(&why) });
                }
                Err(why) => return Err(self.failure(why).other()),
            }
        }
        Ok(())
    }
}

/// Credentials in the engine's format.
pub(super) fn for_engine(login: &RegistryCredentials, host: &str) -> DockerCredentials {
    let secret = Some(login.password.expose_secret().to_owned());
    let serveraddress = Some(host.to_owned());
    if login.username == TOKEN_USER {
        return DockerCredentials { identitytoken: secret, serveraddress, ..DockerCredentials::default() };
    }
    let username = Some(login.username.clone());
    DockerCredentials { username, password: secret, serveraddress, ..DockerCredentials::default() }
}

fn told(event: PushImageInfo, progress: &mut impl FnMut(PullProgress)) {
    let bytes = event
        .progress_detail
        .and_then(|detail| Some((detail.current?.try_into().ok()?, detail.total.unwrap_or_default().try_into().ok()?)));
    if let Some(status) = event.status {
        progress(PullProgress { layer: None, status, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_no_password() {
        let login = |username: &str| RegistryCredentials { username: username.to_owned(), password: "x".into() };
        let token = for_engine(&login(TOKEN_USER), "r.org");
        assert_eq!((token.identitytoken.as_deref(), token.username), (Some("x"), None));
        assert_eq!(for_engine(&login("ada"), "r.org").username.as_deref(), Some("ada"));
    }
}
