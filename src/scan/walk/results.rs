//! Handles the results of a walk's tasks. Everything here is in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::super::tag_reader::{TagReadError, TagReading};
use super::super::{inherited_label, problem};
use super::{
    DigestState, FailuresInARow, OpenRepository, PendingRead, RegistryWalk, RepositoryListing, ScanAbort, WalkEvent,
};
use crate::catalog::{ContentProblem, ContentSummary, ContentTrust, FoundTag, ScanId, StoredTag, TagOutcome, diff};
use crate::registry::{Error, printable};
use crate::store::RepositoryScanResult;

/// After this many requests in a row without an answer, the registry counts as gone and the walk ends; otherwise each
/// of a thousand tags would wait for its timeout and retries.
const OUTAGE: u32 = 8;

/// Why a tag could not be read, and its outcome.
#[derive(Clone, Debug)]
pub(super) struct UnreadTag {
    outcome: TagOutcome,
    why: Error,
}

impl RegistryWalk<'_> {
    /// Handles the result of a task. `true`: the walk is over.
    pub(super) fn take(&mut self, event: Result<WalkEvent, tokio::task::JoinError>) -> Result<bool, ScanAbort> {
        match event {
            Ok(WalkEvent::Listed(repository, Ok(listed))) => {
                self.failures.listings = 0;
                self.last_heard = Instant::now();
                self.handle_listing(&repository.into(), listed);
                Ok(false)
            }
            Ok(WalkEvent::Listed(repository, Err(trouble))) => {
                let why = registry_error(trouble)?;
                self.handle_failed_listing(&repository, &why);
                self.note_failure(&repository, why.to_string());
                self.finish_item(&repository.into());
                self.is_over(why, |failures| &mut failures.listings)
            }
            Ok(WalkEvent::Read { repository, tag, stored, seen }) => self.handle_read(repository, tag, stored, seen),
            Err(why) => match why.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Tasks are cancelled only when the walk is dropped.
                Err(_) => Ok(false),
            },
        }
    }

    /// A repository refused to this account does not affect the others: their gone images are removed. Any other
    /// failure may concern the whole registry.
    fn handle_failed_listing(&mut self, repository: &str, why: &Error) {
        if is_refused(why) {
            self.step.problems.push(problem(
                TagOutcome::PullRefused.as_str(),
                repository,
                "",
                format!("{why}; until then its images stay as they are"),
            ));
            self.input.progress.update(|counts| counts.repositories_refused += 1);
            self.refused.get_or_insert_with(|| why.clone());
        } else {
            self.step.problems.push(problem("tags-failed", repository, "", why));
            self.end_early(format!("the tags of {repository} could not be listed: {why}"));
        }
    }

    fn handle_listing(&mut self, repository: &Arc<str>, listed: RepositoryListing) {
        let RepositoryListing { mut listing, stored, mut standings } = listed;
        let mut names = HashSet::new();
        listing.items.retain(|tag| names.insert(tag.name.clone()));
        let is_again = self.missing.contains_key(&**repository);
        let count = listing.items.len() as u64;
        if let Some(why) = listing.truncated {
            self.note_failure(repository, why.clone());
            self.truncated(repository, why);
        } else {
            let all: Vec<FoundTag> = listing.items.iter().map(|tag| found(repository, &tag.name, None)).collect();
            let missing = diff(&stored, &all, true).remove;
            if let Some(open) = self.open.get_mut(repository) {
                (open.state.missing, open.state.tags) = (missing, count);
            }
        }
        if let Some(open) = self.open.get_mut(repository) {
            open.is_listed = true;
        }
        self.input.progress.update(|counts| {
            counts.repositories_done += 1;
            counts.tags += count + listing.left_out.len() as u64;
        });
        for left in &listing.left_out {
            self.count(repository, left.why);
        }
        if listing.items.is_empty() && !self.input.registry.repositories.is_empty() {
            let why = "it was named to be scanned, but has no tags; check the name";
            self.step.problems.push(problem("repository-empty", repository, "", why));
        }
        let mut stored: HashMap<String, StoredTag> = stored.into_iter().map(|row| (row.tag.clone(), row)).collect();
        for tag in listing.items {
            let stored = stored.remove(&tag.name);
            match (&tag.digest, &stored) {
                (Some(digest), Some(row)) if *digest == row.digest => {
                    self.record_unchanged(repository, row, is_again);
                    continue;
                }
                (Some(digest), _) => {
                    if let Some(ContentTrust::Known(summary)) = standings.get(digest) {
                        self.see(repository, &tag.name, stored, digest.clone(), summary);
                        continue;
                    }
                }
                (None, _) => {}
            }
            if let Some(open) = self.open.get_mut(repository) {
                open.left += 1;
            }
            let standing = tag.digest.as_ref().and_then(|digest| standings.remove(digest));
            self.reads.push_back(PendingRead { repository: Arc::clone(repository), tag, stored, standing });
        }
        self.finish_item(repository);
    }

    fn handle_read(
        &mut self,
        repository: Arc<str>,
        tag: String,
        stored: Option<StoredTag>,
        seen: Result<TagReading, TagReadError>,
    ) -> Result<bool, ScanAbort> {
        if matches!(seen, Ok(TagReading::Gone | TagReading::Unchanged | TagReading::Known(..) | TagReading::Read(_))) {
            self.failures.reads = 0;
            self.last_heard = Instant::now();
        }
        let is_own = !matches!(seen, Ok(TagReading::Awaited(_)));
        let (digest, outcome) = match seen {
            Ok(TagReading::Gone) => {
                if let Some(open) = self.open.get_mut(&repository) {
                    // The listing is out of date: this scan reads it again if it is interrupted and resumed.
                    open.state.listed_by = ScanId::default();
                    open.state.missing.extend(stored.map(|stored| stored.id));
                }
                self.count(&repository, TagOutcome::Gone);
                self.finish_item(&repository);
                return Ok(false);
            }
            Ok(TagReading::Unchanged) => {
                if let Some(stored) = stored {
                    let is_again = self.missing.contains_key(&*repository);
                    self.record_unchanged(&repository, &stored, is_again);
                }
                self.finish_item(&repository);
                return Ok(false);
            }
            Ok(TagReading::Awaited(digest)) => {
                match self.digests.entry(digest.clone()).or_insert_with(|| DigestState::Awaited(Vec::new())) {
                    DigestState::Awaited(waiting) => {
                        waiting.push((repository, tag, stored));
                        return Ok(false);
                    }
                    DigestState::Known(summary) => (digest, Ok(summary.clone())),
                    DigestState::Unread(why) => (digest, Err(why.clone())),
                }
            }
            Ok(TagReading::Known(digest, summary)) => (digest, Ok(summary)),
            Ok(TagReading::Read(content)) => {
                let outcome = (content.digest.clone(), Ok(content.summary()));
                self.step.contents.push(*content);
                outcome
            }
            Ok(TagReading::Unread(digest, trouble)) => {
                let why = registry_error(trouble)?;
                (digest, Err(UnreadTag { outcome: unread(TagOutcome::ContentFailed, &why), why }))
            }
            Err(trouble) => {
                let why = registry_error(trouble)?;
                (String::new(), Err(UnreadTag { outcome: unread(TagOutcome::DigestFailed, &why), why }))
            }
        };
        self.finish_waiting_tags(&digest, outcome.clone());
        let over = match outcome {
            Ok(summary) => {
                self.see(&repository, &tag, stored, digest, &summary);
                Ok(false)
            }
            Err(unseen) => {
                self.unseen(&repository, &tag, &unseen);
                if is_own { self.is_over(unseen.why, |failures| &mut failures.reads) } else { Ok(false) }
            }
        };
        self.finish_item(&repository);
        over
    }

    /// Finishes the tags that wait for a digest: its content is known now, or could not be read.
    fn finish_waiting_tags(&mut self, digest: &str, outcome: Result<ContentSummary, UnreadTag>) {
        if digest.is_empty() {
            return;
        }
        let settled = match outcome.clone() {
            Ok(summary) => DigestState::Known(summary),
            Err(unseen) => DigestState::Unread(unseen),
        };
        let Some(DigestState::Awaited(waiting)) = self.digests.insert(digest.to_owned(), settled) else { return };
        for (repository, tag, stored) in waiting {
            match &outcome {
                Ok(summary) => self.see(&repository, &tag, stored, digest.to_owned(), summary),
                Err(unseen) => self.unseen(&repository, &tag, unseen),
            }
            self.finish_item(&repository);
        }
    }

    /// Counts a finished tag.
    fn count(&mut self, repository: &str, outcome: TagOutcome) {
        if let Some(open) = self.open.get_mut(repository) {
            open.state.outcomes.add(outcome, 1);
        }
        self.input.progress.update(|counts| {
            counts.tags_done += 1;
            counts.outcomes.add(outcome, 1);
        });
    }

    /// Records a tag with the same digest as stored.
    fn record_unchanged(&mut self, repository: &str, stored: &StoredTag, is_again: bool) {
        // An earlier attempt of this scan has counted the tags that it stored.
        let is_counted = is_again || self.input.resumed_since.is_some_and(|since| stored.changed_at >= since);
        self.input.progress.update(|counts| counts.unchanged += u64::from(!is_counted));
        self.count(repository, stored.outcome);
        self.report_problems(repository, &stored.tag, stored.outcome, &stored.job_name, None);
    }

    /// Records a tag with a new digest whose content is known.
    fn see(
        &mut self,
        repository: &str,
        tag: &str,
        stored: Option<StoredTag>,
        digest: String,
        summary: &ContentSummary,
    ) {
        if let Some(stored) = stored.as_ref().filter(|stored| stored.digest == digest) {
            return self.record_unchanged(repository, stored, self.missing.contains_key(repository));
        }
        self.input.progress.update(|counts| match stored {
            None => counts.added += 1,
            Some(_) => counts.changed += 1,
        });
        self.count(repository, summary.outcome);
        self.report_problems(repository, tag, summary.outcome, &summary.job_name, Some(&summary.problems));
        self.found.push((stored, found(repository, tag, Some(digest))));
    }

    /// Reports the problems of a tag's content; `None` for the stored ones.
    pub(super) fn report_problems(
        &mut self,
        repository: &str,
        tag: &str,
        outcome: TagOutcome,
        job_name: &str,
        problems: Option<&[ContentProblem]>,
    ) {
        let stored = || self.stored_problems.get(repository).and_then(|tags| tags.get(tag)).map(Vec::as_slice);
        let of_content = problems.or_else(stored).unwrap_or_default().iter();
        let told: Vec<_> = of_content.map(|found| problem(&found.code, repository, tag, &found.message)).collect();
        self.step.problems.extend(told);
        if outcome == TagOutcome::Seed && !inherited_label::is_named_after(repository, job_name) {
            let message = inherited_label::message(repository, &printable(job_name));
            self.step.problems.push(problem(inherited_label::CODE, repository, tag, message));
        }
    }

    /// Records a tag that is listed but could not be read: it is neither added nor removed. If the registry did not
    /// answer, the scan is partial. If it refused, or its answer is unusable, it will do so tomorrow as well, and must
    /// not keep gone images in the catalogue forever.
    fn unseen(&mut self, repository: &str, tag: &str, UnreadTag { outcome, why }: &UnreadTag) {
        self.count(repository, *outcome);
        if let Error::NoPulls(why) = why {
            self.unpulled = (self.unpulled.0 + 1, why.clone());
        } else {
            self.step.problems.push(problem(outcome.as_str(), repository, tag, why));
        }
        if is_refused(why) || matches!(why, Error::Malformed(_) | Error::NotFound(_) | Error::NoPulls(_)) {
            // The next scan has to read the repository and report again, whatever the change signal then; and so has
            // this scan if it is interrupted and resumed: the registry may answer by then.
            if let Some(open) = self.open.get_mut(repository) {
                open.state.change_signal.clear();
                open.state.listed_by = ScanId::default();
            }
        } else {
            self.end_early(format!("{repository}:{tag} could not be read: {why}"));
            self.note_failure(repository, format!("{tag} could not be read: {why}"));
        }
    }

    fn note_failure(&mut self, repository: &str, why: String) {
        if let Some(open) = self.open.get_mut(repository) {
            open.failure.get_or_insert(why);
        }
    }

    /// Finishes one item of a repository; after the last one the repository is done.
    fn finish_item(&mut self, repository: &Arc<str>) {
        let Some(open) = self.open.get_mut(repository) else { return };
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        let Some(OpenRepository { state, is_listed, failure, hints, .. }) = self.open.remove(repository) else {
            return;
        };
        let name = state.name.clone();
        if is_listed {
            self.tallies.insert(name.clone(), state.outcomes);
        }
        self.step.repositories.push(match failure {
            Some(why) => RepositoryScanResult::Failed { name: name.clone(), why },
            None => {
                self.missing.insert(name.clone(), state.missing.clone());
                RepositoryScanResult::Listed(Box::new(state))
            }
        });
        self.step.hints.extend(hints);
        if self.hints.contains_key(&name) {
            self.again.push(name);
        }
    }

    pub(super) fn truncated(&mut self, repository: &str, why: String) {
        self.step.problems.push(problem("listing-truncated", repository, "", &why));
        self.end_early(why);
    }

    /// Whether the walk ends after a failure: wrong credentials abort it, and it ends after too many requests without
    /// an answer.
    fn is_over(&mut self, why: Error, of: impl Fn(&mut FailuresInARow) -> &mut u32) -> Result<bool, ScanAbort> {
        match why {
            Error::WrongPassword(_) => Err(ScanAbort::Registry(why)),
            Error::Timeout(_) | Error::Unreachable(_) | Error::Tls(_) | Error::Throttled(_) => {
                let failures = of(&mut self.failures);
                *failures += 1;
                let is_over = *failures >= OUTAGE;
                if is_over {
                    self.is_gone(&why.to_string());
                }
                Ok(is_over)
            }
            _ => Ok(false),
        }
    }

    /// Ends the walk as incomplete, because the registry no longer answers.
    pub(super) fn is_gone(&mut self, why: &str) {
        self.step.problems.push(problem("registry-gone", "", "", why));
        self.incomplete = Some(format!("the registry stopped answering: {why}"));
    }
}

/// The outcome of a tag that could not be read.
fn unread(outcome: TagOutcome, why: &Error) -> TagOutcome {
    match why {
        Error::NoPulls(_) => TagOutcome::PullsSpent,
        why if is_refused(why) => TagOutcome::PullRefused,
        _ => outcome,
    }
}

/// Whether the registry answered, but refuses this account or anonymous access.
fn is_refused(why: &Error) -> bool {
    matches!(why, Error::Forbidden(_) | Error::LoginRequired(_))
}

fn registry_error(trouble: TagReadError) -> Result<Error, ScanAbort> {
    match trouble {
        TagReadError::Registry(why) => Ok(why),
        TagReadError::Store(why) => Err(ScanAbort::Store(why)),
    }
}

fn found(repository: &str, tag: &str, digest: Option<String>) -> FoundTag {
    FoundTag { repository: repository.to_owned(), tag: tag.to_owned(), digest }
}
