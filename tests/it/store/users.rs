//! Users and sessions.

use chrono::{DateTime, Utc};
use silo::catalog::{ListPage, NameOrder, SessionKind, SessionRecord, UserAccount, UserFilter, UserId, UserRole};
use silo::store::{Error, Store};

use super::both;
use super::fixture::at;

/// A session that began at 0.
fn session(jti: &str, until: i64) -> SessionRecord {
    SessionRecord {
        id: jti.to_owned(),
        name: String::new(),
        kind: SessionKind::Token,
        created_at: at(0),
        last_used_at: at(0),
        expires_at: at(until),
        address: "192.0.2.1".to_owned(),
        agent: "test/1".to_owned(),
    }
}

/// The user of a session.
async fn user_of(store: &Store, jti: &str, now: DateTime<Utc>) -> Option<UserAccount> {
    store.session_user(jti, now).await.unwrap().map(|found| found.user)
}

both!(a_user_comes_back_as_it_went_in, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    let bob = store.user_insert("bob", "hush", UserRole::User, at(2)).await.unwrap();
    assert_eq!((ada.username.as_str(), ada.role, ada.created_at), ("ada", UserRole::Admin, at(1)));
    assert_eq!(store.user_list().await.unwrap(), [ada.clone(), bob.clone()]);
    let page = ListPage { order: NameOrder::Name, is_descending: true, after: None, limit: 5 };
    assert_eq!(store.user_page(&UserFilter::default(), &page).await.unwrap(), [bob.clone(), ada.clone()]);
    let admins = UserFilter { role: Some(UserRole::Admin) };
    assert_eq!(store.user_page(&admins, &page).await.unwrap(), std::slice::from_ref(&ada));
    assert_eq!(store.user_get(bob.id).await.unwrap(), Some(bob.clone()));
    assert_eq!(store.user_by_name("bob").await.unwrap(), Some((bob, "hush".to_owned())));
    assert_eq!(store.user_by_name("Ada").await.unwrap(), None, "names differ by case");
    assert_eq!(store.user_get(UserId(99)).await.unwrap(), None);
});

both!(a_taken_user_name_is_a_duplicate, |store| {
    store.user_insert("ada", "hash", UserRole::User, at(1)).await.unwrap();
    let error = store.user_insert("ada", "other", UserRole::Admin, at(2)).await.unwrap_err();
    assert!(matches!(error, Error::Duplicate("user")), "{error:?}");
    assert_eq!(store.user_list().await.unwrap().len(), 1);
});

both!(a_nul_in_a_text_is_replaced, |store| {
    let user = store.user_insert("a\0b", "hash", UserRole::User, at(1)).await.unwrap();
    assert_eq!(user.username, "a\u{FFFD}b");
});

both!(the_last_admin_stays, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(1)).await.unwrap();
    assert!(matches!(store.user_delete(ada.id).await, Err(Error::LastAdmin)));
    assert!(store.user_delete(bob.id).await.unwrap());
    assert!(!store.user_delete(bob.id).await.unwrap(), "gone already");
    assert_eq!(store.user_list().await.unwrap(), [ada]);
});

both!(a_role_changes_and_ends_the_sessions, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(1)).await.unwrap();
    for (jti, user) in [("a", &ada), ("b", &bob)] {
        store.session_insert(user.id, &session(jti, 10)).await.unwrap();
    }
    assert!(matches!(store.user_set_role(ada.id, UserRole::Runner).await, Err(Error::LastAdmin)));
    assert!(store.user_set_role(ada.id, UserRole::Admin).await.unwrap(), "stays one");
    assert_eq!(user_of(&store, "a", at(2)).await, None);
    assert!(store.user_set_role(bob.id, UserRole::Admin).await.unwrap());
    assert_eq!(user_of(&store, "b", at(2)).await, None);
    assert!(store.user_set_role(ada.id, UserRole::User).await.unwrap(), "there is another admin now");
    assert!(!store.user_set_role(UserId(99), UserRole::User).await.unwrap());
    let roles: Vec<UserRole> = store.user_list().await.unwrap().into_iter().map(|user| user.role).collect();
    assert_eq!(roles, [UserRole::User, UserRole::Admin]);
});

both!(what_is_known_of_logins_is_told, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(1)).await.unwrap();
    for (jti, until) in [("a", 10), ("b", 20)] {
        store.session_insert(ada.id, &session(jti, until)).await.unwrap();
    }
    store.login_network_keep(ada.id, "192.0.2.0/24", at(3)).await.unwrap();
    store.login_network_keep(ada.id, "198.51.100.0/24", at(5)).await.unwrap();
    let mut found = store.user_overviews(&[ada.id, bob.id], at(15)).await.unwrap();
    found.sort_by_key(|one| one.user.id);
    let facts: Vec<_> = found.into_iter().map(|one| (one.user, one.last_login_at, one.sessions)).collect();
    assert_eq!(facts, [(ada, Some(at(5)), 1), (bob, None, 0)]);
    assert_eq!(store.user_overviews(&[], at(15)).await.unwrap(), []);
});

both!(of_two_admins_deleted_at_once_one_stays, |store| {
    for round in 0..10 {
        let mut admins = store.user_list().await.unwrap();
        while admins.len() < 2 {
            let name = format!("admin-{round}-{}", admins.len());
            admins.push(store.user_insert(&name, "hash", UserRole::Admin, at(1)).await.unwrap());
        }
        let (first, second) = tokio::join!(
            tokio::spawn({
                let (store, id) = (store.clone(), admins[0].id);
                async move { store.user_delete(id).await }
            }),
            tokio::spawn({
                let (store, id) = (store.clone(), admins[1].id);
                async move { store.user_delete(id).await }
            })
        );
        let outcomes = [first.unwrap(), second.unwrap()];
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Ok(true))).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::LastAdmin))).count(), 1);
        assert_eq!(store.user_list().await.unwrap().len(), 1);
    }
});

both!(a_session_ends_by_time_by_hand_and_with_its_user, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(0)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(0)).await.unwrap();
    for (jti, user, until) in [("a", &ada, 10), ("b", &bob, 20), ("c", &bob, 30)] {
        store.session_insert(user.id, &session(jti, until)).await.unwrap();
    }
    assert_eq!(user_of(&store, "a", at(9)).await, Some(ada));
    assert_eq!(user_of(&store, "a", at(10)).await, None, "expired");
    assert_eq!(user_of(&store, "z", at(0)).await, None, "never was");
    assert_eq!(store.session_prune(at(10), at(99)).await.unwrap(), 1);
    assert!(user_of(&store, "c", at(25)).await.is_some());
    assert_eq!(store.session_prune(at(10), at(22)).await.unwrap(), 0);
    assert_eq!(user_of(&store, "c", at(25)).await, None, "none lasts longer than one that is made now");
    assert!(store.session_delete("b").await.unwrap());
    assert!(!store.session_delete("b").await.unwrap());
    assert_eq!(user_of(&store, "c", at(0)).await, Some(bob.clone()));
    store.user_delete(bob.id).await.unwrap();
    assert_eq!(user_of(&store, "c", at(0)).await, None);
});

both!(a_user_sees_and_ends_the_own_sessions, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(0)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(0)).await.unwrap();
    let page = SessionRecord { kind: SessionKind::Page, name: "kiosk".into(), ..session("page", 10) };
    let used = SessionRecord { last_used_at: at(5), ..session("used", 20) };
    for one in [&page, &used, &session("over", 3)] {
        store.session_insert(ada.id, one).await.unwrap();
    }
    store.session_insert(bob.id, &session("other", 20)).await.unwrap();
    assert_eq!(store.session_list(ada.id, at(4), 9).await.unwrap(), [used.clone(), page.clone()]);
    assert_eq!(store.session_list(ada.id, at(4), 1).await.unwrap(), std::slice::from_ref(&used));

    store.session_touch("page", at(6), Some(at(30))).await.unwrap();
    store.session_touch("used", at(5), None).await.unwrap();
    let touched = SessionRecord { last_used_at: at(6), expires_at: at(30), ..page };
    assert_eq!(store.session_list(ada.id, at(4), 9).await.unwrap(), [touched, used]);
    let found = store.session_user("page", at(25)).await.unwrap().unwrap();
    assert_eq!((found.user.id, found.kind, found.last_used_at), (ada.id, SessionKind::Page, at(6)));

    assert!(!store.session_delete_own(bob.id, "page").await.unwrap(), "it is not bob's");
    assert!(store.session_delete_own(ada.id, "page").await.unwrap());
    assert!(!store.session_delete_own(ada.id, "page").await.unwrap(), "gone already");
    assert_eq!(store.session_delete_all(ada.id).await.unwrap(), 2);
    assert_eq!(user_of(&store, "used", at(1)).await, None);
    assert_eq!(user_of(&store, "other", at(1)).await, Some(bob));
});

both!(a_new_password_ends_sessions_when_asked, |store| {
    let bob = store.user_insert("bob", "old", UserRole::User, at(0)).await.unwrap();
    store.session_insert(bob.id, &session("s", 10)).await.unwrap();
    assert!(store.user_set_password(bob.id, "new", Some("s")).await.unwrap());
    assert!(user_of(&store, "s", at(0)).await.is_some());
    assert_eq!(store.user_by_name("bob").await.unwrap().unwrap().1, "new");
    assert!(store.user_set_password(bob.id, "newer", None).await.unwrap());
    assert!(user_of(&store, "s", at(0)).await.is_none());
    assert!(!store.user_set_password(UserId(99), "x", None).await.unwrap());
});

both!(networks_of_logins_are_remembered_up_to_a_bound, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::Admin, at(0)).await.unwrap();
    let bob = store.user_insert("bob", "hash", UserRole::User, at(0)).await.unwrap();
    let is_known = async |name: &str, network: &str| {
        let account = store.login_account(name, network).await.unwrap().unwrap();
        assert_eq!((account.user.username.as_str(), account.password_hash.as_str()), (name, "hash"));
        account.network_is_known
    };
    assert!(!is_known("ada", "192.0.2.1").await);
    store.login_network_keep(ada.id, "192.0.2.1", at(1)).await.unwrap();
    store.login_network_keep(ada.id, "192.0.2.1", at(100)).await.unwrap();
    assert!(is_known("ada", "192.0.2.1").await);
    assert!(!is_known("ada", "192.0.2.2").await && !is_known("bob", "192.0.2.1").await);
    assert_eq!(store.login_account("eve", "192.0.2.1").await.unwrap(), None);
    for number in 0..60 {
        store.login_network_keep(bob.id, &format!("10.0.0.{number}"), at(number)).await.unwrap();
    }
    assert!(!is_known("bob", "10.0.0.9").await && is_known("bob", "10.0.0.10").await, "the last fifty");
    assert_eq!(store.login_network_prune(at(20)).await.unwrap(), 10);
    assert!(
        !is_known("bob", "10.0.0.19").await && is_known("bob", "10.0.0.20").await && is_known("ada", "192.0.2.1").await
    );
    store.user_delete(bob.id).await.unwrap();
    assert_eq!(store.login_network_prune(at(1000)).await.unwrap(), 1, "they go with their user");
});
