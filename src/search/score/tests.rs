//! Tests of [`super`].

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::generation::IndexGeneration;
use super::super::schema::IndexFields;
use super::*;
use crate::catalog::SearchDoc;

/// A document has a word if its number is a multiple of the word's.
const WORDS: [(&str, i64); 7] = [("a", 1), ("b", 2), ("c", 3), ("d", 7), ("ab", 50), ("bc", 333), ("cd", 5_000)];

/// Three segments, each large enough for postings lists of several blocks.
fn view() -> std::sync::Arc<IndexView> {
    let made = IndexGeneration::in_memory().unwrap();
    for part in 0..3 {
        let docs: Vec<SearchDoc> = (part * 900..(part + 1) * 900)
            .map(|id| {
                let words: Vec<&str> = WORDS.iter().filter(|(_, of)| id % of == 0).map(|(word, _)| *word).collect();
                SearchDoc { image_id: id, title: words.join(" "), ..SearchDoc::default() }
            })
            .collect();
        made.write(&docs, &[]).unwrap();
        made.commit(part + 1).unwrap();
    }
    made.view()
}

fn any_expr() -> impl Strategy<Value = ScoreExpr> {
    let field = IndexFields::schema().1.title;
    let word = || prop::sample::select(&WORDS[..]).prop_map(|(word, _)| word.to_owned());
    let score = || (1..9u8).prop_map(f32::from);
    let leaf = prop_oneof![
        (word(), score()).prop_map(move |(text, score)| ScoreExpr::Term { field, text, score }),
        (word(), score()).prop_map(move |(text, weight)| ScoreExpr::Word { field, text, weight }),
        (word(), score()).prop_map(move |(text, score)| ScoreExpr::Prefix { field, text, score }),
        (word(), word(), score()).prop_map(move |(a, b, score)| ScoreExpr::Phrase { field, words: vec![a, b], score }),
        score().prop_map(ScoreExpr::Everything),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let list = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            list().prop_map(ScoreExpr::All),
            list().prop_map(ScoreExpr::Any),
            list().prop_map(ScoreExpr::Best),
            (boxed(), 1..9u8).prop_map(|(expr, more)| ScoreExpr::Plus(expr, f32::from(more))),
            (boxed(), boxed()).prop_map(|(expr, more)| ScoreExpr::With(expr, more)),
            (boxed(), list()).prop_map(|(expr, unwanted)| ScoreExpr::Without(expr, unwanted)),
        ]
    })
}

type Plain = BTreeMap<u32, f32>;

fn evaluated(view: &IndexView, expr: &ScoreExpr) -> Plain {
    let until = Instant::now() + Duration::from_secs(600);
    ScoreEvaluator::new(view, until).scores(expr).unwrap().iter().collect()
}

/// Reference evaluation: every part of an expression for all documents.
fn meant(view: &IndexView, expr: &ScoreExpr) -> Plain {
    let each = |list: &[ScoreExpr]| list.iter().map(|expr| meant(view, expr)).collect::<Vec<Plain>>();
    let merged = |list: &[ScoreExpr], with: fn(f32, f32) -> f32| {
        let mut all = Plain::new();
        for (doc, score) in each(list).into_iter().flatten() {
            all.entry(doc).and_modify(|known| *known = with(*known, score)).or_insert(score);
        }
        all
    };
    let adds = |to: Plain, more: &Plain| -> Plain {
        to.into_iter().map(|(doc, score)| (doc, score + more.get(&doc).unwrap_or(&0.0))).collect()
    };
    match expr {
        ScoreExpr::Best(list) => merged(list, f32::max),
        ScoreExpr::Any(list) => merged(list, |a, b| a + b),
        ScoreExpr::All(list) => {
            let mut lists = each(list).into_iter();
            let first = lists.next().unwrap_or_default();
            lists.fold(first, |mut all, more| {
                all.retain(|doc, _| more.contains_key(doc));
                adds(all, &more)
            })
        }
        ScoreExpr::Plus(expr, more) => meant(view, expr).into_iter().map(|(doc, score)| (doc, score + more)).collect(),
        ScoreExpr::With(expr, more) => adds(meant(view, expr), &meant(view, more)),
        ScoreExpr::Without(expr, unwanted) => {
            let unwanted = each(unwanted);
            let is_wanted = |doc: &u32| !unwanted.iter().any(|list| list.contains_key(doc));
            meant(view, expr).into_iter().filter(|(doc, _)| is_wanted(doc)).collect()
        }
        _ => evaluated(view, expr),
    }
}

#[test]
fn looking_only_where_it_matters_changes_no_score() {
    let view = view();
    proptest!(ProptestConfig::with_cases(100), |(expr in any_expr())| {
        let (found, meant) = (evaluated(&view, &expr), meant(&view, &expr));
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), meant.keys().collect::<Vec<_>>());
        for ((doc, found), meant) in found.iter().zip(meant.values()) {
            prop_assert!((found - meant).abs() <= meant * 1e-4, "{}: {} for {}", doc, found, meant);
        }
    });
}
