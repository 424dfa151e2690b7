//! The manifest that `silo init` writes.

/// What `silo init` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// `job.name`
    pub name: String,
    /// `job.title`
    pub title: String,
    /// Names of input files, with their media types.
    pub inputs: Vec<(String, String)>,
}

/// A whole manifest without a single problem, indented by two, with a line feed at the end.
pub fn manifest(_answers: &Answers) -> String {
    todo!()
}
