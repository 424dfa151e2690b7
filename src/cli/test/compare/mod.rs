//! Compares a file with the expected one, by the rule for its path. [`tree`] compares whole folders; the rest is
//! pure.

mod table;
pub(super) mod tree;
mod value;

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use serde::Deserialize;

/// A comparison rule for the files whose path matches; the first matching rule applies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComparisonRule {
    /// A glob over the path in the output folder; `*` does not cross `/`, `**` does.
    pub files: String,
    pub compare: ComparisonMethod,
}

/// How to compare two files.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum ComparisonMethod {
    /// Byte for byte.
    Exact,
    /// As text: line endings, trailing blanks and matches of a mask (a regular expression) are ignored.
    Text {
        #[serde(default)]
        masks: Vec<String>,
    },
    /// As JSON: the order of members and the values at or below a pointer of `ignore` are ignored.
    Json {
        #[serde(default)]
        tolerance: NumberTolerance,
        #[serde(default)]
        ignore: Vec<String>,
    },
    /// As CSV with a header line; tolerances by column name.
    Csv {
        #[serde(default)]
        columns: BTreeMap<String, NumberTolerance>,
    },
    /// The file must exist; its content is not compared.
    Exists,
    /// The size may differ by this percentage.
    Size { percent: f64 },
    /// The file is not compared and may be missing.
    Ignore,
}

/// Tolerance for numbers: `abs` or `rel` suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NumberTolerance {
    pub abs: f64,
    /// Relative to the expected number.
    pub rel: f64,
}

impl NumberTolerance {
    /// Whether a number is within the tolerance.
    pub(super) fn takes(self, expected: f64, actual: f64) -> bool {
        let apart = (expected - actual).abs();
        expected == actual || apart <= self.abs || apart <= self.rel * expected.abs()
    }

    fn is_sound(self) -> bool {
        [self.abs, self.rel].iter().all(|bound| bound.is_finite() && *bound >= 0.0)
    }
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub(super) struct ComparisonRules {
    rules: Vec<(GlobMatcher, CompiledMethod)>,
}

/// A [`ComparisonMethod`] with its masks compiled.
#[derive(Clone, Debug)]
enum CompiledMethod {
    Exact,
    Text(Vec<Regex>),
    Json(NumberTolerance, Vec<String>),
    Csv(BTreeMap<String, NumberTolerance>),
    Exists,
    Size(f64),
    Ignore,
}

impl ComparisonRules {
    /// Compiles rules.
    ///
    /// # Errors
    /// An invalid glob, mask or tolerance, as a text.
    pub(super) fn new(rules: &[ComparisonRule]) -> Result<Self, String> {
        let ready = |rule: &ComparisonRule| {
            let glob = GlobBuilder::new(&rule.files).literal_separator(true).build();
            let glob = glob.map_err(|why| format!("the rule for {:?}: {why}", rule.files))?;
            let method = method(&rule.compare).map_err(|why| format!("the rule for {:?}: {why}", rule.files))?;
            Ok((glob.compile_matcher(), method))
        };
        Ok(Self { rules: rules.iter().map(ready).collect::<Result<_, String>>()? })
    }

    /// The method for a path. Without a rule `seed.outputs.json` is compared as JSON, since its member order is free,
    /// other files byte by byte.
    fn of(&self, path: &str) -> CompiledMethod {
        let found = self.rules.iter().find(|(glob, _)| glob.is_match(path));
        match found {
            Some((_, method)) => method.clone(),
            None if path == crate::engine::run::outputs::JSON_FILE => {
                CompiledMethod::Json(NumberTolerance::default(), Vec::new())
            }
            None => CompiledMethod::Exact,
        }
    }
}

fn method(how: &ComparisonMethod) -> Result<CompiledMethod, String> {
    let sound = |bound: &NumberTolerance| match bound.is_sound() {
        true => Ok(()),
        false => Err("bounds must be numbers of at least 0".to_owned()),
    };
    Ok(match how {
        ComparisonMethod::Exact => CompiledMethod::Exact,
        ComparisonMethod::Text { masks } => {
            let masks = masks.iter().map(|mask| Regex::new(mask).map_err(|why| why.to_string()));
            CompiledMethod::Text(masks.collect::<Result<_, _>>()?)
        }
        ComparisonMethod::Json { tolerance, ignore } => {
            sound(tolerance)?;
            if let Some(pointer) = ignore.iter().find(|pointer| !pointer.starts_with('/')) {
                return Err(format!("{pointer:?} is not a JSON pointer: write it like /member/0"));
            }
            CompiledMethod::Json(*tolerance, ignore.clone())
        }
        ComparisonMethod::Csv { columns } => {
            columns.values().try_for_each(sound)?;
            CompiledMethod::Csv(columns.clone())
        }
        ComparisonMethod::Exists => CompiledMethod::Exists,
        ComparisonMethod::Size { percent } if percent.is_finite() && *percent >= 0.0 => CompiledMethod::Size(*percent),
        ComparisonMethod::Size { .. } => return Err("percent must be a number of at least 0".to_owned()),
        ComparisonMethod::Ignore => CompiledMethod::Ignore,
    })
}

/// The first difference of two texts, as `Err`.
fn text(masks: &[Regex], expected: &[u8], actual: &[u8]) -> Result<(), String> {
    let utf8 = |bytes, whose| std::str::from_utf8(bytes).map_err(|_| format!("the {whose} file is not UTF-8 text"));
    let lines = |text: &str| {
        let masked = masks.iter().fold(text.to_owned(), |text, mask| mask.replace_all(&text, "*").into_owned());
        let mut lines: Vec<String> = masked.lines().map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    };
    let (expected, actual) = (lines(utf8(expected, "expected")?), lines(utf8(actual, "new")?));
    let same = expected.iter().zip(&actual).take_while(|(expected, actual)| expected == actual).count();
    match (expected.get(same), actual.get(same)) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(format!("it ends after line {same}; expected lines: {}", expected.len())),
        (None, Some(_)) => Err(format!("it continues after line {same}, where it was expected to end")),
        (Some(expected), Some(actual)) => Err(format!("line {} is {actual:.60?}, expected {expected:.60?}", same + 1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rules(rules: serde_json::Value) -> Result<ComparisonRules, String> {
        let rules: Vec<ComparisonRule> = serde_json::from_value(rules).map_err(|why| why.to_string())?;
        ComparisonRules::new(&rules)
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rules = rules(json!([
            {"files": "*.txt", "compare": {"text": {}}},
            {"files": "**/*.txt", "compare": "ignore"},
            {"files": "*", "compare": "exists"},
        ]))
        .expect("sound rules");
        assert!(matches!(rules.of("a.txt"), CompiledMethod::Text(_)));
        assert!(matches!(rules.of("b/a.txt"), CompiledMethod::Ignore));
        assert!(matches!(rules.of("seed.outputs.json"), CompiledMethod::Exists));
        assert!(matches!(rules.of("b/a.csv"), CompiledMethod::Exact));
        assert!(matches!(ComparisonRules::default().of("seed.outputs.json"), CompiledMethod::Json(..)));
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        for (how, says) in [
            (json!("sometimes"), "unknown variant"),
            (json!({"text": {"mask": []}}), "unknown field"),
            (json!({"text": {"masks": ["("]}}), "unclosed group"),
            (json!({"json": {"tolerance": {"abs": -1}}}), "numbers of at least 0"),
            (json!({"json": {"ignore": ["date"]}}), "not a JSON pointer"),
            (json!({"size": {"percent": -1}}), "of at least 0"),
        ] {
            let why = rules(json!([{"files": "*", "compare": how}])).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
        assert!(rules(json!([{"files": "[", "compare": "exact"}])).is_err());
    }

    #[test]
    fn texts_say_where_they_differ() {
        let masks = [Regex::new(r"\d{4}-\d\d-\d\d").expect("a mask")];
        assert_eq!(text(&masks, b"on 2026-01-02 \r\nb\n\n", b"on 1999-12-31\nb"), Ok(()));
        assert_eq!(text(&[], b"a\nb", b"a\nc"), Err("line 2 is \"c\", expected \"b\"".to_owned()));
        assert!(text(&[], b"a\nb", b"a").is_err_and(|why| why.contains("ends after line 1")));
        assert!(text(&[], b"a", b"a\nb").is_err_and(|why| why.contains("continues after line 1")));
        assert!(text(&[], b"a", b"\xff").is_err_and(|why| why.contains("UTF-8")));
    }

    proptest! {
        #[test]
        fn what_is_the_same_is_never_told_to_differ(content in "[a-z ,\"\r\n\\d]{0,60}") {
            prop_assert_eq!(text(&[], content.as_bytes(), content.as_bytes()), Ok(()));
        }

        #[test]
        fn bounds_hold(expected in -1e6..1e6f64, apart in -1.0..1.0f64) {
            let bound = NumberTolerance { abs: 1.0 + 1e-9, rel: 0.0 };
            prop_assert!(bound.takes(expected, expected + apart));
            prop_assert!(!bound.takes(expected, expected + 2.0 + apart.abs()));
        }
    }
}
