//! Scans as pages show them: their states, and the history of a registry as bars and as a table.

use chrono::{DateTime, TimeDelta, Utc};

use crate::catalog::{ScanRecord, ScanState};
use crate::http::pages::shown_time::ShownTime;

/// Size of the chart, and the distance of its bars, in units of its drawing.
const HEIGHT: u64 = 60;
const STEP: usize = 12;
const WIDTH: usize = 9;
/// The least height of a part that is not nothing.
const LEAST: u64 = 2;

/// The state of a scan: its word, and the class of its sign.
pub(super) struct StateSign {
    pub word: &'static str,
    pub class: &'static str,
}

impl StateSign {
    pub(super) fn of(state: ScanState) -> Self {
        let class = match state {
            ScanState::Queued | ScanState::Running => "on",
            ScanState::Complete => "good",
            ScanState::Partial | ScanState::Held | ScanState::Cancelled => "warn",
            ScanState::Failed => "bad",
        };
        Self { word: state.as_str(), class }
    }
}

/// The history of a registry.
pub(super) struct ScanHistory {
    /// Newest first.
    pub rows: Vec<ScanRow>,
    /// Oldest first.
    pub bars: Vec<ScanBar>,
    pub width: usize,
    pub height: u64,
}

/// A scan in the table.
pub(super) struct ScanRow {
    pub id: i64,
    pub state: StateSign,
    pub trigger: &'static str,
    pub begun: ShownTime,
    /// Empty if it has not ended, or never began.
    pub duration: String,
    pub tags: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub problems: u64,
}

/// A scan in the chart.
pub(super) struct ScanBar {
    pub title: String,
    pub parts: Vec<BarPart>,
}

/// A rectangle of a bar.
pub(super) struct BarPart {
    pub class: &'static str,
    pub x: usize,
    pub y: u64,
    pub width: usize,
    pub height: u64,
}

impl ScanHistory {
    /// Of scans, newest first.
    pub(super) fn new(scans: &[ScanRecord]) -> Self {
        let most = scans.iter().map(|scan| changes(scan).iter().sum()).max().unwrap_or(0);
        let bar = |(place, scan): (usize, &ScanRecord)| ScanBar {
            title: title(scan),
            parts: parts(scan, place * STEP, most),
        };
        Self {
            rows: scans.iter().map(row).collect(),
            bars: scans.iter().rev().enumerate().map(bar).collect(),
            width: (scans.len() * STEP).max(1),
            height: HEIGHT,
        }
    }
}

/// Tags that were added, changed and removed.
fn changes(scan: &ScanRecord) -> [u64; 3] {
    [scan.counts.added, scan.counts.changed, scan.counts.removed]
}

/// The rectangles of a scan, from the bottom up; a scan that changed nothing has a flat one, with the class of its state.
fn parts(scan: &ScanRecord, x: usize, most: u64) -> Vec<BarPart> {
    let part = |class, y, height| BarPart { class, x, y, width: WIDTH, height };
    // Leaves room for parts that are raised to the least height.
    let scale = (HEIGHT - 3 * LEAST) as f64 / most.max(1) as f64;
    let mut top = HEIGHT;
    let mut parts = Vec::new();
    for (class, count) in ["added", "changed", "removed"].into_iter().zip(changes(scan)) {
        if count > 0 {
            let height = ((count as f64 * scale) as u64).max(LEAST);
            top -= height;
            parts.push(part(class, top, height));
        }
    }
    if parts.is_empty() {
        parts.push(part(StateSign::of(scan.state).class, HEIGHT - LEAST, LEAST));
    }
    parts
}

fn title(scan: &ScanRecord) -> String {
    let [added, changed, removed] = changes(scan);
    let begun = ShownTime::of(begun(scan)).text;
    format!("{begun}: {}, {added} added, {changed} changed, {removed} removed", scan.state.as_str())
}

fn row(scan: &ScanRecord) -> ScanRow {
    let [added, changed, removed] = changes(scan);
    let ended = scan.started_at.zip(scan.finished_at);
    ScanRow {
        id: scan.id.0,
        state: StateSign::of(scan.state),
        trigger: scan.trigger.as_str(),
        begun: ShownTime::of(begun(scan)),
        duration: ended.map(|(from, until)| duration_text(until - from)).unwrap_or_default(),
        tags: scan.counts.tags,
        added,
        changed,
        removed,
        problems: scan.counts.problems,
    }
}

fn begun(scan: &ScanRecord) -> DateTime<Utc> {
    scan.started_at.unwrap_or(scan.created_at)
}

/// A duration in words, with two units at most.
pub(super) fn duration_text(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{RegistryId, ScanCounts, ScanId, ScanTrigger};

    fn scan([added, changed, removed]: [u64; 3]) -> ScanRecord {
        ScanRecord {
            id: ScanId(1),
            registry_id: RegistryId(1),
            registry_name: "lab".to_owned(),
            state: ScanState::Complete,
            trigger: ScanTrigger::Manual,
            counts: ScanCounts { added, changed, removed, ..ScanCounts::default() },
            error: None,
            attempts: 1,
            created_at: DateTime::UNIX_EPOCH,
            started_at: Some(DateTime::UNIX_EPOCH),
            finished_at: Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(75)),
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, expected) in
            [(-3, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7321, "2 h 2 min")]
        {
            assert_eq!(duration_text(TimeDelta::seconds(seconds)), expected);
        }
    }

    #[test]
    fn a_scan_without_changes_is_still_there() {
        let history = ScanHistory::new(&[scan([0, 0, 0]), scan([0, 3, 0])]);
        let classes: Vec<&str> = history.bars.iter().map(|bar| bar.parts[0].class).collect();
        assert_eq!(classes, ["changed", "good"], "oldest first");
        assert_eq!(history.rows[0].duration, "1 min 15 s");
        assert!(ScanHistory::new(&[]).bars.is_empty());
    }

    proptest! {
        #[test]
        fn bars_stay_in_the_chart(counts in proptest::collection::vec(any::<[u32; 3]>(), 0..30)) {
            let scans: Vec<ScanRecord> = counts.into_iter().map(|one| scan(one.map(u64::from))).collect();
            let history = ScanHistory::new(&scans);
            for part in history.bars.iter().flat_map(|bar| &bar.parts) {
                prop_assert!(part.y + part.height <= HEIGHT && part.height >= LEAST);
                prop_assert!(part.x + part.width <= history.width);
            }
        }
    }
}
