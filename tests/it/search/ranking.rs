//! Ranking of results.

use silo::catalog::SearchDoc;
use silo::search::{SearchIndex, SearchKind};

use super::{Search as _, described, doc, ids, image, images, index, titled};

/// Many jobs that mention rivers, so that every word is common.
fn crowd() -> Vec<SearchDoc> {
    (100..200)
        .map(|id| SearchDoc {
            description: "Maps rivers and lakes: river water, lake water, river mapping by radar.".into(),
            tags: vec!["river".into(), "water".into()],
            ..titled(id, &format!("river-water-map-{id}"), "River water map of all lakes")
        })
        .collect()
}

fn with_crowd(docs: &[SearchDoc]) -> SearchIndex {
    index(&[crowd(), docs.to_vec()].concat())
}

#[test]
fn a_job_named_like_the_query_is_first() {
    let index = with_crowd(&[doc(7, "river"), titled(8, "x", "River"), doc(9, "river-water")]);
    for query in ["river", "RIVER", " River "] {
        assert_eq!(images(&index, query)[..2], [7, 8], "{query}: the name, then the title");
        assert_eq!(ids(&index, query, SearchKind::Job)[0], 70, "{query}");
    }
    assert_eq!(images(&index, "river-water")[0], 9);
    assert_eq!(images(&index, "River-Water-Map-142")[0], 142);
}

#[test]
fn a_title_finds_its_job() {
    let docs =
        [titled(7, "x", "Lake"), titled(8, "y", "All  lakes of the river water map"), titled(9, "z", "C++ & water")];
    let index = with_crowd(&docs);
    for (query, id) in [("lake", 7), ("all lakes of the RIVER water map", 8), ("C++ & Water", 9)] {
        assert_eq!(images(&index, query)[0], id, "{query}");
    }
}

#[test]
fn an_image_name_finds_its_version() {
    let versions = ["0.1.0", "0.1.1", "0.2.0", "1.0.0", "1.1.0", "0.0.1"];
    let mut docs = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        for (package_at, package) in versions.iter().enumerate() {
            let id = (at * 10 + package_at) as i64;
            docs.push(image(id, 1, "my-job", &format!("my-job-{version}-seed:{package}")));
        }
    }
    let index = with_crowd(&docs);
    for (at, version) in versions.iter().enumerate() {
        let query = format!("my-job-{version}");
        let found: Vec<_> = images(&index, &query).into_iter().take(6).map(|id| id / 10).collect();
        assert_eq!(found, [at as i64; 6], "{query}: all images of this version come before others");
        let query = format!("my-job-{version}-seed:1.1.0");
        assert_eq!(images(&index, &query)[0], (at * 10 + 4) as i64, "{query}");
    }
    assert_eq!(images(&index, "my-job-0.1.0")[0], 0, "package 0.1.0 of version 0.1.0");
}

#[test]
fn names_and_titles_count_more_than_tags_and_these_more_than_descriptions() {
    let docs = [
        described(1, "a", "flood"),
        SearchDoc { inputs: vec!["flood".into()], ..doc(2, "b") },
        SearchDoc { maint_org: "Flood".into(), ..doc(3, "c") },
        SearchDoc { tags: vec!["flood".into()], ..doc(4, "d") },
        titled(5, "e", "Flood extent"),
        doc(6, "flood-extent"),
    ];
    let index = index(&docs);
    let found = images(&index, "flood");
    assert_eq!(found[2..], [4, 3, 2, 1]);
    assert!(found[..2].contains(&5) && found[..2].contains(&6));
}

#[test]
fn a_finished_word_counts_more_than_a_begun_one() {
    let docs =
        [doc(1, "waterfall-finder"), doc(2, "water-finder"), described(3, "x", "waters"), described(4, "y", "water")];
    let index = index(&docs);
    assert_eq!(images(&index, "finder water"), [2, 1]);
    let found = images(&index, "water");
    let place = |id| found.iter().position(|found| *found == id);
    assert!(found[0] == 2 && place(4) < place(3), "{found:?}");
}

#[test]
fn a_common_word_is_still_more_than_a_begun_one() {
    let mut docs: Vec<_> = (1..50).map(|id| described(id, "x", "water everywhere")).collect();
    docs.push(described(50, "x", "waters everywhere"));
    assert_eq!(images(&index(&docs), "water").last(), Some(&50));
}

#[test]
fn a_job_counts_as_its_best_image() {
    let docs = [
        image(1, 10, "tiler", "tiler-1.0.0-seed:1.0.0"),
        SearchDoc { title: "Cloud mask".into(), ..image(2, 10, "tiler", "tiler-2.0.0-seed:1.0.0") },
        SearchDoc { tags: vec!["cloud".into()], ..image(3, 20, "warper", "warper-1.0.0-seed:1.0.0") },
    ];
    let index = index(&docs);
    assert_eq!(ids(&index, "cloud", SearchKind::Job), [10, 20]);
    let best = index.search("cloud", SearchKind::Image, 1, None).expect("answered").hits[0].score;
    assert_eq!(index.search("cloud", SearchKind::Job, 1, None).expect("answered").hits[0].score, best);
}

#[test]
fn equals_come_in_the_order_of_their_ids_also_across_commits() {
    let index = SearchIndex::in_memory().expect("opens");
    for (revision, id) in [5, 3, 9, 1, 7].into_iter().enumerate() {
        index.write(&[titled(id, "same", "Same title of all")], &[]).expect("written");
        index.commit(revision as i64).expect("committed");
    }
    let hits = index.search("same title all", SearchKind::Image, 10, None).expect("answered").hits;
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
    assert!(hits.iter().all(|hit| hit.score == hits[0].score), "{hits:?}");
}

#[test]
fn what_represents_a_job_stands_for_it_and_is_its_latest() {
    let version = |id: i64, version: &str| SearchDoc {
        job_version: version.into(),
        package_version: "1.0.0".into(),
        title: "Plants".into(),
        ..image(id, 10, "ndvi", &format!("ndvi-{version}-seed:1.0.0"))
    };
    let rival = SearchDoc {
        is_secondary: true,
        title: "Plants plants".into(),
        tags: vec!["plants".into(), "spiders".into()],
        ..version(3, "9.0.0")
    };
    let index = index(&[version(1, "1.0.0"), version(2, "2.0.0"), rival]);
    assert_eq!(images(&index, "plants"), [2, 1, 3], "whatever its words and version");
    let stands = |query: &str| {
        let hit = index.search(query, SearchKind::Job, 1, None).expect("answered").hits[0];
        (hit.id, hit.image_id, hit.is_secondary)
    };
    assert_eq!(stands("ndvi"), (10, 2, false));
    assert_eq!(stands("plants"), (10, 2, false));
    assert_eq!(stands("spiders"), (10, 3, true), "where nothing else matches");
    assert_eq!(images(&index, "ndvi-9.0.0-seed:1.0.0")[0], 3, "whoever names it finds it");
}

#[test]
fn what_is_verified_comes_before_what_matches_about_as_well() {
    let verified = |doc: SearchDoc| SearchDoc { is_verified: true, ..doc };
    let docs = [
        titled(1, "a", "Sea ice"),
        verified(titled(2, "b", "Sea ice")),
        verified(described(4, "d", "Sea ice")),
        doc(5, "sea-ice-edge"),
        verified(doc(6, "sea-ice-edge-2")),
    ];
    let index = index(&docs);
    let found = images(&index, "sea");
    let place = |id| found.iter().position(|found| *found == id).expect("found");
    assert!(place(2) < place(1) && place(1) < place(4), "not before what matches better: {found:?}");
    assert_eq!(images(&index, "sea-ice-edge")[0], 5, "not before what is named so");
    assert_eq!(images(&index, "sea ice")[..2], [2, 1], "of two with the same title");
}
