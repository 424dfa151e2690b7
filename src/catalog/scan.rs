//! Scans: one pass over one registry.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{HintId, ImageId, RegistryId, ScanId, TagCounts, TagOutcome};

/// State of a scan. `Queued` and `Running` are active: a registry has at most one active scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanState {
    Queued,
    Running,
    /// All was listed and read; tags that are gone were removed.
    Complete,
    /// Some of it could not be listed or read; what was found is in the catalogue, nothing was removed.
    Partial,
    /// All was listed and read, but so many tags are gone that nothing was removed: an admin has to confirm it.
    Held,
    /// The registry could not be listed; the catalogue is unchanged.
    Failed,
    /// Cancelled by a user; what was stored by then stays in the catalogue, nothing was removed.
    Cancelled,
}

impl ScanState {
    /// The word used in the API and in the store.
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

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<ScanState> {
        use ScanState::{Cancelled, Complete, Failed, Held, Partial, Queued, Running};
        let all = [Queued, Running, Complete, Partial, Held, Failed, Cancelled];
        all.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the scan is queued or running.
    pub fn is_active(self) -> bool {
        matches!(self, ScanState::Queued | ScanState::Running)
    }
}

/// What started a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanTrigger {
    Manual,
    Schedule,
    /// An admin, after a scan was held: this one removes all tags that are gone.
    Confirmed,
    /// A hook of the registry: only the repositories named in notifications are scanned (see [`ChangeHint`]).
    Hook,
}

impl ScanTrigger {
    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            ScanTrigger::Manual => "manual",
            ScanTrigger::Schedule => "schedule",
            ScanTrigger::Confirmed => "confirmed",
            ScanTrigger::Hook => "hook",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<ScanTrigger> {
        use ScanTrigger::{Confirmed, Hook, Manual, Schedule};
        [Manual, Schedule, Confirmed, Hook].into_iter().find(|trigger| trigger.as_str() == word)
    }
}

/// Counters of a scan. Stored as JSON, so that a new counter needs no migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScanCounts {
    /// Repositories that the registry listed (below the org).
    pub repositories: u64,
    /// Of those, skipped because of their names.
    pub repositories_skipped: u64,
    /// Of those, listed completely.
    pub repositories_done: u64,
    /// Of those, refused to this account; their images are kept.
    pub repositories_refused: u64,
    /// Tags found.
    pub tags: u64,
    /// Of those, finished.
    pub tags_done: u64,
    /// Outcomes of the finished tags. See [`ScanRecord::outcomes`].
    pub outcomes: TagCounts,
    /// New tags.
    pub added: u64,
    /// Tags that moved to another digest.
    pub changed: u64,
    /// Tags with the same digest.
    pub unchanged: u64,
    /// Tags removed.
    pub removed: u64,
    /// Tags that are gone, but kept until an admin confirms the removal.
    pub held: u64,
    /// Seed images of the registry in the catalogue when the scan ended.
    pub images: u64,
    /// Problems reported.
    pub problems: u64,
    /// HTTP requests sent, including retries and token requests.
    pub requests: u64,
    /// Bytes of response bodies read.
    pub bytes: u64,
    /// Milliseconds for which requests waited because a host had asked for it or had failed.
    pub throttled_ms: u64,
}

/// One scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRecord {
    pub id: ScanId,
    pub registry_id: RegistryId,
    pub registry_name: String,
    pub state: ScanState,
    pub trigger: ScanTrigger,
    pub counts: ScanCounts,
    /// Why it failed, was partial or was cancelled, as text.
    pub error: Option<String>,
    /// How often a worker claimed it; more than once after a crash.
    pub attempts: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Codes of the problems that scans report. Clients rely on them: none is renamed.
pub const SCAN_PROBLEM_CODES: [&str; 17] = [
    "listing-failed",
    "listing-truncated",
    "tags-failed",
    "digest-failed",
    "content-failed",
    "pull-refused",
    "pulls-spent",
    "registry-gone",
    "repository-empty",
    "nameless",
    "repeated",
    "misnamed",
    "label-refused",
    "inherited-label",
    "platforms-differ",
    "manifest-invalid",
    "tags-vanished",
];

/// A problem found by a scan, for an admin or the image's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScanProblem {
    /// One of [`SCAN_PROBLEM_CODES`].
    pub code: String,
    /// The repository concerned; empty for the whole registry.
    pub repository: String,
    /// The tag concerned; empty for the whole repository.
    pub tag: String,
    pub message: String,
}

/// A stored problem; `seq` numbers the problems of a scan from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanProblem {
    pub seq: i64,
    pub problem: NewScanProblem,
}

/// How many problems with one code a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanProblemCount {
    pub code: String,
    pub count: u64,
}

/// A notification of the registry that a repository has changed. Only a hint: the scan reads the repository itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeHint {
    pub id: HintId,
    pub repository: String,
}

/// What scans recorded of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScannedRepository {
    pub name: String,
    /// When its tags were last listed completely.
    pub listed_at: Option<DateTime<Utc>>,
    /// Number of its tags then, of those that name an image.
    pub tags: i64,
    /// Number of failed scans of it since, in a row.
    pub failures: i64,
    /// When the first of them failed.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last of them failed; empty if none did.
    pub failure: String,
}

/// State of a repository that the next scan compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryState {
    pub name: String,
    /// The scan that last listed its tags completely and read all of them; a resumed scan does not repeat these. 0: none.
    pub listed_by: ScanId,
    /// When; `tags` is their number, of those that name an image.
    pub listed_at: Option<DateTime<Utc>>,
    pub tags: u64,
    /// Outcomes of all its tags then.
    pub outcomes: TagCounts,
    /// Images whose tags it no longer had then.
    pub missing: Vec<ImageId>,
    /// The registry's change signal then (such as a timestamp in its listing); empty for none.
    pub change_signal: String,
    /// Since when the signal has had this value.
    pub signal_since: Option<DateTime<Utc>>,
}

impl ScanCounts {
    /// Estimated remaining time of a scan that took `elapsed` to reach these counts. Assumes that the repositories not
    /// listed yet have as many tags on average as the listed ones, and that each tag takes as long as those before.
    /// `None` while there are too few figures for an estimate.
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

impl ScanRecord {
    /// Outcomes of all tags found; their sum is [`ScanCounts::tags`].
    pub fn outcomes(&self) -> TagCounts {
        let mut outcomes = self.counts.outcomes;
        outcomes.add(TagOutcome::NotReached, self.counts.tags.saturating_sub(outcomes.sum()));
        outcomes
    }

    /// Estimated remaining time; `None` unless the scan is running and the estimate is possible.
    pub fn remaining(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let started = self.started_at.filter(|_| self.state == ScanState::Running)?;
        self.counts.remaining(now - started)
    }

    /// Notes for people that explain the counts.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let counts = &self.counts;
        if counts.repositories_skipped > 0 {
            notes.push(format!(
                "{} of {} repositories were passed over because of their names. To scan them, add the registry with \
                 your own patterns (\"include\": [\"*\"] for all), or change scan.include in the configuration",
                counts.repositories_skipped, counts.repositories
            ));
        }
        if counts.repositories_refused > 0 {
            notes.push(format!(
                "The registry denies this account {} of the repositories that it lists. Their images stay as they \
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
