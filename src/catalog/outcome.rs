//! The outcome of each tag that a scan finds: exactly one each, so that the counts add up to the number of tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Groups of [`TagOutcome`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeGroup {
    /// In the catalogue.
    Seed,
    /// Read, and not a Seed image.
    NotSeed,
    /// Could not be read or used; needs attention.
    Problem,
    /// Not read.
    PassedOver,
}

/// Declares the outcomes with their words, by group.
macro_rules! tag_outcomes {
    ($($group:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ })+) => {
        /// The outcome of a tag.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TagOutcome {
            $($($(#[doc = $doc])+ $variant,)+)+
        }

        impl TagOutcome {
            pub const ALL: &[TagOutcome] = &[$($(TagOutcome::$variant,)+)+];

            /// The word used in the API and in the store.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(TagOutcome::$variant => $word,)+)+
                }
            }

            /// The group of the outcome.
            pub fn group(self) -> OutcomeGroup {
                match self {
                    $($(TagOutcome::$variant)|+ => OutcomeGroup::$group,)+
                }
            }
        }
    };
}

tag_outcomes! {
    Seed {
        /// A Seed image.
        Seed = "seed",
    }
    NotSeed {
        /// A container image without a Seed label.
        Unlabelled = "unlabelled",
        /// A Helm chart.
        Chart = "chart",
        /// A signature of an image.
        Signature = "signature",
        /// An attestation of an image.
        Attestation = "attestation",
        /// A software bill of materials of an image.
        Sbom = "sbom",
        /// A list of an image's referrers, under a tag made from its digest (OCI distribution spec, referrers tag
        /// schema).
        Referrers = "referrers",
        /// An image of Docker's manifest schema 1, whose manifest has no config.
        OldSchema = "old-schema",
        /// An index without an image.
        EmptyIndex = "empty-index",
        /// Any other artifact that is not a container image.
        Artifact = "artifact",
    }
    Problem {
        /// An image whose Seed label cannot be read, or does not identify a job.
        LabelRefused = "label-refused",
        /// The account is not allowed to read it.
        PullRefused = "pull-refused",
        /// Its digest could not be read.
        DigestFailed = "digest-failed",
        /// Its content could not be read.
        ContentFailed = "content-failed",
    }
    PassedOver {
        /// An index whose images are nested deeper in indexes than SILO follows.
        DeepIndex = "index-too-deep",
        /// A new image, postponed because the registry's pull quota is used up.
        PullsSpent = "pulls-spent",
        /// Deleted after it was listed.
        Gone = "gone",
        /// Under a name that is invalid for a tag or repository.
        Misnamed = "misnamed",
        /// An image on disk without a name.
        Nameless = "nameless",
        /// An image on disk with the same name as another one there.
        Repeated = "repeated",
        /// Not read before the scan ended.
        NotReached = "not-reached",
    }
}

const COUNT: usize = TagOutcome::ALL.len();

impl TagOutcome {
    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<TagOutcome> {
        Self::ALL.iter().copied().find(|outcome| outcome.as_str() == word)
    }
}

/// Number of tags by outcome. As JSON, an object from words to the counts that are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagCounts([u64; COUNT]);

impl TagCounts {
    pub fn add(&mut self, outcome: TagOutcome, tags: u64) {
        self.0[outcome as usize] += tags;
    }

    pub fn get(&self, outcome: TagOutcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Number of tags in a group.
    pub fn of(&self, group: OutcomeGroup) -> u64 {
        TagOutcome::ALL.iter().filter(|outcome| outcome.group() == group).map(|outcome| self.get(*outcome)).sum()
    }

    /// Number of all tags.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds other counts.
    pub fn put(&mut self, others: &TagCounts) {
        self.0.iter_mut().zip(others.0).for_each(|(count, other)| *count += other);
    }

    /// Subtracts other counts that were added before.
    pub fn take(&mut self, others: &TagCounts) {
        self.0.iter_mut().zip(others.0).for_each(|(count, other)| *count = count.saturating_sub(other));
    }
}

impl Serialize for TagCounts {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        let counts = TagOutcome::ALL.iter().map(|outcome| (outcome.as_str(), self.get(*outcome)));
        into.collect_map(counts.filter(|(_, count)| *count > 0))
    }
}

impl<'de> Deserialize<'de> for TagCounts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut counts = TagCounts::default();
        for (word, count) in BTreeMap::<String, u64>::deserialize(from)? {
            // Ignores words of later versions.
            if let Some(outcome) = TagOutcome::parse(&word) {
                counts.add(outcome, count);
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts() -> impl Strategy<Value = TagCounts> {
        prop::collection::vec(0..5_u64, COUNT).prop_map(|counts| TagCounts(counts.try_into().unwrap()))
    }

    proptest! {
        #[test]
        fn groups_add_up_to_all_tags(counts in counts()) {
            use OutcomeGroup::{NotSeed, PassedOver, Problem, Seed};
            let groups: u64 = [Seed, NotSeed, Problem, PassedOver].map(|group| counts.of(group)).iter().sum();
            prop_assert_eq!(groups, counts.sum());
        }

        #[test]
        fn what_is_put_can_be_taken_and_what_is_written_is_read_back(one in counts(), other in counts()) {
            let mut both = one;
            both.put(&other);
            prop_assert_eq!(both.sum(), one.sum() + other.sum());
            both.take(&other);
            prop_assert_eq!(both, one);
            let text = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<TagCounts>(&text).unwrap(), one);
        }
    }

    #[test]
    fn words_are_unique_and_those_of_others_are_passed_over() {
        for outcome in TagOutcome::ALL {
            assert_eq!(TagOutcome::parse(outcome.as_str()), Some(*outcome));
        }
        let counts: TagCounts = serde_json::from_str(r#"{"seed":2,"unheard-of":1}"#).unwrap();
        assert_eq!((counts.get(TagOutcome::Seed), counts.sum()), (2, 2));
    }
}
