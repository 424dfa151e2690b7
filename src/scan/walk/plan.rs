//! Which repositories a walk looks into, and in which order.

use chrono::TimeDelta;

use super::{Stop, Walk};
use crate::catalog::{RepositoryState, ScanTrigger, TagOutcome};
use crate::registry::{LeftOut, SourceListing, printable};
use crate::scan::problem;
use crate::store;

/// A repository's change signal is trusted when it was listed so long after the signal had come up: times are coarse, and
/// something may have changed right after we looked.
const SETTLED_SECONDS: i64 = 60;
/// Of names that are none, no more than these are told one by one.
const MOST_LEFT_OUT: usize = 100;

impl Walk<'_> {
    /// Reads what earlier scans left; what an earlier attempt of this one has finished is not done again.
    pub(super) async fn remember(&mut self) -> store::Result<()> {
        let (store, registry) = (self.input.store, self.input.registry.id);
        for (repository, tag, problems) in store.image_problem_list(registry).await? {
            self.stored_problems.entry(repository).or_default().insert(tag, problems);
        }
        for state in store.repository_states(registry).await? {
            if state.listed_by == self.input.scan.id {
                self.missing.insert(state.name.clone(), state.missing.clone());
                self.tallies.insert(state.name.clone(), state.outcomes);
            }
            self.states.insert(state.name.clone(), state);
        }
        Ok(())
    }

    pub(super) async fn list_repositories(&mut self) -> Result<(), Stop> {
        let named = &self.input.registry.repositories;
        let listing = match named.is_empty() {
            true => self.input.source.repositories().await.map_err(Stop::Registry)?,
            false => SourceListing { items: named.clone(), truncated: None, left_out: Vec::new() },
        };
        if let Some(why) = listing.truncated {
            self.truncated("", why);
        }
        self.leave_out(&listing.left_out);
        let filter = self.input.filter;
        let listed: Vec<String> = listing.items.into_iter().filter(|name| filter.in_org(name)).collect();
        let all = listed.len() as u64;
        let wanted: Vec<String> = listed.into_iter().filter(|name| filter.includes(name)).collect();
        self.wanted.extend(wanted.iter().cloned());
        let misnamed = if self.input.source.is_on_disk() { 0 } else { listing.left_out.len() as u64 };
        self.input.progress.update(|counts| {
            counts.repositories = all + misnamed;
            counts.repositories_skipped = all + misnamed - wanted.len() as u64;
        });
        // New ones first, then those in which something has changed; else in the registry's order.
        let (mut new, mut changed, mut other, mut unchanged) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for name in wanted {
            match self.states.get(&name) {
                Some(state) if state.listed_by == self.input.scan.id => {}
                Some(state) if self.is_unchanged(state) => unchanged.push(name),
                None => new.push(name),
                Some(state) if self.signal(&name) != state.change_signal => changed.push(name),
                Some(_) => other.push(name),
            }
        }
        self.listings.extend(new.into_iter().chain(changed).chain(other));
        for name in unchanged {
            self.pass_over(&name).await?;
        }
        Ok(())
    }

    /// Tells what the listing of repositories has that is none. On disk, it is images.
    fn leave_out(&mut self, left_out: &[LeftOut]) {
        let told = left_out.iter().filter(|left| left.why != TagOutcome::Artifact).take(MOST_LEFT_OUT);
        for LeftOut { name, why } in told {
            let (name, what) = (
                printable(name),
                match why {
                    TagOutcome::Nameless => {
                        "has no name: give it one (org.opencontainers.image.ref.name, or docker tag)"
                    }
                    TagOutcome::Repeated => "is a second image of that name: give it another",
                    _ => "is a name that no image can have: give it another",
                },
            );
            self.step.problems.push(problem(why.as_str(), "", "", format!("{name} {what}")));
        }
        if self.input.source.is_on_disk() {
            self.input.progress.update(|counts| {
                counts.tags += left_out.len() as u64;
                counts.tags_done += left_out.len() as u64;
                left_out.iter().for_each(|left| counts.outcomes.add(left.why, 1));
            });
        }
    }

    pub(super) fn signal(&self, repository: &str) -> String {
        self.input.source.change_signal(repository).unwrap_or_default()
    }

    /// Whether a repository need not be looked into: the registry says that nothing has changed. Only on schedule, since
    /// people who ask for a scan want to know; and not for ever, since most signals do not tell deletions.
    fn is_unchanged(&self, state: &RepositoryState) -> bool {
        let (Some(listed_at), Some(since)) = (state.listed_at, state.signal_since) else { return false };
        self.input.scan.trigger == ScanTrigger::Schedule
            && !state.change_signal.is_empty()
            && state.missing.is_empty()
            && state.change_signal == self.signal(&state.name)
            && (listed_at - since).num_seconds() >= SETTLED_SECONDS
            && (TimeDelta::zero()..self.input.relist_after).contains(&(self.input.clock.now() - listed_at))
    }

    /// Counts and tells of a repository what is known of it.
    async fn pass_over(&mut self, repository: &str) -> store::Result<()> {
        let Some(state) = self.states.get(repository) else { return Ok(()) };
        let (tags, outcomes) = (state.tags, state.outcomes);
        self.input.progress.update(|counts| {
            counts.repositories_done += 1;
            counts.tags += outcomes.sum();
            counts.tags_done += outcomes.sum();
            counts.outcomes.put(&outcomes);
            counts.unchanged += tags;
        });
        self.tallies.insert(repository.to_owned(), outcomes);
        for stored in self.input.store.image_tags_of(self.input.registry.id, repository).await? {
            self.tell_problems(repository, &stored.tag, stored.outcome, &stored.job_name, None);
        }
        Ok(())
    }

    /// Lists repositories first in which something has changed by the registry's own word.
    pub(super) async fn follow_hints(&mut self) -> store::Result<()> {
        let (store, registry) = (self.input.store, self.input.registry.id);
        for hint in store.hint_list(registry).await? {
            if !self.hints_seen.insert(hint.id) {
                continue;
            }
            let name = hint.repository;
            if !self.input.filter.in_org(&name) || !self.input.filter.includes(&name) {
                self.step.hints.push(hint.id);
                continue;
            }
            self.wanted.insert(name.clone());
            // One under way is listed again when it is done.
            if !self.hints.contains_key(&name) && !self.open.contains_key(name.as_str()) {
                if self.begun.contains(&name) {
                    self.again.push(name.clone());
                } else {
                    self.listings.retain(|waiting| *waiting != name);
                    self.listings.push_front(name.clone());
                }
            }
            self.hints.entry(name).or_default().push(hint.id);
        }
        if self.input.scan.trigger == ScanTrigger::Hook {
            let all = self.wanted.len() as u64;
            self.input.progress.update(|counts| counts.repositories = all);
        }
        Ok(())
    }
}
