//! Names of the environment variables that a job sees.

/// The variable for an input, a setting or a resource (Seed 1.0.0, "normalisation"): letters upper-case, `-` as `_`.
/// Characters that no valid name holds are dropped.
pub fn variable_name(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c {
            '-' | '_' => Some('_'),
            c if c.is_ascii_alphanumeric() => Some(c.to_ascii_uppercase()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_names() {
        let table =
            [("my-demo-resourceNew", "MY_DEMO_RESOURCENEW"), ("123_ab-CD", "123_AB_CD"), ("-", "_"), ("ä b", "B")];
        for (name, variable) in table {
            assert_eq!(variable_name(name), variable);
        }
    }
}
