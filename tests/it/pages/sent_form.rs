//! What a browser without scripts sends when a form with files is sent as it is, or after it was filled in.

use super::markup::{StartTag, tags};

/// A file that is chosen in a field.
#[derive(Clone, Copy)]
pub(super) struct ChosenFile<'a> {
    pub field: &'a str,
    pub name: &'a str,
    pub content: &'a [u8],
}

/// The fields of the form with this id, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilledForm(pub Vec<(String, String)>);

impl FilledForm {
    /// The form as the page has it.
    pub(super) fn of(html: &str, id: &str) -> Self {
        let start = html.find(&format!("<form id=\"{id}\"")).unwrap_or_else(|| panic!("no form {id}: {html}"));
        let inside = &html[start..][..html[start..].find("</form>").expect("its end")];
        let all = tags(inside);
        let mut pairs = Vec::new();
        for (at, tag) in all.iter().enumerate() {
            let name = tag.value("name").to_owned();
            let has = |attribute: &str| tag.attributes.contains_key(attribute);
            match (tag.name.as_str(), tag.value("type")) {
                ("input", "radio" | "checkbox") if has("checked") => pairs.push((name, tag.value("value").to_owned())),
                ("input", "radio" | "checkbox" | "file") => {}
                ("input", _) => pairs.push((name, tag.value("value").to_owned())),
                // A parser of HTML leaves out a line break at the start.
                ("textarea", _) => pairs.push((name, tag.text.strip_prefix('\n').unwrap_or(&tag.text).to_owned())),
                ("select", _) => {
                    pairs.extend(chosen(&all[at + 1..], has("multiple")).map(|value| (name.clone(), value)))
                }
                _ => {}
            }
        }
        Self(pairs)
    }

    /// The values of a field.
    pub(super) fn values(&self, field: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str()).collect()
    }

    /// The same with another value.
    pub(super) fn with(mut self, field: &str, value: &str) -> Self {
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((field.to_owned(), value.to_owned())),
        }
        self
    }

    /// The same without a field.
    pub(super) fn without(mut self, field: &str) -> Self {
        self.0.retain(|(name, _)| name != field);
        self
    }

    /// The body, and its type. Files come after the texts.
    pub(super) fn body(&self, files: &[ChosenFile<'_>]) -> (String, Vec<u8>) {
        const BOUNDARY: &str = "----silo-tests-boundary";
        let mut body = Vec::new();
        for (name, value) in &self.0 {
            let value = value.replace('\n', "\r\n");
            body.extend(part(&format!("name=\"{name}\""), BOUNDARY).bytes().chain(value.bytes()).chain(*b"\r\n"));
        }
        for ChosenFile { field, name, content } in files {
            let head = part(&format!("name=\"{field}\"; filename=\"{name}\""), BOUNDARY);
            body.extend(head.bytes().chain(content.iter().copied()).chain(*b"\r\n"));
        }
        body.extend(format!("--{BOUNDARY}--\r\n").bytes());
        (format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }
}

fn part(disposition: &str, boundary: &str) -> String {
    format!("--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n")
}

/// The values of a list: the selected ones; else the first, if it takes one.
fn chosen(rest: &[StartTag], is_multiple: bool) -> impl Iterator<Item = String> {
    let options: Vec<&StartTag> = rest.iter().take_while(|tag| tag.name == "option").collect();
    let selected: Vec<&StartTag> =
        options.iter().copied().filter(|option| option.attributes.contains_key("selected")).collect();
    let values = match selected.is_empty() && !is_multiple {
        true => options.into_iter().take(1).collect(),
        false => selected,
    };
    values.into_iter().map(|option| option.value("value").to_owned()).collect::<Vec<_>>().into_iter()
}

#[test]
fn a_form_is_sent_as_it_is() {
    let html = "<form id=\"f\"><input name=\"a\" value=\"1\"><input type=\"radio\" name=\"b\" value=\"x\">\
        <input type=\"radio\" name=\"b\" value=\"y\" checked><textarea name=\"c\">\ntwo\nlines</textarea>\
        <select name=\"d\"><option value=\"p\"></option><option value=\"q\" selected></option></select>\
        <select name=\"e\"><option value=\"r\"></option></select><select name=\"f\" multiple><option value=\"s\"></option></select></form>";
    let pairs = [("a", "1"), ("b", "y"), ("c", "two\nlines"), ("d", "q"), ("e", "r")];
    let expected = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(FilledForm::of(html, "f").0, expected);
}
