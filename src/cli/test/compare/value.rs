//! Comparison of JSON documents, ignoring the order of members.

use serde_json::Value;

use super::NumberTolerance;

/// The first difference of two documents, as `Err`.
pub(super) fn compare(bound: NumberTolerance, ignore: &[String], expected: &[u8], actual: &[u8]) -> Result<(), String> {
    let read =
        |bytes, whose| serde_json::from_slice(bytes).map_err(|why| format!("the {whose} file is not JSON: {why}"));
    let (expected, actual): (Value, Value) = (read(expected, "expected")?, read(actual, "new")?);
    differs(bound, ignore, "", &expected, &actual).map_or(Ok(()), Err)
}

fn differs(bound: NumberTolerance, ignore: &[String], at: &str, expected: &Value, actual: &Value) -> Option<String> {
    if ignore.iter().any(|pointer| pointer == at) {
        return None;
    }
    let place = if at.is_empty() { "the document" } else { at };
    match (expected, actual) {
        (Value::Object(old), Value::Object(new)) => {
            let ignored = |key: &String| ignore.contains(&below(at, key));
            let lost = old.keys().find(|key| !new.contains_key(*key) && !ignored(key));
            let come = new.keys().find(|key| !old.contains_key(*key) && !ignored(key));
            lost.map(|key| format!("{} is missing", below(at, key)))
                .or_else(|| come.map(|key| format!("{} was not expected", below(at, key))))
                .or_else(|| {
                    old.iter().find_map(|(key, old)| differs(bound, ignore, &below(at, key), old, new.get(key)?))
                })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (old, new))| differs(bound, ignore, &below(at, &index.to_string()), old, new))
        }
        (Value::Array(old), Value::Array(new)) => {
            Some(format!("{place} has {} entries, expected {}", new.len(), old.len()))
        }
        (Value::Number(old), Value::Number(new)) => {
            let near = old.as_f64().zip(new.as_f64()).is_some_and(|(old, new)| bound.takes(old, new));
            let is_whole = |number: &serde_json::Number| !number.is_f64();
            // Compared as integers: an `f64` cannot tell large ones apart.
            let same =
                if bound == NumberTolerance::default() && is_whole(old) && is_whole(new) { old == new } else { near };
            (!same).then(|| format!("{place} is {new}, expected {old}"))
        }
        _ => (expected != actual)
            .then(|| format!("{place} is {:.60}, expected {:.60}", actual.to_string(), expected.to_string())),
    }
}

fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_nearness_and_what_is_ignored() {
        let bound = NumberTolerance { abs: 0.1, rel: 0.0 };
        let old = br#"{"a": [1.0, {"x/y": "old"}], "b": 9007199254740993}"#;
        let ignore = ["/a/1/x~1y".to_owned(), "/made".to_owned()];
        let new = br#"{"made": 1, "b": 9007199254740993, "a": [1.05, {"x/y": "new"}]}"#;
        assert_eq!(compare(bound, &ignore, old, new), Ok(()));
        for (old, new, says) in [
            ("[1]", "[1,2]", "the document has 2 entries, expected 1"),
            ("{\"a\":1}", "{}", "/a is missing"),
            ("{}", "{\"a\":1}", "/a was not expected"),
            ("{\"a\":[true]}", "{\"a\":[null]}", "/a/0 is null, expected true"),
            ("9007199254740993", "9007199254740992", "the document is 9007199254740992, expected 9007199254740993"),
        ] {
            let told = compare(NumberTolerance::default(), &[], old.as_bytes(), new.as_bytes());
            assert_eq!(told, Err(says.to_owned()));
        }
        assert!(compare(bound, &[], b"{}", b"{").is_err_and(|why| why.starts_with("the new file is not JSON")));
    }
}
