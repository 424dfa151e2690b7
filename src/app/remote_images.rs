//! Images outside of any catalogue that a user names at the command line: in registries, and on this machine's disk. No
//! database; nothing is stored.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use secrecy::SecretString;

use super::{Error, Result};
use crate::catalog::{ContentOutcome, ContentProblem, ManifestFacts, RegistryKind, RepositoryFilter};
use crate::registry::{
    self, DeletionOutcome, FetchedContent, PrivateNetworkPolicy, RegistryEndpoint, RegistryLimits, RegistrySource,
    RemoteHosts, TlsSettings, full_image_name, pull_host,
};
use crate::scan::{content_of, seed_label};

/// Docker Hub's host in references; the default where no registry is named.
pub const DOCKER_HUB: &str = "docker.io";
/// Images that are read concurrently.
const AT_ONCE: usize = 8;

/// A registry's host, and an organisation in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAddress {
    /// `host[:port]`, as in references.
    pub host: String,
    /// The organisation, the namespace, or the group and project; empty for none.
    pub org: String,
    /// `http` or `https`, if given.
    scheme: Option<&'static str>,
}

/// Credentials for a registry.
#[derive(Clone, Debug, Default)]
pub struct RegistryLogin {
    pub username: String,
    pub password: Option<SecretString>,
}

/// An open registry, or images on disk.
pub struct ImageBrowser {
    source: RegistrySource,
    /// Host in references; empty for images on disk.
    host: String,
    org: String,
}

/// An image, with what its config says.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectedImage {
    /// `host/repository:tag`.
    pub reference: String,
    pub digest: String,
    pub platforms: Vec<String>,
    /// Bytes to pull.
    pub size: Option<u64>,
    /// Time of the build, RFC 3339; empty if unknown.
    pub built: String,
    /// The raw Seed label; `None` if it is no Seed image.
    pub label: Option<String>,
}

/// A Seed image in a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedImage {
    pub reference: String,
    pub digest: String,
    pub facts: ManifestFacts,
}

/// Whether a tag exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    Free,
    Taken,
    /// The account may not see it: the reason. Some registries answer so for every repository that does not exist yet.
    /// Without read access a push will hardly be allowed either.
    Hidden(String),
}

/// A deleted tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishedTag {
    pub reference: String,
    pub digest: String,
    /// Other tags that were deleted with it.
    pub others: Vec<String>,
}

/// The Seed images of a registry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeedImages {
    /// By reference.
    pub images: Vec<SeedImage>,
    /// Repositories and images that could not be read, or that are no Seed images despite their names.
    pub problems: Vec<String>,
}

impl RegistryAddress {
    /// Parses a registry as users type it: `host[:port]`, with a scheme or a path, which becomes the beginning of the
    /// organisation.
    pub fn new(registry: &str, org: &str) -> Self {
        let text = registry.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some((_, rest)) => (Some("https"), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.is_empty() { DOCKER_HUB } else { pull_host(host) };
        // `v1` and `v2` are API paths that Docker's own tools write; they are no part of a name.
        let path = path.trim_matches('/');
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        let parts = [path, org.trim().trim_matches('/')].into_iter().filter(|part| !part.is_empty());
        Self { host: host.to_owned(), org: parts.collect::<Vec<_>>().join("/"), scheme }
    }

    /// The repository of an image in this organisation.
    pub fn repository(&self, name: &str) -> String {
        if self.org.is_empty() { name.to_owned() } else { format!("{}/{name}", self.org) }
    }

    /// Whether it is Docker Hub, where every repository has a namespace.
    pub fn is_docker_hub(&self) -> bool {
        self.host == DOCKER_HUB
    }
}

impl ImageBrowser {
    /// Opens a registry through the distribution API (or Docker Hub at its own address). On this machine plain HTTP is
    /// used where nothing speaks TLS, as Docker does.
    ///
    /// # Errors
    /// [`Error::Registry`] for an unusable address.
    pub async fn registry(place: &RegistryAddress, login: &RegistryLogin) -> Result<Self> {
        let kind = if place.is_docker_hub() { RegistryKind::DockerHub } else { RegistryKind::Distribution };
        let scheme = scheme(place).await?;
        Self::open(place, login, kind, scheme)
    }

    /// Opens a registry through the API of its kind, which is detected: needed for listing.
    ///
    /// # Errors
    /// As [`ImageBrowser::registry`].
    pub async fn registry_of_its_kind(place: &RegistryAddress, login: &RegistryLogin) -> Result<Self> {
        let scheme = scheme(place).await?;
        let endpoint = endpoint(place, login, RegistryKind::Distribution, scheme);
        let kind = RegistrySource::detect(&endpoint, &limits(), &RemoteHosts::default()).await?;
        Self::open(place, login, kind, scheme)
    }

    fn open(place: &RegistryAddress, login: &RegistryLogin, kind: RegistryKind, scheme: &str) -> Result<Self> {
        let endpoint = endpoint(place, login, kind, scheme);
        let source = RegistrySource::open(&endpoint, &limits(), &RemoteHosts::default())?;
        Ok(Self { source, host: place.host.clone(), org: place.org.clone() })
    }

    /// Opens an OCI image layout (a folder), or an archive of `docker save` or of a layout (a file).
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be read.
    pub fn disk(path: &Path) -> Result<Self> {
        let unreadable = |why| Error::Invalid(format!("{} cannot be read: {why}", path.display()));
        let real = path.canonicalize().map_err(unreadable)?;
        let kind = if real.is_dir() { RegistryKind::Layout } else { RegistryKind::Archive };
        let root = real.parent().unwrap_or(&real).to_owned();
        let endpoint = RegistryEndpoint {
            kind,
            url: real.display().to_string(),
            org: String::new(),
            username: String::new(),
            password: None,
            tls: TlsSettings::default(),
        };
        let source = RegistrySource::open(
            &endpoint,
            &RegistryLimits { layout_roots: vec![root], ..limits() },
            &RemoteHosts::default(),
        )?;
        Ok(Self { source, host: String::new(), org: String::new() })
    }

    /// The digest of a tag; `None` if there is no such tag. One HEAD request.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        Ok(self.source.digest(repository, tag).await?)
    }

    /// Whether a tag is free to be pushed. One HEAD request.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn standing(&self, repository: &str, tag: &str) -> Result<TagState> {
        match self.source.digest(repository, tag).await {
            Ok(None) => Ok(TagState::Free),
            Ok(Some(_)) => Ok(TagState::Taken),
            Err(registry::Error::Forbidden(why)) => Ok(TagState::Hidden(why)),
            Err(why) => Err(why.into()),
        }
    }

    /// Reads an image with its label.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::Registry`].
    pub async fn see(&self, repository: &str, tag: &str) -> Result<InspectedImage> {
        let reference = self.reference(repository, tag);
        let digest = self.source.digest(repository, tag).await?;
        let digest = digest.ok_or_else(|| Error::NotFound(format!("there is no image {reference}")))?;
        let configs = match self.source.fetch(repository, &digest).await? {
            FetchedContent::Image(configs) => configs,
            FetchedContent::Other(kind) => {
                return Err(Error::NotFound(format!("{reference} is not a container image but {kind}")));
            }
        };
        Ok(InspectedImage {
            reference,
            digest,
            platforms: configs.iter().map(|it| it.platform.clone()).filter(|it| !it.is_empty()).collect(),
            size: configs.first().and_then(|config| config.size),
            built: configs.first().map(|config| config.created.clone()).unwrap_or_default(),
            label: seed_label(&configs).map(str::to_owned),
        })
    }

    /// All images on disk, as `repository` and `tag`. Not for registries, which may have many.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn images(&self) -> Result<Vec<(String, String)>> {
        let mut images = Vec::new();
        for repository in self.source.repositories().await?.items {
            let tags = self.source.tags(&repository).await?.items;
            images.extend(tags.into_iter().map(|tag| (repository.clone(), tag.name)));
        }
        Ok(images)
    }

    /// The other tags of a repository that point to a digest.
    async fn other_tags(&self, repository: &str, digest: &str, tag: &str) -> Result<Vec<String>> {
        let listed = self.source.tags(repository).await?.items.into_iter().filter(|listed| listed.name != tag);
        let look = |listed: registry::ListedTag| async move {
            let points_to = match listed.digest {
                Some(known) => Some(known),
                None => self.source.digest(repository, &listed.name).await?,
            };
            Ok::<_, Error>((points_to.as_deref() == Some(digest)).then_some(listed.name))
        };
        let found: Vec<Option<String>> =
            futures_util::stream::iter(listed.map(look)).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Deletes a tag. Where a registry deletes manifests only, other tags of the same manifest would vanish too: then
    /// nothing is deleted, unless `with_others`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] if other tags would vanish, or the registry deletes nothing;
    /// [`Error::Registry`].
    pub async fn unpublish(&self, repository: &str, tag: &str, with_others: bool) -> Result<UnpublishedTag> {
        let reference = self.reference(repository, tag);
        let gone = || Error::NotFound(format!("there is no image {reference}"));
        let digest = self.source.digest(repository, tag).await?.ok_or_else(gone)?;
        match self.source.delete(repository, tag).await? {
            DeletionOutcome::Done => return Ok(UnpublishedTag { reference, digest, others: Vec::new() }),
            // Some registries answer "not found" where they do not delete tags.
            DeletionOutcome::NotThere | DeletionOutcome::Unsupported(_) => {}
        }
        let others = self.other_tags(repository, &digest, tag).await?;
        if !others.is_empty() && !with_others {
            return Err(Error::Conflict(format!(
                "{} can only delete whole images, and {reference} is also tagged {}; --force deletes these tags too",
                self.host,
                others.join(", ")
            )));
        }
        match self.source.delete(repository, &digest).await? {
            DeletionOutcome::Done => Ok(UnpublishedTag { reference, digest, others }),
            DeletionOutcome::NotThere => Err(gone()),
            DeletionOutcome::Unsupported(why) => Err(Error::Conflict(format!(
                "{} does not allow deletion ({why}); ask its operator to allow it, or use its web interface",
                self.host
            ))),
        }
    }

    /// Finds Seed images in the repositories that are named like them (`*-seed`).
    ///
    /// # Errors
    /// [`Error::Registry`] if repositories cannot be listed; failures of single images are among the problems.
    pub async fn seed_images(&self) -> Result<SeedImages> {
        let filter = RepositoryFilter::new(&self.org, &["*-seed".to_owned()], &[]).map_err(Error::Internal)?;
        let listed = self.source.repositories().await?;
        let mut found = SeedImages::default();
        found.problems.extend(listed.truncated.map(|why| format!("not all repositories are listed: {why}")));
        let wanted = listed.items.into_iter().filter(|name| filter.in_org(name) && filter.includes(name));
        let tags = futures_util::stream::iter(wanted.map(|repository| async move {
            let tags = self.source.tags(&repository).await;
            (repository, tags)
        }));
        let mut images = Vec::new();
        for (repository, tags) in tags.buffered(AT_ONCE).collect::<Vec<_>>().await {
            match tags {
                Ok(tags) => images.extend(tags.items.into_iter().map(|tag| (repository.clone(), tag.name))),
                Err(why) => found.problems.push(format!("{repository}: {why}")),
            }
        }
        let read = images.into_iter().map(|(repository, tag)| async move { self.seed_image(&repository, &tag).await });
        for outcome in futures_util::stream::iter(read).buffered(AT_ONCE).collect::<Vec<_>>().await {
            match outcome {
                Ok(image) => found.images.push(image),
                Err(problem) => found.problems.push(problem),
            }
        }
        found.images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(found)
    }

    async fn seed_image(&self, repository: &str, tag: &str) -> std::result::Result<SeedImage, String> {
        let reference = self.reference(repository, tag);
        let read = async {
            let look = self.source.look(repository, tag).await?;
            let Some(look) = look else { return Ok(None) };
            let fetched = self.source.fetch_with(repository, &look.digest, look.manifest).await?;
            Ok::<_, registry::Error>(Some((look.digest, fetched)))
        };
        let (digest, fetched) = match read.await {
            Ok(Some(read)) => read,
            Ok(None) => return Err(format!("{reference}: the image no longer exists")),
            Err(why) => return Err(format!("{reference}: {why}")),
        };
        let content = content_of(&digest, fetched);
        match content.outcome {
            ContentOutcome::Seed(facts) => Ok(SeedImage { reference, digest, facts: *facts }),
            ContentOutcome::Unlabelled => Err(format!("{reference}: the image has no Seed label")),
            ContentOutcome::NotAnImage(_) => Err(format!("{reference}: it is not a container image")),
            ContentOutcome::Refused => {
                let why: Vec<String> =
                    content.problems.into_iter().map(|ContentProblem { message, .. }| message).collect();
                Err(format!("{reference}: {}", why.join("; ")))
            }
        }
    }

    fn reference(&self, repository: &str, tag: &str) -> String {
        let host = if self.host.is_empty() { String::new() } else { format!("{}/", self.host) };
        let separator = if tag.contains(':') { '@' } else { ':' };
        format!("{host}{repository}{separator}{tag}")
    }
}

/// Splits a reference as Docker does: its registry (without an organisation), repository, and tag or digest.
///
/// # Errors
/// [`Error::Invalid`].
pub fn reference(text: &str) -> Result<(RegistryAddress, String, String)> {
    let (scheme, name) = match text.split_once("://") {
        Some((scheme, name)) => (format!("{scheme}://"), name),
        None => (String::new(), text),
    };
    let (host, repository, tag) = full_image_name(name).map_err(Error::Invalid)?;
    Ok((RegistryAddress::new(&format!("{scheme}{host}"), ""), repository, tag))
}

/// The scheme to use where none was given.
async fn scheme(place: &RegistryAddress) -> Result<&'static str> {
    if let Some(scheme) = place.scheme {
        return Ok(scheme);
    }
    let name = place.host.rsplit_once(':').map_or(place.host.as_str(), |(name, _)| name);
    let is_here =
        name == "localhost" || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if !is_here {
        return Ok("https");
    }
    use registry::Error as Why;
    let secure = endpoint(place, &RegistryLogin::default(), RegistryKind::Distribution, "https");
    let source = RegistrySource::open(&secure, &RegistryLimits { tries: 1, ..limits() }, &RemoteHosts::default())?;
    Ok(match source.ping().await {
        Err(Why::Tls(_) | Why::Unreachable(_) | Why::Timeout(_)) => "http",
        _ => "https",
    })
}

fn endpoint(place: &RegistryAddress, login: &RegistryLogin, kind: RegistryKind, scheme: &str) -> RegistryEndpoint {
    RegistryEndpoint {
        kind,
        url: format!("{scheme}://{}", place.host),
        org: place.org.clone(),
        username: login.username.clone(),
        password: login.password.clone(),
        tls: TlsSettings::default(),
    }
}

/// Limits for interactive use: a user waits at a terminal.
fn limits() -> RegistryLimits {
    let seconds = Duration::from_secs;
    RegistryLimits {
        concurrency: AT_ONCE,
        connect_timeout: seconds(10),
        request_timeout: seconds(60),
        tries: 3,
        longest_wait: seconds(30),
        pages: 1000,
        pull_reserve: 0,
        layout_roots: Vec::new(),
        private: PrivateNetworkPolicy::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_in_many_ways() {
        for (registry, org, host, expected, scheme) in [
            ("", "", "docker.io", "", None),
            ("index.docker.io", "ada", "docker.io", "ada", None),
            ("https://hub.docker.com/", "ada", "docker.io", "ada", Some("https")),
            ("https://index.docker.io/v1/", "ada", "docker.io", "ada", Some("https")),
            ("registry.gitlab.com/group", "project/", "registry.gitlab.com", "group/project", None),
            ("registry.gitlab.com", "/group/sub/project", "registry.gitlab.com", "group/sub/project", None),
            ("http://localhost:5000", "", "localhost:5000", "", Some("http")),
            ("r.example.org/v2/", "", "r.example.org", "", None),
        ] {
            let place = RegistryAddress::new(registry, org);
            let found = (place.host.as_str(), place.org.as_str(), place.scheme);
            assert_eq!(found, (host, expected, scheme), "{registry} {org}");
        }
        assert_eq!(RegistryAddress::new("r.org", "a/b").repository("x-1.0.0-seed"), "a/b/x-1.0.0-seed");
        assert_eq!(RegistryAddress::new("r.org", "").repository("x-1.0.0-seed"), "x-1.0.0-seed");
    }
}
