//! Whatever text a label holds: no panic, and what is read out of it is an object.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seed_standard::label::{self, LabelForm};
use seed_standard::validate::{self, ValidationRules};
use serde_json::Value;

fuzz_target!(|text: &str| {
    _ = validate::judge_label(text, ValidationRules::default());
    if let Ok(manifest) = label::read(text) {
        let value: Value = serde_json::from_str(&manifest).expect("what was read is JSON");
        assert!(value.is_object(), "{value} is no object");
    }
    for form in [LabelForm::Plain, LabelForm::Legacy] {
        if let Ok(written) = label::write(text, form) {
            let read = label::read(&written).expect("what was written can be read");
            let value = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
            assert_eq!(value(&read), value(text));
        }
    }
});
