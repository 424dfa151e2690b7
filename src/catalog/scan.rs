//! Scans: one pass over one registry.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{HintId, ImageId, RegistryId, ScanId, TagCounts, TagOutcome};

/// Where a scan stands. `Queued` and `Running` are active: a registry has at most one active scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanState {
    Queued,
    Running,
    /// Everything was listed and read; what vanished is gone.
    Complete,
    /// Something could not be listed or read; what was seen is in the catalogue, nothing was removed.
    Partial,
    /// Everything was listed and read, but so much has vanished that nothing was removed: an admin has to confirm it.
    Held,
    /// The registry could not be listed at all; the catalogue is as before.
    Failed,
    /// Somebody stopped it; what it had stored by then is in the catalogue, nothing was removed.
    Cancelled,
}

impl ScanState {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            ScanState::Queued => "queued",
            ScanState::Running => "running",
            ScanState::Complete => "complete",
            ScanState::Partial => "partial",
            ScanState::Held => "held",
            ScanState::Failed => "failed",
            ScanState::Cancelled => "cancelled",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<ScanState> {
        use ScanState::{Cancelled, Complete, Failed, Held, Partial, Queued, Running};
        let all = [Queued, Running, Complete, Partial, Held, Failed, Cancelled];
        all.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the scan still has work to do.
    pub fn is_active(self) -> bool {
        matches!(self, ScanState::Queued | ScanState::Running)
    }
}

/// Who asked for a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanTrigger {
    Manual,
    Schedule,
    /// An admin, after a scan was held: this one removes whatever has vanished.
    Confirmed,
    /// The registry, by a hook: only the repositories that it named are looked into (see [`Hint`]).
    Hook,
}

impl ScanTrigger {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            ScanTrigger::Manual => "manual",
            ScanTrigger::Schedule => "schedule",
            ScanTrigger::Confirmed => "confirmed",
            ScanTrigger::Hook => "hook",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<ScanTrigger> {
        use ScanTrigger::{Confirmed, Hook, Manual, Schedule};
        [Manual, Schedule, Confirmed, Hook].into_iter().find(|trigger| trigger.as_str() == word)
    }
}

/// What a scan has counted so far. Kept as JSON in the store, so a new count needs no migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScanCounts {
    /// Repositories the registry listed (below the org).
    pub repositories: u64,
    /// Of those, passed over because of their names.
    pub repositories_skipped: u64,
    /// Of those, listed to the end.
    pub repositories_done: u64,
    /// Of those, not given to this account; their images stay as they are.
    pub repositories_refused: u64,
    /// Tags seen.
    pub tags: u64,
    /// Of those, done with.
    pub tags_done: u64,
    /// What became of them. See [`Scan::outcomes`].
    pub outcomes: TagCounts,
    /// Tags that were not there before.
    pub added: u64,
    /// Tags that moved to another digest.
    pub changed: u64,
    /// Tags that point where they did.
    pub unchanged: u64,
    /// Tags that are gone.
    pub removed: u64,
    /// Tags that have vanished, but stay until somebody confirms it.
    pub held: u64,
    /// Seed images of the registry in the catalogue when the scan ended.
    pub images: u64,
    /// Problems reported.
    pub problems: u64,
    /// HTTP requests sent, retries and token calls included.
    pub requests: u64,
    /// Bytes of reply bodies read.
    pub bytes: u64,
    /// Milliseconds in which requests stood still because a host asked for it, or had failed.
    pub throttled_ms: u64,
}

/// One scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    pub id: ScanId,
    pub registry_id: RegistryId,
    pub registry_name: String,
    pub state: ScanState,
    pub trigger: ScanTrigger,
    pub counts: ScanCounts,
    /// Why it failed, stayed partial or was cancelled, in words.
    pub error: Option<String>,
    /// How often a worker took it up; more than one after a crash.
    pub attempts: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Something that a scan met and that an admin or an image's author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScanProblem {
    /// Stable word: `listing-failed`, `listing-truncated`, `tags-failed`, `digest-failed`, `content-failed`,
    /// `pull-refused`, `pulls-spent`, `registry-gone`, `repository-empty`, `nameless`, `repeated`, `misnamed`,
    /// `label-refused`, `inherited-label`, `platforms-differ`, `manifest-invalid`.
    pub code: String,
    /// The repository it is about; empty for the whole registry.
    pub repository: String,
    /// The tag it is about; empty for the whole repository.
    pub tag: String,
    pub message: String,
}

/// A stored problem: `seq` counts from 1 in the order in which the scan met them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanProblem {
    pub seq: i64,
    pub problem: NewScanProblem,
}

/// A repository in which something has changed, by its registry's own word. Only a hint: a scan looks for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    pub id: HintId,
    pub repository: String,
}

/// A repository as scans know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    pub name: String,
    /// When its tags were last listed to the end.
    pub listed_at: Option<DateTime<Utc>>,
    /// How many they were, of those that name an image.
    pub tags: i64,
    /// Listings that have failed since, in a row.
    pub failures: i64,
    /// When the first of them did.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last of them did; empty where none did.
    pub failure: String,
}

/// What the next scan goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryState {
    pub name: String,
    /// The scan that last listed its tags to the end.
    pub listed_by: ScanId,
    /// When; and how many they were, of those that name an image.
    pub listed_at: Option<DateTime<Utc>>,
    pub tags: u64,
    /// What became of all of them then.
    pub outcomes: TagCounts,
    /// Images that it no longer had then.
    pub missing: Vec<ImageId>,
    /// What the registry's listing said of its state then; empty for nothing.
    pub change_signal: String,
    /// Since when it has said so.
    pub signal_since: Option<DateTime<Utc>>,
}

impl ScanCounts {
    /// How much longer a scan takes that has come so far in `elapsed`: as if the repositories that it has not listed yet
    /// had as many tags as those that it has, and each tag took as long as those before. `None` while that is no more
    /// than a guess.
    pub fn remaining(&self, elapsed: TimeDelta) -> Option<TimeDelta> {
        const FIRST_TAGS: u64 = 20;
        if self.tags_done < FIRST_TAGS || self.repositories_done == 0 || elapsed <= TimeDelta::zero() {
            return None;
        }
        let repositories = self.repositories.saturating_sub(self.repositories_skipped).max(self.repositories_done);
        let all_tags = self.tags as f64 / self.repositories_done as f64 * repositories as f64;
        let done = self.tags_done as f64;
        let seconds = elapsed.as_seconds_f64() * (all_tags - done).max(0.0) / done;
        TimeDelta::try_milliseconds((seconds * 1000.0) as i64)
    }
}

impl Scan {
    /// What became of the tags that it has seen: together as many as [`ScanCounts::tags`].
    pub fn outcomes(&self) -> TagCounts {
        let mut outcomes = self.counts.outcomes;
        outcomes.add(TagOutcome::NotReached, self.counts.tags.saturating_sub(outcomes.sum()));
        outcomes
    }

    /// How much longer it takes, where it runs and that can be told.
    pub fn remaining(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let started = self.started_at.filter(|_| self.state == ScanState::Running)?;
        self.counts.remaining(now - started)
    }

    /// What is worth knowing beside the counts, in words.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let counts = &self.counts;
        if counts.repositories_skipped > 0 {
            notes.push(format!(
                "{} of {} repositories were passed over by name. To look into them, add the registry with patterns of \
                 your own (\"include\": [\"*\"] for all), or change scan.include in the configuration",
                counts.repositories_skipped, counts.repositories
            ));
        }
        if counts.repositories_refused > 0 {
            notes.push(format!(
                "The registry does not give this account {} of the repositories that it lists. Their images stay as they \
                 are; the problems (pull-refused) name the missing right",
                counts.repositories_refused
            ));
        }
        if self.state == ScanState::Partial {
            notes.push("The listing was not complete, so nothing was removed from the catalogue".to_owned());
        }
        if self.state == ScanState::Held {
            notes.push(format!(
                "{} of {} tags have vanished. They stay in the catalogue until an admin confirms it: silo scan {} \
                 --confirm, or POST /api/v1/scans/{}/confirm",
                counts.held,
                counts.held + counts.unchanged + counts.changed,
                self.registry_name,
                self.id
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repositories_to_come_are_taken_for_like_those_before() {
        let half = ScanCounts {
            repositories: 12,
            repositories_skipped: 2,
            repositories_done: 5,
            tags: 100,
            tags_done: 100,
            ..ScanCounts::default()
        };
        assert_eq!(half.remaining(TimeDelta::seconds(60)), Some(TimeDelta::seconds(60)));
        let listed = ScanCounts { repositories_done: 10, tags: 200, tags_done: 50, ..half };
        assert_eq!(listed.remaining(TimeDelta::seconds(10)), Some(TimeDelta::seconds(30)));
        let done = ScanCounts { tags_done: 200, ..listed };
        assert_eq!(done.remaining(TimeDelta::seconds(10)), Some(TimeDelta::zero()));
        for early in
            [ScanCounts::default(), ScanCounts { tags_done: 3, ..half }, ScanCounts { repositories_done: 0, ..half }]
        {
            assert_eq!(early.remaining(TimeDelta::seconds(10)), None);
        }
    }

    proptest! {
        #[test]
        fn no_counts_make_it_panic_or_negative(numbers in any::<[u64; 5]>(), elapsed in any::<i32>()) {
            let [repositories, repositories_skipped, repositories_done, tags, tags_done] = numbers;
            let counts = ScanCounts {
                repositories, repositories_skipped, repositories_done, tags, tags_done, ..ScanCounts::default()
            };
            let remaining = counts.remaining(TimeDelta::milliseconds(elapsed.into()));
            prop_assert!(remaining.is_none_or(|remaining| remaining >= TimeDelta::zero()));
        }
    }
}
