//! Large numbers: databases limit the parameters of one statement.

use silo::catalog::{ImageId, ScanState, TagChanges};

use super::both;
use super::fixture::{at, claim, registry, result, seed};

both!(ten_thousand_tags_come_move_and_go_in_one_scan_each, |store| {
    const TAGS: usize = 10_000;
    let hub = registry(&store, "hub").await;
    let contents = |major: usize| -> Vec<_> {
        (0..TAGS).map(|n| seed(&format!("job-{}", n % 500), &format!("{major}.{}.0", n / 500), "1.0.0")).collect()
    };
    let first = contents(1);
    let add = first
        .iter()
        .enumerate()
        .map(|(n, content)| (format!("r{}-seed", n / 100), format!("t{n}"), content.digest.clone()))
        .collect();
    let claim_one = claim(&store, hub.id).await;
    let changes = TagChanges { add, ..TagChanges::default() };
    store.scan_finish(&claim_one, &result(ScanState::Complete, changes, first), at(2)).await.unwrap();
    let ids = store.image_ids().await.unwrap();
    assert_eq!((ids.len(), store.job_list().await.unwrap().len()), (TAGS, 500));
    assert_eq!(store.job_version_list(None).await.unwrap().len(), TAGS);

    let second = contents(2);
    let point = ids.iter().zip(&second).map(|(id, content)| (ImageId(*id), content.digest.clone())).collect();
    let claim_two = claim(&store, hub.id).await;
    let changes = TagChanges { point, ..TagChanges::default() };
    store.scan_finish(&claim_two, &result(ScanState::Complete, changes, second), at(3)).await.unwrap();
    assert_eq!(store.image_ids().await.unwrap(), ids);
    assert!(store.job_list().await.unwrap().iter().all(|job| job.latest_job_version == "2.19.0"));
    assert_eq!(store.content_prune().await.unwrap(), TAGS as u64);

    // More ids than one statement accepts.
    let many: Vec<ImageId> = (0..70_000).map(ImageId).collect();
    assert_eq!(store.image_list_by_ids(&many).await.unwrap().len(), TAGS);

    let claim_three = claim(&store, hub.id).await;
    let changes = TagChanges { remove: ids.into_iter().map(ImageId).collect(), ..TagChanges::default() };
    store.scan_finish(&claim_three, &result(ScanState::Complete, changes, vec![]), at(4)).await.unwrap();
    assert!(store.image_ids().await.unwrap().is_empty() && store.job_list().await.unwrap().is_empty());
});
