//! Charts of the last hour as SVG, without scripts.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

/// Size of the drawing, in its own units.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 60.0;

/// A line over the last hour.
pub(super) struct LineChart {
    pub title: &'static str,
    /// The newest value, such as `3.2 a second`; `–` without one.
    pub newest: String,
    /// The greatest value; `–` without one.
    pub most: String,
    /// For those who do not see it.
    pub description: String,
    /// Points of each unbroken line.
    pub lines: Vec<String>,
}

impl LineChart {
    /// A chart of values in time; a missing value breaks the line. `text` writes a value with its unit.
    pub(super) fn new(
        title: &'static str,
        now: DateTime<Utc>,
        values: &[(DateTime<Utc>, Option<f64>)],
        text: impl Fn(f64) -> String,
    ) -> Self {
        let most = values.iter().filter_map(|(_, value)| *value).reduce(f64::max);
        let or_none = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), &text);
        let newest = or_none(values.last().and_then(|(_, value)| *value));
        let description = match most {
            Some(most) => format!("{title} in the last hour: now {newest}, at most {}", text(most)),
            None => format!("{title} in the last hour: no values yet"),
        };
        Self { title, newest, most: or_none(most), description, lines: lines(now, values, most.unwrap_or_default()) }
    }
}

fn lines(now: DateTime<Utc>, values: &[(DateTime<Utc>, Option<f64>)], most: f64) -> Vec<String> {
    let begin = now - TimeDelta::hours(1);
    let mut lines = vec![String::new()];
    for (at, value) in values {
        let x = (*at - begin).as_seconds_f64() / 3600.0 * WIDTH;
        let line = lines.last_mut().expect("there is always one");
        match value {
            Some(value) if (0.0..=WIDTH).contains(&x) => {
                // A line at zero is still seen.
                let y = HEIGHT - 1.0 - if most > 0.0 { value / most * (HEIGHT - 2.0) } else { 0.0 };
                write!(line, "{x:.1},{y:.1} ").expect("texts take all that is written");
            }
            _ if line.is_empty() => {}
            _ => lines.push(String::new()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// A number with as many digits as people read.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value < 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_missing_value_breaks_the_line() {
        let values = [(at(0), Some(1.0)), (at(15), None), (at(30), Some(4.0)), (at(60), Some(2.0))];
        let chart = LineChart::new("Load", at(60), &values, short);
        assert_eq!(chart.lines, ["0.0,44.5 ", "180.0,1.0 360.0,30.0 "]);
        assert_eq!((chart.newest.as_str(), chart.most.as_str()), ("2.0", "4.0"));
        assert_eq!(chart.description, "Load in the last hour: now 2.0, at most 4.0");
    }

    #[test]
    fn nothing_is_drawn_without_values_and_zeros_are_a_line() {
        let chart = LineChart::new("Load", at(60), &[(at(50), None)], short);
        assert_eq!((chart.lines.len(), chart.newest.as_str(), chart.most.as_str()), (0, "–", "–"));
        assert_eq!(chart.description, "Load in the last hour: no values yet");
        let chart = LineChart::new("Load", at(60), &[(at(0), Some(0.0)), (at(60), Some(0.0))], short);
        assert_eq!(chart.lines, ["0.0,59.0 360.0,59.0 "]);
        let old = LineChart::new("Load", at(70), &[(at(0), Some(1.0))], short);
        assert!(old.lines.is_empty(), "older than an hour");
    }
}
