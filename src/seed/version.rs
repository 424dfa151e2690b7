//! Version order.

use std::cmp::Ordering;

/// Total order of version texts.
pub fn compare(_a: &str, _b: &str) -> Ordering {
    todo!()
}
