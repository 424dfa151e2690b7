//! The layers of the configuration: the compiled-in file, a file, the environment, flags. Each value carries its place,
//! so that errors can name it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use toml::de::DeTable;
use toml::{Table, Value};

use super::rules::OPTIONS;
use super::{DEFAULTS, DEFAULTS_NAME, SHORT_NAMES};

/// Prefix of the general form of a variable: `SILO__SECTION__KEY`.
const PREFIX: &str = "SILO__";

/// Option values from one source: defaults, file, environment or flags.
#[derive(Default)]
pub(super) struct ConfigLayer {
    pub values: Vec<OptionValue>,
    /// Errors, each with its place.
    pub problems: Vec<String>,
}

/// A value of an option.
pub(super) struct OptionValue {
    /// Such as `scan.workers`.
    pub option: String,
    pub value: Value,
    /// `FILE:LINE`, or the name of a variable or flag.
    pub place: String,
}

impl ConfigLayer {
    /// The compiled-in defaults.
    pub(super) fn defaults() -> Self {
        Self::of_toml(DEFAULTS_NAME, DEFAULTS)
    }

    /// A configuration file.
    pub(super) fn of_file(path: &Path) -> Self {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::of_toml(&name, &text),
            Err(why) => Self { problems: vec![format!("{name}: cannot be read: {why}")], ..Self::default() },
        }
    }

    fn of_toml(name: &str, text: &str) -> Self {
        let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut layer = Self::default();
        let (spans, table) = match (DeTable::parse(text), text.parse::<Table>()) {
            (Ok(spans), Ok(table)) => (spans.into_inner(), table),
            // Not the error's `Display`, which contains the line: it may contain a secret.
            (Err(why), _) | (_, Err(why)) => {
                let place = why.span().map_or_else(|| name.to_owned(), |span| format!("{name}:{}", line(span.start)));
                layer.problems.push(format!("{place}: this is not valid TOML: {}", why.message()));
                return layer;
            }
        };
        for (key, value) in &spans {
            let place = |at: usize| format!("{name}:{}", line(at));
            let section = value.get_ref().as_table().filter(|_| !OPTIONS.contains_key(key.get_ref().as_ref()));
            let Some(section) = section else {
                layer.give(key.get_ref(), table[key.get_ref().as_ref()].clone(), place(key.span().start));
                continue;
            };
            if section.is_empty() && !is_section(key.get_ref()) {
                layer.problems.push(unknown(&place(key.span().start), key.get_ref(), str::to_owned));
            }
            for inner in section.keys() {
                let value = table[key.get_ref().as_ref()][inner.get_ref().as_ref()].clone();
                layer.give(&format!("{}.{}", key.get_ref(), inner.get_ref()), value, place(inner.span().start));
            }
        }
        layer
    }

    /// The variables of the general form.
    pub(super) fn of_environment(environment: &HashMap<String, String>) -> Self {
        let mut layer = Self::default();
        let mut named: Vec<_> = environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        named.sort();
        for (name, text) in named {
            let option = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            match OPTIONS.get(&option) {
                Some(rule) => layer.give(&option, rule.parse(text), name.clone()),
                None => layer.problems.push(unknown(name, name, variable)),
            }
        }
        layer.problems.extend(environment.keys().filter_map(|name| almost_general(name)));
        layer.problems.sort();
        layer
    }

    /// The variables with short names.
    pub(super) fn of_short_names(environment: &HashMap<String, String>) -> Self {
        let mut layer = Self::default();
        for (name, option) in SHORT_NAMES {
            if let Some(text) = environment.get(name).filter(|text| !text.is_empty()) {
                layer.give(option, Value::String(text.clone()), name.to_owned());
            }
        }
        layer
    }

    /// Adds a value, or the error if it is invalid. `place` is `FILE:LINE`, or the name of a variable or flag.
    pub(super) fn give(&mut self, option: &str, value: Value, place: String) {
        let wrong = match OPTIONS.get(option) {
            Some(rule) => rule.check(&value).err().map(|why| format!("{place}: {option} {why}")),
            None if is_section(option) => {
                Some(format!("{place}: {option} is a section: write [{option}], with its keys below"))
            }
            None => Some(unknown(&place, option, str::to_owned)),
        };
        match wrong {
            Some(wrong) => self.problems.push(wrong),
            None => self.values.push(OptionValue { option: option.to_owned(), value, place }),
        }
    }
}

/// All layers as one table, later ones overriding earlier ones, with the place of each option's value; or all errors,
/// one per line.
pub(super) fn merge(layers: Vec<ConfigLayer>) -> Result<(Table, BTreeMap<String, String>), String> {
    let problems: Vec<&str> = layers.iter().flat_map(|layer| &layer.problems).map(String::as_str).collect();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let (mut merged, mut places) = (Table::new(), BTreeMap::new());
    for OptionValue { option, value, place } in layers.into_iter().flat_map(|layer| layer.values) {
        places.insert(option.clone(), place);
        match option.split_once('.') {
            None => _ = merged.insert(option, value),
            Some((section, key)) => {
                let section = merged.entry(section).or_insert_with(|| Value::Table(Table::new()));
                section.as_table_mut().expect("no option is called like a section").insert(key.to_owned(), value);
            }
        }
    }
    Ok((merged, places))
}

fn is_section(name: &str) -> bool {
    OPTIONS.keys().any(|option| option.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The variable of an option in the general form.
fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.replace('.', "__").to_uppercase())
}

/// What is wrong with a variable that nobody reads, because it has one underscore where it needs two.
fn almost_general(name: &str) -> Option<String> {
    let is_read = name.starts_with(PREFIX) || SHORT_NAMES.iter().any(|(short, _)| *short == name);
    if is_read || !name.starts_with("SILO_") {
        return None;
    }
    let plain = |variable: &str| variable.replace("__", "_");
    let meant = OPTIONS.keys().map(|option| variable(option)).find(|meant| plain(meant) == plain(name))?;
    Some(format!("{name}: this variable is not used; write {meant}, with two underscores"))
}

/// Error for an unknown option, with the most similar one; `spelled` writes an option as it is written in this layer.
fn unknown(place: &str, given: &str, spelled: impl Fn(&str) -> String) -> String {
    let own_name = |option: &str| option.rsplit('.').next().unwrap_or_default().to_lowercase();
    let distance = |option: &&String| {
        let typed = strsim::osa_distance(given, &spelled(option));
        // Correctly spelled, but in the wrong section.
        if own_name(option) == own_name(given) { (1, typed) } else { (typed, typed) }
    };
    let alike = OPTIONS.keys().min_by_key(distance).filter(|option| distance(option).0 <= 3);
    let meant = alike.map_or_else(String::new, |option| format!("; did you mean {}?", spelled(option)));
    let subject = if place == given { format!("{given}: there") } else { format!("{place}: {given}: there") };
    format!("{subject} is no such option{meant}")
}
