//! Measured times and memory, and their formatting.

use std::fmt;
use std::fs;
use std::time::Duration;

/// The size given on the command line (`cargo bench --bench scan -- 20`), or the default.
pub fn size(usual: usize) -> usize {
    std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(usual)
}

/// Times of repetitions.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|known| *known <= time);
        self.0.insert(place, time);
    }

    /// A quantile of the times, by nearest rank.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    pub fn mean(&self) -> Duration {
        self.0.iter().sum::<Duration>() / self.0.len() as u32
    }

    /// `median (min–max)` of items per second, if each time is that of `count` items.
    pub fn rate(&self, count: usize) -> String {
        let per_second = |time: Duration| count as f64 / time.as_secs_f64();
        let (least, most) = (per_second(self.quantile(1.0)), per_second(self.quantile(0.0)));
        format!("{:.0}/s ({least:.0}–{most:.0})", per_second(self.median()))
    }
}

/// `p50 … p95 … p99 … max …` in milliseconds.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99, most] = [0.5, 0.95, 0.99, 1.0].map(|share| self.quantile(share).as_secs_f64() * 1000.0);
        write!(f, "p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2}  max {most:.2} ms")
    }
}

/// How many times as fast as `other`.
pub fn ratio(time: Duration, other: Duration) -> f64 {
    other.as_secs_f64() / time.as_secs_f64()
}

/// One line of a table.
pub fn line(what: &str, figures: impl fmt::Display) {
    println!("  {what:<44} {figures}");
}

/// Memory in use by this process, and its peak since [`forget_peak`], in MiB.
pub fn memory() -> String {
    memory_of(std::process::id())
}

/// The same for another process of this user.
pub fn memory_of(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells about processes");
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux counts resident memory");
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib / 1024.0
    };
    format!("{:.0} MiB resident, {:.0} MiB at most", mib("VmRSS:"), mib("VmHWM:"))
}

/// Resets the peak memory (Linux: write `5` to `clear_refs`).
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}
