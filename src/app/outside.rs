//! Images outside of any catalogue, for a person at a command line who names them: in registries, and on this machine's
//! disk. No database; nothing is kept.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use secrecy::SecretString;

use super::{Error, Result};
use crate::catalog::{ContentProblem, ManifestFacts, Outcome, RegistryKind, RepositoryFilter};
use crate::registry::{
    self, Deletion, Endpoint, Fetched, Hosts, Limits, Private, Source, Tls, full_image_name, pull_host,
};
use crate::scan::{content_of, seed_label};

/// The host of Docker Hub in references, and what is meant where no registry is named.
pub const DOCKER_HUB: &str = "docker.io";
/// Images whose contents are read at the same time.
const AT_ONCE: usize = 8;

/// Where somebody wants an image to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As references have it: `host[:port]`.
    pub host: String,
    /// The organisation, the namespace, or the group and project; empty for none.
    pub org: String,
    /// `http` or `https`, where it was written.
    scheme: Option<&'static str>,
}

/// Somebody's account at a registry.
#[derive(Clone, Debug, Default)]
pub struct Login {
    pub username: String,
    pub password: Option<SecretString>,
}

/// A registry, or images on disk.
pub struct Outside {
    source: Source,
    /// For references; empty for images on disk.
    host: String,
    org: String,
}

/// An image, with what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `host/repository:tag`.
    pub reference: String,
    pub digest: String,
    pub platforms: Vec<String>,
    /// Bytes to pull.
    pub size: Option<u64>,
    /// RFC 3339; empty where nobody knows.
    pub built: String,
    /// The raw Seed label; `None`: it is no Seed image.
    pub label: Option<String>,
}

/// A Seed image that a registry has.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedImage {
    pub reference: String,
    pub digest: String,
    pub facts: ManifestFacts,
}

/// How it is with a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    Taken,
    /// The account may not see it, and why. Some registries say that of every repository that is not there yet; who may
    /// not see one may hardly push to it.
    Hidden(String),
}

/// A tag that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    pub reference: String,
    pub digest: String,
    /// Other tags that went with it.
    pub others: Vec<String>,
}

/// What looking through a registry found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeedImages {
    /// By reference.
    pub images: Vec<SeedImage>,
    /// What could not be read, or is no Seed image though it is called one.
    pub problems: Vec<String>,
}

impl Place {
    /// Reads a registry as people name it: `host[:port]`, with a scheme or a path, of which the path counts as the
    /// beginning of the organisation.
    pub fn new(registry: &str, org: &str) -> Self {
        let text = registry.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some((_, rest)) => (Some("https"), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.is_empty() { DOCKER_HUB } else { pull_host(host) };
        // The paths by which Docker's own tools know the interface are no part of a name.
        let path = path.trim_matches('/');
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        let parts = [path, org.trim().trim_matches('/')].into_iter().filter(|part| !part.is_empty());
        Self { host: host.to_owned(), org: parts.collect::<Vec<_>>().join("/"), scheme }
    }

    /// The repository of an image here.
    pub fn repository(&self, name: &str) -> String {
        if self.org.is_empty() { name.to_owned() } else { format!("{}/{name}", self.org) }
    }

    /// Whether it is Docker Hub, where every repository has a namespace.
    pub fn is_docker_hub(&self) -> bool {
        self.host == DOCKER_HUB
    }
}

impl Outside {
    /// A registry, spoken to by the distribution API (or Docker Hub's own address). On this machine plain HTTP is tried
    /// where nothing speaks TLS, as Docker does.
    ///
    /// # Errors
    /// [`Error::Registry`] for an address that is none.
    pub async fn registry(place: &Place, login: &Login) -> Result<Self> {
        let kind = if place.is_docker_hub() { RegistryKind::DockerHub } else { RegistryKind::Distribution };
        let scheme = scheme(place).await?;
        Self::open(place, login, kind, scheme)
    }

    /// The same by the interface of its kind, which is found out: for those who list.
    ///
    /// # Errors
    /// As [`Outside::registry`].
    pub async fn registry_of_its_kind(place: &Place, login: &Login) -> Result<Self> {
        let scheme = scheme(place).await?;
        let endpoint = endpoint(place, login, RegistryKind::Distribution, scheme);
        let kind = Source::detect(&endpoint, &limits(), &Hosts::default()).await?;
        Self::open(place, login, kind, scheme)
    }

    fn open(place: &Place, login: &Login, kind: RegistryKind, scheme: &str) -> Result<Self> {
        let endpoint = endpoint(place, login, kind, scheme);
        let source = Source::open(&endpoint, &limits(), &Hosts::default())?;
        Ok(Self { source, host: place.host.clone(), org: place.org.clone() })
    }

    /// An OCI image layout (a folder), or an archive of `docker save` or of a layout (a file).
    ///
    /// # Errors
    /// [`Error::Invalid`] for what cannot be read.
    pub fn disk(path: &Path) -> Result<Self> {
        let unreadable = |why| Error::Invalid(format!("{} cannot be read: {why}", path.display()));
        let real = path.canonicalize().map_err(unreadable)?;
        let kind = if real.is_dir() { RegistryKind::Layout } else { RegistryKind::Archive };
        let root = real.parent().unwrap_or(&real).to_owned();
        let endpoint = Endpoint {
            kind,
            url: real.display().to_string(),
            org: String::new(),
            username: String::new(),
            password: None,
            tls: Tls::default(),
        };
        let source = Source::open(&endpoint, &Limits { layout_roots: vec![root], ..limits() }, &Hosts::default())?;
        Ok(Self { source, host: String::new(), org: String::new() })
    }

    /// The digest of a tag; `None`: there is no such tag. Costs a HEAD.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        Ok(self.source.digest(repository, tag).await?)
    }

    /// Whether a tag can be had without taking it from somebody. Costs a HEAD.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn standing(&self, repository: &str, tag: &str) -> Result<Standing> {
        match self.source.digest(repository, tag).await {
            Ok(None) => Ok(Standing::Free),
            Ok(Some(_)) => Ok(Standing::Taken),
            Err(registry::Error::Forbidden(why)) => Ok(Standing::Hidden(why)),
            Err(why) => Err(why.into()),
        }
    }

    /// An image with its label.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; [`Error::Registry`].
    pub async fn see(&self, repository: &str, tag: &str) -> Result<Seen> {
        let reference = self.reference(repository, tag);
        let digest = self.source.digest(repository, tag).await?;
        let digest = digest.ok_or_else(|| Error::NotFound(format!("there is no image {reference}")))?;
        let configs = match self.source.fetch(repository, &digest).await? {
            Fetched::Image(configs) => configs,
            Fetched::Other(kind) => {
                return Err(Error::NotFound(format!("{reference} is no container image but {kind}")));
            }
        };
        Ok(Seen {
            reference,
            digest,
            platforms: configs.iter().map(|it| it.platform.clone()).filter(|it| !it.is_empty()).collect(),
            size: configs.first().and_then(|config| config.size),
            built: configs.first().map(|config| config.created.clone()).unwrap_or_default(),
            label: seed_label(&configs).map(str::to_owned),
        })
    }

    /// All images, `repository` and `tag`, for images on disk: there are few.
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
        let look = |listed: registry::Tag| async move {
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

    /// Takes a tag away. Where a registry deletes manifests only, the other tags of the same manifest would go with it:
    /// then nothing is done, unless `with_others`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] where other tags are in the way, [`Error::Registry`].
    pub async fn unpublish(&self, repository: &str, tag: &str, with_others: bool) -> Result<Unpublished> {
        let reference = self.reference(repository, tag);
        let gone = || Error::NotFound(format!("there is no image {reference}"));
        let digest = self.source.digest(repository, tag).await?.ok_or_else(gone)?;
        match self.source.delete(repository, tag).await? {
            Deletion::Done => return Ok(Unpublished { reference, digest, others: Vec::new() }),
            // Some deny by "not found" that there are tags to be deleted.
            Deletion::NotThere | Deletion::Unsupported(_) => {}
        }
        let others = self.other_tags(repository, &digest, tag).await?;
        if !others.is_empty() && !with_others {
            return Err(Error::Conflict(format!(
                "{} deletes whole images only, and {reference} is also tagged {}; --force takes these tags away too",
                self.host,
                others.join(", ")
            )));
        }
        match self.source.delete(repository, &digest).await? {
            Deletion::Done => Ok(Unpublished { reference, digest, others }),
            Deletion::NotThere => Err(gone()),
            Deletion::Unsupported(why) => Err(Error::Conflict(format!(
                "{} deletes no images ({why}); ask who runs it to allow it, or use its own pages",
                self.host
            ))),
        }
    }

    /// Looks through the repositories that are called as Seed images are.
    ///
    /// # Errors
    /// [`Error::Registry`] where they cannot be listed; what a single image lacks is among the problems.
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
            Ok(None) => return Err(format!("{reference}: it is gone")),
            Err(why) => return Err(format!("{reference}: {why}")),
        };
        let content = content_of(&digest, fetched);
        match content.outcome {
            Outcome::Seed(facts) => Ok(SeedImage { reference, digest, facts: *facts }),
            Outcome::Unlabelled => Err(format!("{reference}: it carries no Seed label")),
            Outcome::NotAnImage(_) => Err(format!("{reference}: it is no container image")),
            Outcome::Refused => {
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

/// Takes a reference apart, as Docker reads it: its place (without an organisation), repository, and tag or digest.
///
/// # Errors
/// [`Error::Invalid`].
pub fn reference(text: &str) -> Result<(Place, String, String)> {
    let (scheme, name) = match text.split_once("://") {
        Some((scheme, name)) => (format!("{scheme}://"), name),
        None => (String::new(), text),
    };
    let (host, repository, tag) = full_image_name(name).map_err(Error::Invalid)?;
    Ok((Place::new(&format!("{scheme}{host}"), ""), repository, tag))
}

/// How a registry is spoken to where nobody said so.
async fn scheme(place: &Place) -> Result<&'static str> {
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
    let secure = endpoint(place, &Login::default(), RegistryKind::Distribution, "https");
    let source = Source::open(&secure, &Limits { tries: 1, ..limits() }, &Hosts::default())?;
    Ok(match source.ping().await {
        Err(Why::Tls(_) | Why::Unreachable(_) | Why::Timeout(_)) => "http",
        _ => "https",
    })
}

fn endpoint(place: &Place, login: &Login, kind: RegistryKind, scheme: &str) -> Endpoint {
    Endpoint {
        kind,
        url: format!("{scheme}://{}", place.host),
        org: place.org.clone(),
        username: login.username.clone(),
        password: login.password.clone(),
        tls: Tls::default(),
    }
}

/// Somebody waits at a terminal: no longer than a person does.
fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        concurrency: AT_ONCE,
        connect_timeout: seconds(10),
        request_timeout: seconds(60),
        tries: 3,
        longest_wait: seconds(30),
        pages: 1000,
        pull_reserve: 0,
        layout_roots: Vec::new(),
        private: Private::default(),
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
            let place = Place::new(registry, org);
            let found = (place.host.as_str(), place.org.as_str(), place.scheme);
            assert_eq!(found, (host, expected, scheme), "{registry} {org}");
        }
        assert_eq!(Place::new("r.org", "a/b").repository("x-1.0.0-seed"), "a/b/x-1.0.0-seed");
        assert_eq!(Place::new("r.org", "").repository("x-1.0.0-seed"), "x-1.0.0-seed");
    }
}
