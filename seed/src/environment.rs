//! The environment variables of a job: their names, and how values are written into them.

use serde_json::Value;

use super::label::compact;
use super::model::{JobInputJson, JsonType};

/// Variable with the path of the job's output directory (Seed 1.0.0, "Variable Injection").
pub const OUTPUT_DIR: &str = "OUTPUT_DIR";

/// Variable with the path of the file that describes the inputs. Not part of the standard; Scale's jobs expect it.
pub const INPUT_METADATA: &str = "INPUT_METADATA";

/// Whether a text is a valid name in a manifest (letters, digits, dashes, underscores). Job names are stricter: no `_`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The variable of an input, setting or resource (Seed 1.0.0, "normalisation"): letters in upper case, `-` as `_`.
/// Characters that are not allowed in names are dropped.
pub fn variable_name(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c {
            '-' | '_' => Some('_'),
            c if c.is_ascii_alphanumeric() => Some(c.to_ascii_uppercase()),
            _ => None,
        })
        .collect()
}

/// The variable with the amount of a resource that the run is allocated: `ALLOCATED_MEM` for `mem`.
pub fn allocated_name(resource: &str) -> String {
    format!("ALLOCATED_{}", variable_name(resource))
}

/// A value does not have the type of its JSON input. Holds a description of the value's actual type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}")]
pub struct NotOfType(String);

impl JobInputJson {
    /// Converts a value typed by a person to the content of the job's variable: JSON of the input's type. Numbers keep
    /// their spelling, arrays and objects are compacted, and a string may be typed with or without quotes.
    ///
    /// # Errors
    /// The text is not a value of the input's type.
    pub fn value_of_text(&self, text: &str) -> Result<String, NotOfType> {
        let parsed = serde_json::from_str::<Value>(text);
        match (self.json_type, parsed) {
            (JsonType::String, Ok(Value::String(text))) => Ok(text),
            (JsonType::String, _) => Ok(text.to_owned()),
            (json_type, Ok(value)) if json_type.fits(&value) => Ok(compact(text)),
            (_, Ok(value)) => Err(NotOfType(JsonType::described(&value).to_owned())),
            (_, Err(_)) => Err(NotOfType("no JSON".to_owned())),
        }
    }

    /// Converts a JSON value to the content of the job's variable: strings without quotes, everything else as JSON.
    ///
    /// # Errors
    /// The value does not have the input's type.
    pub fn variable_of(&self, value: &Value) -> Result<String, NotOfType> {
        match value {
            _ if !self.json_type.fits(value) => Err(NotOfType(JsonType::described(value).to_owned())),
            Value::String(text) => Ok(text.clone()),
            value => Ok(value.to_string()),
        }
    }

    /// The value of a variable's content that [`Self::value_of_text`] or [`Self::variable_of`] made.
    pub fn value_of_variable(&self, content: String) -> Value {
        match self.json_type {
            JsonType::String => Value::String(content),
            _ => serde_json::from_str(&content).unwrap_or(Value::String(content)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(json_type: JsonType) -> JobInputJson {
        JobInputJson { name: "J".to_owned(), json_type, required: true, other: serde_json::Map::new() }
    }

    #[test]
    fn normalises_names() {
        let table =
            [("my-demo-resourceNew", "MY_DEMO_RESOURCENEW"), ("123_ab-CD", "123_AB_CD"), ("-", "_"), ("ä b", "B")];
        for (name, variable) in table {
            assert_eq!(variable_name(name), variable);
        }
        assert_eq!(allocated_name("sharedMem"), "ALLOCATED_SHAREDMEM");
    }

    #[test]
    fn typed_values_keep_their_spelling() {
        use JsonType::*;
        let table = [
            (Integer, "180", "180"),
            (Integer, "-12345678901234567890123", "-12345678901234567890123"),
            (Number, " 0.10 ", "0.10"),
            (Number, "1E5", "1E5"),
            (Boolean, "true", "true"),
            (Array, "[1, 2.50,\n\"a b\"]", "[1,2.50,\"a b\"]"),
            (Object, "{\"b\": 1, \"a\": {\"x\": [ ]}}", "{\"b\":1,\"a\":{\"x\":[]}}"),
            (String, "a, b=c", "a, b=c"),
            (String, "5", "5"),
            (String, "\"5\\n\"", "5\n"),
            (String, "", ""),
        ];
        for (json_type, text, variable) in table {
            assert_eq!(input(json_type).value_of_text(text).as_deref(), Ok(variable), "{text}");
        }
        let wrong = [
            (Integer, "notanint", "it is no JSON"),
            (Integer, "1.5", "it is a number with a fraction"),
            (Integer, "\"1\"", "it is a string"),
            (Boolean, "1", "it is an integer"),
            (Number, "null", "it is null"),
            (Array, "{}", "it is an object"),
            (Object, "[]", "it is an array"),
            (Object, "", "it is no JSON"),
        ];
        for (json_type, text, why) in wrong {
            let error = input(json_type).value_of_text(text).expect_err(text);
            assert_eq!(error.to_string(), why, "{text}");
        }
    }

    #[test]
    fn given_values_are_string_encoded() {
        use JsonType::*;
        let table = [(String, json!("a b"), "a b"), (Array, json!([1, "x"]), "[1,\"x\"]"), (Number, json!(2), "2")];
        for (json_type, value, variable) in table {
            assert_eq!(input(json_type).variable_of(&value).as_deref(), Ok(variable));
        }
        assert!(input(String).variable_of(&json!(1)).is_err());
    }
}
