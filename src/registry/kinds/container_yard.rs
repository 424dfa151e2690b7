//! Container yards, which the old SILO knew: a distribution API, and beside it a search that lists images.
//!
//! `GET /search?q=…&t=json` answers with two maps, of images made there and of imported ones, by repository. It is asked
//! only where the catalogue is refused, since nothing in its answer tells whether that is all. The labels in it belong to
//! a repository and not to a digest, and what its digests are digests of is written nowhere, so tags and contents are
//! asked by `/v2/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::api::Api;
use super::super::distribution::Distribution;
use super::super::{Error, Listing, Result};

/// What the names of Seed images hold, by the standard.
const WORD: &str = "-seed";
const UNSURE: &str = "it was listed by its search for '-seed', which does not say whether that is all";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Results", alias = "results")]
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    #[serde(rename = "Community", alias = "community")]
    community: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(rename = "Imports", alias = "imports")]
    imports: Option<BTreeMap<String, IgnoredAny>>,
}

/// All repositories, or what the search finds; the latter is never taken for all.
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
