//! The manifest as a document.

/// The document with every default of the standard filled in, in the order of the standard, unknown keys kept: what
/// `/images/{id}/manifest` answers. Anything that is not a JSON object gives the all-empty manifest.
pub fn with_defaults(_manifest: &str) -> serde_json::Value {
    todo!()
}

/// What the catalogue and the search need of a manifest. TODO
pub struct Essentials {
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub maintainer: String,
    pub email: String,
    pub maint_org: String,
    pub interfaces: Vec<String>,
    pub media_types: Vec<String>,
}
impl Essentials {
    pub fn identifies_a_job(&self) -> bool {
        todo!()
    }
}
pub fn essentials(_text: &str) -> Essentials {
    todo!()
}
