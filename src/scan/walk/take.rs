//! What becomes of what the tasks of a walk find out. Everything here is in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::problem;
use super::super::read::{Seen, Trouble};
use super::{Digest, Event, Listed, Open, Stop, ToRead, Walk};
use crate::catalog::{ContentProblem, FoundTag, NewScanProblem, Standing, StoredTag, diff};
use crate::registry::Error;
use crate::store::Looked;

/// After this many requests in a row that got no answer, the registry counts as gone and the walk ends: otherwise each
/// of its thousand tags would be waited for, retries and all.
const OUTAGE: u32 = 8;
/// The code of a repository or tag that the account may not read.
const PULL_REFUSED: &str = "pull-refused";

impl Walk<'_> {
    /// Takes what a task found out. True: the walk is over.
    pub(super) fn take(&mut self, event: Result<Event, tokio::task::JoinError>) -> Result<bool, Stop> {
        match event {
            Ok(Event::Listed(repository, Ok(listed))) => {
                self.failures_in_a_row = 0;
                self.take_listing(&repository.into(), listed);
                Ok(false)
            }
            Ok(Event::Listed(repository, Err(trouble))) => {
                let why = registry_error(trouble)?;
                self.take_failed_listing(&repository, &why);
                self.note_failure(&repository, why.to_string());
                self.one_less(&repository.into());
                self.is_over(why)
            }
            Ok(Event::Read { repository, tag, stored, seen }) => self.take_read(repository, tag, stored, seen),
            Err(why) => match why.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only who drops the walk cancels its tasks.
                Err(_) => Ok(false),
            },
        }
    }

    /// A repository that this account may not read says nothing of the others: they lose what they no longer have. Any other
    /// failure may be the registry's as a whole.
    fn take_failed_listing(&mut self, repository: &str, why: &Error) {
        if is_refused(why) {
            self.step.problems.push(problem(
                PULL_REFUSED,
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

    fn take_listing(&mut self, repository: &Arc<str>, listed: Listed) {
        let Listed { listing, stored, mut standings } = listed;
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
        if !is_again {
            self.input.progress.update(|counts| {
                counts.repositories_done += 1;
                counts.tags += count;
            });
        }
        let mut stored: HashMap<String, StoredTag> = stored.into_iter().map(|row| (row.tag.clone(), row)).collect();
        let mut names = HashSet::new();
        for tag in listing.items {
            if !names.insert(tag.name.clone()) {
                continue;
            }
            let stored = stored.remove(&tag.name);
            let known = match (&tag.digest, &stored) {
                (Some(digest), Some(stored)) if *digest == stored.digest => Some(Vec::new()),
                (Some(digest), _) => match standings.get(digest) {
                    Some(Standing::Known(problems)) => Some(problems.clone()),
                    _ => None,
                },
                (None, _) => None,
            };
            if let (Some(digest), Some(problems)) = (&tag.digest, known) {
                self.see(repository, &tag.name, stored, digest.clone(), &problems, is_again);
                continue;
            }
            if let Some(open) = self.open.get_mut(repository) {
                open.left += 1;
            }
            let standing = tag.digest.as_ref().and_then(|digest| standings.remove(digest));
            self.reads.push_back(ToRead { repository: Arc::clone(repository), tag, stored, standing });
        }
        self.one_less(repository);
    }

    fn take_read(
        &mut self,
        repository: Arc<str>,
        tag: String,
        stored: Option<StoredTag>,
        seen: Result<Seen, Trouble>,
    ) -> Result<bool, Stop> {
        let is_again = self.missing.contains_key(&*repository);
        let (digest, outcome) = match seen {
            Ok(Seen::Gone) => {
                self.failures_in_a_row = 0;
                if let (Some(open), Some(stored)) = (self.open.get_mut(&repository), stored) {
                    open.state.missing.push(stored.id);
                }
                self.input.progress.update(|counts| counts.tags_done += 1);
                self.one_less(&repository);
                return Ok(false);
            }
            Ok(Seen::Awaited(digest)) => {
                match self.digests.entry(digest.clone()).or_insert_with(|| Digest::Awaited(Vec::new())) {
                    Digest::Awaited(waiting) => {
                        waiting.push((repository, tag, stored));
                        return Ok(false);
                    }
                    Digest::Known(problems) => (digest, Ok(problems.clone())),
                    Digest::Unread => (digest, Err(None)),
                }
            }
            Ok(Seen::Known(digest, problems)) => {
                self.failures_in_a_row = 0;
                (digest, Ok(problems))
            }
            Ok(Seen::Read(content)) => {
                self.failures_in_a_row = 0;
                let outcome = (content.digest.clone(), Ok(content.problems.clone()));
                self.step.contents.push(*content);
                outcome
            }
            Ok(Seen::Unread(digest, trouble)) => (digest, Err(Some(("content-failed", registry_error(trouble)?)))),
            Err(trouble) => (String::new(), Err(Some(("digest-failed", registry_error(trouble)?)))),
        };
        let mut over = None;
        match outcome {
            Ok(problems) => {
                if stored.as_ref().is_none_or(|stored| stored.digest != digest) {
                    self.settle_digest(&digest, Digest::Known(problems.clone()));
                }
                self.see(&repository, &tag, stored, digest, &problems, is_again);
            }
            Err(why) => {
                self.settle_digest(&digest, Digest::Unread);
                self.unseen(&repository, &tag, why.as_ref().map(|(code, why)| (*code, why)));
                over = why;
            }
        }
        self.one_less(&repository);
        over.map_or(Ok(false), |(_, why)| self.is_over(why))
    }

    /// What a digest holds is known now, or will not be: those who wait for it are done.
    fn settle_digest(&mut self, digest: &str, outcome: Digest) {
        if digest.is_empty() {
            return;
        }
        let problems = match &outcome {
            Digest::Known(problems) => Some(problems.clone()),
            _ => None,
        };
        let Some(Digest::Awaited(waiting)) = self.digests.insert(digest.to_owned(), outcome) else { return };
        for (repository, tag, stored) in waiting {
            let is_again = self.missing.contains_key(&*repository);
            match &problems {
                Some(problems) => self.see(&repository, &tag, stored, digest.to_owned(), problems, is_again),
                None => self.unseen(&repository, &tag, None),
            }
            self.one_less(&repository);
        }
    }

    /// A tag points to a digest that is known.
    fn see(
        &mut self,
        repository: &str,
        tag: &str,
        stored: Option<StoredTag>,
        digest: String,
        problems: &[ContentProblem],
        is_again: bool,
    ) {
        let is_unchanged = stored.as_ref().is_some_and(|stored| stored.digest == digest);
        let is_new = stored.is_none();
        // An earlier attempt of this scan has counted what it stored.
        let is_counted = is_again
            || self
                .input
                .resumed_since
                .is_some_and(|since| stored.as_ref().is_some_and(|stored| is_unchanged && stored.changed_at >= since));
        self.input.progress.update(|counts| {
            counts.tags_done += u64::from(!is_again);
            match (is_unchanged, is_new) {
                (true, _) => counts.unchanged += u64::from(!is_counted),
                (false, true) => counts.added += 1,
                (false, false) => counts.changed += 1,
            }
        });
        if is_unchanged {
            let stored = self.stored_problems.get(repository).and_then(|tags| tags.get(tag));
            self.step.problems.extend(content_problems(repository, tag, stored.map_or(&[][..], Vec::as_slice)));
        } else {
            self.step.problems.extend(content_problems(repository, tag, problems));
            self.found.push((stored, found(repository, tag, Some(digest))));
        }
    }

    /// A listed tag could not be read: it neither appears nor vanishes. When the registry did not answer, the scan is
    /// partial; when it refused, or what it answered is unusable, it will be so tomorrow, and must not keep vanished
    /// images in the catalogue for ever.
    fn unseen(&mut self, repository: &str, tag: &str, why: Option<(&str, &Error)>) {
        self.input.progress.update(|counts| counts.tags_done += 1);
        let Some((code, why)) = why else { return };
        if let Error::NoPulls(why) = why {
            self.unpulled = (self.unpulled.0 + 1, why.clone());
            // Whatever its registry says of the repository then, the next scan has to look.
            if let Some(open) = self.open.get_mut(repository) {
                open.state.change_signal.clear();
            }
            return;
        }
        let code = if is_refused(why) { PULL_REFUSED } else { code };
        self.step.problems.push(problem(code, repository, tag, why));
        if is_refused(why) || matches!(why, Error::Malformed(_) | Error::NotFound(_)) {
            // It is to be reported by each scan.
            if let Some(open) = self.open.get_mut(repository) {
                open.state.change_signal.clear();
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

    /// One thing less to do in a repository; after the last one it is done.
    fn one_less(&mut self, repository: &Arc<str>) {
        let Some(open) = self.open.get_mut(repository) else { return };
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        let Some(Open { state, failure, hints, .. }) = self.open.remove(repository) else { return };
        let name = state.name.clone();
        self.step.repositories.push(match failure {
            Some(why) => Looked::Failed { name: name.clone(), why },
            None => {
                self.missing.insert(name.clone(), state.missing.clone());
                Looked::Listed(state)
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

    /// Whether to go on after a failure: not with wrong credentials, and not when nothing is answered any more.
    fn is_over(&mut self, why: Error) -> Result<bool, Stop> {
        match why {
            Error::WrongPassword(_) => Err(Stop::Registry(why)),
            Error::Timeout(_) | Error::Unreachable(_) | Error::Tls(_) | Error::Throttled(_) => {
                self.failures_in_a_row += 1;
                let is_over = self.failures_in_a_row >= OUTAGE;
                if is_over {
                    self.step.problems.push(problem("registry-gone", "", "", &why));
                    self.incomplete = Some(format!("the registry stopped answering half-way: {why}"));
                }
                Ok(is_over)
            }
            _ => Ok(false),
        }
    }
}

/// Whether the registry answered, but does not let this account (or strangers) have it.
fn is_refused(why: &Error) -> bool {
    matches!(why, Error::Forbidden(_) | Error::LoginRequired(_))
}

fn registry_error(trouble: Trouble) -> Result<Error, Stop> {
    match trouble {
        Trouble::Registry(why) => Ok(why),
        Trouble::Store(why) => Err(Stop::Store(why)),
    }
}

fn found(repository: &str, tag: &str, digest: Option<String>) -> FoundTag {
    FoundTag { repository: repository.to_owned(), tag: tag.to_owned(), digest }
}

pub(super) fn content_problems(
    repository: &str,
    tag: &str,
    problems: &[ContentProblem],
) -> impl Iterator<Item = NewScanProblem> + use<> {
    let problems: Vec<NewScanProblem> =
        problems.iter().map(|found| problem(&found.code, repository, tag, &found.message)).collect();
    problems.into_iter()
}
