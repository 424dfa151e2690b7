//! Words and signs for the states of runs, and durations for people.

use chrono::TimeDelta;

use crate::catalog::{RunPhase, RunStatus};
use crate::engine::run::verdict::RunError;

/// What a run does, in a word.
pub(super) fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Accepted => "waiting",
        RunStatus::Running => "running",
        RunStatus::Successful => "successful",
        RunStatus::Failed => "failed",
        RunStatus::Dismissed => "stopped",
    }
}

/// CSS classes of the sign before the word: shape and colour.
pub(super) fn status_sign(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Accepted => "state hush ring",
        RunStatus::Running => "state warn half",
        RunStatus::Successful => "state good",
        RunStatus::Failed => "state bad",
        RunStatus::Dismissed => "state hush square",
    }
}

/// What happens in a phase; empty after the end.
pub(super) fn phase_words(phase: RunPhase) -> &'static str {
    match phase {
        RunPhase::Queued => "waits in the queue",
        RunPhase::Pull => "the image is pulled",
        RunPhase::Stage => "the inputs are put in place",
        RunPhase::Main => "the job runs",
        RunPhase::Capture => "the outputs are read",
        RunPhase::Cancelling => "the job is being stopped",
        RunPhase::RetryWait => "waits for another attempt",
        RunPhase::Done => "",
    }
}

/// Whose fault an error is; empty for categories that this program does not know.
pub(super) fn fault(category: &str) -> &'static str {
    match category {
        "data" => "fault of the data",
        "job" => "fault of the job",
        "system" => "fault of the system; the job may be fine",
        _ => "",
    }
}

/// How the process ended, such as `exit code 137, signal 9, out of memory`; empty if it had no end of its own.
pub(super) fn ending(error: &RunError) -> String {
    let code = error.exit_code.map(|code| format!("exit code {code}"));
    let signal = error.signal.map(|signal| format!("signal {signal}"));
    let memory = error.oom.then(|| "out of memory".to_owned());
    [code, signal, memory].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A duration, such as `0.4 s`, `48 s`, `2 min 5 s` or `3 h 20 min`.
pub(super) fn duration(time: TimeDelta) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let seconds = time.num_seconds().max(0);
    match seconds {
        ..10 => format!("{:.1} s", time.num_milliseconds().max(0) as f64 / 1000.0),
        10..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min {} s", seconds / MINUTE, seconds % MINUTE),
        HOUR..DAY => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
        _ => format!("{} d {} h", seconds / DAY, seconds % DAY / HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (milliseconds, expected) in [
            (-5, "0.0 s"),
            (430, "0.4 s"),
            (9_940, "9.9 s"),
            (48_900, "48 s"),
            (125_000, "2 min 5 s"),
            (12_000_000, "3 h 20 min"),
            (180_000_000, "2 d 2 h"),
        ] {
            assert_eq!(duration(TimeDelta::milliseconds(milliseconds)), expected);
        }
    }
}
