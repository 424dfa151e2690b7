//! Digests from the pages of a tag listing. Pure.

use std::collections::HashMap;

use super::super::{ListedTag, RawListing, grammar};

/// Most tags whose digests are kept; the digests of the others are requested later.
const MOST: usize = 1_000_000;

/// The digests of the tags of one repository.
#[derive(Default)]
pub(super) struct TagDigests(HashMap<String, Option<String>>);

impl TagDigests {
    /// Adds a tag's digest. A tag with contradictory digests or an invalid one gets none, so that it is requested
    /// later.
    pub(super) fn add(&mut self, tag: &str, digest: &str) {
        if self.0.len() >= MOST && !self.0.contains_key(tag) {
            return;
        }
        let digest = Some(digest.to_owned()).filter(|digest| grammar::is_digest(digest));
        let known = self.0.entry(tag.to_owned()).or_insert_with(|| digest.clone());
        if *known != digest {
            *known = None;
        }
    }

    /// Converts a listing of names to tags with their digests.
    pub(super) fn tags(mut self, listing: RawListing<String>) -> RawListing<ListedTag> {
        let items = listing.items.into_iter().map(|name| {
            let digest = self.0.remove(&name).flatten();
            ListedTag::new(name, digest)
        });
        RawListing { items: items.collect(), truncated: listing.truncated }
    }
}
