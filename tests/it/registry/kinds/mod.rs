//! What each kind of registry does otherwise.

mod archive;
mod detect;
mod gitlab;
mod zot;

use silo::catalog::RegistryKind;
use silo::registry::{Endpoint, Listing, Source, Tag};

use super::{endpoint, limits};

/// A registry of a kind, with credentials and an org.
fn open(kind: RegistryKind, url: &str, org: &str, login: Option<(&str, &str)>) -> Source {
    let endpoint = Endpoint { kind, org: org.to_owned(), ..endpoint(url, login) };
    Source::open(&endpoint, &limits()).unwrap()
}

/// Names and digests.
fn pairs(listing: &Listing<Tag>) -> Vec<(&str, Option<&str>)> {
    listing.items.iter().map(|tag| (tag.name.as_str(), tag.digest.as_deref())).collect()
}
