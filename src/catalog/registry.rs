//! Registries: the sources of images.

use chrono::{DateTime, Utc};
use std::collections::HashSet;

use globset::{GlobBuilder, GlobMatcher};

use super::{RegistryId, RegistryVisibility};

/// Declares the kinds of registries with their words.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// The kind of a registry: it decides which API is used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RegistryKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl RegistryKind {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word used in the API and in the store.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// The OCI distribution API (`/v2/`), which docker-registry and most others serve.
    Distribution = "distribution",
    /// Docker Hub: lists a namespace by its own API.
    DockerHub = "docker-hub",
    /// Harbor 2.
    Harbor = "harbor",
    /// GitLab's container registry, by the API of projects and groups.
    GitLab = "gitlab",
    /// GitHub's container registry (ghcr.io).
    Ghcr = "ghcr",
    /// Quay, quay.io or self-hosted.
    Quay = "quay",
    /// zot with its search extension.
    Zot = "zot",
    /// Amazon's Elastic Container Registry.
    Ecr = "ecr",
    /// Google's Artifact Registry, and gcr.io before it.
    ArtifactRegistry = "artifact-registry",
    /// Azure's container registry.
    Acr = "acr",
    /// JFrog Artifactory.
    Artifactory = "artifactory",
    /// Sonatype Nexus.
    Nexus = "nexus",
    /// A container yard, whose search API returns the labels.
    ContainerYard = "container-yard",
    /// An OCI image layout: a folder on this machine with an `oci-layout` file.
    Layout = "layout",
    /// An archive made by `docker save`, on this machine.
    Archive = "archive",
}

impl RegistryKind {
    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<RegistryKind> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// A registry without its secrets, which stay sealed in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRecord {
    pub id: RegistryId,
    /// Unique name, chosen by the admin.
    pub name: String,
    /// The address as the admin gave it; without a scheme, `https://` is assumed.
    pub url: String,
    /// `host[:port]` of pull references; empty for an image layout on disk.
    pub host: String,
    /// Only repositories below this first path part are scanned; empty for all.
    pub org: String,
    pub kind: RegistryKind,
    /// User name for the registry; empty for none.
    pub username: String,
    /// Whether a sealed password is stored.
    pub has_password: bool,
    /// Whether it has a hook: an address that its notifications are posted to.
    pub has_hook: bool,
    /// Certificates (PEM) of certificate authorities trusted for it in addition to the system's; empty for none.
    pub ca: String,
    /// Our client certificate for it (PEM, with its chain); empty for none. The key stays sealed in the store.
    pub client_certificate: String,
    /// Globs of repository names to scan; empty for the configured default.
    pub include: Vec<String>,
    /// Globs of repository names to skip, applied after `include`.
    pub exclude: Vec<String>,
    /// If not empty, only these repositories are scanned, without listing the registry and without the globs.
    pub repositories: Vec<String>,
    /// Cron expression of five fields (UTC), `off`, or empty for the configured default.
    pub schedule: String,
    pub created_at: DateTime<Utc>,
    /// Time of the next scheduled scan; `None` before the schedule was first read, and if it is off.
    pub next_scan_at: Option<DateTime<Utc>>,
    pub verified: VerifiedMarks,
    pub visibility: RegistryVisibility,
}

/// What an admin has marked as verified: it represents jobs that other origins have too, and ranks first in searches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifiedMarks {
    /// The whole registry, including future repositories.
    pub registry: bool,
    /// Namespaces: paths of repositories before the last slash, existing or not; empty for repositories without a
    /// slash. A namespace does not cover those below it.
    pub namespaces: Vec<String>,
}

impl VerifiedMarks {
    /// Whether the namespace, or the whole registry, is marked.
    pub fn cover(&self, namespace: &str) -> bool {
        self.registry || self.namespaces.iter().any(|marked| marked == namespace)
    }
}

/// What a registry has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistrySize {
    /// Seed images in the catalogue.
    pub images: u64,
    /// Repositories whose last scan failed.
    pub failing_repositories: u64,
}

/// What goes when a registry is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryLoss {
    pub images: u64,
    /// Jobs without images in other registries.
    pub jobs: u64,
}

/// A registry to be added. The sealed password and key are passed separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegistry {
    pub name: String,
    pub url: String,
    pub host: String,
    pub org: String,
    pub kind: RegistryKind,
    pub username: String,
    pub ca: String,
    pub client_certificate: String,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub repositories: Vec<String>,
    pub schedule: String,
    /// Who sees it from the start.
    pub visibility: RegistryVisibility,
}

/// What a change of a registry does with one of its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecretChange<T> {
    #[default]
    Keep,
    Remove,
    Set(T),
}

impl<T> SecretChange<T> {
    /// Whether the secret stays as it is.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The secret that is set.
    pub fn new_value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Remove => None,
        }
    }
}

/// Advice for a registry that does not list its repositories.
pub fn naming_advice(registry: &str) -> String {
    format!("name the repositories to scan: silo registry set {registry} --repository NAME")
}

/// Selects by name the repositories of a registry that a scan reads.
#[derive(Debug)]
pub struct RepositoryFilter {
    org: String,
    include: Vec<GlobMatcher>,
    exclude: Vec<GlobMatcher>,
    /// If not empty, only these repositories are selected.
    named: HashSet<String>,
}

impl RepositoryFilter {
    /// Globs match the whole path; `*` also matches `/`, so `*-seed` matches `geo/team/my-job-1.0.0-seed`.
    ///
    /// # Errors
    /// The first invalid glob, and the reason.
    pub fn new(org: &str, include: &[String], exclude: &[String]) -> Result<Self, String> {
        // GitHub spells owners in mixed case; names of repositories are lower-case.
        let org = org.trim_matches('/').to_ascii_lowercase();
        let (include, exclude, named) = (matchers(include)?, matchers(exclude)?, HashSet::new());
        Ok(Self { org, include, exclude, named })
    }

    /// Selects only these repositories, if there are any.
    #[must_use]
    pub fn naming(self, repositories: &[String]) -> Self {
        Self { named: repositories.iter().cloned().collect(), ..self }
    }

    /// Whether the repository is below the registry's org, or is the org itself (a GitLab project has images under its
    /// own name). Others belong to other owners and are never counted.
    pub fn in_org(&self, repository: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.named.contains(repository)
            || self.org.is_empty()
            || repository.strip_prefix(&self.org).is_some_and(is_below)
    }

    /// Whether the repository is selected by name.
    pub fn includes(&self, repository: &str) -> bool {
        if !self.named.is_empty() {
            return self.named.contains(repository);
        }
        self.include.iter().any(|glob| glob.is_match(repository))
            && !self.exclude.iter().any(|glob| glob.is_match(repository))
    }
}

fn matchers(globs: &[String]) -> Result<Vec<GlobMatcher>, String> {
    globs
        .iter()
        .map(|text| {
            GlobBuilder::new(text)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|why| format!("'{text}' is not a pattern of repository names: {}", why.kind()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(org: &str, include: &[&str], exclude: &[&str]) -> RepositoryFilter {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        RepositoryFilter::new(org, &own(include), &own(exclude)).unwrap()
    }

    #[test]
    fn a_star_crosses_slashes_and_exclude_wins() {
        let f = filter("", &["*-seed"], &["old/*"]);
        assert!(f.includes("geo/team/my-job-1.0.0-seed"));
        assert!(!f.includes("geo/seedling"));
        assert!(!f.includes("old/my-job-1.0.0-seed"));
    }

    #[test]
    fn an_org_is_a_whole_path_part() {
        let f = filter("Geo", &["*"], &[]);
        assert!(f.in_org("geo/a-seed") && f.in_org("geo"), "names of repositories have no capitals");
        assert!(!f.in_org("geoint/a-seed"), "the old service took any name with the same first letters");
    }

    #[test]
    fn names_take_the_place_of_everything_else() {
        let f = filter("geo", &["*-seed"], &["old/*"]).naming(&["old/a".to_owned(), "geo/b".to_owned()]);
        for (name, is_named) in [("old/a", true), ("geo/b", true), ("geo/c-seed", false), ("a", false)] {
            assert_eq!(f.in_org(name) && f.includes(name), is_named, "{name}");
        }
        assert!(filter("geo", &["*-seed"], &[]).naming(&[]).includes("geo/c-seed"));
    }

    #[test]
    fn a_broken_glob_is_named() {
        let error = RepositoryFilter::new("", &["[a".to_owned()], &[]).unwrap_err();
        assert!(error.contains("'[a'"), "{error}");
    }
}
