//! The difference between the stored and the found tags of a registry: what a scan changes.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{ImageId, TagOutcome};

/// A tag as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTag {
    pub id: ImageId,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    /// When a scan last saw it point to another digest, or first saw it.
    pub changed_at: DateTime<Utc>,
    /// The outcome of its current content.
    pub outcome: TagOutcome,
    /// `job.name` of a Seed image, else empty.
    pub job_name: String,
}

/// A tag as a scan found it. `digest` is `None` if the tag is listed but its digest or content could not be read: such
/// a tag exists, so it is neither changed nor removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTag {
    pub repository: String,
    pub tag: String,
    pub digest: Option<String>,
}

/// Changes to a registry's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagChanges {
    /// Tags that are new: `(repository, tag, digest)`.
    pub add: Vec<(String, String, String)>,
    /// Tags that moved to another digest.
    pub point: Vec<(ImageId, String)>,
    /// Tags that are gone.
    pub remove: Vec<ImageId>,
    /// Number of tags whose digest is the same.
    pub unchanged: u64,
}

impl TagChanges {
    /// Whether the catalogue stays the same.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.point.is_empty() && self.remove.is_empty()
    }

    /// The digests of new and moved tags.
    pub fn digests(&self) -> impl Iterator<Item = &String> {
        self.add.iter().map(|(_, _, digest)| digest).chain(self.point.iter().map(|(_, digest)| digest))
    }

    /// Appends other changes.
    pub fn append(&mut self, mut other: TagChanges) {
        self.add.append(&mut other.add);
        self.point.append(&mut other.point);
        self.remove.append(&mut other.remove);
        self.unchanged += other.unchanged;
    }
}

/// Compares stored and found tags. Only a `complete` listing may remove (invariant 4). Of a tag found twice, the first
/// counts.
pub fn diff(stored: &[StoredTag], found: &[FoundTag], complete: bool) -> TagChanges {
    let known: HashMap<(&str, &str), &StoredTag> =
        stored.iter().map(|tag| ((tag.repository.as_str(), tag.tag.as_str()), tag)).collect();
    let mut seen = HashSet::new();
    let mut changes = TagChanges::default();
    for tag in found {
        if !seen.insert((tag.repository.as_str(), tag.tag.as_str())) {
            continue;
        }
        match (known.get(&(tag.repository.as_str(), tag.tag.as_str())), &tag.digest) {
            (_, None) => {}
            (None, Some(digest)) => changes.add.push((tag.repository.clone(), tag.tag.clone(), digest.clone())),
            (Some(old), Some(digest)) if old.digest == *digest => changes.unchanged += 1,
            (Some(old), Some(digest)) => changes.point.push((old.id, digest.clone())),
        }
    }
    if complete {
        changes.remove = stored
            .iter()
            .filter(|tag| !seen.contains(&(tag.repository.as_str(), tag.tag.as_str())))
            .map(|tag| tag.id)
            .collect();
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Tags = BTreeMap<(String, String), String>;

    fn tags() -> impl Strategy<Value = Tags> {
        prop::collection::btree_map(("[a-c]", "[x-z]"), "[0-3]", 0..9)
    }

    fn stored(tags: &Tags) -> Vec<StoredTag> {
        let row = |(id, ((repository, tag), digest)): (usize, (&(String, String), &String))| StoredTag {
            id: ImageId(id as i64 + 1),
            repository: repository.clone(),
            tag: tag.clone(),
            digest: digest.clone(),
            changed_at: DateTime::UNIX_EPOCH,
            outcome: TagOutcome::Seed,
            job_name: String::new(),
        };
        tags.iter().enumerate().map(row).collect()
    }

    fn found(tags: &Tags) -> Vec<FoundTag> {
        tags.iter()
            .map(|((repository, tag), digest)| FoundTag {
                repository: repository.clone(),
                tag: tag.clone(),
                digest: Some(digest.clone()),
            })
            .collect()
    }

    /// Applies changes as the store does; ids stay the same.
    fn apply(before: &[StoredTag], changes: &TagChanges) -> Vec<StoredTag> {
        let mut after: Vec<StoredTag> =
            before.iter().filter(|tag| !changes.remove.contains(&tag.id)).cloned().collect();
        for (id, digest) in &changes.point {
            after.iter_mut().find(|tag| tag.id == *id).unwrap().digest = digest.clone();
        }
        for (repository, tag, digest) in &changes.add {
            let id = ImageId(1000 + after.len() as i64);
            let (repository, tag, digest) = (repository.clone(), tag.clone(), digest.clone());
            let (changed_at, outcome, job_name) = (DateTime::UNIX_EPOCH, TagOutcome::Seed, String::new());
            after.push(StoredTag { id, repository, tag, digest, changed_at, outcome, job_name });
        }
        after
    }

    fn as_tags(rows: &[StoredTag]) -> Tags {
        rows.iter().map(|row| ((row.repository.clone(), row.tag.clone()), row.digest.clone())).collect()
    }

    proptest! {
        #[test]
        fn a_complete_scan_makes_the_catalogue_equal_to_the_registry(before in tags(), now in tags()) {
            let rows = stored(&before);
            let after = apply(&rows, &diff(&rows, &found(&now), true));
            prop_assert_eq!(as_tags(&after), now);
        }

        #[test]
        fn a_second_scan_of_the_same_changes_nothing(now in tags()) {
            let changes = diff(&stored(&now), &found(&now), true);
            prop_assert_eq!(changes, TagChanges { unchanged: now.len() as u64, ..TagChanges::default() });
        }

        #[test]
        fn a_partial_scan_never_removes(before in tags(), now in tags()) {
            let rows = stored(&before);
            let after = as_tags(&apply(&rows, &diff(&rows, &found(&now), false)));
            for key in before.keys() {
                prop_assert!(after.contains_key(key));
            }
        }

        #[test]
        fn ids_stay_with_their_tags(before in tags(), now in tags()) {
            let rows = stored(&before);
            let after = apply(&rows, &diff(&rows, &found(&now), true));
            for old in &rows {
                if let Some(new) = after.iter().find(|new| (&new.repository, &new.tag) == (&old.repository, &old.tag)) {
                    prop_assert_eq!(new.id, old.id);
                }
            }
        }
    }

    #[test]
    fn a_listed_tag_that_could_not_be_read_stays_as_it_is() {
        let rows = stored(&[(("a".to_owned(), "x".to_owned()), "1".to_owned())].into());
        let unread = [FoundTag { repository: "a".into(), tag: "x".into(), digest: None }];
        assert_eq!(diff(&rows, &unread, true), TagChanges::default());
    }
}
