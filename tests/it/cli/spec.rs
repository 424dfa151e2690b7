//! `silo spec`.

use insta::assert_snapshot;
use silo::seed::spec::{PublishedSchema, json_schema};

use crate::support::process::silo;

#[tokio::test]
async fn the_manifests_schema_is_what_is_meant() {
    let schema = silo(&["spec"], &[]).await.expect_success();
    assert_eq!(schema, json_schema(PublishedSchema::Manifest));
    assert_eq!(silo(&["spec", "manifest"], &[]).await.expect_success(), schema);
    assert_snapshot!("manifest", schema);
}

#[tokio::test]
async fn the_metadatas_schema_is_asked_for() {
    let schema = silo(&["spec", "metadata"], &[]).await.expect_success();
    assert_eq!(schema, json_schema(PublishedSchema::Metadata));
    assert_snapshot!("metadata", schema);
}

#[tokio::test]
async fn help_says_how_an_editor_learns_of_it() {
    let help = silo(&["spec", "--help"], &[]).await.expect_success();
    for words in ["silo spec > seed.schema.json", r#""fileMatch": ["seed.manifest.json"]"#, "`$schema`"] {
        assert!(help.contains(words), "{words} is missing in\n{help}");
    }
}
