//! A JSON document, folded: the members of the outermost value, and of each of them.

use serde_json::Value;

use crate::http::pages::ports::cut;

/// Most members of a value that are shown.
const MOST_MEMBERS: usize = 100;
/// Longest value that is shown, in characters.
const LONGEST: usize = 200;

/// A member of the outermost value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoldedMember {
    /// Name, or place in a list.
    pub name: String,
    /// The value; of one with members, how many.
    pub text: String,
    pub members: Vec<FoldedLeaf>,
}

/// A member of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoldedLeaf {
    pub name: String,
    pub text: String,
}

/// The members of a document; `None` if it is no JSON, or has none.
pub(super) fn folded(text: &str) -> Option<Vec<FoldedMember>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let member = |(name, value): (String, &Value)| {
        let inner = members(value);
        if inner.is_empty() {
            return FoldedMember { name, text: shortened(value), members: Vec::new() };
        }
        let mut leaves: Vec<FoldedLeaf> =
            inner.into_iter().map(|(name, value)| FoldedLeaf { name, text: shortened(value) }).collect();
        leaves.extend(rest(count(value)).map(|text| FoldedLeaf { name: String::new(), text }));
        let text = match value {
            Value::Array(_) => counted(count(value), "element"),
            _ => counted(count(value), "member"),
        };
        FoldedMember { name, text, members: leaves }
    };
    let mut all: Vec<FoldedMember> = members(&document).into_iter().map(member).collect();
    all.extend(rest(count(&document)).map(|text| FoldedMember { name: String::new(), text, members: Vec::new() }));
    (!all.is_empty()).then_some(all)
}

/// The first members of a value, with their names.
fn members(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(map) => map.iter().take(MOST_MEMBERS).map(|(name, value)| (cut(name, LONGEST), value)).collect(),
        Value::Array(list) => {
            list.iter().take(MOST_MEMBERS).enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    }
}

/// That some members are not shown.
fn rest(count: usize) -> Option<String> {
    let left = count.checked_sub(MOST_MEMBERS).filter(|left| *left > 0)?;
    Some(format!("and {left} more"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn shortened(value: &Value) -> String {
    cut(&value.to_string(), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_levels_are_shown() {
        let text = r#"{"name": "a", "list": [1, {"x": [2]}], "none": {}, "one": {"deep": {"er": null}}}"#;
        let found = folded(text).expect("there are members");
        let told: Vec<(&str, &str, usize)> =
            found.iter().map(|member| (&*member.name, &*member.text, member.members.len())).collect();
        assert_eq!(told, [("name", "\"a\"", 0), ("list", "2 elements", 2), ("none", "{}", 0), ("one", "1 member", 1)]);
        let leaf = |name: &str, text: &str| FoldedLeaf { name: name.to_owned(), text: text.to_owned() };
        assert_eq!(found[1].members, [leaf("0", "1"), leaf("1", r#"{"x":[2]}"#)]);
        assert_eq!(found[3].members, [leaf("deep", r#"{"er":null}"#)]);
    }

    #[test]
    fn large_and_deep_documents_are_bounded() {
        let list: Vec<String> = (0..300).map(|number| format!("[\"{}\", {number}]", "x".repeat(500))).collect();
        let found = folded(&format!("[{}]", list.join(","))).expect("there are members");
        assert_eq!((found.len(), &*found[100].text), (101, "and 200 more"));
        assert_eq!(found[0].members[0].text.chars().count(), 201);
        for text in [&*"[".repeat(100_000), &"{\"a\":".repeat(50_000), "7", "[]", "{", "\"x\""] {
            assert_eq!(folded(text), None);
        }
    }
}
