//! The interfaces that kinds of registries have beside `/v2/`, served by a [`FakeRegistry`](super::fake_registry).

pub mod docker_hub;
pub mod ghcr;
