//! Which documents of an index a reader sees.

use std::collections::HashMap;

use parking_lot::Mutex;
use tantivy::schema::Field;

/// The documents that a reader sees.
pub(super) struct ViewRestriction {
    /// By document number.
    pub is_visible: Vec<bool>,
    /// By document number: whether the job is represented by other visible images.
    pub is_secondary: Vec<bool>,
    /// Number of visible documents, including deleted ones.
    pub size: u32,
    /// Number of words of visible documents, by field.
    pub tokens: Mutex<HashMap<Field, u64>>,
}
