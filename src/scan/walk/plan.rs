//! Which repositories a walk looks into, and in which order.

use chrono::TimeDelta;

use super::take::content_problems;
use super::{Stop, Walk};
use crate::catalog::{RepositoryState, ScanTrigger};
use crate::store;

/// A repository's change signal is trusted when it was listed so long after the signal had come up: times are coarse, and
/// something may have changed right after we looked.
const SETTLED_SECONDS: i64 = 60;

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
            }
            self.states.insert(state.name.clone(), state);
        }
        Ok(())
    }

    pub(super) async fn list_repositories(&mut self) -> Result<(), Stop> {
        let listing = self.input.source.repositories().await.map_err(Stop::Registry)?;
        if let Some(why) = listing.truncated {
            self.truncated("", why);
        }
        let filter = self.input.filter;
        let listed: Vec<String> = listing.items.into_iter().filter(|name| filter.in_org(name)).collect();
        let all = listed.len() as u64;
        let wanted: Vec<String> = listed.into_iter().filter(|name| filter.includes(name)).collect();
        self.wanted.extend(wanted.iter().cloned());
        self.input.progress.update(|counts| {
            counts.repositories = all;
            counts.repositories_skipped = all - wanted.len() as u64;
        });
        // New ones first, then those in which something has changed; else in the registry's order.
        let (mut new, mut changed, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for name in wanted {
            match self.states.get(&name) {
                Some(state) if state.listed_by == self.input.scan.id => {}
                Some(state) if self.is_unchanged(state) => self.pass_over(&name),
                None => new.push(name),
                Some(state) if self.signal(&name) != state.change_signal => changed.push(name),
                Some(_) => other.push(name),
            }
        }
        self.listings.extend(new.into_iter().chain(changed).chain(other));
        Ok(())
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

    fn pass_over(&mut self, repository: &str) {
        let tags = self.states.get(repository).map_or(0, |state| state.tags);
        self.input.progress.update(|counts| {
            counts.repositories_done += 1;
            counts.tags += tags;
            counts.tags_done += tags;
            counts.unchanged += tags;
        });
        let stored = self.stored_problems.get(repository).into_iter().flatten();
        let problems = stored.flat_map(|(tag, problems)| content_problems(repository, tag, problems));
        self.step.problems.extend(problems);
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
