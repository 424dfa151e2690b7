//! Harbor 2.

use super::super::api::Api;
use super::super::{Listing, Result, Tag};

/// All repositories, or those of a project.
pub(super) async fn repositories(_api: &Api, _org: &str) -> Result<Listing<String>> {
    todo!()
}

/// The tags of a repository with their digests.
pub(super) async fn tags(_api: &Api, _repository: &str) -> Result<Listing<Tag>> {
    todo!()
}
