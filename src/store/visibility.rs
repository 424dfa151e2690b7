//! Who sees which registry: visibility, members, maintainers, and groups of users.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::catalogue_row::{catalogue_lock, catalogue_set_revision};
use super::columns::row;
use super::db::{RowLock, WriteTransaction, bulk, sql};
use super::{Result, Store, origins};
use crate::catalog::{
    ClosedRegistry, RegistryId, RegistryMembers, RegistryMembership, RegistryVisibility, UserGroup, UserId,
};

row!(ClosedRegistry { id, visibility });
row!(RegistryMembership { registry = "registry_id", maintains });

/// The members of a registry by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberIds {
    pub users: Vec<UserId>,
    /// Names.
    pub groups: Vec<String>,
    pub maintainers: Vec<UserId>,
}

impl Store {
    /// The registries that not everybody sees, deleted ones too.
    pub async fn registry_list_closed(&self) -> Result<Vec<ClosedRegistry>> {
        sql("SELECT id, visibility FROM registries WHERE visibility <> 'public'
             UNION ALL SELECT id, 'private' FROM closed_registries ORDER BY id")
        .all(&self.db)
        .await
    }

    /// The registries that a user is a member of, also through a group, or maintains.
    pub async fn registry_memberships(&self, user: UserId) -> Result<Vec<RegistryMembership>> {
        sql("SELECT registry_id, maintains FROM registry_users WHERE user_id = $1
             UNION ALL SELECT g.registry_id, $2 FROM registry_groups g JOIN group_users u ON u.group_name = g.group_name
             WHERE u.user_id = $1")
        .bind(user)
        .bind(false)
        .all(&self.db)
        .await
    }

    /// The members of each registry that has any.
    pub async fn registry_members(&self) -> Result<HashMap<RegistryId, RegistryMembers>> {
        let mut members: HashMap<RegistryId, RegistryMembers> = HashMap::new();
        let users: Vec<(i64, String, bool)> = sql("SELECT m.registry_id, u.username, m.maintains
             FROM registry_users m JOIN users u ON u.id = m.user_id ORDER BY u.username")
        .all(&self.db)
        .await?;
        for (registry, name, maintains) in users {
            let of = members.entry(RegistryId(registry)).or_default();
            if maintains { of.maintainers.push(name) } else { of.users.push(name) }
        }
        let groups: Vec<(i64, String)> =
            sql("SELECT registry_id, group_name FROM registry_groups ORDER BY group_name").all(&self.db).await?;
        for (registry, name) in groups {
            members.entry(RegistryId(registry)).or_default().groups.push(name);
        }
        Ok(members)
    }

    /// Replaces the members of a registry. A user who is both is stored as a maintainer.
    pub async fn registry_set_members(&self, id: RegistryId, members: &MemberIds) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = set_members(&mut tx, id, members).await;
        tx.end(outcome).await
    }

    /// Changes who sees a registry. Its origins are grouped anew, because a closed registry has groups of its own, and
    /// the images get a new revision. `false`: no such registry.
    pub async fn registry_set_visibility(
        &self,
        id: RegistryId,
        visibility: RegistryVisibility,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = set_visibility(&mut tx, id, visibility, now, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }

    /// All groups of users, by name.
    pub async fn group_list(&self) -> Result<Vec<UserGroup>> {
        let rows: Vec<(String, Option<String>)> = sql("SELECT g.name, u.username FROM user_groups g
             LEFT JOIN group_users m ON m.group_name = g.name LEFT JOIN users u ON u.id = m.user_id
             ORDER BY g.name, u.username")
        .all(&self.db)
        .await?;
        let mut groups: Vec<UserGroup> = Vec::new();
        for (name, user) in rows {
            if groups.last().is_none_or(|last| last.name != name) {
                groups.push(UserGroup { name, users: Vec::new() });
            }
            if let Some(last) = groups.last_mut() {
                last.users.extend(user);
            }
        }
        Ok(groups)
    }

    /// Creates a group, or replaces its users.
    pub async fn group_put(&self, name: &str, users: &[UserId]) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = put_group(&mut tx, name, users).await;
        tx.end(outcome).await
    }

    /// Deletes a group; its users are no longer members of registries through it. `false`: no such group.
    pub async fn group_delete(&self, name: &str) -> Result<bool> {
        sql("DELETE FROM user_groups WHERE name = $1").bind(name).execute(&self.db).await.map(|found| found > 0)
    }
}

async fn set_members(tx: &mut WriteTransaction, id: RegistryId, members: &MemberIds) -> Result<()> {
    sql("DELETE FROM registry_users WHERE registry_id = $1").bind(id).execute(&mut *tx).await?;
    sql("DELETE FROM registry_groups WHERE registry_id = $1").bind(id).execute(&mut *tx).await?;
    let maintainers = members.maintainers.iter().map(|user| [id.into(), (*user).into(), true.into()]);
    let users = members.users.iter().map(|user| [id.into(), (*user).into(), false.into()]);
    for rows in [maintainers.collect::<Vec<_>>(), users.collect()] {
        bulk("INSERT INTO registry_users (registry_id, user_id, maintains)", rows, "ON CONFLICT DO NOTHING")
            .execute(&mut *tx)
            .await?;
    }
    let groups = members.groups.iter().map(|group| [id.into(), group.into()]);
    bulk("INSERT INTO registry_groups (registry_id, group_name)", groups, "ON CONFLICT DO NOTHING")
        .execute(tx)
        .await
        .map(drop)
}

async fn set_visibility(
    tx: &mut WriteTransaction,
    id: RegistryId,
    visibility: RegistryVisibility,
    now: DateTime<Utc>,
    lock: &str,
) -> Result<bool> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    let found = sql("UPDATE registries SET visibility = $1 WHERE id = $2").bind(visibility).bind(id);
    if found.execute(&mut *tx).await? == 0 {
        return Ok(false);
    }
    origins::regroup(tx, id, revision, now).await?;
    catalogue_set_revision(tx, revision).await.map(|()| true)
}

async fn put_group(tx: &mut WriteTransaction, name: &str, users: &[UserId]) -> Result<()> {
    sql("INSERT INTO user_groups (name) VALUES ($1) ON CONFLICT DO NOTHING").bind(name).execute(&mut *tx).await?;
    sql("DELETE FROM group_users WHERE group_name = $1").bind(name).execute(&mut *tx).await?;
    let rows = users.iter().map(|user| [name.into(), (*user).into()]);
    bulk("INSERT INTO group_users (group_name, user_id)", rows, "ON CONFLICT DO NOTHING").execute(tx).await.map(drop)
}
