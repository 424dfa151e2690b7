//! JFrog Artifactory: one host with several Docker repositories, each with a repository key.
//!
//! Each key is a registry of its own below `/artifactory/api/docker/{key}`, with its own catalogue and login. Outside
//! this file, repository names start with the key, as in `docker pull host/key/name` (Artifactory's "repository path
//! method"). Keys scanned: the one in the address or at the start of the org; otherwise all that the account may see.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use super::super::address::{RegistryBaseUrl, host_of};
use super::super::api::VendorApi;
use super::super::distribution::DistributionApi;
use super::super::transport::HttpTransport;
use super::super::{Error, RawListing, RegistryEndpoint, Result, grammar};

/// Default path of Artifactory on its host.
const CONTEXT: &str = "artifactory";

/// An Artifactory, with a client for each repository key used so far.
pub(super) struct ArtifactoryHost {
    endpoint: RegistryEndpoint,
    transport: Arc<HttpTransport>,
    /// Path segments of Artifactory itself.
    context: Vec<String>,
    root: Url,
    /// The only key to scan; `None`: all.
    key: Option<String>,
    registries: Mutex<HashMap<String, Arc<DistributionApi>>>,
}

/// A repository in Artifactory's API.
#[derive(Deserialize)]
struct ArtifactoryRepository {
    key: String,
    #[serde(default, rename = "type")]
    class: String,
    #[serde(default, rename = "packageType")]
    package_type: String,
}

impl ArtifactoryHost {
    pub(super) fn open(
        endpoint: &RegistryEndpoint,
        base: &RegistryBaseUrl,
        transport: Arc<HttpTransport>,
    ) -> Result<Self> {
        let (context, in_address) = place(&base.url("", None))?;
        let in_org = endpoint.org.split('/').next().filter(|key| !key.is_empty()).map(str::to_owned);
        if let (Some(key), Some(org)) = (&in_address, &in_org)
            && key != org
        {
            return Err(Error::Refused(format!(
                "the org does not begin with {key}, the repository key in the address; write it as {key}/…"
            )));
        }
        let key = in_address.or(in_org);
        if let Some(key) = &key
            && !is_key(key)
        {
            return Err(Error::Refused("the repository key in the address or org is not valid for docker".to_owned()));
        }
        let registries = Mutex::default();
        Ok(Self { endpoint: endpoint.clone(), transport, context, root: base.root(), key, registries })
    }

    pub(super) async fn ping(&self, api: &VendorApi) -> Result<()> {
        match &self.key {
            Some(key) => self.registry(key)?.ping().await,
            None => self.keys(api).await.map(drop),
        }
    }

    /// All repositories of all keys. A key whose catalogue cannot be read makes the listing incomplete.
    pub(super) async fn repositories(&self, api: &VendorApi) -> Result<RawListing<String>> {
        if let Some(key) = &self.key {
            return self.repositories_of_key(key).await;
        }
        let keys = self.keys(api).await?;
        let (mut items, mut truncated) = (Vec::new(), keys.truncated);
        for key in &keys.items {
            match self.repositories_of_key(key).await {
                Ok(listing) => {
                    items.extend(listing.items);
                    truncated = truncated.or(listing.truncated);
                }
                Err(Error::Forbidden(why) | Error::LoginRequired(why) | Error::NotFound(why)) => {
                    truncated = truncated.or(Some(format!("the repositories of {key} could not be listed: {why}")));
                }
                Err(why) => return Err(why),
            }
        }
        Ok(RawListing { items, truncated })
    }

    /// The registry that serves a repository, and the repository's name there.
    pub(super) fn at<'a>(&self, repository: &'a str) -> Result<(Arc<DistributionApi>, &'a str)> {
        let Some((key, name)) = repository.split_once('/') else {
            return Err(Error::Refused(format!("'{repository}' is not an Artifactory repository: the key is missing")));
        };
        Ok((self.registry(key)?, name))
    }

    async fn repositories_of_key(&self, key: &str) -> Result<RawListing<String>> {
        let listing = self.registry(key)?.repositories().await?;
        let items = listing.items.into_iter().map(|name| format!("{key}/{name}"));
        Ok(RawListing { items: items.collect(), ..listing })
    }

    /// The keys of all Docker repositories except virtual ones, which only aggregate others.
    async fn keys(&self, api: &VendorApi) -> Result<RawListing<String>> {
        let mut path: Vec<&str> = self.context.iter().map(String::as_str).collect();
        path.extend(["api", "repositories"]);
        let entries: Vec<ArtifactoryRepository> =
            api.get(api.url(&path, &[("packageType", "docker")]), "the keys of its Docker repositories").await?;
        let is_docker =
            |entry: &ArtifactoryRepository| matches!(&*entry.package_type.to_ascii_lowercase(), "docker" | "");
        let is_own = |entry: &ArtifactoryRepository| !entry.class.eq_ignore_ascii_case("virtual");
        let keys = entries.into_iter().filter(|entry| is_docker(entry) && is_own(entry)).map(|entry| entry.key);
        let mut items: Vec<String> = keys.filter(|key| is_key(key)).collect();
        if items.is_empty() {
            return Err(Error::NotFound(format!(
                "{} shows this account no Docker repositories; give it the right to read them, or give the key of one as org",
                host_of(&self.root)
            )));
        }
        // Each key costs at least one page, so the page limit also limits the keys.
        let most = api.most_pages() as usize;
        let truncated = (items.len() > most)
            .then(|| format!("it has more than {most} Docker repositories, the limit set here for pages"));
        items.truncate(most);
        Ok(RawListing { items, truncated })
    }

    fn registry(&self, key: &str) -> Result<Arc<DistributionApi>> {
        let mut registries = self.registries.lock();
        if let Some(known) = registries.get(key) {
            return Ok(Arc::clone(known));
        }
        let mut url = self.root.clone();
        url.set_path(&format!("/{}/api/docker/{key}", self.context.join("/")));
        let registry =
            DistributionApi::open(&self.endpoint, RegistryBaseUrl::parse(url.as_str())?, Arc::clone(&self.transport))?;
        let registry = Arc::new(registry);
        registries.insert(key.to_owned(), Arc::clone(&registry));
        Ok(registry)
    }
}

/// Parses an address into the path of Artifactory on its host, and the key if it has one.
fn place(api: &Url) -> Result<(Vec<String>, Option<String>)> {
    let own = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    let path = api.path().trim_matches('/');
    let parts: Vec<&str> = path.strip_suffix("v2").unwrap_or(path).split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => Ok((own(&[CONTEXT]), None)),
        [context @ .., "api", "docker", key] if !context.is_empty() => Ok((own(context), Some((*key).to_owned()))),
        [.., CONTEXT] => Ok((own(&parts), None)),
        [key] => Ok((own(&[CONTEXT]), Some((*key).to_owned()))),
        _ => Err(Error::Refused(
            "the address is not an Artifactory address; write it like art.example.org, art.example.org/KEY or \
             art.example.org/artifactory/api/docker/KEY"
                .to_owned(),
        )),
    }
}

/// Whether a key can start a repository name.
fn is_key(key: &str) -> bool {
    grammar::is_repository(key) && !key.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<(String, Option<String>)> {
        let (context, key) = place(&RegistryBaseUrl::parse(address).unwrap().url("", None)).ok()?;
        Some((context.join("/"), key))
    }

    #[test]
    fn addresses() {
        let is = |context: &str, key: Option<&str>| Some((context.to_owned(), key.map(str::to_owned)));
        for all in ["art.example.org", "https://art.example.org/artifactory/", "art.example.org/v2/"] {
            assert_eq!(of(all), is("artifactory", None), "{all}");
        }
        for one in
            ["a.org/geo-local", "a.org/artifactory/api/docker/geo-local", "a.org/artifactory/api/docker/geo-local/v2/"]
        {
            assert_eq!(of(one), is("artifactory", Some("geo-local")), "{one}");
        }
        assert_eq!(of("a.org/tools/artifactory"), is("tools/artifactory", None));
        assert_eq!(of("a.org/tools/api/docker/x"), is("tools", Some("x")));
        for none in ["a.org/a/b", "a.org/artifactory/geo-local"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
