//! Test support that knows the crate `silo`: the service, engines, databases, and the program itself. The rest is in
//! `testkit/`.

pub(crate) mod app;
pub(crate) mod contract;
pub(crate) mod docker_engine;
pub(crate) mod postgres;
pub(crate) mod postgres_gate;
pub(crate) mod process;
pub(crate) mod sse;
#[allow(dead_code, reason = "shared with the benchmarks")]
#[path = "../../../benches/stored.rs"]
pub(crate) mod stored;
pub(crate) mod tls;
pub(crate) mod wire;

pub(crate) use silo_testkit::{
    docker_registry, fake_registry, file_server, judged, kinds, layout, manifest, needs, output, self_signed,
    small_disk, token_desk,
};
