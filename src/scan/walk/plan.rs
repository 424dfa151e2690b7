//! Which repositories a walk lists, and in which order.

use chrono::TimeDelta;

use super::{RegistryWalk, ScanAbort};
use crate::catalog::{RepositoryState, ScanTrigger, TagOutcome};
use crate::registry::{LeftOut, SourceListing, printable};
use crate::scan::problem;
use crate::store;

/// A change signal is trusted only if the repository was listed this long after the signal had appeared: signals are
/// coarse times, and something may have changed right after the listing.
const SETTLED_SECONDS: i64 = 60;
/// Invalid names reported individually, at most.
const MOST_LEFT_OUT: usize = 100;

impl RegistryWalk<'_> {
    /// Loads the state that earlier scans left; repositories finished by an earlier attempt of this scan are not
    /// repeated.
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

    pub(super) async fn list_repositories(&mut self) -> Result<(), ScanAbort> {
        let named = &self.input.registry.repositories;
        let listing = match named.is_empty() {
            true => self.input.source.repositories().await.map_err(ScanAbort::Registry)?,
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
        // New repositories first, then changed ones; otherwise in the registry's order.
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

    /// Reports invalid names in the listing of repositories. On disk these are images.
    fn leave_out(&mut self, left_out: &[LeftOut]) {
        let told = left_out.iter().filter(|left| left.why != TagOutcome::Artifact).take(MOST_LEFT_OUT);
        for LeftOut { name, why } in told {
            let (name, what) = (
                printable(name),
                match why {
                    TagOutcome::Nameless => "has no name: set one (org.opencontainers.image.ref.name, or docker tag)",
                    TagOutcome::Repeated => "is a second image of that name: rename it",
                    _ => "is not a valid name: rename it",
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

    /// Whether a repository can be skipped: its change signal is the same. Only in scheduled scans, because a user who
    /// starts a scan expects a full one; and only for a limited time, because most signals do not change on deletions.
    fn is_unchanged(&self, state: &RepositoryState) -> bool {
        let (Some(listed_at), Some(since)) = (state.listed_at, state.signal_since) else { return false };
        self.input.scan.trigger == ScanTrigger::Schedule
            && !state.change_signal.is_empty()
            && state.missing.is_empty()
            && state.change_signal == self.signal(&state.name)
            && (listed_at - since).num_seconds() >= SETTLED_SECONDS
            && (TimeDelta::zero()..self.input.relist_after).contains(&(self.input.clock.now() - listed_at))
    }

    /// Counts and reports a skipped repository from its stored state.
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
            self.report_problems(repository, &stored.tag, stored.outcome, &stored.job_name, None);
        }
        Ok(())
    }

    /// Lists first the repositories that the registry's notifications name.
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
            // A repository in progress is listed again after it is finished.
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
