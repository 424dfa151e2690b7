//! Arguments that several commands share: which job, how an image is built, which registry, which server, which engine.

pub(super) mod build;
mod docker_config;
pub(super) mod engine_at;
pub(super) mod manifest_file;
pub(super) mod registry;
pub(super) mod run;
pub(super) mod seed_cli;
pub(super) mod server_client;
pub(super) mod subject;
