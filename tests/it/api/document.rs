//! `openapi.yaml` describes exactly the routes that are served.

use std::collections::BTreeSet;

use serde_json::Value;
use silo::http::{RouteAccess, RouteContent, RouteEntry};

use crate::support::app::TestApp;
use crate::support::contract::{DOCUMENT, documented, resolve, validate};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// Every operation: its method and path, and its description.
fn operations() -> Vec<(String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("the document has paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let entries = item.as_object().expect("a path has operations");
        entries.iter().map(move |(method, operation)| {
            assert!(METHODS.contains(&method.as_str()), "{path} has the unknown entry {method}");
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    all.collect()
}

#[tokio::test]
async fn the_document_lists_exactly_the_routes() {
    let silo = TestApp::start().await;
    let routes: Vec<&RouteEntry> = data_routes(&silo).collect();
    let served: BTreeSet<String> =
        routes.iter().map(|route| format!("{} {}", route.method, documented(route.path))).collect();
    let described: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = served.difference(&described).collect();
    let invented: Vec<_> = described.difference(&served).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not described: {missing:?}; not served: {invented:?}");
    assert_eq!(served.len(), routes.len(), "a route is in the table twice");
}

/// The routes that reply with data. Pages are for people, and are not described.
fn data_routes(silo: &TestApp) -> impl Iterator<Item = &RouteEntry> {
    silo.routes().iter().filter(|route| route.content != RouteContent::Page)
}

#[test]
fn the_codes_of_scan_problems_are_described() {
    let described = DOCUMENT["components"]["schemas"]["ScanProblemCode"]["enum"].as_array();
    let described: Vec<&str> = described.expect("an enum").iter().map(|code| code.as_str().expect("a text")).collect();
    assert_eq!(described, silo::catalog::SCAN_PROBLEM_CODES);
}

#[tokio::test]
async fn the_served_bytes_are_the_file() {
    let silo = TestApp::start().await;
    let reply = silo.anonymous().get("/openapi.yaml").await.expect(200);
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).expect("the file");
    assert!(reply.text == file, "what is served is not openapi.yaml");
}

#[tokio::test]
async fn security_is_written_as_the_table_has_it() {
    let silo = TestApp::start().await;
    for route in data_routes(&silo) {
        let operation = &DOCUMENT["paths"][documented(route.path)][route.method.as_str().to_lowercase()];
        let optional =
            operation["security"].as_array().is_none_or(|ways| ways.iter().any(|way| way == &serde_json::json!({})));
        assert_eq!(optional, route.access == RouteAccess::Anyone, "{} {}", route.method, route.path);
        let statuses = operation["responses"].as_object().expect("responses");
        let says = |status: &str| statuses.contains_key(status);
        assert!(says("401") || route.access == RouteAccess::Anyone, "{} {} tells no 401", route.method, route.path);
        let is_for_all = matches!(route.access, RouteAccess::Anyone | RouteAccess::User);
        assert!(says("403") || is_for_all, "{} {} tells no 403", route.method, route.path);
    }
}

#[test]
fn every_operation_is_complete() {
    let mut ids = BTreeSet::new();
    for (name, operation) in operations() {
        let tags = operation["tags"].as_array().unwrap_or_else(|| panic!("{name} has no tags"));
        let expected = match name.split_once(' ').map(|(_, path)| path) {
            Some(path) if path.starts_with("/api/v1/") || path.starts_with("/hooks/") => "native",
            Some(path) if path.starts_with("/schemas") => "schemas",
            Some("/healthz" | "/readyz" | "/metrics" | "/openapi.yaml") => "operations",
            _ => "legacy",
        };
        assert_eq!(tags, &[expected], "{name}");
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId"));
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["summary"].is_string(), "{name} has no summary");
        let path_parameters = name.matches('{').count();
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let in_path = parameters.iter().map(resolve).filter(|parameter| parameter["in"] == "path");
        let named = in_path.filter(|parameter| name.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())));
        assert_eq!(named.count(), path_parameters, "{name} does not describe the parts of its path");
        for (status, response) in operation["responses"].as_object().expect("responses") {
            assert!(resolve(response)["description"].is_string(), "{name} {status} has no description");
        }
    }
}

#[test]
fn the_document_says_what_it_is() {
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(DOCUMENT["info"]["license"]["identifier"], env!("CARGO_PKG_LICENSE"));
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                    resolve(value);
                    found.insert(reference.to_owned());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut used = BTreeSet::new();
    references(&DOCUMENT, &mut used);
    // Responses of every URL are described once, in prose.
    for name in ["ProblemMethodNotAllowed", "ProblemUnsupportedCoding", "UnsupportedCoding"] {
        used.insert(format!("#/components/responses/{name}"));
    }
    for name in ["token", "ticket"] {
        used.insert(format!("#/components/securitySchemes/{name}"));
    }
    for (kind, components) in DOCUMENT["components"].as_object().expect("components") {
        for name in components.as_object().expect("named components").keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "nobody uses the {kind} {name}");
        }
    }
}

#[test]
fn examples_fit_their_schemas() {
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().expect("schemas") {
        if let Some(example) = schema.get("example") {
            validate(schema, example).unwrap_or_else(|why| panic!("the example of {name}: {why}"));
        }
    }
    fn media_types(value: &Value) {
        match value {
            Value::Object(object) => {
                if let (Some(schema), Some(example)) = (object.get("schema"), object.get("example")) {
                    validate(schema, example).unwrap_or_else(|why| panic!("the example {example}: {why}"));
                }
                object.values().for_each(media_types);
            }
            Value::Array(items) => items.iter().for_each(media_types),
            _ => {}
        }
    }
    media_types(&DOCUMENT);
}
