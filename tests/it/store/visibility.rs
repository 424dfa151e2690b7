//! Who sees which registry, and what a store that is restricted to a view reads.

use silo::catalog::{
    CatalogueReader, CatalogueView, RegistryId, RegistryMembers, RegistryMembership, RegistryVisibility, UserGroup,
    UserRole,
};
use silo::store::MemberIds;

use super::both;
use super::fixture::{at, new_registry, registry};

both!(members_come_back_as_they_went_in, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::User, at(1)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(1)).await.unwrap();
    let hub = registry(&store, "hub").await;
    assert_eq!(hub.visibility, RegistryVisibility::Public);
    store.group_put("team", &[bob.id, ada.id]).await.unwrap();
    let team = UserGroup { name: "team".into(), users: vec!["ada".into(), "bob".into()] };
    assert_eq!(store.group_list().await.unwrap(), [team]);
    let ids = MemberIds { users: vec![ada.id, bob.id], groups: vec!["team".into()], maintainers: vec![bob.id] };
    store.registry_set_members(hub.id, &ids).await.unwrap();
    let members = store.registry_members().await.unwrap().remove(&hub.id);
    let expected =
        RegistryMembers { users: vec!["ada".into()], groups: vec!["team".into()], maintainers: vec!["bob".into()] };
    assert_eq!(members, Some(expected), "a maintainer is no plain member");
    let of = |maintains| RegistryMembership { registry: hub.id, maintains };
    assert_eq!(store.registry_memberships(bob.id).await.unwrap(), [of(true), of(false)]);
    assert!(store.group_delete("team").await.unwrap());
    assert!(!store.group_delete("team").await.unwrap());
    assert_eq!(store.registry_memberships(bob.id).await.unwrap(), [of(true)]);
    store.registry_set_members(hub.id, &MemberIds::default()).await.unwrap();
    assert!(store.registry_members().await.unwrap().is_empty());
});

both!(a_deleted_registry_stays_closed, |store| {
    let open = registry(&store, "open").await;
    let new = silo::catalog::NewRegistry { visibility: RegistryVisibility::Private, ..new_registry("closed") };
    let closed = store.registry_insert(&new, &Default::default(), at(0)).await.unwrap();
    let listed = async || -> Vec<RegistryId> {
        store.registry_list_closed().await.unwrap().into_iter().map(|closed| closed.id).collect()
    };
    assert_eq!(listed().await, [closed.id]);
    let view = CatalogueView::of(CatalogueReader::Anonymous, &store.registry_list_closed().await.unwrap(), &[]);
    let seen = store.seen_by(&view);
    assert_eq!(seen.registry_list().await.unwrap(), std::slice::from_ref(&open));
    assert_eq!(seen.registry_get(closed.id).await.unwrap(), None);
    assert_eq!(seen.image_state().await.unwrap(), (0, 0));
    assert_eq!(store.registry_list().await.unwrap().len(), 2);
    store.registry_delete(closed.id, at(1)).await.unwrap();
    assert_eq!(listed().await, [closed.id]);
    assert!(store.registry_set_visibility(open.id, RegistryVisibility::Internal, at(2)).await.unwrap());
    assert_eq!(listed().await, [open.id, closed.id]);
    assert!(!store.registry_set_visibility(RegistryId(99), RegistryVisibility::Internal, at(2)).await.unwrap());
    store.registry_delete(open.id, at(3)).await.unwrap();
});
