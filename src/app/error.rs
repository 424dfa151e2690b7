//! What a use case can fail with. Doors map it: HTTP to a status, the command line to an exit code.

use chrono::TimeDelta;

use crate::catalog::Role;
use crate::engine::plan::PlanProblem;
use crate::{registry, search, store};

pub type Result<T> = std::result::Result<T, Error>;

/// Why a use case failed. Every text but [`Error::Internal`]'s is for the caller: the thing, the reason, the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense as it stands.
    #[error("{0}")]
    Invalid(String),
    /// The body is not what the address takes.
    #[error("{0}")]
    Unprocessable(String),
    /// The body or the address is too long.
    #[error("{0}")]
    TooLarge(String),
    /// The body is compressed in a way that we do not undo.
    #[error("The body's Content-Encoding is not known here; send it as it is, or with gzip")]
    UnsupportedCoding,
    /// A unique name is taken.
    #[error("{0}")]
    Duplicate(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The address is known, but not for this method.
    #[error("this address does not take that method")]
    MethodNotAllowed,
    /// No token, or not one of ours.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The token's user may not do this.
    #[error("User does not have permission to perform this action")]
    Forbidden { user: String, role: Role, needed: Role },
    /// Too much of something, in words; the wait until the next try.
    #[error("{what}; try again in {} seconds", .wait.num_seconds().max(1))]
    Throttled { what: &'static str, wait: TimeDelta },
    /// It would leave the service without somebody to rule it.
    #[error("{0}")]
    Conflict(String),
    /// A registry did not do its part.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The request took too long, or the service stops.
    #[error("{0}")]
    Unavailable(String),
    /// A job cannot be run as it was asked for: everything that is in the way.
    #[error("The job cannot be run so. {}", sentences(.0))]
    Unrunnable(Vec<PlanProblem>),
    /// Somebody else does it now.
    #[error("another process has taken it over")]
    LeaseLost,
    /// The database cannot be asked now; later it can. The text is for the log, as that of [`Error::Internal`].
    #[error("{0}")]
    StoreAway(String),
    /// There is nothing to search in yet.
    #[error("the search index is being built: {}; try again in {} seconds", .0, .0.wait())]
    Building(search::Building),
    /// Our fault, or the machine's. The text is for the log, never for a caller.
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
        Error::Internal(format!("a piece of work ended badly: {why}"))
    }
}
