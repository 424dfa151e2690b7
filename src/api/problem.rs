//! Errors: problem documents (RFC 9457).

use serde::{Deserialize, Serialize};

use super::WireWord;

/// Why a request failed. Proxies write problem documents, too, so only `detail` is needed to read one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemReply {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type", default)]
    pub kind: WireWord,
    /// Reason phrase of the status.
    #[serde(default)]
    pub title: WireWord,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// For people: what was wrong, and what to do.
    pub detail: String,
    /// Under which the server's log has more.
    #[serde(default)]
    pub request_id: String,
    /// Of a run that cannot be planned: everything that is wrong with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<Vec<PlanProblemReply>>,
}

/// A reason why a job cannot run as requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanProblemReply {
    /// Stable, such as `missing`.
    pub code: WireWord,
    /// The input, setting, mount or resource, or another part of the request.
    pub subject: String,
    /// A sentence: what is wrong.
    pub message: String,
    /// A sentence: how to fix it; may be empty.
    pub help: String,
}
