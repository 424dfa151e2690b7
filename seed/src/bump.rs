//! Increments the versions in a manifest's text: the two version strings change, no other byte does.

use super::{json, version};

/// Which number of a version is incremented. The numbers after it become 0; pre-release and build metadata are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BumpLevel {
    Patch,
    Minor,
    Major,
}

/// Which of the two versions to raise, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionBump {
    /// Increment of `job.packageVersion`.
    pub package: Option<BumpLevel>,
    /// Increment of `job.jobVersion`.
    pub job: Option<BumpLevel>,
}

impl VersionBump {
    /// Whether neither version changes.
    pub fn is_empty(&self) -> bool {
        self.package.is_none() && self.job.is_none()
    }
}

/// Why a manifest's versions cannot be incremented.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BumpError {
    #[error("the manifest is not JSON: fix it first, `silo validate` shows where")]
    NotJson,
    #[error("the manifest has no job.{0} of the form 1.0.0: fix it first, `silo validate` shows where")]
    NoVersion(&'static str),
}

/// Returns the manifest's text with incremented versions.
///
/// # Errors
/// The text is not JSON, or a version to increment is missing, not SemVer, or too large.
pub fn bump(manifest: &str, bump: VersionBump) -> Result<String, BumpError> {
    let document = json::read(manifest);
    if !document.faults.is_empty() {
        return Err(BumpError::NotJson);
    }
    let mut edits = Vec::new();
    for (member, part) in [("packageVersion", bump.package), ("jobVersion", bump.job)] {
        let Some(part) = part else { continue };
        let found = document.root.find(&["job", member]).filter(|node| node.text().is_some_and(version::is_valid));
        let node = found.ok_or(BumpError::NoVersion(member))?;
        let raised = raised(node.text().unwrap_or_default(), part).ok_or(BumpError::NoVersion(member))?;
        // A valid version contains no quote and no backslash, so the next quote ends the string token.
        let end = manifest[node.at + 1..].find('"').ok_or(BumpError::NotJson)? + node.at + 1;
        edits.push((node.at + 1..end, raised));
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = manifest.to_owned();
    for (range, raised) in edits {
        text.replace_range(range, &raised);
    }
    Ok(text)
}

/// The incremented version. `None` if `version` is not three numbers, or a number overflows.
fn raised(version: &str, part: BumpLevel) -> Option<String> {
    let core = version.split(['-', '+']).next()?;
    let numbers: Vec<u128> = core.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [major, minor, patch] = numbers[..] else { return None };
    Some(match part {
        BumpLevel::Patch => format!("{major}.{minor}.{}", patch.checked_add(1)?),
        BumpLevel::Minor => format!("{major}.{}.0", minor.checked_add(1)?),
        BumpLevel::Major => format!("{}.0.0", major.checked_add(1)?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::testing::any_json_object;
    use super::*;

    #[test]
    fn versions_rise() {
        for (version, patch, minor, major) in [
            ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
            ("0.0.0-rc.1+x.y", "0.0.1", "0.1.0", "1.0.0"),
            ("1.9.99", "1.9.100", "1.10.0", "2.0.0"),
        ] {
            let all = [BumpLevel::Patch, BumpLevel::Minor, BumpLevel::Major].map(|part| raised(version, part).unwrap());
            assert_eq!(all, [patch, minor, major]);
        }
        assert_eq!(raised(&format!("1.0.{}", u128::MAX), BumpLevel::Patch), None);
    }

    #[test]
    fn nothing_else_changes() {
        let text = "{ \"job\":\n\t{\"jobVersion\" :\"1.0.0\", \"x\": \"1.0.0 & \\u0026\", \"packageVersion\": \"2.0.9\"},\r\n \"packageVersion\": \"2.0.9\"}\n";
        let both = VersionBump { package: Some(BumpLevel::Patch), job: Some(BumpLevel::Major) };
        let expected = text.replacen("\"1.0.0\"", "\"2.0.0\"", 1).replacen("2.0.9", "2.0.10", 1);
        assert_eq!(bump(text, both), Ok(expected));
        assert_eq!(bump(text, VersionBump::default()).as_deref(), Ok(text));
        // Of a duplicate key the last one counts, as in most JSON parsers.
        let twice = r#"{"job":{"jobVersion":"1.0.0","jobVersion":"3.0.0"}}"#;
        let job = VersionBump { package: None, job: Some(BumpLevel::Minor) };
        assert_eq!(bump(twice, job).unwrap(), r#"{"job":{"jobVersion":"1.0.0","jobVersion":"3.1.0"}}"#);
        // Escapes in the old version are decoded.
        assert_eq!(bump(r#"{"job":{"jobVersion":"1.0\u002e0"}}"#, job).unwrap(), r#"{"job":{"jobVersion":"1.1.0"}}"#);
    }

    #[test]
    fn what_has_no_version_is_refused() {
        let job = VersionBump { package: None, job: Some(BumpLevel::Minor) };
        for text in ["{}", r#"{"job":{}}"#, r#"{"job":{"jobVersion":1}}"#, r#"{"job":{"jobVersion":"1.0"}}"#] {
            assert_eq!(bump(text, job), Err(BumpError::NoVersion("jobVersion")), "{text}");
        }
        assert_eq!(bump("{", job), Err(BumpError::NotJson));
    }

    proptest! {
        #[test]
        fn only_the_versions_differ(mut manifest in any_json_object(), pretty: bool) {
            let versions = serde_json::json!({"jobVersion": "1.2.3-a", "packageVersion": "4.5.6"});
            manifest["job"] = versions;
            let text = if pretty { serde_json::to_string_pretty(&manifest) } else { serde_json::to_string(&manifest) }.unwrap();
            let raised = bump(&text, VersionBump { package: Some(BumpLevel::Minor), job: Some(BumpLevel::Patch) }).unwrap();
            manifest["job"] = serde_json::json!({"jobVersion": "1.2.4", "packageVersion": "4.6.0"});
            prop_assert_eq!(serde_json::from_str::<Value>(&raised).unwrap(), manifest);
        }
    }
}
