//! Reads the Seed label in every form found in existing images, and writes it.
//!
//! Depending on the build tool and on shell quoting, labels hold plain JSON, a JSON string that contains JSON, or
//! either with shell escapes. [`read`] removes one layer of quoting at a time and never replaces globally: only a scan
//! from left to right tells `\\$` (a backslash, then a dollar) from `\$` (an escaped dollar). [`write()`] never
//! serializes a parsed value: the author's spelling is preserved.

use serde_json::Value;

use super::json::escape;

/// Longest label that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Longest label, in bytes, that every Docker version keeps: older ones silently drop a longer one (docker/for-mac
/// issue 2208).
pub const MAX_BUILD_BYTES: usize = 65_518;

/// Maximum number of parsing attempts: three layers of quoting around the object are more than any known tool leaves.
const MAX_PARSES: usize = 4;

/// Why a label is not a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    #[error("the label is empty: build the image again with the manifest as the label's value")]
    Empty,
    #[error("the label is not JSON in any known quoting ({reason}): set it to the manifest as compact JSON")]
    NotJson {
        /// Error of the JSON parser for the remaining text.
        reason: String,
    },
    #[error("the label holds {found}, not a JSON object: set it to the whole manifest, `{{…}}`")]
    NotAnObject {
        /// The JSON type of the value, such as "an array".
        found: &'static str,
    },
    #[error("the label has {bytes} bytes, more than the {MAX_BYTES} that are read: shorten the manifest")]
    TooLarge { bytes: usize },
    #[error("the label's JSON is nested too deep: a manifest has no more than ten levels")]
    TooDeep,
}

/// Encoding of the manifest in the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelForm {
    /// Compact JSON.
    #[default]
    Plain,
    /// The form of Seed CLI 1.3: compact JSON as a JSON string, with `\\$` and `\\/` for every `$` and `/`.
    Legacy,
}

/// Why a manifest cannot be written as a label.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelWriteError {
    #[error("the manifest is not JSON ({reason}): fix it first")]
    NotJson {
        /// Error of the JSON parser.
        reason: String,
    },
    #[error("the manifest is {found}, not a JSON object")]
    NotAnObject {
        /// The JSON type of the text, such as "an array".
        found: &'static str,
    },
    #[error("the label would have {bytes} bytes, more than the {MAX_BYTES} that are read: shorten the manifest")]
    TooLarge { bytes: usize },
}

/// Encodes a manifest's JSON text as a label. Only white space between tokens is removed; key order, spelling of
/// numbers and escapes, and duplicate keys are preserved, and [`read`] returns exactly that text.
///
/// # Errors
/// The manifest is not a JSON object, or the label would exceed [`MAX_BYTES`].
pub fn write(manifest: &str, form: LabelForm) -> Result<String, LabelWriteError> {
    match serde_json::from_str(manifest) {
        Ok(Value::Object(_)) => {}
        Ok(other) => return Err(LabelWriteError::NotAnObject { found: kind(&other) }),
        Err(error) => return Err(LabelWriteError::NotJson { reason: error.to_string() }),
    }
    let label = match form {
        LabelForm::Plain => compact(manifest),
        LabelForm::Legacy => legacy(&compact(manifest)),
    };
    if label.len() > MAX_BYTES { Err(LabelWriteError::TooLarge { bytes: label.len() }) } else { Ok(label) }
}

/// Removes the white space between the tokens of valid JSON.
pub(super) fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        if in_string {
            in_string = escaped || *c != '"';
            escaped = *c == '\\' && !escaped;
            return true;
        }
        in_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

/// Encodes compact JSON as a JSON string like Go's encoder, with the two escapes that Seed CLI adds for the shell.
fn legacy(compact: &str) -> String {
    let mut label = String::with_capacity(compact.len() * 5 / 4);
    label.push('"');
    for c in compact.chars() {
        match c {
            '"' | '\\' | '$' | '/' => label.extend(['\\', c]),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => label.push_str(&format!("\\u{:04x}", u32::from(c))),
            // Compact JSON contains no control characters.
            c => label.push(c),
        }
    }
    label + "\""
}

/// Extracts the manifest's JSON text (an object) from a label. Only the quoting around it is removed; the text itself
/// is returned byte for byte.
///
/// # Errors
/// The label is empty, too large, nested too deep, or not a JSON object in any known quoting.
pub fn read(label: &str) -> Result<String, LabelError> {
    if label.len() > MAX_BYTES {
        return Err(LabelError::TooLarge { bytes: label.len() });
    }
    let trimmed = label.trim();
    let mut text = strip_quotes(trimmed, '\'').unwrap_or(trimmed).to_owned();
    let mut reason = "too many layers of quotes".to_owned();
    for _ in 0..MAX_PARSES {
        if text.trim().is_empty() {
            return Err(LabelError::Empty);
        }
        match serde_json::from_str(&text) {
            Ok(Value::Object(_)) => return Ok(text),
            Ok(Value::String(inner)) => text = inner,
            Ok(other) => return Err(LabelError::NotAnObject { found: kind(&other) }),
            Err(error) => {
                reason = error.to_string();
                if reason.starts_with("recursion limit exceeded") {
                    return Err(LabelError::TooDeep);
                }
                match remove_quoting_layer(&text) {
                    Some(peeled) => text = peeled,
                    None => break,
                }
            }
        }
    }
    Err(LabelError::NotJson { reason })
}

/// Removes the outermost layer of quoting of a text that is not valid JSON; `None` if it is in no known quoting.
fn remove_quoting_layer(text: &str) -> Option<String> {
    if let Some(inner) = strip_quotes(text, '"') {
        Some(unescape(inner))
    } else if text.starts_with("{\\") {
        Some(unescape(text))
    } else if text.contains("\\$") {
        Some(unescape_dollars(text))
    } else {
        None
    }
}

/// The text inside a pair of `quote`; `None` if it is not enclosed in them.
fn strip_quotes(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}

/// Decodes JSON escapes and `\$`; other escapes stay.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match escape(rest) {
            Some((c, length)) => {
                out.push(c);
                length
            }
            None if rest.starts_with("\\$") => {
                out.push('$');
                2
            }
            None => {
                let pair: String = rest.chars().take(2).collect();
                out.push_str(&pair);
                pair.len()
            }
        };
        rest = &rest[length..];
    }
    out + rest
}

/// Replaces `\$` by `$`; other escapes stay.
fn unescape_dollars(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        let escaped = chars.next();
        if escaped != Some('$') {
            out.push('\\');
        }
        out.extend(escaped);
        rest = chars.as_str();
    }
    out + rest
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{any_json_object, any_object_text};

    #[test]
    fn reads_every_stored_form() {
        let vectors: &[(&str, &str, &str)] = &[
            ("plain", r#"{"a":1}"#, r#"{"a":1}"#),
            ("plain in white space", " \n{\"a\":1}\t", r#"{"a":1}"#),
            ("plain with escaped slashes", r#"{"a":"b\/c"}"#, r#"{"a":"b\/c"}"#),
            ("plain with a quote inside", r#"{"a":"say \"hi\""}"#, r#"{"a":"say \"hi\""}"#),
            ("single quotes around", r#"'{"a":1}'"#, r#"{"a":1}"#),
            ("single quotes around the quoted form", r#"'"{\"a\":1}"'"#, r#"{"a":1}"#),
            ("an apostrophe inside", r#"{"a":"it's"}"#, r#"{"a":"it's"}"#),
            ("quoted", r#""{\"a\":1}""#, r#"{"a":1}"#),
            ("quoted twice", r#""\"{\\\"a\\\":1}\"""#, r#"{"a":1}"#),
            ("quoted with dollar", r#""{\"a\":\"\${X}\"}""#, r#"{"a":"${X}"}"#),
            ("quoted with dollar and slash", r#""{\"a\":\"\${X\/#\/-d }\"}""#, r#"{"a":"${X/#/-d }"}"#),
            ("quoted, backslash before dollar", r#""{\"a\":\"\\\\\$\"}""#, r#"{"a":"\\$"}"#),
            ("quoted, escaped quote inside", r#""{\"a\":\"\\\"\$\"}""#, r#"{"a":"\"$"}"#),
            ("quoted, trailing backslash in a text", r#""{\"a\":\"\$\\\\\"}""#, r#"{"a":"$\\"}"#),
            ("quoted, newline escape inside", r#""{\"a\":\"\\n\$\"}""#, r#"{"a":"\n$"}"#),
            ("quoted, raw newline between members", r#""{\n\"a\":\"\$\"}""#, "{\n\"a\":\"$\"}"),
            ("quoted, surrogate pair", r#""{\"a\":\"\$\ud83d\ude00\"}""#, "{\"a\":\"$\u{1f600}\"}"),
            ("quoted, inner surrogate pair", r#""{\"a\":\"\$\\ud83d\\ude00\"}""#, r#"{"a":"$\ud83d\ude00"}"#),
            ("quoted, angle brackets", r#""{\"a\":\"\$\u003cb\u003e\"}""#, r#"{"a":"$<b>"}"#),
            ("escaped without quotes", r#"{\"a\":\"b\"}"#, r#"{"a":"b"}"#),
            ("escaped without quotes, dollar", r#"{\"a\":\"\$x\"}"#, r#"{"a":"$x"}"#),
            ("plain with escaped dollar", r#"{"a":"\$x"}"#, r#"{"a":"$x"}"#),
            ("plain, backslash then escaped dollar", r#"{"a":"\\\$x"}"#, r#"{"a":"\\$x"}"#),
            ("plain, escaped quote and dollar", r#"{"a":"\"\$\""}"#, r#"{"a":"\"$\""}"#),
            ("plain, unicode", r#"{"a":"Größe 🛰"}"#, r#"{"a":"Größe 🛰"}"#),
        ];
        for (what, label, expected) in vectors {
            assert_eq!(read(label).as_deref(), Ok(*expected), "{what}: {label}");
        }
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        for label in ["", "   ", "''", "' '", "\"\"", "'\"\"'"] {
            assert_eq!(read(label), Err(LabelError::Empty), "{label:?}");
        }
        let others =
            [("[1]", "an array"), ("1", "a number"), ("null", "null"), ("true", "a boolean"), ("\"[1]\"", "an array")];
        for (label, found) in others {
            assert_eq!(read(label), Err(LabelError::NotAnObject { found }), "{label}");
        }
        let broken = [
            "<no value>",
            "hello",
            "'",
            "\"",
            "\\",
            "{\\",
            "{\"a\":1",
            "{\"a\":1}}",
            "\"{\\\"a\\\":\\$",
            "{\"a\":\"\\$",
            "\"\\u\"",
            "\"\\ud83d\\$\"",
            "\"\\u+123\\$\"",
            "{\\\u{1f600}",
        ];
        for label in broken {
            assert!(matches!(read(label), Err(LabelError::NotJson { .. })), "{label}: {:?}", read(label));
        }
    }

    #[test]
    fn says_what_to_do() {
        assert!(read("").unwrap_err().to_string().contains("build the image again"));
        assert!(read("[]").unwrap_err().to_string().contains("holds an array"));
        assert!(read("{\"a\":").unwrap_err().to_string().contains("column"));
    }

    #[test]
    fn hostile_sizes_and_depths_are_bounded() {
        assert_eq!(read(&" ".repeat(MAX_BYTES + 1)), Err(LabelError::TooLarge { bytes: MAX_BYTES + 1 }));
        assert_eq!(read(&"[".repeat(100_000)), Err(LabelError::TooDeep));
        assert_eq!(read(&format!("{{\"a\":{}", "[".repeat(100_000))), Err(LabelError::TooDeep));
        assert!(read(&"\\\"".repeat(500_000)).is_err());
        assert!(read(&format!("\"{}\"", "\\\\".repeat(500_000))).is_err());
    }

    #[test]
    fn five_layers_are_too_many() {
        let mut label = json!({"a": 1}).to_string();
        for _ in 0..3 {
            label = serde_json::to_string(&label).expect("a string is JSON");
        }
        assert_eq!(read(&label).as_deref(), Ok(r#"{"a":1}"#));
        label = serde_json::to_string(&label).expect("a string is JSON");
        assert!(matches!(read(&label), Err(LabelError::NotJson { .. })));
    }

    #[test]
    fn writes_both_forms() {
        let manifest = "{ \"b\" : \"a b\\\"$/<&>\\\\\u{2028}'\\n\" ,\r\n\t\"a\":[ 1.0 , 1E5, -0, 12345678901234567890123 ], \"a\": {} }";
        let plain = "{\"b\":\"a b\\\"$/<&>\\\\\u{2028}'\\n\",\"a\":[1.0,1E5,-0,12345678901234567890123],\"a\":{}}";
        assert_eq!(write(manifest, LabelForm::Plain).as_deref(), Ok(plain));
        let legacy = concat!(
            r#""{\"b\":\"a b\\\"\$\/\u003c\u0026\u003e\\\\\u2028'\\n\","#,
            r#"\"a\":[1.0,1E5,-0,12345678901234567890123],\"a\":{}}""#
        );
        assert_eq!(write(manifest, LabelForm::Legacy).as_deref(), Ok(legacy));
    }

    #[test]
    fn writes_nothing_that_could_not_be_read() {
        for (text, found) in [("[1]", "an array"), (" null", "null"), ("\"{}\"", "a string")] {
            assert_eq!(write(text, LabelForm::Plain), Err(LabelWriteError::NotAnObject { found }), "{text}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for text in
            ["", "{", "{} {}", "{'a':1}", "\u{feff}{}", "{\"a\":\"\n\"}", "{\"a\":\"\\ud83d\"}", "{\"a\":1e400}", &deep]
        {
            assert!(matches!(write(text, LabelForm::Legacy), Err(LabelWriteError::NotJson { .. })), "{text:.20}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "/".repeat(MAX_BYTES - 100));
        assert!(write(&long, LabelForm::Plain).is_ok());
        let bytes = 2 * (MAX_BYTES - 100) + 14;
        assert_eq!(write(&long, LabelForm::Legacy), Err(LabelWriteError::TooLarge { bytes }));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_byte_for_byte((odd, compact) in any_object_text()) {
            for form in [LabelForm::Plain, LabelForm::Legacy] {
                let label = write(&odd, form).expect("a small JSON object");
                prop_assert!(!label.contains(['\n', '\r', '\t']));
                prop_assert_eq!(read(&label).expect("a label just written"), compact.as_str());
            }
            let [before, after]: [Value; 2] = [&odd, &compact].map(|text| serde_json::from_str(text).expect("JSON"));
            prop_assert_eq!(before, after);
        }

        #[test]
        fn pretty_printing_makes_no_difference(manifest in any_json_object()) {
            let pretty = serde_json::to_string_pretty(&manifest).expect("a value is JSON");
            for form in [LabelForm::Plain, LabelForm::Legacy] {
                let label = write(&pretty, form).expect("a small JSON object");
                prop_assert_eq!(read(&label).expect("a label just written"), manifest.to_string());
            }
        }

        #[test]
        fn reading_and_writing_never_panic(label in r#"['"]{0,2}[{\["\\$/u0-9a-f:,n é😀}]{0,40}['"]{0,2}"#) {
            let _ = read(&label);
            let _ = write(&label, LabelForm::Legacy);
        }
    }
}
