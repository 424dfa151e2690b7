//! Who sees what of the catalogue. Every request has an [`App`] of its own, which reads only what its user may see
//! ([`App::seen_by`]); tasks of the service have one that reads everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::names::check_name;
use super::{App, Error, Result, UserSession};
use crate::catalog::{
    CatalogueReader, CatalogueView, ClosedRegistry, RegistryId, RegistryMembers, RegistryVisibility, UserGroup, UserId,
    UserRole,
};
use crate::store::{MemberIds, Store};

/// How long the list of closed registries is kept. A change in this process is seen at once.
const KEPT: Duration = Duration::from_secs(1);

/// Most users of a group, and most members of a registry.
const MOST_MEMBERS: usize = 1000;

/// For whom an [`App`] reads, what that reader sees, and the store that has nothing else.
#[derive(Clone)]
pub(super) struct AppReader {
    pub reader: CatalogueReader,
    pub view: CatalogueView,
    pub store: Store,
}

impl AppReader {
    /// Everything.
    pub(super) fn whole(store: Store) -> Self {
        Self { reader: CatalogueReader::All, view: CatalogueView::whole(), store }
    }
}

/// The registries that not everybody sees, as read last.
#[derive(Default)]
pub(super) struct ClosedRegistryCache(Mutex<KeptClosedRegistries>);

#[derive(Default)]
struct KeptClosedRegistries {
    list: Option<Arc<[ClosedRegistry]>>,
    since: Option<Instant>,
    /// Incremented with each change, so that a list read before it is not kept after it.
    changes: u64,
}

impl ClosedRegistryCache {
    fn fresh(&self) -> (Option<Arc<[ClosedRegistry]>>, u64) {
        let kept = self.0.lock();
        let is_fresh = kept.since.is_some_and(|since| since.elapsed() < KEPT);
        (kept.list.clone().filter(|_| is_fresh), kept.changes)
    }

    fn keep(&self, list: Arc<[ClosedRegistry]>, changes: u64) {
        let mut kept = self.0.lock();
        if kept.changes == changes {
            (kept.list, kept.since) = (Some(list), Some(Instant::now()));
        }
    }

    /// The last list, however old, while the database is unreachable; it is asked again after a while.
    fn last(&self) -> Option<Arc<[ClosedRegistry]>> {
        let mut kept = self.0.lock();
        kept.since = Some(Instant::now());
        kept.list.clone()
    }

    fn changed(&self) {
        let mut kept = self.0.lock();
        kept.since = None;
        kept.changes += 1;
    }
}

/// A change of who sees a registry: `None` keeps a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryAccessChange {
    pub visibility: Option<RegistryVisibility>,
    /// Names of users that see it if it is private.
    pub members: Option<Vec<String>>,
    /// Names of groups that see it if it is private.
    pub groups: Option<Vec<String>>,
    /// Names of users who may scan it, change its schedule and credentials, and make its hook.
    pub maintainers: Option<Vec<String>>,
}

impl RegistryAccessChange {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The visibility with this name.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name.
pub fn visibility_named(word: &str) -> Result<RegistryVisibility> {
    let unknown = || Error::Invalid(format!("There is no visibility '{word}': give public, internal or private"));
    RegistryVisibility::parse(word).ok_or_else(unknown)
}

impl App {
    /// The store that has only what this reader sees.
    pub(super) fn store(&self) -> &Store {
        &self.1.store
    }

    /// What this reader sees.
    pub(super) fn view(&self) -> &CatalogueView {
        &self.1.view
    }

    /// The application for the user of a session, or for somebody without one: what they may not see does not exist.
    ///
    /// # Errors
    /// [`Error::StoreAway`] if it is unknown who may see what.
    pub async fn seen_by(&self, session: Option<&UserSession>) -> Result<App> {
        self.seen_by_reader(match session {
            None => CatalogueReader::Anonymous,
            Some(session) if session.user.role == UserRole::Admin => CatalogueReader::All,
            Some(session) => CatalogueReader::User(session.user.id),
        })
        .await
    }

    /// The application for the same reader, as of now.
    ///
    /// # Errors
    /// As [`App::seen_by`].
    pub async fn seen_now(&self) -> Result<App> {
        self.seen_by_reader(self.1.reader).await
    }

    async fn seen_by_reader(&self, reader: CatalogueReader) -> Result<App> {
        let closed = if reader == CatalogueReader::All { Arc::default() } else { self.closed_registries().await? };
        let has_private = closed.iter().any(|closed| closed.visibility == RegistryVisibility::Private);
        let memberships = match reader {
            CatalogueReader::User(user) if has_private => self.0.whole_store.registry_memberships(user).await?,
            _ => Vec::new(),
        };
        let view = CatalogueView::of(reader, &closed, &memberships);
        let store = self.0.whole_store.seen_by(&view);
        Ok(App(Arc::clone(&self.0), AppReader { reader, view, store }))
    }

    pub(super) async fn closed_registries(&self) -> Result<Arc<[ClosedRegistry]>> {
        let cache = &self.0.closed_registries;
        let (fresh, changes) = cache.fresh();
        if let Some(fresh) = fresh {
            return Ok(fresh);
        }
        match self.0.whole_store.registry_list_closed().await {
            Ok(list) => {
                let list: Arc<[ClosedRegistry]> = list.into();
                cache.keep(Arc::clone(&list), changes);
                Ok(list)
            }
            Err(why) => cache.last().ok_or_else(|| why.into()),
        }
    }

    /// Notes that the visibility of a registry changed, or that a registry was deleted.
    pub(super) fn visibility_changed(&self) {
        self.0.closed_registries.changed();
    }

    /// Whether the user of a session may scan a registry, change its schedule and credentials, and make its hook.
    pub async fn maintains(&self, session: &UserSession, registry: RegistryId) -> Result<bool> {
        if session.user.role == UserRole::Admin {
            return Ok(true);
        }
        let memberships = self.0.whole_store.registry_memberships(session.user.id).await?;
        Ok(memberships.iter().any(|membership| membership.registry == registry && membership.maintains))
    }

    /// Who sees and maintains each registry that has members.
    pub(super) async fn registry_members(&self) -> Result<std::collections::HashMap<RegistryId, RegistryMembers>> {
        Ok(self.store().registry_members().await?)
    }

    /// Changes who sees and maintains a registry. Searches see it at once.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for an unknown user or group.
    pub(super) async fn registry_change_access(&self, id: RegistryId, change: &RegistryAccessChange) -> Result<()> {
        let registry = self.registry_get(id).await?;
        let old = self.registry_members().await?.remove(&id).unwrap_or_default();
        let members = RegistryMembers {
            users: change.members.clone().unwrap_or_else(|| old.users.clone()),
            groups: change.groups.clone().unwrap_or_else(|| old.groups.clone()),
            maintainers: change.maintainers.clone().unwrap_or_else(|| old.maintainers.clone()),
        };
        // Members first: a registry that becomes private is never without them.
        if members != old {
            self.0.whole_store.registry_set_members(id, &self.member_ids(&members).await?).await?;
            tracing::info!(registry = registry.name, ?members, "the registry's members changed");
        }
        match change.visibility {
            Some(visibility) if visibility != registry.visibility => {
                self.0.whole_store.registry_set_visibility(id, visibility, self.0.clock.now()).await?;
                self.visibility_changed();
                tracing::info!(registry = registry.name, visibility = visibility.as_str(), "visibility changed");
                self.index_bring_up_to_date().await
            }
            _ => Ok(()),
        }
    }

    /// Checks the members of a registry that is still to be added.
    pub(super) async fn member_ids(&self, members: &RegistryMembers) -> Result<MemberIds> {
        let known = self.group_list().await?;
        if let Some(unknown) = members.groups.iter().find(|name| known.iter().all(|group| group.name != **name)) {
            return Err(Error::Invalid(format!("There is no group '{unknown}'; create it first")));
        }
        Ok(MemberIds {
            users: self.user_ids(&members.users).await?,
            groups: members.groups.clone(),
            maintainers: self.user_ids(&members.maintainers).await?,
        })
    }

    async fn user_ids(&self, names: &[String]) -> Result<Vec<UserId>> {
        if names.len() > MOST_MEMBERS {
            return Err(Error::Invalid(format!("There are more than {MOST_MEMBERS} users; make groups of them")));
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let known: BTreeMap<String, UserId> =
            self.0.whole_store.user_list().await?.into_iter().map(|user| (user.username, user.id)).collect();
        let id = |name: &String| {
            known.get(name).copied().ok_or_else(|| Error::Invalid(format!("There is no user '{name}'")))
        };
        names.iter().map(id).collect()
    }

    /// All groups of users, by name.
    pub async fn group_list(&self) -> Result<Vec<UserGroup>> {
        Ok(self.0.whole_store.group_list().await?)
    }

    /// Creates a group, or replaces its users.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable name or an unknown user.
    pub async fn group_put(&self, group: &UserGroup) -> Result<()> {
        check_name("name of a group", &group.name)?;
        let users = self.user_ids(&group.users).await?;
        self.0.whole_store.group_put(&group.name, &users).await?;
        tracing::info!(group = group.name, users = ?group.users, "group changed");
        Ok(())
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn group_delete(&self, name: &str) -> Result<()> {
        if !self.0.whole_store.group_delete(name).await? {
            return Err(Error::NotFound("No group found with that name".to_owned()));
        }
        tracing::info!(group = name, "group deleted");
        Ok(())
    }

    /// Whether an image reference is of a registry that this reader does not see. The container engine may have such an
    /// image from a run of somebody else.
    pub(super) async fn is_of_hidden_registry(&self, reference: &str) -> Result<bool> {
        if self.view().is_whole() {
            return Ok(false);
        }
        let host = reference.split('/').next().unwrap_or_default();
        let registries = self.0.whole_store.registry_list().await?;
        let mut of_host = registries.iter().filter(|registry| registry.host == host);
        Ok(of_host.any(|registry| self.view().hidden().contains(&registry.id)))
    }

    /// A text that changes whenever what this reader sees of the images may have changed, for caches of clients.
    pub(super) async fn images_tag(&self) -> Result<String> {
        if self.view().is_whole() {
            return Ok(self.0.index.revision().to_string());
        }
        // The revision of the catalogue would tell of changes that this reader does not see.
        let (revision, count) = self.store().image_state().await?;
        let reader = match self.1.reader {
            CatalogueReader::User(user) => format!("{user}-"),
            CatalogueReader::Anonymous | CatalogueReader::All => String::new(),
        };
        Ok(format!("{reader}{revision}-{count}"))
    }
}
