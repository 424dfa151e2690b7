//! Vendors' APIs beside `/v2/`, each around a [`FakeRegistry`](super::fake_registry).

pub mod docker_hub;
pub mod ghcr;
pub mod gitlab;
pub mod harbor;
pub mod quay;
pub mod zot;
