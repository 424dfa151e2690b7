//! The two APIs: the legacy one at the root, the native one below `/api/v1`.

pub mod legacy;
pub mod v1;

/// Whether a path is below an address of these APIs, which reply with data to browsers, too.
pub(super) fn has_addresses_at(path: &str) -> bool {
    fn first(path: &str) -> &str {
        path.split('/').nth(1).unwrap_or_default()
    }
    let first_part = first(path);
    ["api", "hooks", "schemas"].contains(&first_part)
        || legacy::INDEX.iter().any(|(_, _, pattern)| !first_part.is_empty() && first(pattern) == first_part)
}
