//! Authentication of requests: challenges, bearer tokens, AWS signatures.

pub(super) mod aws;
pub(super) mod challenge;
pub(super) mod header_reader;
pub(super) mod token;
