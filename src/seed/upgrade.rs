//! Manifests of the old versions 0.x, brought to 1.0.0.

/// A manifest in today's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// The version it had, such as `0.0.4`.
    pub from: String,
    /// JSON, indented by two, with a line feed at the end. Where nothing had to change: the text as it was.
    pub manifest: String,
    /// What was done, in the order of the new manifest.
    pub changes: Vec<Change>,
}

/// One thing that an upgrade did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// JSON pointer into the new manifest.
    pub path: String,
    /// Whether it had to be made up or given up, so that a person should look at it; otherwise it was only moved or renamed.
    pub invented: bool,
    /// One sentence.
    pub message: String,
}

/// Why a manifest cannot be upgraded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpgradeError {
    #[error("the manifest is not JSON: {0}")]
    Json(String),
    #[error("a manifest is a JSON object; this is something else")]
    NotAnObject,
    #[error("{0}")]
    UnknownVersion(String),
}

/// Brings a manifest's JSON text to 1.0.0.
pub fn upgrade(_manifest: &str) -> Result<Upgraded, UpgradeError> {
    todo!()
}

/// The version of a 0.x manifest whose upgrade changes more than the version.
pub fn old_version(_document: &serde_json::Value) -> Option<String> {
    None
}
