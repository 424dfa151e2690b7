//! The HTTP API, used by a client. Every reply in these tests is also validated against `openapi.yaml`.

mod access;
mod accounts;
mod addresses;
mod away;
mod connections;
mod consumers;
mod document;
mod events;
mod failures;
mod feed;
mod full_disk;
mod hooks;
mod hostile;
mod job_detail;
mod legacy;
mod lists;
mod native;
mod operations;
mod origins;
mod progress;
mod proxies;
mod registries;
mod reverse_proxies;
mod scans;
mod schemas;
mod search;
mod sessions;
mod snapshots;
mod system;
mod users;
mod validate;
mod visibility;

use serde_json::Value;

/// The keys of an object, in the order sent.
#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value} is not an object")).keys().map(String::as_str).collect()
}
