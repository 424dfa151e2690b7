//! Matching of queries.

use silo::catalog::SearchDoc;
use silo::search::{Error, SearchKind};

use super::{Search as _, described, doc, ids, image, images, index, titled};

#[test]
fn every_field_is_searched() {
    let full = SearchDoc {
        image_id: 1,
        job_id: 10,
        job_name: "alpha".into(),
        name: "bravo-seed:3.1.4".into(),
        org: "charlie".into(),
        title: "Delta".into(),
        description: "An echo of it.".into(),
        tags: vec!["foxtrot".into(), "two words".into()],
        maintainer: "Golf Hotel <hotel@india.example>".into(),
        maint_org: "Juliett".into(),
        inputs: vec!["KILO_LIMA".into()],
        output_types: vec!["image/x-mike".into()],
        ..SearchDoc::default()
    };
    let index = index(&[full, doc(2, "other")]);
    let words = [
        "alpha",
        "bravo",
        "3.1.4",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "words",
        "golf",
        "hotel@india.example",
        "juliett",
        "kilo",
        "KILO_LIMA",
        "image/x-mike",
        "charlie/bravo-seed:3.1.4",
    ];
    for word in words {
        assert_eq!(images(&index, word).first(), Some(&1), "{word}");
        assert_eq!(images(&index, &word.to_uppercase()).first(), Some(&1), "{word}");
    }
    assert_eq!(images(&index, "november"), [0i64; 0]);
}

#[test]
fn words_are_cut_at_everything_but_letters_and_digits() {
    let index = index(&[titled(1, "a", "Zip-file_extractor.v2/fast"), titled(2, "b", "Größe der Eisfläche")]);
    for query in ["zip", "file", "extractor", "v2", "fast", "FILE zip", "zip.fast"] {
        assert_eq!(images(&index, query), [1], "{query}");
    }
    for query in ["größe", "GRÖSSE", "grosse", "eisflache", "Eisfläche"] {
        assert_eq!(images(&index, query), [2], "{query}");
    }
}

#[test]
fn the_last_word_may_be_unfinished() {
    let index = index(&[doc(1, "extractor"), titled(2, "b", "Image extraction"), described(3, "c", "Extracts things")]);
    for query in ["e", "ex", "extr", "extract"] {
        assert_eq!(images(&index, query).len(), 3, "{query}");
    }
    assert_eq!(images(&index, "image extr"), [2]);
    assert_eq!(images(&index, "tract"), [0i64; 0], "only beginnings match");
    assert_eq!(images(&index, "extr image"), [2], "falls back to any word, where extr is finished and unknown");
}

#[test]
fn all_words_must_match_unless_none_has_all() {
    let index = index(&[titled(1, "a", "Red river"), titled(2, "b", "Red lake"), titled(3, "c", "Blue river")]);
    assert_eq!(images(&index, "red river"), [1]);
    assert_eq!(images(&index, "river red"), [1]);
    let mut any = images(&index, "blue lake");
    any.sort_unstable();
    assert_eq!(any, [2, 3]);
    assert_eq!(images(&index, "green lake"), [2]);
    assert_eq!(images(&index, "green house"), [0i64; 0]);
}

#[test]
fn words_of_one_alternative_may_stand_in_different_fields() {
    let both = SearchDoc { tags: vec!["radar".into()], ..titled(1, "a", "Ice") };
    let index = index(&[both, titled(2, "b", "Ice")]);
    assert_eq!(images(&index, "radar ice"), [1]);
}

#[test]
fn plus_separates_alternatives() {
    let index = index(&[titled(1, "a", "Red river"), titled(2, "b", "Red lake"), titled(3, "c", "Blue sea")]);
    let mut found = images(&index, "red lake+blue");
    found.sort_unstable();
    assert_eq!(found, [2, 3]);
    assert_eq!(images(&index, "+++river+"), [1]);
    assert_eq!(images(&index, "nothing+sea"), [3]);
}

#[test]
fn jobs_are_found_once_however_many_images_they_have() {
    let docs = [
        image(1, 70, "tiler", "tiler-1.0.0-seed:1.0.0"),
        image(2, 70, "tiler", "tiler-1.1.0-seed:1.0.0"),
        image(3, 80, "warper", "warper-1.0.0-seed:1.0.0"),
    ];
    let index = index(&docs);
    assert_eq!(ids(&index, "tiler", SearchKind::Job), [70]);
    assert_eq!(images(&index, "tiler").len(), 2);
    let all = index.search("seed", SearchKind::Job, 1, None).expect("the query is answered");
    assert_eq!((all.total, all.hits.len()), (2, 1));
}

#[test]
fn queries_without_words_match_nothing() {
    let index = index(&[doc(1, "a"), titled(2, "b", "+++")]);
    for query in ["", " ", "+", "++", "-", "\"", "*", "🛰", "\0", "\u{202e}", "(:"] {
        assert_eq!(images(&index, query), [0i64; 0], "{query:?}");
        assert_eq!(ids(&index, query, SearchKind::Job), [0i64; 0], "{query:?}");
    }
}

#[test]
fn hostile_queries_are_only_words() {
    let index = index(&[titled(1, "a", "C++ compiler"), titled(2, "b", "Заголовок عنوان")]);
    assert_eq!(images(&index, "c++"), [1]);
    assert_eq!(images(&index, "\"compiler"), [1]);
    assert_eq!(images(&index, "title:compiler AND (c"), [1], "no operators: only the known words count");
    assert_eq!(images(&index, "عنوان"), [2]);
    assert_eq!(images(&index, "ЗАГОЛОВОК"), [2]);
    assert_eq!(images(&index, "c\0compiler"), [1], "NUL separates words");
    for query in ["a".repeat(1_000), "a ".repeat(500), "+a".repeat(500), "é".repeat(999), "[a-z]{9}(.*)*$".into()] {
        index.search(&query, SearchKind::Image, 10, None).expect("odd, but a query");
    }
}

#[test]
fn oversized_queries_are_refused_in_words() {
    let index = index(&[doc(1, "a")]);
    let error = index.search(&"x".repeat(10_000), SearchKind::Image, 10, None).expect_err("too long");
    assert!(matches!(&error, Error::Query(text) if text.contains("at most 1000")), "{error}");
    let words: String = (0..40).map(|n| format!("w{n} ")).collect();
    let error = index.search(&words, SearchKind::Job, 10, None).expect_err("too many words");
    assert!(matches!(&error, Error::Query(text) if text.contains("at most 32")), "{error}");
}
