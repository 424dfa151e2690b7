//! What becomes of the tags that a scan sees: each has one outcome, so that the counts add up to all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a [`TagOutcome`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeGroup {
    /// In the catalogue.
    Seed,
    /// Looked at, and nothing of ours.
    NotSeed,
    /// It could not be taken; somebody should look.
    Problem,
    /// Not looked at.
    PassedOver,
}

/// Declares the outcomes with their words, by group.
macro_rules! tag_outcomes {
    ($($group:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ })+) => {
        /// What became of a tag.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TagOutcome {
            $($($(#[doc = $doc])+ $variant,)+)+
        }

        impl TagOutcome {
            pub const ALL: &[TagOutcome] = &[$($(TagOutcome::$variant,)+)+];

            /// The word on the wire and in the store.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(TagOutcome::$variant => $word,)+)+
                }
            }

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
        /// What somebody attests of an image.
        Attestation = "attestation",
        /// A list of what an image is made of.
        Sbom = "sbom",
        /// A list of what hangs on an image, under a tag made of its digest.
        Referrers = "referrers",
        /// An image in the first format of Docker, whose manifest has no config.
        OldSchema = "old-schema",
        /// An index without an image.
        EmptyIndex = "empty-index",
        /// Something else that is no container image.
        Artifact = "artifact",
    }
    Problem {
        /// An image whose Seed label cannot be read, or names no job.
        LabelRefused = "label-refused",
        /// The account may not read it.
        PullRefused = "pull-refused",
        /// What it points to could not be found out.
        DigestFailed = "digest-failed",
        /// What it points to could not be read.
        ContentFailed = "content-failed",
    }
    PassedOver {
        /// An index whose images lie deeper in indexes than is followed.
        DeepIndex = "index-too-deep",
        /// New, while the registry grants no more pulls.
        PullsSpent = "pulls-spent",
        /// Deleted since it was listed.
        Gone = "gone",
        /// Under a name that no tag or repository can have.
        Misnamed = "misnamed",
        /// An image on disk without a name.
        Nameless = "nameless",
        /// An image on disk under the name of another one there.
        Repeated = "repeated",
        /// The scan ended before.
        NotReached = "not-reached",
    }
}

const COUNT: usize = TagOutcome::ALL.len();

impl TagOutcome {
    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<TagOutcome> {
        Self::ALL.iter().copied().find(|outcome| outcome.as_str() == word)
    }
}

/// How many tags came to each outcome. As JSON, an object of those that are not zero, by their words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagCounts([u64; COUNT]);

impl TagCounts {
    pub fn add(&mut self, outcome: TagOutcome, tags: u64) {
        self.0[outcome as usize] += tags;
    }

    pub fn get(&self, outcome: TagOutcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Tags of a group.
    pub fn of(&self, group: OutcomeGroup) -> u64 {
        TagOutcome::ALL.iter().filter(|outcome| outcome.group() == group).map(|outcome| self.get(*outcome)).sum()
    }

    /// All tags.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Puts others to these.
    pub fn put(&mut self, others: &TagCounts) {
        self.0.iter_mut().zip(others.0).for_each(|(count, other)| *count += other);
    }

    /// Takes others, which were put to these, away again.
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
            // What a later version has counted by a word of its own is of no use here.
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
