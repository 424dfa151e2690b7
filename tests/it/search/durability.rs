//! Writing, committing, opening again, and folders in every state.

use std::fs;
use std::path::Path;

use silo::search::{Error, Index, Kind};

use super::{doc, images, titled};

fn open(dir: &Path) -> Index {
    Index::open(dir).expect("the index opens")
}

/// An index with one document at revision 5 in `dir`, closed again.
fn written(dir: &Path) {
    let index = open(dir);
    index.write(&[doc(1, "tiler")], &[]).expect("written");
    index.commit(5).expect("committed");
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir.join("silo-search"))
        .expect("our folder exists")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn assert_empty(index: &Index) {
    assert_eq!((index.revision(), index.ids().expect("ids"), images(index, "tiler")), (0, vec![], vec![]));
}

fn assert_works(index: &Index) {
    index.write(&[doc(2, "warper")], &[]).expect("written");
    index.commit(9).expect("committed");
    assert_eq!((index.revision(), images(index, "warper")), (9, vec![2]));
}

#[test]
fn nothing_is_seen_before_the_commit() {
    let index = Index::in_memory().expect("opens");
    assert_empty(&index);
    index.write(&[doc(1, "tiler")], &[]).expect("written");
    assert_empty(&index);
    index.commit(3).expect("committed");
    assert_eq!((index.revision(), index.ids().expect("ids"), images(&index, "tiler")), (3, vec![1], vec![1]));
}

#[test]
fn documents_are_replaced_by_id_and_dropped() {
    let index = Index::in_memory().expect("opens");
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
fn clear_drops_what_was_committed_and_what_was_only_written() {
    let index = Index::in_memory().expect("opens");
    index.write(&[doc(1, "tiler")], &[]).expect("written");
    index.commit(1).expect("committed");
    index.write(&[doc(2, "tiler")], &[]).expect("written");
    index.clear().expect("cleared");
    index.write(&[doc(3, "tiler")], &[]).expect("written");
    assert_eq!(images(&index, "tiler"), [1], "visible after the commit only");
    index.commit(2).expect("committed");
    assert_eq!((index.ids().expect("ids"), images(&index, "tiler")), (vec![3], vec![3]));
}

#[test]
fn a_commit_without_documents_moves_the_revision() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let index = open(dir.path());
        index.commit(-4).expect("committed");
        assert_eq!(index.revision(), -4);
    }
    assert_eq!(open(dir.path()).revision(), -4);
}

#[test]
fn answers_do_not_depend_on_how_the_index_was_built() {
    let docs: Vec<_> =
        (1..=600).map(|id| titled(id, &format!("river{id}"), &format!("Water of lake{}", id % 7))).collect();
    let (at_once, in_pieces) = (Index::in_memory().expect("opens"), Index::in_memory().expect("opens"));
    at_once.write(&docs, &[]).expect("written");
    at_once.commit(1).expect("committed");
    for piece in docs.chunks(150) {
        in_pieces.write(piece, &[]).expect("written");
        in_pieces.commit(1).expect("committed");
    }
    for query in ["river42", "r", "water lake3", "lake3 nowhere", "l", "river1+river600", "seed"] {
        let hits = |index: &Index| index.search(query, Kind::Image, 1_000, None).expect("answered");
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
fn a_deleted_folder_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    fs::remove_dir_all(dir.path().join("silo-search")).expect("deleted");
    let index = open(dir.path());
    assert_empty(&index);
    assert_works(&index);
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
            assert!(index.revision() == 5 || index.ids().expect("ids").is_empty(), "{path:?}: neither whole nor empty");
            if index.revision() == 5 {
                assert_eq!(images(&index, "tiler"), [1], "{path:?}");
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
    assert_empty(&open(dir.path()));
}

#[test]
fn an_index_of_another_schema_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path());
    let meta = dir.path().join("silo-search/meta.json");
    let text = fs::read_to_string(&meta).expect("read");
    let other = text.replacen("\"1 5\"", "\"0 5\"", 1);
    assert_ne!(other, text, "the version stands in the commit");
    fs::write(&meta, other).expect("written");
    let index = open(dir.path());
    assert_empty(&index);
    assert_works(&index);
}

#[test]
fn only_our_own_folder_is_touched() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("meta.json"), "mine").expect("written");
    fs::create_dir_all(dir.path().join("silo-search/sub")).expect("made");
    assert_empty(&open(dir.path()));
    assert_eq!(fs::read_to_string(dir.path().join("meta.json")).expect("still there"), "mine");
}

#[test]
fn a_folder_has_one_holder() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = open(dir.path());
    first.write(&[doc(1, "tiler")], &[]).expect("written");
    first.commit(1).expect("committed");
    let error = Index::open(dir.path()).err().expect("the second is refused");
    assert!(matches!(&error, Error::Index(text) if text.contains("another process uses")), "{error}");
    assert_works(&first);
    let clone = first.clone();
    drop(first);
    assert!(Index::open(dir.path()).is_err(), "a clone still holds it");
    drop(clone);
    assert_eq!(open(dir.path()).revision(), 9);
}

#[test]
fn an_impossible_folder_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Index::open(&file).err().expect("a file is no folder").to_string();
    assert!(error.contains("file") && error.contains("check that it is a folder"), "{error}");
}
