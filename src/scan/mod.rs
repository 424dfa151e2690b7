//! One registry, once: list → fetch → diff. What comes out is a [`ScanResult`], which the store applies as a whole.
//!
//! Knows neither tasks nor HTTP. Can be dropped at any await: nothing is written here.

mod content;
mod walk;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::catalog::{
    Changes, ContentProblem, FoundTag, NewScanProblem, Registry, RepositoryFilter, ScanCounts, ScanState, StoredTag,
    diff,
};
use crate::registry::Source;
use crate::store::{self, ScanResult, Store};

pub use content::{content_of, judge_again, seed_label};
use walk::{Stop, Walk};

/// What a scan works with.
pub struct Input<'a> {
    pub store: &'a Store,
    pub source: &'a Source,
    pub registry: &'a Registry,
    pub filter: &'a RepositoryFilter,
    /// Requests to keep in flight; the source has the last word.
    pub concurrency: usize,
    /// Whether anything may be removed; otherwise a scan in which very much has vanished is held.
    pub confirmed: bool,
    /// Of how many tags, in percent, more must vanish at once for that.
    pub hold_percent: u32,
    /// After this long the scan ends as partial with what it has.
    pub longest: Duration,
    /// Written to while the scan runs.
    pub progress: &'a Progress,
}

/// What a running scan has counted so far, for those who watch it.
#[derive(Debug, Default)]
pub struct Progress(Mutex<ScanCounts>);

impl Progress {
    /// The counts now, with what the source says that it cost.
    pub fn counts(&self, source: &Source) -> ScanCounts {
        let traffic = source.traffic();
        ScanCounts {
            requests: traffic.requests,
            bytes: traffic.bytes,
            throttled_ms: traffic.throttled.as_millis() as u64,
            ..*self.0.lock().expect("no panic while locked")
        }
    }

    fn update(&self, change: impl FnOnce(&mut ScanCounts)) {
        change(&mut self.0.lock().expect("no panic while locked"));
    }
}

/// Scans. A registry that cannot be listed gives a result that changes nothing.
///
/// # Errors
/// Only the store's; what a registry does wrong is in the result.
pub async fn scan(input: &Input<'_>) -> store::Result<ScanResult> {
    let stored = input.store.image_tags(input.registry.id).await?;
    let mut walk = Walk::new(input, &stored);
    match tokio::time::timeout(input.longest, walk.list_and_read()).await {
        Ok(Ok(())) => {}
        Ok(Err(Stop::Registry(why))) => return Ok(failed(&why, input.progress.counts(input.source))),
        Ok(Err(Stop::Store(why))) => return Err(why),
        Err(_elapsed) => {
            let hours = input.longest.as_secs() / 3600;
            walk.end_early(format!(
                "it was ended after {hours} hours (scan.longest_hours); what it had read by then is kept"
            ));
        }
    }
    finish(input, &stored, walk).await
}

/// Diffs, and reports the problems of everything the registry holds now.
async fn finish(input: &Input<'_>, stored: &[StoredTag], walk: Walk<'_>) -> store::Result<ScanResult> {
    let walk::Walked { mut found, contents, mut problems, incomplete } = walk.end();
    // Requests end in any order. New images get their ids by name, and a report reads the same each time.
    found.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
    let mut changes = diff(stored, &found, incomplete.is_none());
    let is_held = !input.confirmed && is_doubtful(changes.remove.len(), stored.len(), input.hold_percent);
    let held = if is_held { std::mem::take(&mut changes.remove).len() } else { 0 };
    let mut by_digest = input.store.content_problem_list().await?;
    by_digest.extend(contents.iter().map(|content| (content.digest.clone(), content.problems.clone())));
    problems.extend(found.iter().flat_map(|tag| content_problems(tag, &by_digest)));
    problems.sort_by(|a, b| (&a.repository, &a.tag, &a.code).cmp(&(&b.repository, &b.tag, &b.code)));
    let counts = ScanCounts {
        added: changes.add.len() as u64,
        changed: changes.point.len() as u64,
        unchanged: changes.unchanged,
        removed: changes.remove.len() as u64,
        held: held as u64,
        problems: problems.len() as u64,
        ..input.progress.counts(input.source)
    };
    let state = match incomplete {
        Some(_) => ScanState::Partial,
        None if is_held => ScanState::Held,
        None => ScanState::Complete,
    };
    Ok(ScanResult { state, changes, contents, counts, problems, error: incomplete })
}

/// Whether so many of a registry's tags have vanished that a broken registry is likelier than a tidy admin: all of them,
/// or a good part. A storage that is not mounted shows as a registry that is empty and in perfect health.
fn is_doubtful(vanished: usize, known: usize, hold_percent: u32) -> bool {
    /// Fewer than this are removed every day.
    const FEW: usize = 5;
    let is_all = vanished == known && vanished > 1;
    hold_percent < 100 && (is_all || vanished >= FEW) && vanished * 100 > known * hold_percent as usize
}

/// The result of a scan that could not list its registry: nothing changes.
pub fn failed(why: &dyn std::fmt::Display, counts: ScanCounts) -> ScanResult {
    ScanResult {
        state: ScanState::Failed,
        changes: Changes::default(),
        contents: Vec::new(),
        counts: ScanCounts { problems: 1, ..counts },
        problems: vec![problem("listing-failed", "", "", why)],
        error: Some(why.to_string()),
    }
}

fn content_problems<'a>(
    tag: &'a FoundTag,
    by_digest: &'a HashMap<String, Vec<ContentProblem>>,
) -> impl Iterator<Item = NewScanProblem> + 'a {
    let problems = tag.digest.as_ref().and_then(|digest| by_digest.get(digest)).map_or(&[][..], Vec::as_slice);
    problems.iter().map(|found| problem(&found.code, &tag.repository, &tag.tag, &found.message))
}

fn problem(code: &str, repository: &str, tag: &str, why: impl std::fmt::Display) -> NewScanProblem {
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
