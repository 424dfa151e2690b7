//! JSON inputs and settings, which become variables.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::container::{MASK, MaskedText};
use super::request::{JsonInputValue, RunRequest};
use super::{NameIndex, PlanBuilder, PlanCode, known};
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

impl PlanBuilder {
    /// The given JSON inputs, by name.
    pub(super) fn json(&mut self, manifest: &SeedManifest, request: &RunRequest) -> BTreeMap<String, Value> {
        let inputs = &manifest.job.interface.inputs;
        let mut values = BTreeMap::new();
        let help = if inputs.json.is_empty() { "The job has no JSON inputs." } else { "" };
        let given = self.assigned("JSON input", &inputs.json, |input| &input.name, &request.json, help);
        for (input, value) in inputs.json.iter().zip(given) {
            let Some(value) = value else {
                if input.required {
                    let help = format!("Give it a value, JSON of the type {}.", input.json_type.as_str());
                    self.problems.add(PlanCode::Missing, &input.name, "the job needs this input.", help);
                }
                continue;
            };
            let text = match value {
                JsonInputValue::Text(text) => input.value_of_text(text),
                JsonInputValue::Value(value) => input.variable_of(value),
            };
            match text {
                Ok(text) => {
                    self.set(variable_name(&input.name), MaskedText::plain(&text));
                    values.insert(input.name.clone(), input.value_of_variable(text));
                }
                Err(why) => {
                    let wanted = input.json_type.as_str();
                    let message = format!("its value must be of the type {wanted}, but {why}.");
                    self.problems.add(PlanCode::WrongType, &input.name, message, "Give it another value.");
                }
            }
        }
        values
    }

    /// All settings are required.
    pub(super) fn settings(&mut self, manifest: &SeedManifest, request: &RunRequest) {
        let settings = &manifest.job.interface.settings;
        let given = self.assigned("setting", settings, |setting| &setting.name, &request.settings, "");
        for (setting, value) in settings.iter().zip(given) {
            match value {
                None => {
                    let help = "Give it a value: all settings are required.";
                    self.problems.add(PlanCode::Missing, &setting.name, "the job needs this setting.", help);
                }
                Some(value) if setting.secret => {
                    self.set(variable_name(&setting.name), MaskedText::secret(value.clone(), MASK));
                }
                Some(value) => self.set(variable_name(&setting.name), MaskedText::plain(value.expose_secret())),
            }
        }
    }

    /// The given value for each entry of a list. An unknown or repeated name is a problem.
    pub(super) fn assigned<'r, T, V>(
        &mut self,
        what: &str,
        entries: &[T],
        name_of: impl Fn(&T) -> &str,
        given: &'r [(String, V)],
        help: &str,
    ) -> Vec<Option<&'r V>> {
        let index = NameIndex::new(entries.iter().map(&name_of));
        let mut values: Vec<Option<&V>> = entries.iter().map(|_| None).collect();
        for (name, value) in given {
            match index.find(name) {
                Some(place) if values[place].is_none() => values[place] = Some(value),
                Some(_) => {
                    self.problems.add(PlanCode::TooMany, name, "it is given more than once.", "Give it once.");
                }
                None => {
                    let known = known(&format!("{what}s"), entries.iter().map(&name_of));
                    let help = if help.is_empty() { known } else { help.to_owned() };
                    let message = format!("the job has no {what} of this name.");
                    self.problems.add(PlanCode::Unknown, name, message, help);
                }
            }
        }
        values
    }
}
