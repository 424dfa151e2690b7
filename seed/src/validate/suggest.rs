//! Suggests what was meant: by look-alike letters, spelling, names in old versions, and fields of other objects.

use unicode_security::skeleton;

use crate::schema::{FieldShape, MANIFEST, ObjectSchema, TextRule};

/// Longer words are not compared by spelling, to bound the work; in bytes.
const LONGEST: usize = 40;

/// Fields of versions before 1.0.0, and the fields that replaced them.
const FORMER: &[(&str, &str)] = &[
    ("manifestVersion", "seedVersion"),
    ("algorithmVersion", "jobVersion"),
    ("authorName", "maintainer"),
    ("authorEmail", "maintainer"),
    ("authorUrl", "maintainer"),
    ("cmd", "command"),
    ("args", "command"),
    ("inputData", "inputs"),
    ("outputData", "outputs"),
    ("count", "multiple"),
    ("errorMapping", "errors"),
];

/// Suggests a fix for an unknown field of an object; `is_free` returns whether the object lacks a field.
pub(super) fn field(unknown: &str, object: &'static ObjectSchema, is_free: impl Fn(&str) -> bool) -> String {
    let names = || object.fields.iter().map(|field| field.name);
    if unknown == "$schema" {
        return "Remove it, and set the schema in your editor by the file's name; `silo spec --help` says how."
            .to_owned();
    }
    let former = FORMER.iter().find(|(old, _)| *old == unknown).map(|(_, new)| *new);
    let near = former.filter(|new| names().any(|name| name == *new)).or_else(|| nearest(unknown, names()));
    if let Some(name) = near {
        let taken = if is_free(name) { "" } else { ", which is here already" };
        return match stranger(unknown, name) {
            Some(letters) => format!("Write `{name}`: the key holds {letters}."),
            None => format!("Did you mean `{name}`{taken}? Remove it otherwise."),
        };
    }
    if let Some(path) = home(unknown, &MANIFEST, "") {
        return format!("Move it to where it belongs: `{path}`.");
    }
    format!("Remove it; known here: {}.", names().collect::<Vec<_>>().join(", "))
}

/// Suggests a fix for a text that is none of `allowed`.
pub(super) fn value(unknown: &str, allowed: &[&'static str]) -> String {
    let list = allowed.join(", ");
    match nearest(unknown, allowed.iter().copied()) {
        Some(name) => format!("Did you mean `{name}`? Allowed: {list}."),
        None => format!("Write one of: {list}."),
    }
}

/// `help`, with a valid replacement for `text` as an example, if one can be derived; `is_normalised`: a name in its normal form.
pub(super) fn mended(rule: TextRule, text: &str, help: &str, is_normalised: bool) -> String {
    let mended: Option<String> = match rule {
        TextRule::JobName => Some(text.trim().replace([' ', '_', '.'], "-")),
        TextRule::Name if is_normalised => Some(text.trim().replace([' ', '.', '-'], "_").to_ascii_uppercase()),
        TextRule::Name => Some(text.trim().replace([' ', '.'], "_")),
        TextRule::Version => completed(text),
        _ => None,
    };
    match mended.filter(|mended| mended.len() <= LONGEST && rule.is_obeyed_by(mended)) {
        Some(mended) => format!("{help} For example: `{mended}`."),
        None => help.to_owned(),
    }
}

/// Completes a version: `v1.2` → `1.2.0`.
fn completed(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let mut parts: Vec<&str> = text.split('.').map(|part| part.trim_start_matches('0')).collect();
    parts.iter_mut().filter(|part| part.is_empty()).for_each(|part| *part = "0");
    parts.resize(3, "0");
    (text.split('.').count() <= 3 && !text.is_empty()).then(|| parts.join("."))
}

/// The name that was probably meant: equal after normalisation, or within one or two typos.
pub(super) fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if unknown.len() > LONGEST * 4 {
        return None;
    }
    let plain = plain(unknown);
    let same = names.clone().find(|name| self::plain(name) == plain);
    let by_spelling = || {
        let distance = |name: &str| strsim::osa_distance(&plain, &self::plain(name));
        let best = names.map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance)?;
        let allowed = if best.1.len() <= 4 { 1 } else { 2 };
        (plain.len() <= LONGEST && best.0 <= allowed).then_some(best.1)
    };
    same.or_else(by_spelling)
}

/// A word normalised for comparison: look-alike letters replaced (Unicode Technical Standard 39), in lower case,
/// letters and digits only.
fn plain(word: &str) -> String {
    let ascii = if word.is_ascii() { word.to_owned() } else { skeleton(word).collect() };
    ascii.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Describes the non-ASCII letters of a word that look like those of `name`; `None` if there are none.
fn stranger(word: &str, name: &str) -> Option<String> {
    let strangers = || word.chars().filter(|c| !c.is_ascii());
    let first = strangers().next()?;
    let (at, _) = word.chars().enumerate().find(|(_, c)| !c.is_ascii())?;
    let looks = match name.chars().nth(at).filter(|_| word.chars().count() == name.chars().count()) {
        Some(meant) => format!("U+{:04X} in place of `{meant}`", u32::from(first)),
        None => format!("U+{:04X}, which is not ASCII", u32::from(first)),
    };
    Some(if strangers().count() > 1 { format!("{looks}, and more such letters") } else { looks })
}

/// Path of the first field with this name in the standard.
fn home(name: &str, object: &'static ObjectSchema, path: &str) -> Option<String> {
    if object.fields.iter().any(|field| field.name == name) {
        return Some(format!("{path}/{name}"));
    }
    object.fields.iter().find_map(|field| match field.shape {
        FieldShape::Object(inner) => home(name, inner, &format!("{path}/{}", field.name)),
        FieldShape::List(FieldShape::Object(inner)) => home(name, inner, &format!("{path}/{}/…", field.name)),
        _ => None,
    })
}
