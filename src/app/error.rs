//! Errors of use cases. Callers map them: HTTP to a status, the command line to an exit code.

use chrono::TimeDelta;

use crate::catalog::UserRole;
use crate::engine::plan::PlanProblem;
use crate::{registry, search, store};

pub type Result<T> = std::result::Result<T, Error>;

/// Why a use case failed. Every text except [`Error::Internal`]'s is for the caller: the thing, the reason, the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The body is not what the route expects.
    #[error("{0}")]
    Unprocessable(String),
    /// The body or the URL is too long.
    #[error("{0}")]
    TooLarge(String),
    /// The body has an unsupported `Content-Encoding`.
    #[error("The body's Content-Encoding is not supported; send the body unencoded or with gzip")]
    UnsupportedCoding,
    /// A unique name is taken.
    #[error("{0}")]
    Duplicate(String),
    /// The resource does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The path exists, but not for this method.
    #[error("this address does not support that method")]
    MethodNotAllowed,
    /// The token is missing or invalid.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The token's user lacks the role.
    #[error("User does not have permission to perform this action")]
    Forbidden { user: String, role: UserRole, needed: UserRole },
    /// The request was not sent by a page of ours, though a browser's cookie came with it.
    #[error("{0}")]
    ForeignOrigin(&'static str),
    /// A rate limit is exceeded: which, and the wait until the next attempt.
    #[error("{what}; try again in {} seconds", .wait.num_seconds().max(1))]
    Throttled { what: &'static str, wait: TimeDelta },
    /// The request conflicts with the current state, as deleting the last admin does.
    #[error("{0}")]
    Conflict(String),
    /// A registry failed, or refused a request.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A timeout, a full queue, or a missing resource such as the container engine; also while the service stops.
    #[error("{0}")]
    Unavailable(String),
    /// A job cannot be run as requested: all problems.
    #[error("The job cannot be run. {}", sentences(.0))]
    Unrunnable(Vec<PlanProblem>),
    /// Another process holds the lease now.
    #[error("another process has taken it over")]
    LeaseLost,
    /// The database is unreachable for now. The text is for the log, as that of [`Error::Internal`].
    #[error("{0}")]
    StoreAway(String),
    /// The search index is still being built.
    #[error("the search index is being built: {}; try again in {} seconds", .0, .0.wait())]
    Building(search::IndexBuildStatus),
    /// A fault of this program or this machine. The text is for the log, never for a caller.
    #[error("{0}")]
    Internal(String),
}

fn sentences(problems: &[PlanProblem]) -> String {
    problems.iter().map(|problem| problem.to_string().trim_end().to_owned()).collect::<Vec<_>>().join(" ")
}

impl From<store::Error> for Error {
    fn from(why: store::Error) -> Self {
        match why {
            store::Error::LastAdmin => {
                Error::Conflict("The last admin cannot be deleted; add another admin first".to_owned())
            }
            store::Error::LeaseLost => Error::LeaseLost,
            why @ store::Error::Away(_) => Error::StoreAway(why.to_string()),
            store::Error::Duplicate(what) => Error::Duplicate(format!("{what} exists already")),
            other => Error::Internal(other.to_string()),
        }
    }
}

impl From<search::Error> for Error {
    fn from(why: search::Error) -> Self {
        match why {
            search::Error::Query(text) => Error::Invalid(text),
            search::Error::Index(text) => Error::Internal(text),
            search::Error::Building(progress) => Error::Building(progress),
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(why: tokio::task::JoinError) -> Self {
        Error::Internal(format!("a background task failed: {why}"))
    }
}
