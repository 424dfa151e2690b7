//! The two APIs: the legacy one at the root, the native one below `/api/v1`.

pub mod legacy;
pub mod v1;
