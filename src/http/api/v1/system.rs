//! `/api/v1/system`: the state of the installation.

use axum::{Extension, Json};

use crate::api::WholeListReply;
use crate::api::system::{
    ConfiguredOptionReply, LoadHistoryReply, LoadSampleReply, SystemDiskReply, SystemEngineReply, SystemFindingReply,
    SystemIndexReply, SystemReply, SystemRunsReply, SystemScansReply, SystemStreamsReply,
};
use crate::app::{ConfiguredOption, DiagnosticFinding, LOAD_INTERVAL, LoadSample, SystemDisk, SystemStatus};
use crate::http::error::{Result, word_of};
use crate::http::extract::RequestApp;
use crate::http::operations::examined;
use crate::http::stream::StreamSlots;

pub(super) async fn status(
    RequestApp(app): RequestApp,
    Extension(streams): Extension<StreamSlots>,
) -> Result<Json<SystemReply>> {
    let SystemStatus {
        started_at,
        database,
        catalogue_revision,
        index_revision,
        index_is_ready,
        scans_queued,
        scans_running,
        runs,
        disks,
        engine,
    } = app.system_status().await?;
    let disk = |SystemDisk { name, folder, space }: SystemDisk| SystemDiskReply {
        name: name.into(),
        folder,
        free: space.free,
        total: space.total,
    };
    Ok(Json(SystemReply {
        version: env!("CARGO_PKG_VERSION").into(),
        started: started_at,
        database: database.into(),
        catalogue_revision,
        index: SystemIndexReply {
            ready: index_is_ready,
            revision: index_revision,
            lag: catalogue_revision - index_revision,
        },
        scans: SystemScansReply { queued: scans_queued, running: scans_running },
        runs: SystemRunsReply { accepted: runs.accepted, running: runs.running },
        streams: SystemStreamsReply { open: streams.taken(), most: app.settings().http.streams },
        disks: disks.into_iter().map(disk).collect(),
        engine_problem: engine.as_ref().err().cloned(),
        engine: engine.ok().map(|facts| SystemEngineReply {
            name: facts.name,
            address: facts.address,
            platform: facts.platform,
            cpus: facts.cpus,
            memory: facts.memory,
        }),
    }))
}

/// The findings of `silo doctor`.
pub(super) async fn findings(RequestApp(app): RequestApp) -> Json<WholeListReply<SystemFindingReply>> {
    let reply = |DiagnosticFinding { about, verdict, text, advice }: DiagnosticFinding| SystemFindingReply {
        about: about.to_owned(),
        verdict: word_of(&verdict),
        text,
        advice,
    };
    Json(WholeListReply { items: examined(&app).await.into_iter().map(reply).collect() })
}

pub(super) async fn configuration(RequestApp(app): RequestApp) -> Json<WholeListReply<ConfiguredOptionReply>> {
    let reply =
        |ConfiguredOption { option, value, source }: ConfiguredOption| ConfiguredOptionReply { option, value, source };
    Json(WholeListReply { items: app.configuration().into_iter().map(reply).collect() })
}

/// The load of the last hour.
pub(super) async fn history(RequestApp(app): RequestApp) -> Json<LoadHistoryReply> {
    let reply = |sample: LoadSample| LoadSampleReply {
        at: sample.at,
        requests_per_second: sample.requests_per_second,
        search_seconds_p95: sample.search_p95,
        scan_requests_per_second: sample.scan_requests_per_second,
        runs_queued: sample.runs_queued,
    };
    let items = app.load_history().into_iter().map(reply).collect();
    Json(LoadHistoryReply { seconds: LOAD_INTERVAL.as_secs(), items })
}
