//! What an attempt's container uses over time: measured every two seconds, kept in the attempt's folder as a bounded
//! number of samples. A measurement that fails is left out; nothing here can fail an attempt.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::engine::runtime::{ContainerRuntime, ResourceUsage};

/// File in an attempt's folder, a sample a line.
const FILE: &str = "samples.ndjson";
/// Time between two measurements.
const EVERY: Duration = Duration::from_secs(2);
/// Time before the first one; it doubles up to [`EVERY`], so that a short job has some, too.
const FIRST: Duration = Duration::from_millis(250);
/// How long the engine may take for one.
const ANSWER: Duration = Duration::from_secs(10);
/// Most samples of an attempt. Even.
pub const MOST_SAMPLES: usize = 600;

/// One measurement, or several that follow each other. Bytes are counted since the container's start, except those of
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSample {
    /// Of the last measurement.
    pub time: DateTime<Utc>,
    /// How many measurements it stands for.
    pub readings: u32,
    /// CPU time since the container's start, of all cores.
    pub cpu_seconds: f64,
    /// Bytes; the most of its measurements.
    pub memory: u64,
    /// Bytes from the network.
    pub received: u64,
    /// Bytes to the network.
    pub sent: u64,
    /// Bytes from block devices.
    pub read: u64,
    /// Bytes to block devices.
    pub written: u64,
}

impl ResourceSample {
    fn of(time: DateTime<Utc>, usage: ResourceUsage) -> Self {
        let ResourceUsage { cpu, memory, received, sent, read, written } = usage;
        // Few digits, which are read as they were written.
        let cpu_seconds = cpu.as_millis() as f64 / 1000.0;
        Self { time, readings: 1, cpu_seconds, memory, received, sent, read, written }
    }

    /// Both as one. Counters only grow, so the later ones count.
    fn with_next(self, next: Self) -> Self {
        Self { readings: self.readings.saturating_add(next.readings), memory: self.memory.max(next.memory), ..next }
    }
}

/// What an attempt used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleTotals {
    /// The most memory measured, in bytes.
    pub peak_memory: u64,
    /// CPU time until the last measurement, of all cores.
    pub cpu_seconds: f64,
}

/// Samples in the order of time, at most [`MOST_SAMPLES`]. If there were more, each two become one, and each new one
/// stands for twice as many measurements, so that all of them cover the same time.
#[derive(Clone, Debug, Default, PartialEq)]
struct SampleSeries(Vec<ResourceSample>);

/// What has changed in a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeriesChange {
    /// The last sample stands for more measurements, and for still more to come.
    Open,
    /// The last sample is complete.
    Complete,
    /// All samples are others.
    Thinned,
}

impl SampleSeries {
    fn add(&mut self, reading: ResourceSample) -> SeriesChange {
        let stride = self.0.first().map_or(1, |first| first.readings);
        match self.0.last_mut() {
            Some(last) if last.readings < stride => *last = last.with_next(reading),
            _ => self.0.push(reading),
        }
        if self.0.len() == MOST_SAMPLES && self.0.last().is_some_and(|last| last.readings >= stride) {
            self.0 = self.0.chunks(2).filter_map(|two| two.iter().copied().reduce(ResourceSample::with_next)).collect();
            return SeriesChange::Thinned;
        }
        if self.0.last().is_some_and(|last| last.readings < stride) {
            SeriesChange::Open
        } else {
            SeriesChange::Complete
        }
    }

    fn totals(&self) -> Option<SampleTotals> {
        let peak_memory = self.0.iter().map(|sample| sample.memory).max()?;
        Some(SampleTotals { peak_memory, cpu_seconds: self.0.last()?.cpu_seconds })
    }
}

/// The samples of an attempt on disk.
pub struct SampleFile {
    path: PathBuf,
    series: SampleSeries,
}

impl SampleFile {
    /// The samples so far of the attempt with this folder. A line that cannot be read, since a process was killed while
    /// it wrote, is left out.
    pub async fn open(attempt: &Path) -> Self {
        let path = attempt.join(FILE);
        let text = fs::read_to_string(&path).await.unwrap_or_default();
        let samples = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Self { series: SampleSeries(samples.take(MOST_SAMPLES).collect()), path }
    }

    /// In the order of time.
    pub fn samples(&self) -> &[ResourceSample] {
        &self.series.0
    }

    /// `None` if nothing was measured.
    pub fn totals(&self) -> Option<SampleTotals> {
        self.series.totals()
    }

    async fn add(&mut self, reading: ResourceSample) {
        match self.series.add(reading) {
            SeriesChange::Open => {}
            SeriesChange::Complete => self.note(self.append().await),
            SeriesChange::Thinned => self.note(self.write().await),
        }
    }

    /// Writes the last sample, too, if it is still open.
    pub(super) async fn finish(&self) {
        if !self.series.0.is_empty() {
            self.note(self.write().await);
        }
    }

    async fn append(&self) -> io::Result<()> {
        let last = self.series.0.last().map(line).unwrap_or_default();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).await?;
        file.write_all(last.as_bytes()).await?;
        file.flush().await
    }

    async fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, self.series.0.iter().map(line).collect::<String>()).await?;
        fs::rename(new, &self.path).await
    }

    fn note(&self, outcome: io::Result<()>) {
        if let Err(why) = outcome {
            tracing::debug!(%why, file = %self.path.display(), "samples of a run cannot be written");
        }
    }
}

fn line(sample: &ResourceSample) -> String {
    let mut line = serde_json::to_string(sample).expect("numbers and a time are JSON");
    line.push('\n');
    line
}

/// Removes the samples of an earlier container. Blocking.
pub(super) fn clear(attempt: &Path) -> io::Result<()> {
    match std::fs::remove_file(attempt.join(FILE)) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

/// Measures a container again and again. Never returns; a call that fails, or takes too long, is left out.
pub(super) async fn sample<R: ContainerRuntime>(runtime: &R, id: &str, clock: &Clock, file: &mut SampleFile) {
    let mut pause = FIRST;
    loop {
        sleep(pause).await;
        pause = (pause * 2).min(EVERY);
        if let Ok(Ok(Some(usage))) = timeout(ANSWER, runtime.usage(id)).await {
            file.add(ResourceSample::of(clock.now(), usage)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn reading(number: usize, memory: u64) -> ResourceSample {
        let number = number as u32;
        let time =
            DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::seconds(2 * i64::from(number));
        let usage = ResourceUsage {
            cpu: Duration::from_secs(number.into()),
            memory,
            written: number.into(),
            ..ResourceUsage::default()
        };
        ResourceSample::of(time, usage)
    }

    fn series_of(memories: &[u64]) -> SampleSeries {
        let mut series = SampleSeries::default();
        for (number, memory) in memories.iter().enumerate() {
            series.add(reading(number, *memory));
        }
        series
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn thinning_keeps_peak_order_and_end(memories in prop::collection::vec(any::<u64>(), 1..5000)) {
            let series = series_of(&memories);
            let SampleSeries(samples) = &series;
            prop_assert!(samples.len() <= MOST_SAMPLES);
            prop_assert!(samples.len() >= memories.len().min(MOST_SAMPLES / 2));
            let totals = series.totals().expect("there are some");
            prop_assert_eq!(Some(&totals.peak_memory), memories.iter().max());
            prop_assert_eq!(totals.cpu_seconds, (memories.len() - 1) as f64);
            let readings: usize = samples.iter().map(|sample| sample.readings as usize).sum();
            prop_assert_eq!(readings, memories.len(), "each measurement is in one sample");
            let in_order = |two: &[ResourceSample]| two[0].time < two[1].time && two[0].written < two[1].written;
            prop_assert!(samples.windows(2).all(in_order));
            // All but the last one cover the same time.
            let (last, others) = samples.split_last().expect("there are some");
            prop_assert!(others.iter().all(|sample| sample.readings == others[0].readings));
            prop_assert!(others.is_empty() || last.readings <= others[0].readings);
            // Each sample has the most of its measurements.
            let mut rest = memories.as_slice();
            for sample in samples {
                let (its, after) = rest.split_at(sample.readings as usize);
                prop_assert_eq!(Some(&sample.memory), its.iter().max());
                rest = after;
            }
        }
    }

    #[tokio::test]
    async fn samples_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = SampleFile::open(folder.path()).await;
        assert_eq!(file.totals(), None);
        // More than fit, so that the last sample is open.
        for number in 0..MOST_SAMPLES + 3 {
            file.add(reading(number, 1000 - number as u64)).await;
        }
        let written = SampleFile::open(folder.path()).await;
        assert_eq!(written.samples(), &file.samples()[..file.samples().len() - 1], "a kill loses an open sample only");
        file.finish().await;
        let mut again = SampleFile::open(folder.path()).await;
        assert_eq!(again.samples(), file.samples());
        let totals = again.totals().expect("there are some");
        assert_eq!((totals.peak_memory, totals.cpu_seconds), (1000, (MOST_SAMPLES + 2) as f64));
        // It goes on after half a line.
        let mut text = std::fs::read_to_string(folder.path().join(FILE)).expect("text");
        text.push_str("{\"time\":\"2026");
        std::fs::write(folder.path().join(FILE), text).expect("it can be written");
        assert_eq!(SampleFile::open(folder.path()).await.samples(), file.samples());
        again.add(reading(MOST_SAMPLES + 3, 5)).await;
        again.finish().await;
        assert_eq!(SampleFile::open(folder.path()).await.samples().len(), MOST_SAMPLES / 2 + 2);
        clear(folder.path()).expect("it can be removed");
        clear(folder.path()).expect("there is none");
        assert_eq!(SampleFile::open(folder.path()).await.totals(), None);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_stops_nothing() {
        let mut file = SampleFile::open(Path::new("/proc/none")).await;
        file.add(reading(0, 7)).await;
        file.finish().await;
        assert_eq!(file.totals().map(|totals| totals.peak_memory), Some(7));
    }
}
