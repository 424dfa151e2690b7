//! Comparison of CSV files with a header line.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};

use super::NumberTolerance;

/// The first difference of two tables, as `Err`.
pub(super) fn compare(
    columns: &BTreeMap<String, NumberTolerance>,
    expected: &[u8],
    actual: &[u8],
) -> Result<(), String> {
    let (expected, actual) = (rows(expected, "expected")?, rows(actual, "new")?);
    let header = expected.first().cloned().unwrap_or_default();
    if let Some(name) = columns.keys().find(|name| !header.iter().any(|column| column == *name)) {
        return Err(format!("the expected table has no column {name:?}, for which the rule has a bound"));
    }
    if expected.len() != actual.len() {
        return Err(format!("it has {} lines, expected {}", actual.len(), expected.len()));
    }
    for (index, (old, new)) in expected.iter().zip(&actual).enumerate() {
        if old.len() != new.len() {
            return Err(format!("line {} has {} fields, expected {}", index + 1, new.len(), old.len()));
        }
        for (column, (old, new)) in old.iter().zip(new).enumerate() {
            let name = header.get(column).unwrap_or_default();
            if !same(columns.get(name).copied(), old, new) {
                return Err(format!("line {}, column {name:?}: it is {new:.60?}, expected {old:.60?}", index + 1));
            }
        }
    }
    Ok(())
}

fn same(bound: Option<NumberTolerance>, old: &str, new: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let near = bound.zip(number(old).zip(number(new))).is_some_and(|(bound, (old, new))| bound.takes(old, new));
    old == new || near
}

fn rows(bytes: &[u8], whose: &str) -> Result<Vec<StringRecord>, String> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.into_records().collect::<Result<_, _>>().map_err(|why| format!("the {whose} file is not a table: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_columns_with_a_bound_may_be_near() {
        let columns = BTreeMap::from([("x".to_owned(), NumberTolerance { abs: 0.0, rel: 0.01 })]);
        let old = b"x,y\n100,1\n";
        assert_eq!(compare(&columns, old, b"x,y\r\n100.9,\"1\"\r\n"), Ok(()));
        for (new, says) in [
            ("x,y\n102,1\n", "line 2, column \"x\": it is \"102\", expected \"100\""),
            ("x,y\n100,1.0\n", "line 2, column \"y\": it is \"1.0\", expected \"1\""),
            ("x,y\n100\n", "line 2 has 1 fields, expected 2"),
            ("x,y\n", "it has 1 lines, expected 2"),
        ] {
            assert_eq!(compare(&columns, old, new.as_bytes()), Err(says.to_owned()));
        }
        assert!(compare(&columns, b"y\n1\n", b"y\n1\n").is_err_and(|why| why.contains("no column \"x\"")));
        assert!(compare(&columns, old, b"\xff").is_err());
    }
}
