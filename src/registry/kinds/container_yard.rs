//! Container Yards, which the old SILO supported: a distribution API, and a search that lists images.
//!
//! `GET /search?q=…&t=json` returns two maps by repository, of community and of imported images. It is used only if the
//! catalogue is denied, since the response does not show whether it is complete. Its labels belong to a repository
//! instead of a digest, and what its digests refer to is not documented, so tags and contents are read through `/v2/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::api::VendorApi;
use super::super::distribution::DistributionApi;
use super::super::{Error, RawListing, Result};

/// Part of the names of Seed images, by the Seed standard.
const WORD: &str = "-seed";
/// Why search results count as incomplete.
const UNSURE: &str = "it was listed by a search for '-seed', which may be incomplete";

/// Response of the search.
#[derive(Deserialize)]
struct ContainerYardResponse {
    #[serde(rename = "Results", alias = "results")]
    results: ContainerYardResults,
}

/// Repositories found, by origin.
#[derive(Deserialize)]
struct ContainerYardResults {
    #[serde(rename = "Community", alias = "community")]
    community: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "Imports", alias = "imports")]
    imports: Option<BTreeMap<String, IgnoredAny>>,
}

/// All repositories, or the search results, which always count as incomplete.
pub(super) async fn repositories(registry: &DistributionApi, api: &VendorApi) -> Result<RawListing<String>> {
    match registry.repositories().await {
        Err(Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_)) => {}
        outcome => return outcome,
    }
    let url = api.url(&["search"], &[("q", WORD), ("t", "json")]);
    let ContainerYardResults { community, imports } =
        api.get::<ContainerYardResponse>(url, "its search").await?.results;
    let found = [community, imports].into_iter().flatten().flatten().map(|(name, _)| name);
    let mut items: Vec<String> = found.collect();
    items.sort();
    items.dedup();
    Ok(RawListing { items, truncated: Some(UNSURE.to_owned()) })
}
