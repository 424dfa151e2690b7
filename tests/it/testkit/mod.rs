//! The crate `testkit`, which has no tests of its own.

mod docker_registry;
mod layout;
