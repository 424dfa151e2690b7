//! The search method of the first SILO: every request parses every manifest, terms match as case-sensitive substrings,
//! and each occurrence adds to the image's score.

use serde_json::Value;

/// The searched data of an image.
pub(crate) struct Listed {
    pub org: String,
    pub full_name: String,
    pub manifest: String,
}

/// Indices of the matching images in the list, best first. `query` separates its terms with `+`.
pub(crate) fn search(images: &[Listed], query: &str) -> Vec<(usize, u32)> {
    let terms: Vec<&str> = query.split('+').collect();
    let scored = images.iter().enumerate().map(|(place, image)| (place, score(image, &terms)));
    let mut hits: Vec<(usize, u32)> = scored.filter(|(_, score)| *score > 0).collect();
    hits.sort_unstable_by_key(|(_, score)| std::cmp::Reverse(*score));
    hits
}

fn score(image: &Listed, terms: &[&str]) -> u32 {
    let Ok(manifest) = serde_json::from_str::<Value>(&image.manifest) else { return 0 };
    let job = &manifest["job"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places = [
        (10, image.full_name.clone()),
        (10, image.org.clone()),
        (10, text(&job["name"])),
        (10, printed(&job["tags"])),
        (5, text(&job["title"])),
        (5, text(&job["description"])),
        (5, printed(&job["maintainer"])),
        (1, printed(&manifest)),
    ];
    terms
        .iter()
        .flat_map(|term| places.iter().filter(move |(_, text)| text.contains(term)))
        .map(|(points, _)| points)
        .sum()
}

/// All values of a document, without its keys.
fn printed(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

fn print(value: &Value, text: &mut String) {
    match value {
        Value::String(word) => text.push_str(word),
        Value::Array(items) => items.iter().for_each(|item| print(item, text)),
        Value::Object(fields) => fields.values().for_each(|field| print(field, text)),
        other => text.push_str(&other.to_string()),
    }
    text.push(' ');
}
