//! Problems of a form.

/// A problem of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FormProblem {
    /// The field, or another part of the run; empty for the whole.
    pub subject: String,
    /// A sentence without its subject.
    pub message: String,
}

impl FormProblem {
    pub(super) fn new(subject: &str, message: String) -> Self {
        Self { subject: subject.to_owned(), message }
    }
}
