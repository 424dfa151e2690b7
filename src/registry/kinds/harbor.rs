//! Harbor 2: lists tags with their digests and, since 2.3, images with the labels of their configs, so that a new
//! digest costs no further request. Repository names are `project/name`.
//!
//! The API is `/api/v2.0`, with the same user name and password as `/v2/`, also for robot accounts (`robot$…`).
//! Signatures and other accessories are not in its listings.

use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::api::VendorApi;
use super::super::distribution::DistributionApi;
use super::super::grammar::{is_digest, is_repository, printable};
use super::super::listing::next_query;
use super::super::transport::RegistryResponse;
use super::super::wire::{self, OciImageConfig};
use super::super::{ConfigRef, Error, FetchedContent, ListedTag, RawListing, Result};
use super::ChangeSignals;
use super::page_walk::PageWalk;

const API: [&str; 2] = ["api", "v2.0"];
/// Page size; Harbor's maximum.
const PAGE: usize = 100;
/// Most requests in flight: large Harbors need seconds for a page (harbor#17511, #18598), because of their database.
pub(super) const MOST_IN_FLIGHT: usize = 4;
/// Projects whose repositories are listed concurrently.
const PROJECTS_AT_ONCE: usize = 4;
/// Most bytes of labels kept from one listing; the contents of further images are fetched one by one.
const MOST_TOLD: usize = 64 << 20;

/// A project, a repository or a tag.
#[derive(Deserialize)]
struct HarborEntry {
    name: String,
    /// Of a repository: time of its last change.
    #[serde(default)]
    update_time: Option<String>,
}

/// Harbor's system information.
#[derive(Deserialize)]
struct HarborSystemInfo {
    /// Such as `v2.16.0-89ef156a`; only for authenticated clients.
    harbor_version: Option<String>,
}

/// An artifact in Harbor's API: a manifest or index with its tags.
#[derive(Deserialize)]
struct HarborArtifact {
    #[serde(default)]
    digest: String,
    tags: Option<Vec<HarborEntry>>,
    /// `IMAGE`, also for an index of images; another word for other artifacts.
    #[serde(rename = "type", default)]
    kind: String,
    /// Media type of the config.
    #[serde(default)]
    media_type: String,
    artifact_type: Option<String>,
    /// Compressed size of config and layers, bytes.
    size: Option<u64>,
    /// Children of an index.
    references: Option<Vec<Value>>,
    /// Of an image: the fields of its config, without the platform's variant; of other artifacts: anything.
    #[serde(default)]
    extra_attrs: Value,
    annotations: Option<Map<String, Value>>,
}

/// Checks that Harbor responds, accepts the account, and has the project if one is named.
pub(super) async fn ping(api: &VendorApi, v2: &DistributionApi, org: &str) -> Result<()> {
    log_in(api).await?;
    v2.ping().await?;
    let (path, what) = match project_of(org) {
        Some(project) => (vec!["projects", project, "repositories"], format!("the project {project}")),
        None => (vec!["projects"], "the projects".to_owned()),
    };
    let answer = api.ask(api.url(&[&API[..], &path].concat(), &[("page", "1"), ("page_size", "1")])).await?;
    if answer.status == StatusCode::NOT_FOUND && answer.error_code().is_none() {
        return Err(Error::NotARegistry(format!(
            "{} has no Harbor 2 API at /api/v2.0; check the address, or add it as kind 'distribution'",
            api.host()
        )));
    }
    api.read::<Vec<Value>>(&answer, &format!("{what} (Harbor)")).map(drop)
}

/// Checks the credentials. Sent before anything else: elsewhere (also at the token service) Harbor treats a wrong
/// password or an expired robot account as anonymous, and shows what is public.
async fn log_in(api: &VendorApi) -> Result<()> {
    if !api.has_login() {
        return Ok(());
    }
    let answer = api.ask(api.url(&[&API[..], &["users", "current"]].concat(), &[])).await?;
    match answer.status {
        status if status.is_success() => Ok(()),
        // Robot accounts are valid, but are no users. A 404 means that this is no Harbor, which the next request
        // reports.
        StatusCode::PRECONDITION_FAILED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(()),
        _ => Err(api.refusal(&answer, "the account (Harbor)")),
    }
}

/// All repositories that the account may see, or those of a project. Harbor also has one listing of all repositories,
/// but to robot accounts it silently shows only those of public projects.
pub(super) async fn repositories(api: &VendorApi, org: &str, signals: &ChangeSignals) -> Result<RawListing<String>> {
    log_in(api).await?;
    let signals = reports_changes(api).await.then_some(signals);
    if let Some(project) = project_of(org) {
        return of_project(api, project, signals).await;
    }
    let projects = names(api, &["projects"], "the projects", None).await?;
    let mut all = RawListing { items: Vec::new(), truncated: projects.truncated };
    let (projects, misnamed): (Vec<_>, Vec<_>) = projects.items.into_iter().partition(|name| is_repository(name));
    if let Some(name) = misnamed.first() {
        all.truncated.get_or_insert(format!("no project can be called '{}'", printable(name)));
    }
    let mut listings = stream::iter(projects)
        .map(|project| async move { of_project(api, &project, signals).await })
        .buffered(PROJECTS_AT_ONCE);
    while let Some(listing) = listings.next().await {
        match listing {
            Ok(listing) => {
                all.items.extend(listing.items);
                all.truncated = all.truncated.or(listing.truncated);
            }
            // The project was deleted meanwhile, or this account may not list it.
            Err(why @ (Error::NotFound(_) | Error::Forbidden(_) | Error::LoginRequired(_))) => {
                all.truncated.get_or_insert(why.to_string());
            }
            Err(why) => return Err(why),
        }
    }
    Ok(all)
}

/// Whether the times of repositories change with every change. Before 2.16 they did not when a tag was moved or
/// deleted.
async fn reports_changes(api: &VendorApi) -> bool {
    if !api.has_login() {
        return false; // anonymous clients do not get the version
    }
    let url = api.url(&[&API[..], &["systeminfo"]].concat(), &[]);
    let told: Result<HarborSystemInfo> = api.get(url, "its version (Harbor)").await;
    told.ok().and_then(|info| info.harbor_version).is_some_and(|version| is_since_2_16(&version))
}

fn is_since_2_16(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(2), Some(16))
}

async fn of_project(api: &VendorApi, project: &str, signals: Option<&ChangeSignals>) -> Result<RawListing<String>> {
    let what = format!("the repositories of the project {project}");
    names(api, &["projects", project, "repositories"], &what, signals).await
}

/// A listing of projects or repositories; both have the same name syntax.
async fn names(
    api: &VendorApi,
    path: &[&str],
    what: &str,
    signals: Option<&ChangeSignals>,
) -> Result<RawListing<String>> {
    let take = |named: HarborEntry| {
        if let Some(signals) = signals {
            signals.note(&named.name, named.update_time);
        }
        (named.name.clone(), named.name)
    };
    list(api, path, &[], what, take).await
}

/// The tags of a repository with their digests and contents.
pub(super) async fn tags(api: &VendorApi, repository: &str) -> Result<RawListing<ListedTag>> {
    let Some((project, name)) = repository.split_once('/') else {
        return Err(Error::NotFound(format!("Harbor has no {repository}: its repositories are called project/name")));
    };
    // Harbor decodes the name twice: as a URL path, and again by itself.
    let name = name.replace('/', "%2F");
    let path = ["projects", project, "repositories", &name, "artifacts"];
    let query = [("with_tag", "true"), ("with_label", "false"), ("q", "tags=*")];
    let mut room = MOST_TOLD;
    let what = format!("the tags of {repository}");
    let listing = list(api, &path, &query, &what, |artifact: HarborArtifact| {
        let first = artifact.tags.iter().flatten().next().map(|tag| tag.name.clone());
        let key = if artifact.digest.is_empty() { first.unwrap_or_default() } else { artifact.digest.clone() };
        (key, tags_of(artifact, &mut room))
    });
    match listing.await {
        Ok(listing) => {
            Ok(RawListing { items: listing.items.into_iter().flatten().collect(), truncated: listing.truncated })
        }
        // The repository was deleted meanwhile.
        Err(Error::NotFound(_)) => Ok(RawListing { items: Vec::new(), truncated: None }),
        Err(why) => Err(why),
    }
}

/// The tags of an artifact. Only the first carries the content, which is the same for all.
fn tags_of(artifact: HarborArtifact, room: &mut usize) -> Vec<ListedTag> {
    let digest = Some(artifact.digest.clone()).filter(|digest| is_digest(digest));
    let mut content = digest.as_ref().and_then(|_| content_of(&artifact)).filter(|content| content.size() <= *room);
    *room -= content.as_ref().map_or(0, FetchedContent::size);
    let tags = artifact.tags.unwrap_or_default().into_iter();
    tags.map(|tag| ListedTag { content: content.take(), ..ListedTag::new(tag.name, digest.clone()) }).collect()
}

/// Content of an artifact, if Harbor gives it: not for an index, and not before 2.3.
fn content_of(artifact: &HarborArtifact) -> Option<FetchedContent> {
    let media_type = &artifact.media_type;
    let is_index = artifact.references.as_ref().is_some_and(|children| !children.is_empty());
    let is_artifact = artifact.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty() && kind != media_type);
    if is_index || is_artifact || media_type.is_empty() || artifact.kind.is_empty() {
        return None;
    }
    match (artifact.kind.as_str(), wire::is_image_config(media_type)) {
        ("IMAGE", true) => {
            let config =
                OciImageConfig::deserialize(&artifact.extra_attrs).ok().filter(OciImageConfig::has_container_config)?;
            let annotations = artifact.annotations.iter().flatten();
            let annotations = annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            let said = ConfigRef { annotations: annotations.collect(), size: artifact.size, ..ConfigRef::default() };
            Some(FetchedContent::Image(vec![said.complete(config.into_image(String::new()))]))
        }
        ("IMAGE", false) | (_, true) => None,
        _ => Some(FetchedContent::Other(media_type.clone())),
    }
}

/// The project at the start of a namespace; repository names may continue it.
fn project_of(org: &str) -> Option<&str> {
    org.trim_matches('/').split('/').next().filter(|project| !project.is_empty())
}

/// All pages of a listing. `take` returns an entry's unique key, and the value to keep.
async fn list<T: DeserializeOwned, I>(
    api: &VendorApi,
    path: &[&str],
    query: &[(&str, &str)],
    what: &str,
    mut take: impl FnMut(T) -> (String, I),
) -> Result<RawListing<I>> {
    let path = [&API[..], path].concat();
    let what = format!("{what} (Harbor)");
    let mut pages = PageWalk::new("1", api.most_pages());
    let (mut items, mut most_told) = (Vec::new(), None);
    while let Some(number) = pages.query() {
        let size = PAGE.to_string();
        let query = [query, &[("page", number.as_str()), ("page_size", size.as_str())]].concat();
        let answer = api.ask(api.url(&path, &query)).await?;
        if answer.status == StatusCode::NOT_FOUND && answer.error_code().is_none() {
            return Err(answer.unexpected(&what)); // a 404 from elsewhere, such as a proxy, proves nothing
        }
        let page = api.read::<Option<Vec<T>>>(&answer, &what)?.unwrap_or_default();
        let count = page.len();
        for (key, item) in page.into_iter().map(&mut take) {
            if pages.is_new(&key) {
                items.push(item);
            }
        }
        most_told = most_told.max(total(&answer));
        // A proxy may remove the headers: then a full page may not be the last.
        let lacks = most_told.map_or(count >= PAGE, |told| items.len() < told);
        let more = count > 0 && (lacks || next_query(&answer.headers).is_some());
        pages.turn_number(more);
    }
    Ok(RawListing { truncated: pages.truncated().or_else(|| shortfall(items.len(), most_told)), items })
}

/// Total number of entries that the response announces.
fn total(answer: &RegistryResponse) -> Option<usize> {
    answer.header("x-total-count")?.trim().parse().ok()
}

/// Why a fully read listing is incomplete: a deletion meanwhile moves entries to pages that were already read.
fn shortfall(count: usize, told: Option<usize>) -> Option<String> {
    let told = told.filter(|told| count < *told)?;
    Some(format!("it has {told} entries but showed {count}; it may have changed meanwhile"))
}
