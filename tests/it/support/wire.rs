//! Reads replies of `/api/v1` back as the types of `silo::api`: what is read and written again is the same text.

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use silo::api::batches::{BatchOutputReply, BatchReply, PlannedBatchReply};
use silo::api::events::EventPageReply;
use silo::api::images::{ImageDetailReply, ImageReply};
use silo::api::jobs::{JobComparisonReply, JobDetailReply, JobOriginReply, JobReply};
use silo::api::problem::ProblemReply;
use silo::api::registries::{
    HookReply, RegistryCheckReply, RegistryKindReply, RegistryLossReply, RegistryReply, RepositoryReply,
};
use silo::api::runs::{
    EarlierOutputReply, KnownUploadReply, LogLinesReply, OutputListReply, PlannedRunReply, RunLimitsReply,
    RunPageReply, RunReply, RunSummaryReply, UploadReply,
};
use silo::api::samples::SampleListReply;
use silo::api::scans::{ScanProblemCountsReply, ScanProblemReply, ScanReply};
use silo::api::search::{SearchReply, SuggestReply};
use silo::api::sessions::{SessionListReply, TicketReply, TokenReply, UserReply};
use silo::api::system::{ConfiguredOptionReply, LoadHistoryReply, SystemFindingReply, SystemReply};
use silo::api::users::{GroupReply, UserOverviewReply};
use silo::api::{PageReply, VersionReply, WholeListReply};

/// Compares a JSON reply of a route with its type; `asked` is the address with its query.
pub(crate) fn check(method: &Method, route: &str, asked: &str, content_type: &str, text: &str) -> Result<(), String> {
    if content_type == "application/problem+json" {
        return same::<ProblemReply>(text);
    }
    let Some(route) = route.strip_prefix("/api/v1/").filter(|_| content_type == "application/json") else {
        return Ok(());
    };
    match (method.as_str(), route) {
        ("GET", "version") => same::<VersionReply>(text),
        ("POST", "login") => same::<TokenReply>(text),
        ("POST", "tickets") => same::<TicketReply>(text),
        ("GET", "me/sessions") => same::<SessionListReply>(text),
        ("GET", "me") => same::<UserReply>(text),
        ("GET", "users") => same::<PageReply<UserOverviewReply>>(text),
        (_, "users" | "users/{id}") => same::<UserOverviewReply>(text),
        ("GET", "groups") => same::<Vec<GroupReply>>(text),
        (_, "groups/{name}") => same::<GroupReply>(text),
        ("GET", "search") => same::<SearchReply>(text),
        ("GET", "suggest") => same::<SuggestReply>(text),
        ("GET", "events") => same::<EventPageReply>(text),
        ("GET", "images") => same::<PageReply<ImageReply>>(text),
        ("GET", "images/{id}") => same::<ImageDetailReply>(text),
        ("GET", "jobs") => same::<PageReply<JobReply>>(text),
        ("GET", "jobs/{id}") => same::<JobDetailReply>(text),
        ("GET", "jobs/{id}/origins") => same::<PageReply<JobOriginReply>>(text),
        ("GET", "jobs/{id}/compare/{versions}") => same::<JobComparisonReply>(text),
        ("GET", "registries") => same::<Vec<RegistryReply>>(text),
        ("POST", "registry-kinds") => same::<RegistryKindReply>(text),
        ("DELETE", "registries/{id}") => same::<RegistryLossReply>(text),
        ("POST", "registries") | ("PATCH", "registries/{id}") if asked.contains("dry_run=true") => {
            same::<RegistryCheckReply>(text)
        }
        ("POST", "registries") | (_, "registries/{id}") => same::<RegistryReply>(text),
        ("GET", "registries/{id}/repositories") => same::<PageReply<RepositoryReply>>(text),
        ("POST", "registries/{id}/hook") => same::<HookReply>(text),
        ("GET", "scans") => same::<PageReply<ScanReply>>(text),
        ("GET", "scans/{id}/problem-counts") => same::<ScanProblemCountsReply>(text),
        ("GET", "scans/{id}/problems") => same::<PageReply<ScanProblemReply>>(text),
        (_, "registries/{id}/scans" | "scans/{id}" | "scans/{id}/confirm") => same::<ScanReply>(text),
        ("POST", "runs") if asked.contains("dry_run=true") => same::<PlannedRunReply>(text),
        ("GET", "runs/limits") => same::<RunLimitsReply>(text),
        ("GET", "outputs") => same::<PageReply<EarlierOutputReply>>(text),
        ("GET", "uploads") => same::<PageReply<KnownUploadReply>>(text),
        ("GET", "runs") => same::<RunPageReply>(text),
        ("POST", "runs" | "runs/{id}/rerun") | ("GET", "runs/{id}") => same::<RunReply>(text),
        (_, "runs/{id}/cancel" | "runs/{id}/events") => same::<RunSummaryReply>(text),
        ("GET", "runs/{id}/logs/{log}/lines") => same::<LogLinesReply>(text),
        ("GET", "runs/{id}/samples") => same::<SampleListReply>(text),
        ("GET", "runs/{id}/outputs") => same::<OutputListReply>(text),
        ("POST", "uploads") => same::<UploadReply>(text),
        ("GET", "batches/{id}/runs") => same::<PageReply<RunSummaryReply>>(text),
        ("GET", "batches") => same::<PageReply<BatchReply>>(text),
        ("GET", "batches/{id}/outputs") => same::<PageReply<BatchOutputReply>>(text),
        ("POST", "batches") if asked.contains("dry_run=true") => same::<PlannedBatchReply>(text),
        (_, "batches" | "batches/{id}" | "batches/{id}/cancel" | "batches/{id}/rerun") => same::<BatchReply>(text),
        ("GET", "system") => same::<SystemReply>(text),
        ("GET", "system/findings") => same::<WholeListReply<SystemFindingReply>>(text),
        ("GET", "system/configuration") => same::<WholeListReply<ConfiguredOptionReply>>(text),
        ("GET", "system/history") => same::<LoadHistoryReply>(text),
        ("POST", "demo") => same::<ScanReply>(text),
        // The report is a type of `seed`; the others are files.
        ("POST", "validate") | ("GET", "runs/{id}/outputs/{name}" | "runs/{id}/outputs/{name}/{index}") => Ok(()),
        ("GET", "runs/{id}/files/{*path}" | "runs/{id}/logs/{log}" | "uploads/{sha256}") => Ok(()),
        _ => Err("give the reply a type in src/api, and a line in tests/it/support/wire.rs".to_owned()),
    }
}

fn same<T: Serialize + DeserializeOwned>(text: &str) -> Result<(), String> {
    let name = std::any::type_name::<T>();
    let read: T = serde_json::from_str(text).map_err(|why| format!("it cannot be read as {name}: {why}"))?;
    let written = serde_json::to_string(&read).map_err(|why| why.to_string())?;
    if written == text { Ok(()) } else { Err(format!("{name} does not hold all of it, but only {written}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_its_type_does_not_have_is_found() {
        let said = |route, text| check(&Method::GET, route, route, "application/json", text);
        assert_eq!(said("/api/v1/version", r#"{"version":"1","seedVersion":"2"}"#), Ok(()));
        for (text, names) in [
            (r#"{"version":"1","seedVersion":"2","more":3}"#, "does not hold all"),
            (r#"{"seedVersion":"2","version":"1"}"#, "does not hold all"),
            (r#"{"version":"1"}"#, "missing field `seedVersion`"),
        ] {
            let why = said("/api/v1/version", text).expect_err(text);
            assert!(why.contains(names), "{why}");
        }
        assert!(said("/api/v1/unheard-of", "{}").is_err_and(|why| why.contains("src/api")));
    }
}
