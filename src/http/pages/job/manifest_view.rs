//! A manifest as the page of its job shows it. Reads any JSON: a manifest with errors is shown as far as it goes.

use serde_json::Value;
use url::Url;

use crate::http::pages::ports::{cut, format_name, mebibytes};
use crate::seed::resources::ResourceKind;

/// Most rows of a table, and most entries of a list within a row.
const MOST_ROWS: usize = 200;
const MOST_ITEMS: usize = 20;
/// Longest text of a table's cell, in characters.
const LONGEST_TEXT: usize = 4_000;

/// The rows of a table, and the number of those that are left out.
#[derive(Debug)]
pub(super) struct TableRows<T> {
    pub rows: Vec<T>,
    pub more: usize,
}

impl<T> TableRows<T> {
    fn of<'a>(lists: &[&'a Value], row: impl Fn(&'a Value) -> T) -> Self {
        let all = || lists.iter().flat_map(|list| list.as_array().into_iter().flatten());
        Self { rows: all().take(MOST_ROWS).map(row).collect(), more: all().count().saturating_sub(MOST_ROWS) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len() + self.more
    }
}

/// A manifest with the standard's defaults.
#[derive(Debug)]
pub(super) struct ManifestView {
    pub seed_version: String,
    /// The maintainer's page, if it is an address of the web.
    pub home: Option<OutsideLink>,
    pub phone: String,
    pub command: String,
    pub inputs: TableRows<PortView>,
    pub outputs: TableRows<PortView>,
    pub needs: TableRows<NeedView>,
    pub settings: TableRows<SettingView>,
    pub mounts: TableRows<MountView>,
    pub errors: TableRows<ErrorView>,
}

/// A link to a page of others.
#[derive(Debug)]
pub(super) struct OutsideLink {
    pub url: String,
    /// Without scheme.
    pub label: String,
}

/// An input or an output.
#[derive(Debug)]
pub(super) struct PortView {
    pub name: String,
    /// `file`, `files` or `value`.
    pub kind: &'static str,
    /// Of files; empty for any.
    pub formats: Vec<FormatView>,
    /// Type of a value.
    pub value_type: String,
    pub is_required: bool,
    /// The job reads only a part of a large file.
    pub is_partial: bool,
    /// Of an output file.
    pub pattern: String,
    /// Of an output value.
    pub key: String,
}

/// A format by its short name, with its media type if that is another one.
#[derive(Debug)]
pub(super) struct FormatView {
    pub name: String,
    pub media_type: String,
}

/// The amount of a resource.
#[derive(Debug)]
pub(super) struct NeedView {
    pub name: String,
    pub amount: String,
    /// What comes with the inputs' size; empty for nothing.
    pub more: String,
}

#[derive(Debug)]
pub(super) struct SettingView {
    pub name: String,
    pub is_secret: bool,
}

#[derive(Debug)]
pub(super) struct MountView {
    pub name: String,
    pub path: String,
    pub is_writable: bool,
}

/// The meaning of an exit code.
#[derive(Debug)]
pub(super) struct ErrorView {
    pub code: String,
    pub name: String,
    pub title: String,
    pub description: String,
    /// Whose fault it is.
    pub fault: String,
}

impl ManifestView {
    /// `document` has the standard's defaults.
    pub(super) fn of(document: &Value) -> Self {
        let job = &document["job"];
        let (interface, maintainer) = (&job["interface"], &job["maintainer"]);
        let (inputs, outputs) = (&interface["inputs"], &interface["outputs"]);
        let mut needs = TableRows::of(&[&job["resources"]["scalar"]], need);
        if !job["timeout"].is_null() {
            let amount = job["timeout"].as_f64().map_or_else(|| text(&job["timeout"]), duration);
            needs.rows.push(NeedView { name: "Time limit".to_owned(), amount, more: String::new() });
        }
        Self {
            seed_version: text(&document["seedVersion"]),
            home: home(&text(&maintainer["url"])),
            phone: text(&maintainer["phone"]),
            command: text(&interface["command"]),
            inputs: TableRows::of(&[&inputs["files"], &inputs["json"]], |entry| port(entry, "mediaTypes")),
            outputs: TableRows::of(&[&outputs["files"], &outputs["json"]], |entry| port(entry, "mediaType")),
            needs,
            settings: TableRows::of(&[&interface["settings"]], |entry| SettingView {
                name: text(&entry["name"]),
                is_secret: entry["secret"] == true,
            }),
            mounts: TableRows::of(&[&interface["mounts"]], |entry| MountView {
                name: text(&entry["name"]),
                path: text(&entry["path"]),
                is_writable: entry["mode"] == "rw",
            }),
            errors: TableRows::of(&[&job["errors"]], error),
        }
    }
}

impl PortView {
    /// What the diagram says below the name.
    pub(super) fn summary(&self) -> String {
        let mut words = match (self.kind, &self.formats[..]) {
            ("value", _) => vec![self.value_type.clone()],
            (_, []) => vec!["any file".to_owned()],
            (_, formats) => {
                let names: Vec<&str> = formats.iter().take(3).map(|format| format.name.as_str()).collect();
                let more = if formats.len() > 3 { " or others" } else { "" };
                vec![format!("{}{more}", names.join(" or "))]
            }
        };
        if self.kind == "files" {
            words.push("several".to_owned());
        }
        if !self.is_required {
            words.push("optional".to_owned());
        }
        words.join(", ")
    }
}

/// The text of a value; other values as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cut(text, LONGEST_TEXT),
        other => cut(&other.to_string(), LONGEST_TEXT),
    }
}

/// Entries with a type are values; files have media types.
fn port(entry: &Value, media_types: &str) -> PortView {
    let is_value = !entry["type"].is_null();
    let listed = entry[media_types].as_array().into_iter().flatten();
    let single = [&entry[media_types]].into_iter().filter(|value| value.is_string());
    let name = text(&entry["name"]);
    let key = text(&entry["key"]);
    PortView {
        kind: match (is_value, entry["multiple"] == true) {
            (true, _) => "value",
            (_, true) => "files",
            _ => "file",
        },
        formats: listed.chain(single).take(MOST_ITEMS).map(|media_type| format(&text(media_type))).collect(),
        value_type: text(&entry["type"]),
        is_required: entry["required"] != false,
        is_partial: entry["partial"] == true,
        pattern: text(&entry["pattern"]),
        key: if key.is_empty() && is_value { name.clone() } else { key },
        name,
    }
}

fn format(media_type: &str) -> FormatView {
    let name = format_name(media_type);
    FormatView { media_type: if name == media_type { String::new() } else { media_type.to_owned() }, name }
}

fn need(entry: &Value) -> NeedView {
    let name = text(&entry["name"]);
    let kind = ResourceKind::of(&name);
    let value = entry["value"].as_f64();
    let amount = match (kind, value) {
        (ResourceKind::Mem | ResourceKind::Disk | ResourceKind::SharedMem, Some(value)) if value >= 0.0 => {
            mebibytes(value)
        }
        _ => text(&entry["value"]),
    };
    let multiplier = entry["inputMultiplier"].as_f64().filter(|multiplier| *multiplier != 0.0);
    NeedView {
        name: match kind {
            ResourceKind::Cpus => "CPU".to_owned(),
            ResourceKind::Mem => "Memory".to_owned(),
            ResourceKind::Disk => "Disk".to_owned(),
            ResourceKind::SharedMem => "Shared memory".to_owned(),
            ResourceKind::Gpus => "GPU".to_owned(),
            ResourceKind::Other => name,
        },
        amount,
        more: multiplier.map(|multiplier| format!("+ {multiplier} × inputs")).unwrap_or_default(),
    }
}

fn error(entry: &Value) -> ErrorView {
    ErrorView {
        code: text(&entry["code"]),
        name: text(&entry["name"]),
        title: text(&entry["title"]),
        description: text(&entry["description"]),
        fault: match entry["category"].as_str() {
            Some("job") => "the job".to_owned(),
            Some("data") => "the data".to_owned(),
            _ => text(&entry["category"]),
        },
    }
}

/// The link to show for an address of a manifest: only `http`, `https` and `mailto`.
fn outside_link(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    matches!(url.scheme(), "http" | "https" | "mailto").then(|| url.to_string())
}

fn home(address: &str) -> Option<OutsideLink> {
    const LONGEST: usize = 60;
    let url = outside_link(address)?;
    let bare = ["https://", "http://", "mailto:"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let label = cut(bare.unwrap_or(&url).trim_end_matches('/'), LONGEST);
    Some(OutsideLink { url, label })
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    if seconds < 1.0 || seconds.fract() != 0.0 {
        return format!("{seconds} s");
    }
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, word) in UNITS {
        let count = (rest / unit).floor();
        if count > 0.0 && words.len() < 2 {
            words.push(format!("{count} {word}"));
        }
        rest %= unit;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::seed::manifest::with_defaults;

    #[test]
    fn a_manifest_is_read() {
        let document = with_defaults(
            &json!({"seedVersion": "1.0.0", "job": {"timeout": 2700, "maintainer": {"url": "https://example.org/x/"},
                "interface": {
                    "inputs": {"files": [{"name": "IMAGE", "mediaTypes": ["image/tiff", "image/x-own"], "multiple": true, "required": false}],
                        "json": [{"name": "N", "type": "number"}]},
                    "outputs": {"files": [{"name": "OUT", "mediaType": "image/png", "pattern": "*.png"}],
                        "json": [{"name": "COUNT", "type": "integer", "key": "count"}, {"name": "SUM", "type": "number"}]}},
                "resources": {"scalar": [{"name": "mem", "value": 1536, "inputMultiplier": 2.5}, {"name": "cpus", "value": 4.0},
                    {"name": "licence", "value": 1}, {"name": "disk", "value": "much"}]}}})
            .to_string(),
        );
        let view = ManifestView::of(&document);
        let [image, number] = &view.inputs.rows[..] else { panic!("two inputs") };
        assert_eq!((image.kind, image.summary().as_str()), ("files", "TIFF or image/x-own, several, optional"));
        assert_eq!((image.formats[0].media_type.as_str(), image.formats[1].media_type.as_str()), ("image/tiff", ""));
        assert_eq!((number.kind, number.summary().as_str()), ("value", "number"));
        let keys: Vec<&str> = view.outputs.rows.iter().map(|output| output.key.as_str()).collect();
        assert_eq!(keys, ["", "count", "SUM"]);
        let needs: Vec<String> =
            view.needs.rows.iter().map(|need| format!("{} {}{}", need.name, need.amount, need.more)).collect();
        assert_eq!(needs, ["Memory 1.5 GiB+ 2.5 × inputs", "CPU 4", "licence 1", "Disk much", "Time limit 45 min"]);
        assert_eq!(view.home.map(|home| home.label).as_deref(), Some("example.org/x"));
    }

    #[test]
    fn links_lead_to_the_web_or_to_mail_only() {
        for (address, expected) in [
            ("https://example.org/a?b#c", Some("https://example.org/a?b#c")),
            (" http://example.org", Some("http://example.org/")),
            ("mailto:a@example.org", Some("mailto:a@example.org")),
            ("HTTPS://example.org/", Some("https://example.org/")),
            ("javascript:alert(1)", None),
            ("java\nscript:alert(1)", None),
            ("data:text/html,x", None),
            ("//example.org/", None),
            ("/jobs", None),
            ("example.org", None),
            ("", None),
        ] {
            assert_eq!(outside_link(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in
            [(90.0, "1 min 30 s"), (3600.0, "1 h"), (90_061.0, "1 d 1 h"), (0.0, "0 s"), (-5.0, "-5 s"), (0.5, "0.5 s")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }

    proptest! {
        #[test]
        fn any_json_is_shown(shape in 0..7_usize, at in 0..6_usize) {
            let odd = [json!(null), json!(7), json!("x"), json!([1, "x"]), json!({"name": 1}), json!([{"name": []}]), json!([[]])];
            let mut document = json!({"job": {"interface": {"inputs": {}, "outputs": {}}}});
            let pointers = ["/job", "/job/interface", "/job/interface/inputs", "/job/interface/outputs"];
            match pointers.get(at) {
                Some(pointer) => *document.pointer_mut(pointer).unwrap() = odd[shape].clone(),
                None => document["job"]["interface"]["inputs"]["files"] = odd[shape].clone(),
            }
            let view = ManifestView::of(&document);
            prop_assert!(view.inputs.rows.iter().all(|input| input.summary().len() < 100));
        }
    }
}
