//! Writing, committing and reopening the index, and folders in every state.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use silo::search::{Error, IndexGeneration, SearchIndex, SearchKind, survey};

use super::{Search as _, doc, images, titled};

fn open(dir: &Path) -> SearchIndex {
    SearchIndex::open(dir).expect("the index opens")
}

/// Rebuilds the index with these documents.
fn build(index: &SearchIndex, ids: &[i64], revision: i64) -> Arc<IndexGeneration> {
    let next = index.begin(ids.len() as u64).expect("begun");
    next.write(&ids.iter().map(|id| doc(*id, "tiler")).collect::<Vec<_>>(), &[]).expect("written");
    next.commit(revision).expect("committed");
    index.serve(&next).expect("it serves");
    next
}

/// Creates an index with one document at revision 5 in `dir`, and closes it.
fn written(dir: &Path) {
    build(&open(dir), &[1], 5);
}

/// The folders of generations.
fn generations(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("silo-search")).expect("our folder exists");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name")).collect();
    names.sort();
    names
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir.join("silo-search/1"))
        .expect("the first generation's folder exists")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn assert_serves_nothing(index: &SearchIndex) {
    assert!(index.is_due());
    assert_eq!(index.revision(), 0);
    let refused = index.search("tiler", SearchKind::Image, 10, None).expect_err("there is nothing to search in");
    assert!(matches!(refused, Error::Building(_)), "{refused}");
}

fn assert_empty(index: &SearchIndex) {
    assert_eq!((index.revision(), index.ids().expect("ids"), images(index, "tiler")), (0, vec![], vec![]));
}

fn assert_works(index: &SearchIndex) {
    if index.is_due() {
        build(index, &[], 6);
    }
    index.write(&[doc(2, "warper")], &[]).expect("written");
    index.commit(9).expect("committed");
    assert_eq!((index.revision(), images(index, "warper")), (9, vec![2]));
}

#[test]
fn nothing_is_seen_before_the_commit() {
    let index = SearchIndex::in_memory().expect("opens");
    assert_empty(&index);
    index.write(&[doc(1, "tiler")], &[]).expect("written");
    assert_empty(&index);
    index.commit(3).expect("committed");
    assert_eq!((index.revision(), index.ids().expect("ids"), images(&index, "tiler")), (3, vec![1], vec![1]));
}

#[test]
fn documents_are_replaced_by_id_and_dropped() {
    let index = SearchIndex::in_memory().expect("opens");
    index.write(&[titled(1, "a", "Old"), titled(2, "b", "Two"), titled(3, "c", "Three")], &[]).expect("written");
    index.commit(1).expect("committed");
    index.write(&[titled(1, "a", "New"), titled(1, "a", "Newest")], &[2, 99]).expect("written");
    index.commit(2).expect("committed");
    assert_eq!(index.ids().expect("ids"), [1, 3]);
    assert_eq!(images(&index, "newest"), [1]);
    for gone in ["old", "two"] {
        assert_eq!(images(&index, gone), [0i64; 0], "{gone}");
    }
}

#[test]
fn a_commit_without_documents_moves_the_revision() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let index = open(dir.path());
        build(&index, &[], 3);
        index.commit(-4).expect("committed");
        assert_eq!(index.revision(), -4);
    }
    assert_eq!(open(dir.path()).revision(), -4);
}

#[test]
fn answers_do_not_depend_on_how_the_index_was_built() {
    let docs: Vec<_> =
        (1..=600).map(|id| titled(id, &format!("river{id}"), &format!("Water of lake{}", id % 7))).collect();
    let (at_once, in_pieces) = (SearchIndex::in_memory().expect("opens"), SearchIndex::in_memory().expect("opens"));
    at_once.write(&docs, &[]).expect("written");
    at_once.commit(1).expect("committed");
    for piece in docs.chunks(150) {
        in_pieces.write(piece, &[]).expect("written");
        in_pieces.commit(1).expect("committed");
    }
    for query in ["river42", "r", "water lake3", "lake3 nowhere", "l", "river1+river600", "seed"] {
        let hits = |index: &SearchIndex| index.search(query, SearchKind::Image, 1_000, None).expect("answered");
        assert_eq!(hits(&at_once), hits(&in_pieces), "{query}");
        assert!(hits(&at_once).total > 0, "{query}");
    }
}

#[test]
fn documents_and_revision_survive_reopening() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    {
        let index = open(dir.path());
        assert_eq!((index.revision(), images(&index, "tiler")), (5, vec![1]));
        index.write(&[doc(2, "tiler")], &[1]).expect("written, never committed");
    }
    let index = open(dir.path());
    assert_eq!((index.revision(), images(&index, "tiler")), (5, vec![1]));
}

#[test]
fn a_fresh_folder_and_a_deleted_one_serve_nothing_until_one_is_built() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_serves_nothing(&open(dir.path()));
    written(dir.path());
    fs::remove_dir_all(dir.path().join("silo-search")).expect("deleted");
    let index = open(dir.path());
    assert_serves_nothing(&index);
    assert_works(&index);
}

#[test]
fn the_old_one_serves_while_the_next_one_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    let index = open(dir.path());
    let next = index.begin(2).expect("begun");
    next.write(&[doc(2, "tiler"), doc(3, "tiler")], &[]).expect("written");
    index.write(&[doc(4, "tiler")], &[]).expect("the old one goes on");
    index.commit(6).expect("committed");
    assert_eq!((index.revision(), images(&index, "tiler")), (6, vec![1, 4]));
    next.commit(7).expect("committed");
    assert_eq!(images(&index, "tiler"), [1, 4], "committed, but it does not serve");
    index.serve(&next).expect("it serves");
    assert_eq!((index.revision(), images(&index, "tiler")), (7, vec![2, 3]));
    assert_eq!(generations(dir.path()), ["2"], "the old one is gone");
}

#[test]
fn one_that_was_not_finished_does_not_count() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    {
        // As after a kill.
        let next = open(dir.path()).begin(2).expect("begun");
        next.write(&[doc(2, "tiler")], &[]).expect("written, never committed");
    }
    assert_eq!(generations(dir.path()), ["1", "2"]);
    let index = open(dir.path());
    assert_eq!((index.revision(), images(&index, "tiler"), index.is_due()), (5, vec![1], false));
    build(&index, &[3], 8);
    assert_eq!(generations(dir.path()), ["3"]);
}

#[test]
fn one_that_was_finished_but_never_served_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    {
        let next = open(dir.path()).begin(1).expect("begun");
        next.write(&[doc(2, "tiler")], &[]).expect("written");
        next.commit(7).expect("committed");
    }
    let index = open(dir.path());
    assert_eq!((index.revision(), images(&index, "tiler")), (7, vec![2]));
}

#[test]
fn a_search_that_is_under_way_ends_in_the_old_one() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    let index = open(dir.path());
    let old = index.serving().expect("it serves");
    build(&index, &[2], 6);
    assert_eq!((old.ids().expect("its files are open"), index.ids().expect("ids")), (vec![1], vec![2]));
}

#[test]
fn how_far_it_is_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let index = open(dir.path());
    index.begin(400).expect("begun");
    index.add_progress(100);
    let Err(Error::Building(progress)) = index.serving().map(drop) else { panic!("it serves nothing") };
    assert_eq!((progress.done, progress.all, progress.to_string().as_str()), (100, 400, "100 of 400 images"));
    assert!(progress.seconds.is_some() && progress.wait() >= 1, "{progress:?}");
}

#[test]
fn what_goes_from_the_disk_while_it_serves_is_noticed_and_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    let index = open(dir.path());
    index.check(true);
    assert!(!index.is_due());
    fs::remove_dir_all(dir.path().join("silo-search")).expect("deleted");
    index.check(false);
    assert!(index.is_broken() && index.is_due());
    assert_eq!(images(&index, "tiler"), [1], "its files are open still");
    build(&index, &[2], 6);
    assert!(!index.is_due());
    assert_works(&index);
    assert_eq!(generations(dir.path()), ["2"]);
}

#[test]
fn a_survey_from_outside_tells_what_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let look = || survey(dir.path()).expect("surveyed");
    assert_eq!((look().current, look().has_other, look().is_sound), (None, false, None));
    written(dir.path());
    assert_eq!((look().current, look().is_sound), (Some((5, 1)), Some(true)));
    {
        let index = open(dir.path());
        assert_eq!((look().current, look().is_sound), (Some((5, 1)), None), "somebody may write");
        index.begin(9).expect("begun");
        assert_eq!(look().current, Some((5, 1)), "the next one is not there yet");
    }
    let postings = files(dir.path()).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "idx"));
    fs::write(postings.expect("postings"), "garbage").expect("overwritten");
    assert_eq!((look().current, look().is_sound), (Some((5, 1)), Some(false)));
    of_another_version(dir.path());
    assert_eq!((look().current, look().has_other), (None, true));
}

#[test]
fn a_folder_damaged_anywhere_is_made_anew() {
    let damages: [fn(&Path); 3] = [
        |path| fs::write(path, b"garbage").expect("overwritten"),
        |path| fs::write(path, b"").expect("emptied"),
        |path| fs::remove_file(path).expect("removed"),
    ];
    for damage in damages {
        let dir = tempfile::tempdir().expect("a folder");
        written(dir.path());
        let names: Vec<_> =
            files(dir.path()).into_iter().filter(|path| !path.to_string_lossy().ends_with(".lock")).collect();
        assert!(names.len() > 5, "{names:?}");
        let kinds: Vec<_> = names.iter().map(|path| path.extension().map(ToOwned::to_owned)).collect();
        for (at, kind) in kinds.iter().enumerate() {
            let dir = tempfile::tempdir().expect("a folder");
            written(dir.path());
            let same_kind = |path: &std::path::PathBuf| path.extension() == kind.as_deref();
            let Some(path) = files(dir.path()).into_iter().find(same_kind) else {
                panic!("no file like {:?}", names[at])
            };
            damage(&path);
            let index = open(dir.path());
            match index.serving() {
                Ok(_) => assert_eq!((index.revision(), images(&index, "tiler")), (5, vec![1]), "{path:?}"),
                Err(_) => assert_serves_nothing(&index),
            }
            assert_works(&index);
        }
    }
}

#[test]
fn a_flipped_byte_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    let path = files(dir.path())
        .into_iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "idx"))
        .expect("postings");
    let mut bytes = fs::read(&path).expect("read");
    bytes[0] ^= 0xff;
    fs::write(&path, bytes).expect("written");
    assert_serves_nothing(&open(dir.path()));
}

/// Makes the first generation look as if written by another version of the program.
fn of_another_version(dir: &Path) {
    let meta = dir.join("silo-search/1/meta.json");
    let text = fs::read_to_string(&meta).expect("read");
    let payload = text.split('"').find(|part| part.ends_with(" 5")).expect("the version stands in the commit");
    fs::write(&meta, text.replacen(payload, "0 5", 1)).expect("written");
}

#[test]
fn an_index_of_older_rules_serves_until_it_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    of_another_version(dir.path());
    let index = open(dir.path());
    assert_eq!((index.is_due(), index.revision(), images(&index, "tiler")), (true, 5, vec![1]));
    build(&index, &[2], 6);
    assert_eq!((index.is_due(), images(&index, "tiler")), (false, vec![2]));
    assert_works(&index);
    assert_eq!(generations(dir.path()), ["2"]);
}

#[test]
fn an_index_with_other_fields_stays_until_ours_is_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    of_another_version(dir.path());
    let meta = dir.path().join("silo-search/1/meta.json");
    let text = fs::read_to_string(&meta).expect("read");
    fs::write(&meta, text.replacen("\"job_key\"", "\"old_key\"", 1)).expect("written");
    let index = open(dir.path());
    assert_serves_nothing(&index);
    let next = index.begin(1).expect("begun");
    assert_eq!(generations(dir.path()), ["1", "2"], "that program may come back");
    next.commit(6).expect("committed");
    index.serve(&next).expect("it serves");
    assert_eq!(generations(dir.path()), ["2"]);
}

#[test]
fn only_our_own_folder_is_touched() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("meta.json"), "mine").expect("written");
    // As the first versions of the program left it.
    fs::create_dir_all(dir.path().join("silo-search/sub")).expect("made");
    fs::write(dir.path().join("silo-search/meta.json"), "old").expect("written");
    build(&open(dir.path()), &[], 1);
    assert_eq!(fs::read_to_string(dir.path().join("meta.json")).expect("still there"), "mine");
    assert_eq!(generations(dir.path()), ["1"]);
}

#[test]
fn a_folder_has_one_holder() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = open(dir.path());
    build(&first, &[1], 1);
    let error = SearchIndex::open(dir.path()).err().expect("the second is refused");
    assert!(matches!(&error, Error::Index(text) if text.contains("another process uses")), "{error}");
    assert_works(&first);
    let clone = first.clone();
    drop(first);
    assert!(SearchIndex::open(dir.path()).is_err(), "a clone still holds it");
    drop(clone);
    assert_eq!(open(dir.path()).revision(), 9);
}

#[test]
fn an_impossible_folder_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = SearchIndex::open(&file).err().expect("a file is no folder").to_string();
    assert!(error.contains("file") && error.contains("check that it is a folder"), "{error}");
}

#[test]
fn files_cut_short_while_they_serve_are_errors_and_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let index = open(dir.path());
    let ids: Vec<i64> = (1..=300).collect();
    build(&index, &ids, 5);
    index.check(false);
    assert!(!index.is_broken());
    let before = images(&index, "tiler");
    for file in files(dir.path()) {
        if file.extension().is_some_and(|kind| kind != "json" && kind != "lock") {
            fs::File::options().write(true).open(&file).expect("a file").set_len(0).expect("it is cut");
        }
    }
    // At most an error; with memory-mapped files this test would crash the process.
    match index.search("tiler", SearchKind::Image, 1_000, None) {
        Ok(found) => assert_eq!(found.hits.len(), before.len()),
        Err(why) => assert!(matches!(why, Error::Index(_)), "{why}"),
    }
    index.check(false);
    assert!(index.is_broken(), "a look at lengths is enough");
    build(&index, &ids, 6);
    assert!(!index.is_broken());
    assert_eq!(images(&index, "tiler"), before);
}
