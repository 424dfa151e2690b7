//! Who sees a registry, and what a request sees of the catalogue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{RegistryId, UserId};

/// Who sees a registry and all that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryVisibility {
    /// Everybody.
    #[default]
    Public,
    /// Users who are logged in.
    Internal,
    /// Its members and maintainers, and admins.
    Private,
}

impl RegistryVisibility {
    pub const ALL: [Self; 3] = [Self::Public, Self::Internal, Self::Private];

    /// The word used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Private => "private",
        }
    }

    /// Parses the word; `None` if it is unknown.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|visibility| visibility.as_str() == word)
    }
}

/// The users and groups that see a private registry, and the users who maintain it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryMembers {
    /// Names of users, in order.
    pub users: Vec<String>,
    /// Names of groups, in order.
    pub groups: Vec<String>,
    /// Names of users who may scan it, change its schedule and credentials, and make its hook, in order. They see it
    /// too.
    pub maintainers: Vec<String>,
}

/// Users under a name, to make them members of registries together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserGroup {
    pub name: String,
    /// Names of users, in order.
    pub users: Vec<String>,
}

/// A registry that not everybody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedRegistry {
    pub id: RegistryId,
    /// Of a deleted one, [`RegistryVisibility::Private`]: its events are still stored.
    pub visibility: RegistryVisibility,
}

/// What a user may do with a registry because of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryMembership {
    pub registry: RegistryId,
    pub maintains: bool,
}

/// For whom the catalogue is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueReader {
    /// Somebody without a session.
    Anonymous,
    User(UserId),
    /// An admin, or a task of the service.
    All,
}

/// What a request sees of the catalogue: all of it but some registries. What it does not see does not exist for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueView {
    hidden: Arc<BTreeSet<RegistryId>>,
}

impl CatalogueView {
    /// The whole catalogue.
    pub fn whole() -> Self {
        Self::default()
    }

    /// What a reader sees, with these memberships.
    pub fn of(reader: CatalogueReader, closed: &[ClosedRegistry], memberships: &[RegistryMembership]) -> Self {
        let is_hidden = |closed: &&ClosedRegistry| match reader {
            CatalogueReader::All => false,
            CatalogueReader::Anonymous => closed.visibility != RegistryVisibility::Public,
            CatalogueReader::User(_) => {
                closed.visibility == RegistryVisibility::Private
                    && !memberships.iter().any(|membership| membership.registry == closed.id)
            }
        };
        Self { hidden: Arc::new(closed.iter().filter(is_hidden).map(|closed| closed.id).collect()) }
    }

    pub fn is_whole(&self) -> bool {
        self.hidden.is_empty()
    }

    /// The registries that do not exist for it, by id.
    pub fn hidden(&self) -> &BTreeSet<RegistryId> {
        &self.hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_hides_what_its_reader_may_not_see() {
        let closed = |id, visibility| ClosedRegistry { id: RegistryId(id), visibility };
        let all = [closed(1, RegistryVisibility::Internal), closed(2, RegistryVisibility::Private)];
        let member = [RegistryMembership { registry: RegistryId(2), maintains: false }];
        let hidden = |reader, memberships: &[RegistryMembership]| {
            let view = CatalogueView::of(reader, &all, memberships);
            view.hidden().iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(hidden(CatalogueReader::Anonymous, &[]), [1, 2]);
        assert_eq!(hidden(CatalogueReader::User(UserId(7)), &[]), [2]);
        assert!(hidden(CatalogueReader::User(UserId(7)), &member).is_empty());
        assert!(hidden(CatalogueReader::All, &[]).is_empty());
    }
}
