use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::testing::{COMPLETE, any_json_object};

fn value(node: &JsonNode<'_>) -> Value {
    match &node.kind {
        JsonNodeKind::Null | JsonNodeKind::Broken => Value::Null,
        JsonNodeKind::Bool(value) => Value::Bool(*value),
        JsonNodeKind::Number(number) => serde_json::from_str(number.0).expect("a number"),
        JsonNodeKind::Text(text) => Value::String(text.to_string()),
        JsonNodeKind::List(items) => items.iter().map(value).collect(),
        JsonNodeKind::Object(object) => {
            Value::Object(object.members.iter().map(|m| (m.key.to_string(), value(&m.value))).collect::<Map<_, _>>())
        }
    }
}

/// Each fault as `line:column message`.
fn faults(text: &str) -> Vec<String> {
    let place = |at: usize| {
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        format!("{}:{}", before.matches('\n').count() + 1, before[line..].chars().count() + 1)
    };
    read(text).faults.iter().map(|fault| format!("{} {}", place(fault.at), fault.message)).collect()
}

/// Asserts that a text has these faults and is nevertheless parsed as this value.
#[track_caller]
fn reads(text: &str, expected: &[&str], as_value: &str) {
    assert_eq!(faults(text), expected, "{text}");
    let document = read(text);
    assert_eq!(value(&document.root).to_string(), as_value, "{text}");
}

#[test]
fn commas_are_guessed() {
    reads("{\"a\":1,}", &["1:7 The last entry has a comma after it."], r#"{"a":1}"#);
    reads("[1,2, \n]", &["1:5 The last entry has a comma after it."], "[1,2]");
    reads("[1,,2]", &["1:4 A comma has no entry before it."], "[1,2]");
    reads("[,]", &["1:2 A comma has no entry before it."], "[]");
    reads("{\"a\":1\n \"b\":2}", &["1:6 A comma is missing after this."], r#"{"a":1,"b":2}"#);
    reads("[{} {}]", &["1:3 A comma is missing after this."], "[{},{}]");
    reads("{\"a\":1;\"b\":2}", &["1:7 `;` stands where a comma belongs."], r#"{"a":1,"b":2}"#);
}

#[test]
fn quotes_are_guessed() {
    reads("{a:1}", &["1:2 The key `a` has no quotes."], r#"{"a":1}"#);
    reads("{'a':'b'}", &["1:2 `'` is no quote of JSON.", "1:6 `'` is no quote of JSON."], r#"{"a":"b"}"#);
    reads("{“a”: 1}", &["1:2 `“` is no quote of JSON."], r#"{"a":1}"#);
    reads("{\"a\": b, \"c\": 1}", &["1:7 `b` is no value of JSON."], r#"{"a":null,"c":1}"#);
    reads("{\"a\": None}", &["1:7 `None` is no value of JSON."], r#"{"a":null}"#);
}

#[test]
fn strings_end_with_their_line() {
    let text = "{\"a\": \"x,\n\"b\": 2,\n\"c\": ,\n\"d\": 3}";
    reads(
        text,
        &["1:7 A text is not closed on its line.", "3:6 `,` stands where a value belongs."],
        r#"{"a":null,"b":2,"c":null,"d":3}"#,
    );
    assert_eq!(faults("{\"a\": \"one\ntwo three\", \"b\": 1}"), ["1:7 A text is not closed on its line."]);
    reads("[\"a\tb\"]", &["1:4 The control character U+0009 stands in a text."], r#"["a\tb"]"#);
    reads("[\"a\0\"]", &["1:4 The control character U+0000 stands in a text."], r#"["a\u0000"]"#);
    reads(r#"["\x"]"#, &[r"1:3 `\x` is no escape of JSON."], "[\"\u{fffd}x\"]");
    assert_eq!(faults(r#"["\ud800"]"#), [r"1:3 `\u` is no escape of JSON."]);
    reads(r#"["\ud83d\ude00\u00e9\/"]"#, &[], "[\"\u{1f600}é/\"]");
}

#[test]
fn comments_and_odd_blanks_are_skipped() {
    let comment = "JSON has no comments.";
    reads("// x\n{\"a\":1} # y", &[&format!("1:1 {comment}"), &format!("2:9 {comment}")], r#"{"a":1}"#);
    reads("[1 /* x */ ,2]", &[&format!("1:4 {comment}")], "[1,2]");
    reads("[1,\u{a0}2]", &["1:4 U+00A0 is no white space of JSON."], "[1,2]");
}

#[test]
fn numbers_keep_their_grammar() {
    for text in ["01", "+1", ".5", "1.", "1e", "0x10", "1_000", "-", "1abc"] {
        assert_eq!(faults(&format!("[{text}, 2]")), [format!("1:2 `{text}` is no number of JSON.")]);
    }
    reads("[1e999]", &["1:2 `1e999` is beyond what a double holds."], "[null]");
    assert_eq!(read("[1e999]").faults[0].kind, JsonFaultKind::NumberOutOfRange);
    reads("[-0, 1E5, 123456789012345678901234567890]", &[], "[-0.0,100000.0,1.2345678901234568e+29]");
}

#[test]
fn brackets_are_guessed() {
    reads("{\"a\": [1, 2}, \"b\": 1", &["1:12 `}` stands where `]` belongs."], r#"{"a":[1,2]}"#);
    reads("{\"a\": {\"b\": 1], \"c\": 2}", &["1:14 `]` stands where `}` belongs."], r#"{"a":{"b":1},"c":2}"#);
    reads("[1, 2", &["1:6 The text ends before the `[` of line 1 is closed."], "[1,2]");
    reads("{\n\"a\": {", &["2:7 The text ends before the `{` of line 2 is closed."], r#"{"a":{}}"#);
    reads("{\"a\"", &["1:5 The end of the text stands where `:` belongs."], "{}");
    reads("[\"a\": 1, 2]", &["1:5 `:` stands in an array."], r#"["a",2]"#);
    reads("{\"a\" 1}", &["1:6 `1` stands where `:` belongs."], r#"{"a":1}"#);
    reads("{\"a\" = 1}", &["1:6 `=` stands where `:` belongs."], r#"{"a":1}"#);
    reads("{1: 2}", &["1:2 The key `1` has no quotes."], r#"{"1":2}"#);
    reads("{{}}", &["1:2 `{` stands where a key in double quotes belongs."], "{}");
    reads("", &["1:1 The text is empty."], "null");
    reads(" \n", &["1:1 The text is empty."], "null");
    reads("{} {}", &["1:4 `{` stands after the end of the document."], "{}");
    reads("{}}", &["1:3 `}` stands after the end of the document."], "{}");
    assert_eq!(read("{}}").faults[0].kind, JsonFaultKind::TrailingText);
}

#[test]
fn an_object_knows_whether_it_is_whole() {
    let whole = |text: &str| read(text).root.object().expect("an object").whole;
    assert!(whole("{\"a\": 1,}"));
    assert!(whole("{a: True}"));
    assert!(!whole("{\"a\": 1"));
    assert!(!whole("{\"a\" \"b\": 1}"));
    assert!(!whole("{\"a\": \"x\n, \"b\": 1}"));
    let document = read("{\"a\": {\"b\": 1}, ?}");
    let outer = document.root.object().expect("an object");
    assert!(!outer.whole && outer.members[0].value.object().expect("an object").whole);
}

#[test]
fn depth_is_bounded() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let document = read(&open.repeat(100_000)).faults;
        assert_eq!(document.len(), 1);
        assert_eq!(document[0].kind, JsonFaultKind::TooDeep);
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).faults.is_empty());
    assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH)).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(MAX_DEPTH + 1)).is_err());
}

#[test]
fn paths_are_pointers() {
    let job = JsonPointer::Key(&JsonPointer::Root, "job");
    let odd = JsonPointer::Key(&job, "a~b/c");
    assert_eq!(JsonPointer::Index(&odd, 3).to_string(), "/job/a~0b~1c/3");
    assert!(job.is(&["job"]) && !odd.is(&["job"]) && JsonPointer::Root.is(&[]) && !JsonPointer::Root.is(&["job"]));
}

/// A valid JSON text with a few random changes.
fn nearly_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![any_json_object().prop_map(|v| v.to_string()), Just(COMPLETE.to_owned())];
    let piece = prop_oneof![
        "[{}\\[\\],:\"'\\\\ \n\t0-9eE.+-]{0,2}",
        "\\PC{0,2}",
        Just("//".to_owned()),
        Just("\\u12".to_owned())
    ];
    let change = (any::<prop::sample::Index>(), 0..3_usize, piece);
    (text, prop::collection::vec(change, 0..3)).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (place, removed, piece) in changes {
            let at = place.index(chars.len() + 1);
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn agrees_with_serde_json(text in nearly_json()) {
        let ours = read(&text);
        match serde_json::from_str::<Value>(&text) {
            Ok(theirs) => {
                prop_assert!(ours.faults.is_empty(), "{:?}", ours.faults);
                prop_assert_eq!(value(&ours.root), theirs);
            }
            Err(why) => prop_assert!(!ours.faults.is_empty(), "{}", why),
        }
        for fault in &ours.faults {
            prop_assert!(text.is_char_boundary(fault.at), "{:?}", fault);
        }
    }

    #[test]
    fn never_panics(text in r#"[{}\[\]:,"'`“”\\/*#=;utrfalsen0-9.eE+ \n\t\u{a0}é😀-]{0,60}"#) {
        let _ = read(&text);
    }
}
