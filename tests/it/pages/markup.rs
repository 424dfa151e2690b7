//! Reads the markup of our own pages: enough for tests, no parser of HTML.

use std::collections::BTreeMap;

/// A start tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StartTag {
    pub name: String,
    /// Values are unescaped.
    pub attributes: BTreeMap<String, String>,
    /// The text up to the next tag, unescaped.
    pub text: String,
}

impl StartTag {
    /// An attribute's value; empty if it is missing.
    pub(super) fn value(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub(super) fn has_class(&self, class: &str) -> bool {
        self.value("class").split(' ').any(|one| one == class)
    }
}

/// All start tags, in order. Panics if a tag has no end, or an attribute has no quotes.
pub(super) fn tags(html: &str) -> Vec<StartTag> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        rest = &rest[name.len()..];
        let mut attributes = BTreeMap::new();
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>").or_else(|| rest.strip_prefix('>')) {
                rest = after;
                break;
            }
            let end = rest.find(['=', '>', ' ', '/']).unwrap_or_else(|| panic!("the tag {name} does not end"));
            let attribute = rest[..end].to_owned();
            assert!(
                !attribute.is_empty(),
                "the tag {name} breaks off at {:?}",
                rest.chars().take(40).collect::<String>()
            );
            rest = &rest[end..];
            let value = match rest.strip_prefix("=\"") {
                Some(quoted) => {
                    let end = quoted.find('"').unwrap_or_else(|| panic!("{attribute} of {name} does not end"));
                    rest = &quoted[end + 1..];
                    &quoted[..end]
                }
                None => {
                    assert!(!rest.starts_with('='), "{attribute} of {name} has no quotes");
                    ""
                }
            };
            let before = attributes.insert(attribute.clone(), unescaped(value));
            assert!(before.is_none(), "{attribute} of {name} is there twice");
        }
        let text = &rest[..rest.find('<').unwrap_or(rest.len())];
        found.push(StartTag { name, attributes, text: unescaped(text) });
    }
    found
}

/// The tags with this name.
pub(super) fn named(html: &str, name: &str) -> Vec<StartTag> {
    tags(html).into_iter().filter(|tag| tag.name == name).collect()
}

/// The addresses of all links whose text is this.
pub(super) fn links(html: &str, text: &str) -> Vec<String> {
    named(html, "a").iter().filter(|tag| tag.text == text).map(|tag| tag.value("href").to_owned()).collect()
}

/// The only link with this text.
#[track_caller]
pub(super) fn link(html: &str, text: &str) -> String {
    let mut found = links(html, text);
    assert_eq!(found.len(), 1, "links “{text}”: {found:?} in {html}");
    found.remove(0)
}

/// The only heading of the first level.
#[track_caller]
pub(super) fn heading(html: &str) -> String {
    let found = named(html, "h1");
    assert_eq!(found.len(), 1, "{html}");
    found[0].text.clone()
}

/// The titles of the results, with the marks of matches taken out.
pub(super) fn titles(html: &str) -> Vec<String> {
    let unmarked = html.replace("<mark>", "").replace("</mark>", "");
    let all = tags(&unmarked);
    all.windows(2).filter(|pair| pair[0].name == "h2" && pair[1].name == "a").map(|pair| pair[1].text.clone()).collect()
}

/// The address that a browser asks for when the form with this id is sent as it is: hidden fields, checked boxes and
/// selected options.
pub(super) fn sent(html: &str, id: &str, also: &[(&str, &str)]) -> String {
    let form = named(html, "form").into_iter().find(|form| form.value("id") == id).expect("the form");
    let start = html.find(&format!("<form id=\"{id}\"")).expect("the form");
    let inside = &html[start..][..html[start..].find("</form>").expect("its end")];
    let mut pairs: Vec<(String, String)> = named(inside, "input")
        .iter()
        .filter(|input| input.value("type") != "checkbox" || input.attributes.contains_key("checked"))
        .filter(|input| input.attributes.contains_key("name"))
        .map(|input| (input.value("name").to_owned(), input.value("value").to_owned()))
        .collect();
    pairs.extend(also.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}?{query}", form.value("action"))
}

fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(entity, character);
    }
    plain
}

#[test]
fn tags_are_read() {
    let found = tags("<!doctype html><p class=\"a b\" hidden>x &lt; &amp;lt;<br/></p><input value=\"&quot;>\">");
    let names: Vec<&str> = found.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["p", "br", "input"]);
    assert!(found[0].has_class("b") && found[0].attributes.contains_key("hidden"));
    assert_eq!((found[0].text.as_str(), found[2].value("value")), ("x < &lt;", "\">"));
}
