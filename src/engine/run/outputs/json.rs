//! JSON outputs: `seed.outputs.json` checked against the manifest.

use serde_json::{Map, Value};

use super::{JSON_FILE, OutputCapture, OutputCode, OutputRules};
use crate::engine::disk::read_capped;
use crate::seed::model::{JsonType, SeedManifest};

/// Largest file that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

impl OutputCapture {
    pub(super) fn json(&mut self, manifest: &SeedManifest, rules: OutputRules) {
        let outputs = &manifest.job.interface.outputs.json;
        let written = match self.written() {
            Ok(written) => written,
            // Without declared JSON outputs the file does not matter.
            Err(why) if outputs.is_empty() => {
                self.warn(format!("{JSON_FILE} is not used: {why}."));
                return;
            }
            Err(why) => {
                self.problem(OutputCode::InvalidResultsManifest, JSON_FILE, format!("{why}."));
                return;
            }
        };
        for output in outputs {
            let key = output.key();
            match written.as_ref().and_then(|written| written.get(key)) {
                Some(value) if output.json_type.fits(value) => {
                    self.outputs.json.insert(output.name.clone(), value.clone());
                }
                Some(value) => {
                    let (wanted, found) = (output.json_type.as_str(), JsonType::described(value));
                    let message =
                        format!("the member {key} of {JSON_FILE} must be of the type {wanted}, but it is {found}.");
                    self.problem(OutputCode::InvalidResultsManifest, &output.name, message);
                }
                None if output.required => {
                    let message = match written {
                        Some(_) => format!("the member {key} of {JSON_FILE} is missing."),
                        None => format!("the job wrote no {JSON_FILE} with the member {key}."),
                    };
                    if rules.strict_json {
                        self.problem(OutputCode::MissingRequiredOutput, &output.name, message);
                    } else {
                        self.warn(format!("{}: {message}", output.name));
                    }
                }
                None => {}
            }
        }
    }

    /// The document that the job wrote; `None`: there is no file.
    fn written(&mut self) -> Result<Option<Map<String, Value>>, String> {
        let Some(file) = self.tree.files.get(JSON_FILE) else { return Ok(None) };
        let bytes = self.tree.open(file).and_then(|file| read_capped(file, MAX_BYTES));
        self.used.insert(JSON_FILE.to_owned());
        let bytes = bytes.map_err(|why| format!("it cannot be read: {why}"))?;
        if bytes.len() > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(written)) => Ok(Some(written)),
            Ok(other) => Err(format!("it must be an object, but it is {}", JsonType::described(&other))),
            Err(why) => Err(format!("it is not JSON: {why}")),
        }
    }
}
