//! Checks a registry before it is added or changed: what its fields may be, its kind, and whether it answers.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::names::check_name;
use super::{App, Error, Result};
use crate::catalog::{
    NewRegistry, RegistryKind, RegistryMembers, RegistryVisibility, RepositoryFilter, VerifiedMarks, naming_advice,
};
use crate::registry::{self, RegistryEndpoint, RegistryLimits, RegistrySource, TlsSettings, check_repository};

/// Connect timeout while a user waits: an unreachable host is reported within three seconds.
const REACH: Duration = Duration::from_millis(2500);
/// Time limit of listings while a user waits; what is unknown by then, the first scan finds out.
const LISTING_PATIENCE: Duration = Duration::from_secs(5);
/// Most repositories that may be named, and how many of them are tried when the registry is added.
const MOST_NAMED: usize = 1000;
const MOST_TRIED: usize = 20;

/// Form of a new registry. Empty texts and lists mean the defaults.
#[derive(Debug, Default)]
pub struct RegistryForm {
    pub name: String,
    pub url: String,
    /// The kind of registry. `None`: detected from the URL, and by asking the registry.
    pub kind: Option<RegistryKind>,
    pub org: String,
    pub username: String,
    pub password: SecretString,
    /// CA certificates (PEM) to trust beside the system's.
    pub ca: String,
    /// Client certificate (PEM, with its chain), and its key.
    pub client_certificate: String,
    pub client_key: SecretString,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// The only repositories to scan, for registries that do not list them.
    pub repositories: Vec<String>,
    pub schedule: String,
    pub verified: VerifiedMarks,
    pub visibility: RegistryVisibility,
    /// Who sees it if it is private, and who maintains it.
    pub members: RegistryMembers,
}

/// A registry that answers and accepts the credentials, and was neither added nor changed.
#[derive(Clone, Debug)]
pub struct RegistryCheck {
    /// As given, or found out.
    pub kind: RegistryKind,
    /// Of pull references; empty for images on disk.
    pub host: String,
    /// Reasons why scans will not be complete.
    pub notes: Vec<String>,
}

impl From<(NewRegistry, Vec<String>)> for RegistryCheck {
    fn from((new, notes): (NewRegistry, Vec<String>)) -> Self {
        Self { kind: new.kind, host: new.host, notes }
    }
}

/// What is wrong with a field of a [`RegistryForm`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryFieldProblem {
    /// The field's name in the form.
    pub field: &'static str,
    /// What is wrong, and what to give instead.
    pub text: String,
}

impl App {
    /// The kind of the registry at an address: from the address, else from a few requests without credentials. A
    /// registry of a kind that is not known counts as [`RegistryKind::Distribution`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable address, and for a host that is unknown or does not respond.
    pub async fn registry_kind(&self, url: &str) -> Result<RegistryKind> {
        check_name("registry url", url)?;
        let endpoint = RegistryEndpoint {
            kind: RegistryKind::Distribution,
            url: url.to_owned(),
            org: String::new(),
            username: String::new(),
            password: None,
            tls: TlsSettings::default(),
        };
        let limits = self.impatient_limits();
        let in_words = |why: registry::Error| Error::Invalid(why.to_string());
        let kind = RegistrySource::detect(&endpoint, &limits, &self.0.hosts).await.map_err(in_words)?;
        if kind == RegistryKind::Distribution {
            // A host that does not answer counts as this kind, too.
            RegistrySource::reach(url, "", Some(kind), &limits, REACH).await.map_err(in_words)?;
        }
        Ok(kind)
    }

    /// The registry as it is to be stored, once it has answered and accepted the credentials; and notes on what will
    /// keep its scans from being complete.
    pub(super) async fn registry_that_answers(&self, form: &RegistryForm) -> Result<(NewRegistry, Vec<String>)> {
        let given = |secret: &SecretString| Some(secret.clone()).filter(|secret| !secret.expose_secret().is_empty());
        let mut endpoint = RegistryEndpoint {
            kind: RegistryKind::Distribution,
            url: form.url.clone(),
            org: form.org.trim_matches('/').to_owned(),
            username: form.username.clone(),
            password: given(&form.password),
            tls: TlsSettings {
                ca: form.ca.clone(),
                certificate: form.client_certificate.clone(),
                key: given(&form.client_key),
            },
        };
        // A failure of the registry is an error of the request: the admin can fix it.
        let in_words = |why: registry::Error| Error::Invalid(why.to_string());
        // One page is enough to know whether listings are allowed.
        let limits = RegistryLimits { pages: 1, ..self.impatient_limits() };
        RegistrySource::reach(&form.url, &form.org, form.kind, &limits, REACH).await.map_err(in_words)?;
        endpoint.kind = match form.kind {
            Some(kind) => kind,
            None => RegistrySource::detect(&endpoint, &limits, &self.0.hosts).await.map_err(in_words)?,
        };
        let source = RegistrySource::open(&endpoint, &limits, &self.0.hosts).map_err(in_words)?;
        source.insist();
        source.ping().await.map_err(in_words)?;
        let notes = tokio::time::timeout(LISTING_PATIENCE, unlisted(&source, form)).await.unwrap_or_default();
        for note in &notes {
            tracing::warn!(registry = form.name, note, "the registry answers, but has a problem");
        }
        let new = NewRegistry {
            name: form.name.clone(),
            url: form.url.clone(),
            host: source.host(),
            org: endpoint.org,
            kind: endpoint.kind,
            username: form.username.clone(),
            ca: form.ca.clone(),
            client_certificate: form.client_certificate.clone(),
            include: form.include.clone(),
            exclude: form.exclude.clone(),
            repositories: form.repositories.clone(),
            schedule: form.schedule.clone(),
            visibility: form.visibility,
        };
        Ok((new, notes))
    }
}

/// Everything that is wrong with the fields of a form by themselves, before the registry is asked.
pub fn registry_field_problems(form: &RegistryForm) -> Vec<RegistryFieldProblem> {
    let named = |what: &str, text: &str| if text.is_empty() { Ok(()) } else { check_name(what, text) };
    let is_without_user = form.username.is_empty() && !form.password.expose_secret().is_empty();
    let password = if is_without_user { Err(invalid("A password needs a user name")) } else { Ok(()) };
    let globs = |include: &[String], exclude: &[String]| {
        RepositoryFilter::new("", include, exclude).map(drop).map_err(Error::Invalid)
    };
    let checks = [
        ("name", check_name("registry name", &form.name)),
        ("url", check_name("registry url", &form.url)),
        ("org", named("org", &form.org)),
        ("username", named("user name", &form.username)),
        ("password", password),
        ("repositories", check_repositories(&form.repositories)),
        ("include", globs(&form.include, &[])),
        ("exclude", globs(&[], &form.exclude)),
        ("schedule", super::scans::next_scan(&form.schedule, chrono::DateTime::UNIX_EPOCH).map(drop)),
        ("verified_namespaces", checked_marks(&form.verified).map(drop)),
    ];
    let problem = |(field, outcome): (&'static str, Result<()>)| {
        outcome.err().map(|why| RegistryFieldProblem { field, text: why.to_string() })
    };
    checks.into_iter().filter_map(problem).collect()
}

fn check_repositories(names: &[String]) -> Result<()> {
    if names.len() > MOST_NAMED {
        let text = format!("More than {MOST_NAMED} repositories are named; give patterns instead");
        return Err(Error::Invalid(text));
    }
    names.iter().try_for_each(|name| check_repository(name).map(drop).map_err(|why| invalid(&why.to_string())))
}

fn invalid(text: &str) -> Error {
    Error::Invalid(text.to_owned())
}

/// # Errors
/// [`Error::Invalid`] with the first problem of the form.
pub(super) fn check_form(form: &RegistryForm) -> Result<()> {
    registry_field_problems(form).into_iter().next().map_or(Ok(()), |problem| Err(Error::Invalid(problem.text)))
}

/// Notes on what a registry that answers does not list: its repositories, or the tags of those that are named.
async fn unlisted(source: &RegistrySource, form: &RegistryForm) -> Vec<String> {
    let is_final = |why: &registry::Error| {
        use registry::Error::{Forbidden, LoginRequired, NotFound};
        matches!(why, Forbidden(_) | LoginRequired(_) | NotFound(_))
    };
    if form.repositories.is_empty() {
        let refusal = source.repositories().await.err().filter(is_final);
        let note = |why| format!("{why}. Until then its scans fail, unless you {}", naming_advice(&form.name));
        return refusal.map(note).into_iter().collect();
    }
    let mut notes = Vec::new();
    for name in form.repositories.iter().take(MOST_TRIED) {
        match source.tags(name).await {
            Ok(listing) if listing.items.is_empty() => notes.push(format!("{name} has no tags; check the name")),
            Err(why) if is_final(&why) => notes.push(why.to_string()),
            _ => {}
        }
    }
    notes
}

/// Normalises namespaces of repositories, without duplicates. They need not exist yet.
pub(super) fn checked_marks(marks: &VerifiedMarks) -> Result<VerifiedMarks> {
    /// The limit of repository names.
    const LONGEST: usize = 255;
    if marks.namespaces.len() > MOST_NAMED {
        return Err(Error::Invalid(format!("More than {MOST_NAMED} namespaces are named; mark the registry instead")));
    }
    let mut namespaces: Vec<String> =
        marks.namespaces.iter().map(|namespace| namespace.trim_matches('/').to_owned()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let is_one = |name: &&String| name.len() <= LONGEST && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if let Some(wrong) = namespaces.iter().find(|name| !is_one(name)) {
        return Err(Error::Invalid(format!(
            "{wrong:?} cannot be a namespace: a namespace is the part of a repository name before the last slash, \
             such as team/maps in team/maps/ndvi, or / if there is no slash"
        )));
    }
    Ok(VerifiedMarks { registry: marks.registry, namespaces })
}
