//! What a run used, as plots: SVG made here, with the peak and the mean in words.

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

use super::job::bytes;
use crate::app::RunFolder;
use crate::engine::run::samples::ResourceSample;

/// Size of a plot, in its own units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 100.0;

/// Attempts with plots; the newest ones.
const MOST_ATTEMPTS: usize = 10;

/// The plots of a run's attempts, as a part of its page: `{{ plots }}` in its template.
#[derive(Template)]
#[template(path = "run_plots.html")]
pub(super) struct RunPlots {
    is_final: bool,
    /// Those that were measured, the last one first.
    attempts: Vec<AttemptPlots>,
}

impl HtmlSafe for RunPlots {}

/// The plots of an attempt.
struct AttemptPlots {
    number: u32,
    plots: Vec<ResourcePlot>,
}

/// One plot.
struct ResourcePlot {
    title: &'static str,
    /// The most, and the limit if there is one.
    caption: String,
    /// The same with the mean and the time, for those who do not see it.
    text: String,
    lines: Vec<PlotLine>,
    /// Height of the limit.
    limit: Option<String>,
}

/// A line of a plot.
struct PlotLine {
    /// Style: the first and the second line of a plot.
    class: &'static str,
    /// Points of the line, and of the area below it.
    points: String,
}

/// The plots of all attempts that were measured.
pub(super) async fn plots(folder: &RunFolder) -> RunPlots {
    let record = &folder.record;
    let mut attempts = Vec::new();
    for attempt in record.attempts.iter().rev().take(MOST_ATTEMPTS) {
        let Ok((number, file)) = folder.samples(Some(attempt.number)).await else { continue };
        let plots = drawn(file.samples(), &record.container);
        if !plots.is_empty() {
            attempts.push(AttemptPlots { number, plots });
        }
    }
    RunPlots { is_final: record.status.is_final(), attempts }
}

/// `container`: as in the record.
fn drawn(samples: &[ResourceSample], container: &Value) -> Vec<ResourcePlot> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let length = seconds(first, last);
    if length <= 0.0 {
        return Vec::new();
    }
    let at = |sample: &ResourceSample| seconds(first, sample) / length;
    let rates = |counter: fn(&ResourceSample) -> f64| -> PlotValues {
        let pairs = samples.windows(2).filter(|two| seconds(&two[0], &two[1]) > 0.0);
        let rate = |two: &[ResourceSample]| (counter(&two[1]) - counter(&two[0])).max(0.0) / seconds(&two[0], &two[1]);
        let points = pairs.flat_map(|two| [(at(&two[0]), rate(two)), (at(&two[1]), rate(two))]).collect();
        PlotValues { points, mean: (counter(last) - counter(first)).max(0.0) / length }
    };
    let memory = PlotValues {
        points: samples.iter().map(|sample| (at(sample), sample.memory as f64)).collect(),
        mean: samples.iter().map(|sample| sample.memory as f64).sum::<f64>() / samples.len() as f64,
    };
    let limit = |name: &str| container.get(name).and_then(Value::as_f64).filter(|limit| *limit > 0.0);
    let speed = |value: f64| format!("{}/s", size(value));
    let over = format!("over {length:.0} s");
    let mut plots = vec![
        plot("CPU", &over, &[("", rates(|sample| sample.cpu_seconds))], cores, limit("cpus")),
        plot("Memory", &over, &[("", memory)], size, limit("memory")),
    ];
    let network = [("received", rates(|it| it.received as f64)), ("sent", rates(|it| it.sent as f64))];
    let disk = [("read", rates(|it| it.read as f64)), ("written", rates(|it| it.written as f64))];
    for (title, lines) in [("Network", network), ("Disk", disk)] {
        if lines.iter().any(|(_, values)| values.peak() > 0.0) {
            plots.push(plot(title, &over, &lines, speed, None));
        }
    }
    plots
}

/// Values over time.
struct PlotValues {
    /// Part of the time, 0 to 1, and value.
    points: Vec<(f64, f64)>,
    mean: f64,
}

impl PlotValues {
    fn peak(&self) -> f64 {
        self.points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }
}

/// `lines`: name and values; one, or two.
fn plot(
    title: &'static str,
    over: &str,
    lines: &[(&str, PlotValues)],
    words: impl Fn(f64) -> String,
    limit: Option<f64>,
) -> ResourcePlot {
    let peak = lines.iter().map(|(_, values)| values.peak()).fold(0.0, f64::max);
    // A limit that is far away would leave a flat line.
    let shown_limit = limit.filter(|limit| *limit <= peak * 10.0);
    let top = shown_limit.unwrap_or_default().max(peak);
    let height = |value: f64| if top > 0.0 { HEIGHT - value / top * (HEIGHT - 2.0) } else { HEIGHT };
    let of_limit = limit.map(|limit| format!(" of {}", words(limit))).unwrap_or_default();
    let named = |name: &str| if name.is_empty() { String::new() } else { format!("{name} ") };
    let told = |with_mean: bool| {
        let one = |(name, values): &(&str, PlotValues)| {
            let mean = if with_mean { format!(", {} on average", words(values.mean)) } else { String::new() };
            format!("{}at most {}{of_limit}{mean}", named(name), words(values.peak()))
        };
        lines.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let line = |(number, (_, values)): (usize, &(&str, PlotValues))| {
        let point = |(at, value): &(f64, f64)| format!("{:.1},{:.1}", at * WIDTH, height(*value));
        let points: Vec<String> = values.points.iter().map(point).collect();
        PlotLine { class: if number == 0 { "first" } else { "second" }, points: points.join(" ") }
    };
    ResourcePlot {
        title,
        caption: told(false),
        text: format!("{title} {over}: {}", told(true)),
        lines: lines.iter().enumerate().map(line).collect(),
        limit: shown_limit.map(|limit| format!("{:.1}", height(limit))),
    }
}

fn seconds(from: &ResourceSample, to: &ResourceSample) -> f64 {
    (to.time - from.time).as_seconds_f64()
}

fn cores(value: f64) -> String {
    let text = format!("{value:.1}");
    format!("{} CPU", text.trim_end_matches(".0"))
}

fn size(value: f64) -> String {
    bytes(value as u64)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use serde_json::json;

    use super::*;

    /// Two seconds after the sample before: CPU seconds and MiB.
    fn sample(number: i64, cpu_seconds: f64, memory: u64) -> ResourceSample {
        let time = DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::seconds(2 * number);
        let memory = memory << 20;
        ResourceSample { time, readings: 1, cpu_seconds, memory, received: 0, sent: 0, read: 0, written: 0 }
    }

    #[test]
    fn peak_and_mean_are_told() {
        let samples = [sample(0, 0.0, 10), sample(1, 4.0, 40), sample(2, 5.0, 10)];
        let plots = drawn(&samples, &json!({"memory": 80 << 20, "cpus": null}));
        let texts: Vec<&str> = plots.iter().map(|plot| &*plot.text).collect();
        let memory = "Memory over 4 s: at most 40 MiB of 80 MiB, 20 MiB on average";
        assert_eq!(texts, ["CPU over 4 s: at most 2 CPU, 1.2 CPU on average", memory]);
        assert_eq!(plots[0].lines[0].points, "0.0,2.0 150.0,2.0 150.0,75.5 300.0,75.5");
        assert_eq!(
            (&*plots[1].lines[0].points, plots[1].limit.as_deref()),
            ("0.0,87.8 150.0,51.0 300.0,87.8", Some("2.0"))
        );
        assert_eq!((plots[0].caption.as_str(), plots[0].limit.is_none()), ("at most 2 CPU", true));
    }

    #[test]
    fn network_and_disk_are_drawn_if_they_were_used() {
        let mut samples = [sample(0, 0.0, 1), sample(1, 0.0, 1)];
        samples[1].received = 4096;
        let plots = drawn(&samples, &Value::Null);
        assert_eq!(plots.len(), 3);
        let expected =
            "Network over 2 s: received at most 2.0 KiB/s, 2.0 KiB/s on average; sent at most 0 B/s, 0 B/s on average";
        assert_eq!((&*plots[2].text, plots[2].lines.len()), (expected, 2));
        // A counter that goes back, as after a restart of a container, is no use.
        samples.swap(0, 1);
        samples[1].time = samples[0].time + TimeDelta::seconds(2);
        assert_eq!(drawn(&samples, &Value::Null).len(), 2);
    }

    #[test]
    fn without_two_samples_there_is_nothing() {
        assert!(drawn(&[], &Value::Null).is_empty());
        assert!(drawn(&[sample(0, 1.0, 1)], &Value::Null).is_empty());
        assert!(drawn(&[sample(0, 1.0, 1); 2], &Value::Null).is_empty());
    }
}
