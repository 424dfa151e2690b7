//! Fakes of what kinds of registries serve beside `/v2/`, each around a `FakeRegistry`.

pub mod harbor;
pub mod quay;
