//! Container Yards, which the old SILO supported: a distribution API, and a search that lists images.
//!
//! `GET /search?q=…&t=json` returns two maps by repository, of community and of imported images. It is used only if the
//! catalogue is denied, since the response does not show whether it is complete. Its labels belong to a repository
//! instead of a digest, and what its digests refer to is not documented, so tags and contents are read through `/v2/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::api::Api;
use super::super::distribution::Distribution;
use super::super::{Error, Listing, Result};

/// Part of the names of Seed images, by the Seed standard.
const WORD: &str = "-seed";
/// Why search results count as incomplete.
const UNSURE: &str = "it was listed by its search for '-seed', which does not say whether that is all";

/// Response of the search.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Results", alias = "results")]
    results: Results,
}

/// Repositories found, by origin.
#[derive(Deserialize)]
struct Results {
    #[serde(rename = "Community", alias = "community")]
    community: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "Imports", alias = "imports")]
    imports: Option<BTreeMap<String, IgnoredAny>>,
}

/// All repositories, or the search results, which always count as incomplete.
pub(super) async fn repositories(registry: &Distribution, api: &Api) -> Result<Listing<String>> {
    match registry.repositories().await {
        Err(Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_)) => {}
        outcome => return outcome,
    }
    let url = api.url(&["search"], &[("q", WORD), ("t", "json")]);
    let Results { community, imports } = api.get::<Answer>(url, "its search").await?.results;
    let found = [community, imports].into_iter().flatten().flatten().map(|(name, _)| name);
    let mut items: Vec<String> = found.collect();
    items.sort();
    items.dedup();
    Ok(Listing { items, truncated: Some(UNSURE.to_owned()) })
}
