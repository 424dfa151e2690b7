//! One scan of one registry: list → fetch → diff → commit. What is found is stored in steps; what is gone is removed at
//! the end, after everything was listed.
//!
//! Knows neither tasks nor HTTP. Can be dropped at any await: each step is a transaction, and a scan that is resumed
//! continues with the repositories that were not finished.

mod content;
mod inherited_label;
mod tag_reader;
mod walk;

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::catalog::{
    ImageId, NewScanProblem, RegistryRecord, RepositoryFilter, SCAN_PROBLEM_CODES, ScanCounts, ScanRecord, ScanState,
    ScanTrigger, naming_advice,
};
use crate::clock::Clock;
use crate::registry::{Error, RegistrySource};
use crate::store::{self, ClaimedScan, ScanResult, ScanStep, Store};

pub use content::{content_of, judge_again, seed_label};
use walk::{RegistryWalk, ScanAbort, WalkResult};

/// Inputs of a scan.
pub struct ScanInput<'a> {
    pub store: &'a Store,
    pub source: &'a RegistrySource,
    pub registry: &'a RegistryRecord,
    pub scan: &'a ScanRecord,
    pub claim: &'a ClaimedScan,
    pub clock: &'a Clock,
    pub filter: &'a RepositoryFilter,
    /// Requests in flight; the source may limit them further.
    pub concurrency: usize,
    /// The scan is held if more than this percentage of the registry's tags is gone.
    pub hold_percent: u32,
    /// On schedule, a repository whose change signal is the same is skipped only if it was listed more recently than
    /// this.
    pub relist_after: TimeDelta,
    /// The longest time between two steps.
    pub step: Duration,
    /// If requests fail and nothing was read for this long, the registry counts as gone.
    pub patience: Duration,
    /// After this time the scan ends as partial, with what it has.
    pub longest: Duration,
    /// Since when an earlier attempt of this scan has stored its findings; `None` if there was none.
    pub resumed_since: Option<DateTime<Utc>>,
    /// Updated while the scan runs; starts with the counts of an earlier attempt.
    pub progress: &'a ScanProgress,
    /// Called after each committed step.
    pub committed: &'a (dyn Fn() + Sync),
}

/// Counters of a running scan, for clients that watch it.
#[derive(Debug, Default)]
pub struct ScanProgress(Mutex<ScanCounts>);

impl ScanProgress {
    /// Continues from the counts of an earlier attempt.
    pub fn resume(counts: ScanCounts) -> Self {
        Self(Mutex::new(counts))
    }

    /// The current counts, with the source's traffic added.
    pub fn counts(&self, source: &RegistrySource) -> ScanCounts {
        let traffic = source.traffic();
        let counts = *self.0.lock();
        ScanCounts {
            requests: counts.requests + traffic.requests,
            bytes: counts.bytes + traffic.bytes,
            throttled_ms: counts.throttled_ms + traffic.throttled.as_millis() as u64,
            ..counts
        }
    }

    fn update(&self, change: impl FnOnce(&mut ScanCounts)) {
        change(&mut self.0.lock());
    }
}

/// Runs a scan; the caller stores the result. If the registry cannot be listed, the result changes nothing.
///
/// # Errors
/// Errors of the store only; errors of the registry are part of the result.
pub async fn scan(input: &ScanInput<'_>) -> store::Result<ScanResult> {
    let known: Vec<(String, i64)> = input.store.image_counts(input.registry.id).await?;
    let mut walk = RegistryWalk::new(input);
    match tokio::time::timeout(input.longest, walk.run()).await {
        Ok(Ok(())) => {}
        Ok(Err(ScanAbort::Registry(why))) => {
            let counts = walk.end().await?.step.counts;
            return Ok(match &why {
                Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_) => {
                    failed(&format!("{why}; or {}", naming_advice(&input.registry.name)), counts)
                }
                _ => failed(&why, counts),
            });
        }
        Ok(Err(ScanAbort::Store(why))) => return Err(why),
        Err(_elapsed) => {
            let hours = input.longest.as_secs() / 3600;
            walk.end_early(format!(
                "it was stopped after {hours} hours (scan.longest_hours); the results so far are kept"
            ));
        }
    }
    finish(input, &known, walk.end().await?).await
}

/// Determines which tags are gone, and whether the scan is held instead of removing them.
async fn finish(input: &ScanInput<'_>, known: &[(String, i64)], walked: WalkResult) -> store::Result<ScanResult> {
    let WalkResult { mut step, incomplete, wanted, missing, known: repositories } = walked;
    let mut vanished: Vec<(String, Vec<ImageId>)> =
        missing.into_iter().filter(|(_, images)| !images.is_empty()).collect();
    let mut settled: Vec<String> = vanished.iter().map(|(name, _)| name.clone()).collect();
    let mut gone = Vec::new();
    // A scan started by a hook has not seen the other repositories.
    if input.scan.trigger != ScanTrigger::Hook {
        gone = repositories.into_iter().filter(|name| !wanted.contains(name)).collect();
        for (name, _) in known.iter().filter(|(name, _)| !wanted.contains(name)) {
            let rows = input.store.image_tags_of(input.registry.id, name).await?;
            vanished.push((name.clone(), rows.into_iter().map(|row| row.id).collect()));
        }
    }
    let mut remove: Vec<ImageId> = vanished.iter().flat_map(|(_, images)| images.iter().copied()).collect();
    let all = known.iter().map(|(_, count)| count.unsigned_abs() as usize).sum();
    let is_confirmed = input.scan.trigger == ScanTrigger::Confirmed;
    let is_held = incomplete.is_none() && !is_confirmed && is_doubtful(remove.len(), all, input.hold_percent);
    let state = match &incomplete {
        Some(_) => ScanState::Partial,
        None if is_held => ScanState::Held,
        None => ScanState::Complete,
    };
    if is_held {
        step.counts.held = remove.len() as u64;
        let problems = report_vanished(input, &vanished).await?;
        step.counts.problems += problems.len() as u64;
        step.problems.extend(problems);
    }
    if state == ScanState::Complete {
        step.counts.removed = remove.len() as u64;
        remove.sort();
        step.changes.remove = remove;
    } else {
        (settled, gone) = (Vec::new(), Vec::new());
    }
    Ok(ScanResult { state, step, settled, gone, error: incomplete })
}

/// What an admin should know before the removal of these images is confirmed: a problem for each repository.
async fn report_vanished(
    input: &ScanInput<'_>,
    vanished: &[(String, Vec<ImageId>)],
) -> store::Result<Vec<NewScanProblem>> {
    /// Tags that are named of each repository.
    const NAMED: usize = 5;
    let mut problems = Vec::with_capacity(vanished.len());
    for (repository, images) in vanished {
        let stored = input.store.image_tags_of(input.registry.id, repository).await?;
        let images: HashSet<ImageId> = images.iter().copied().collect();
        let tags: Vec<&str> =
            stored.iter().filter(|row| images.contains(&row.id)).map(|row| row.tag.as_str()).collect();
        let named = tags[..tags.len().min(NAMED)].join(", ");
        let more = if tags.len() > NAMED { format!(" and {} more", tags.len() - NAMED) } else { String::new() };
        let text = format!("{} of {} tags have vanished: {named}{more}", tags.len(), stored.len());
        problems.push(problem("tags-vanished", repository, "", text));
    }
    Ok(problems)
}

/// Whether so many tags are gone that a broken registry is more likely than a deletion by its users: all of them, or
/// more than `hold_percent`. A storage that is not mounted looks like an empty registry without any error.
fn is_doubtful(vanished: usize, known: usize, hold_percent: u32) -> bool {
    /// Fewer than this are removed every day.
    const FEW: usize = 5;
    let is_all = vanished == known && vanished > 1;
    hold_percent < 100 && (is_all || vanished >= FEW) && vanished * 100 > known * hold_percent as usize
}

/// The result of a scan that could not list its registry: it changes nothing.
pub fn failed(why: &dyn std::fmt::Display, counts: ScanCounts) -> ScanResult {
    let counts = ScanCounts { problems: counts.problems + 1, ..counts };
    let step = ScanStep { counts, problems: vec![problem("listing-failed", "", "", why)], ..ScanStep::default() };
    let (settled, gone) = (Vec::new(), Vec::new());
    ScanResult { state: ScanState::Failed, step, settled, gone, error: Some(why.to_string()) }
}

fn problem(code: &str, repository: &str, tag: &str, why: impl std::fmt::Display) -> NewScanProblem {
    debug_assert!(SCAN_PROBLEM_CODES.contains(&code), "{code} is not documented");
    NewScanProblem { code: code.into(), repository: repository.into(), tag: tag.into(), message: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::is_doubtful;

    #[test]
    fn much_at_once_is_doubtful() {
        for (vanished, known, doubtful) in [
            (0, 0, false),
            (1, 1, false),
            (2, 2, true),
            (1, 2, false),
            (4, 5, false),
            (5, 6, true),
            (20, 100, false),
            (21, 100, true),
        ] {
            assert_eq!(is_doubtful(vanished, known, 20), doubtful, "{vanished} of {known}");
        }
        assert!(is_doubtful(5, 1000, 0) && !is_doubtful(1000, 1000, 100));
    }
}
