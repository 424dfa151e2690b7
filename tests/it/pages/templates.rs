//! What no template may contain. The content security policy would break the page; `|safe` would break the policy.

use std::fs;
use std::path::Path;

fn templates() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let entries = fs::read_dir(folder).expect("the templates");
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().expect("UTF-8"), fs::read_to_string(entry.path()).expect("text"))
    };
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

/// The first thing in a template that must not be there.
fn forbidden(text: &str) -> Option<&'static str> {
    let dense: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let spaced = text.to_lowercase().replace(char::is_whitespace, " ");
    for word in ["|safe", "|escape(\"none\"", "javascript:", "<style", "<base", "<iframe", "<object", "srcdoc="] {
        if dense.contains(word) {
            return Some(word);
        }
    }
    if spaced.contains(" style=") {
        return Some("style=");
    }
    let handler = spaced.match_indices(" on").any(|(at, _)| {
        let name: String = spaced[at + 3..].chars().take_while(char::is_ascii_alphabetic).collect();
        !name.is_empty() && spaced[at + 3 + name.len()..].starts_with('=')
    });
    if handler {
        return Some("on…=");
    }
    let inline =
        spaced.match_indices("<script").any(|(at, _)| !spaced[at..].starts_with("<script src=\"{{ frame.asset("));
    inline.then_some("<script>")
}

#[test]
fn templates_have_nothing_that_acts_by_itself() {
    let templates = templates();
    assert!(templates.len() >= 5, "the templates are not where they should be");
    for (name, text) in templates {
        assert_eq!(forbidden(&text), None, "templates/{name}");
    }
}

#[test]
fn what_acts_is_found() {
    for (text, expected) in [
        ("{{ a | safe }}", Some("|safe")),
        ("<a href=\"JavaScript: x\">", Some("javascript:")),
        ("<p\nstyle=\"x\">", Some("style=")),
        ("<p onClick=\"x\">", Some("on…=")),
        ("<script>x</script>", Some("<script>")),
        ("<script src=\"https://example.org/x.js\"></script>", Some("<script>")),
        ("<p class=\"once\">on = off</p>", None),
    ] {
        assert_eq!(forbidden(text), expected, "{text}");
    }
}
