//! What certain kinds of registries have beside `/v2/`, on top of the registry in memory.

pub mod gitlab;
pub mod zot;
