//! Amazon's Elastic Container Registry, `{account}.dkr.ecr.{region}.amazonaws.com`, and public.ecr.aws.
//!
//! It is asked by the distribution API alone: Basic, user `AWS`, and a token as password, which the admin gets by
//! `aws ecr get-login-password` and which lives 12 hours. ECR's own interface would save requests, but wants each signed
//! (SigV4), which is not done here. What is of its own are the words for what an old token looks like.

use super::super::{Error, Result};

/// Says what usually helps when ECR refuses something. It answers 403 to a token that ended, without a challenge; that
/// is a wrong password, and ends a scan.
pub(super) fn explain<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|why| match why {
        Error::WrongPassword(text) => Error::WrongPassword(with_advice(&text)),
        Error::Forbidden(text) if text.to_ascii_lowercase().contains("token has expired") => {
            Error::WrongPassword(with_advice(&text))
        }
        Error::Forbidden(text) => Error::Forbidden(with_advice(&text)),
        Error::LoginRequired(text) => Error::LoginRequired(with_advice(&text)),
        other => other,
    })
}

fn with_advice(text: &str) -> String {
    format!(
        "{text}; a token of ECR lives 12 hours: log in as AWS, with what `aws ecr get-login-password` prints (for public.ecr.aws `aws ecr-public get-login-password`)"
    )
}
