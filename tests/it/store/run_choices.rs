//! What a form of a run offers: the user's uploads, and the records of runs with outputs.

use chrono::{DateTime, Utc};
use silo::catalog::{RunStatus, UploadedFile, UserId};
use silo::store::{RunState, UploadPosition};

use super::both;
use super::fixture::at;
use super::runs::{claim, id, insert, run, state};

both!(uploads_are_listed_newest_first_and_page_by_page, |store| {
    let upload = |sha256: &str, owner: i64, now: i64| UploadedFile {
        sha256: sha256.into(),
        owner_id: UserId(owner),
        name: format!("{sha256}.tif"),
        size: 1,
        created_at: at(now),
        used_at: at(now),
    };
    for one in [upload("aa", 1, 5), upload("cc", 1, 7), upload("bb", 1, 5), upload("dd", 2, 6), upload("ee", 1, 1)] {
        store.upload_put(&one, "none").await.unwrap();
    }
    let page = async |after: Option<&UploadPosition>| {
        let list = store.upload_list(UserId(1), after, 2).await.unwrap();
        let names: Vec<String> = list.iter().map(|upload| upload.sha256.clone()).collect();
        let last = list.last().map(|it| UploadPosition { created_at: it.created_at, sha256: it.sha256.clone() });
        (names.join(" "), last)
    };
    let (first, last) = page(None).await;
    assert_eq!(first, "cc bb");
    let (second, last) = page(last.as_ref()).await;
    assert_eq!(second, "aa ee");
    assert_eq!(page(last.as_ref()).await, (String::new(), None));
    assert_eq!(
        store.upload_list(UserId(2), None, 9).await.unwrap(),
        [upload("dd", 2, 6)],
        "a stranger's are not there"
    );
});

both!(records_of_runs_with_outputs, |store| {
    let with_record = |status: RunStatus, now: DateTime<Utc>, record: String| RunState { record, ..state(status, now) };
    // Owner, end, and record of each run, by number.
    let ends = [
        (1, RunStatus::Successful, "1".to_owned()),
        (1, RunStatus::Failed, "2".to_owned()),
        (2, RunStatus::Successful, "3".to_owned()),
        (1, RunStatus::Successful, "4".to_owned()),
        (1, RunStatus::Successful, format!("\"{}\"", "5".repeat(1_000_000))),
        (1, RunStatus::Successful, "6".to_owned()),
    ];
    for (number, (owner, status, record)) in (1..).zip(ends) {
        insert(&store, &[run(number, owner)]).await;
        let claimed = claim(&store, 10 * number).await.expect("the only one");
        store.run_finish_attempt(&claimed, &with_record(status, at(10 * number + 1), record)).await.unwrap();
    }
    let listed = async |before: Option<&str>, limit: u32| {
        let found = store.run_list_records_with_outputs(UserId(1), before, limit).await.unwrap();
        found.into_iter().map(|(id, record)| format!("{id}={record}")).collect::<Vec<_>>().join(" ")
    };
    let expected = |numbers: &[i64]| {
        numbers.iter().map(|number| format!("{}={number}", id(*number))).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed(None, 9).await, expected(&[6, 4, 1]));
    assert_eq!(listed(None, 2).await, expected(&[6, 4]));
    assert_eq!(listed(Some(&id(4)), 2).await, expected(&[1]));
    insert(&store, &[run(7, 1)]).await;
    assert_eq!(listed(None, 1).await, expected(&[6]), "one that waits has none");
});
