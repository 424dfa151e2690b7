//! What the tests stand on: images to find, registries to find them in.

pub mod docker_registry;
pub mod layout;
