//! Validates replies against `openapi.yaml`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use http::Method;
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value, json};
use silo::http::{RouteContent, RouteEntry};

use super::app::Reply;
use super::wire;

/// The parsed document.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // Otherwise an unquoted `no` would be read as false.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(silo::http::OPENAPI, options).expect("openapi.yaml is YAML")
});

/// A route's path in the document's syntax.
pub(crate) fn documented(path: &str) -> String {
    path.replace("{*", "{")
}

/// Panics if a reply does not conform to the document for its route and status.
pub(crate) fn check(routes: &[RouteEntry], method: &Method, path: &str, reply: &Reply) {
    if let Err(why) = checked(routes, method, path, reply) {
        panic!("{method} {path} is not answered as openapi.yaml says: {why}\n{} {}", reply.status, reply.text);
    }
}

fn checked(routes: &[RouteEntry], method: &Method, asked: &str, reply: &Reply) -> Result<(), String> {
    let path = asked.split(['?', '#']).next().unwrap_or_default();
    let here: Vec<&RouteEntry> = best(routes, path);
    if method != Method::OPTIONS && !reply.headers.contains_key("x-request-id") {
        return Err("the header X-Request-Id is missing".to_owned());
    }
    // Replies that are the same at every path are not repeated in the document for each path.
    match (method, reply.status) {
        (&Method::OPTIONS, 200) => return same(&reply.text, r#"{"result":"success"}"#),
        (_, 301 | 308) => return Ok(()),
        (_, 415) => return body(&error_response(path, "UnsupportedCoding"), reply),
        (_, 403) if is_native(path) && is_of_other_site(reply) => {
            return body(&error_response(path, "Forbidden"), reply);
        }
        (_, 404) if here.is_empty() && reply.header("content-type").starts_with("text/html") => return page(reply),
        (_, 404) if here.is_empty() => return body(&error_response(path, "NotFound"), reply),
        (_, 405) if here.iter().all(|route| route.method != *method) => {
            return if is_native(path) {
                body(&error_response(path, "MethodNotAllowed"), reply)
            } else {
                same(&reply.text, "")
            };
        }
        _ => {}
    }
    let is_page = |route: &&&RouteEntry| match route.content {
        RouteContent::Data => false,
        RouteContent::Page => true,
        RouteContent::Negotiated => reply.header("content-type").starts_with("text/html"),
    };
    if here.iter().any(|route| is_page(&route)) {
        return page(reply);
    }
    // HEAD is documented as GET.
    let served = if method == Method::HEAD { &Method::GET } else { method };
    let route = here.iter().find(|route| route.method == *served).ok_or("there is no such route")?;
    let operation = &DOCUMENT["paths"][documented(route.path)][route.method.as_str().to_lowercase()];
    let response = resolve(&operation["responses"][reply.status.to_string()]);
    if response.is_null() {
        return Err(format!("status {} is not documented for {}", reply.status, route.path));
    }
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        if resolve(header)["required"] == true && !reply.headers.contains_key(name) {
            return Err(format!("the header {name} is missing"));
        }
    }
    if method == Method::HEAD {
        return same(&reply.text, "");
    }
    body(response, reply)?;
    wire::check(method, route.path, asked, reply.header("content-type"), &reply.text)
}

/// Types of files of runs that are shown; `""` is a reply without content.
const INERT: [&str; 6] = ["", "text/plain; charset=utf-8", "image/png", "image/jpeg", "image/gif", "image/webp"];

/// Checks the headers of a page, whatever its status: scripts and styles from here only, none of them inline. A file of
/// a run may do nothing at all.
fn page(reply: &Reply) -> Result<(), String> {
    if reply.header("content-security-policy") == "default-src 'none'; sandbox" {
        let is_inert =
            reply.header("x-content-type-options") == "nosniff" && INERT.contains(&reply.header("content-type"));
        return if is_inert { Ok(()) } else { Err("a file of a run could act".to_owned()) };
    }
    const WANTED: [(&str, &str); 7] = [
        ("content-security-policy", "default-src 'none'; script-src 'self'; style-src 'self'; "),
        ("content-security-policy", "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "),
        ("content-security-policy", "; require-trusted-types-for 'script'; trusted-types silo"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ];
    let missing = WANTED.iter().find(|(name, value)| !reply.header(name).contains(value));
    if let Some((name, value)) = missing {
        return Err(format!("a page has no {name} with {value}"));
    }
    let is_loose = reply.header("content-security-policy").contains("unsafe");
    if is_loose { Err("the content security policy allows inline code".to_owned()) } else { Ok(()) }
}

/// Whether a request was refused because a browser's cookie came with it from elsewhere.
fn is_of_other_site(reply: &Reply) -> bool {
    ["page of another site", "(Sec-Fetch-Site, Origin)"].iter().any(|words| reply.text.contains(words))
}

/// Whether errors at this path are problem documents (RFC 9457).
fn is_native(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/hooks/")
}

/// The routes whose path matches best, in the router's order: literals before parameters before wildcards.
fn best<'a>(routes: &'a [RouteEntry], path: &str) -> Vec<&'a RouteEntry> {
    let fitting: Vec<(Vec<u8>, &RouteEntry)> =
        routes.iter().filter_map(|route| fit(route.path, path).map(|rank| (rank, route))).collect();
    let first = fitting.iter().map(|(rank, _)| rank.clone()).min();
    fitting.into_iter().filter(|(rank, _)| Some(rank) == first.as_ref()).map(|(_, route)| route).collect()
}

/// How each segment matches; `None`: it does not.
fn fit(template: &str, path: &str) -> Option<Vec<u8>> {
    let mut parts = path.split('/');
    let mut rank = Vec::new();
    for wanted in template.split('/') {
        let part = parts.next()?;
        match wanted {
            _ if wanted.starts_with("{*") => {
                rank.push(2);
                return (!part.is_empty()).then_some(rank);
            }
            _ if wanted.starts_with('{') && !part.is_empty() => rank.push(1),
            _ if wanted == part => rank.push(0),
            _ => return None,
        }
    }
    parts.next().is_none().then_some(rank)
}

/// Validates the body against one of the response's content types.
fn body(response: &Value, reply: &Reply) -> Result<(), String> {
    let content_type = reply.header("content-type");
    let Some(contents) = response["content"].as_object() else {
        return same(&reply.text, "");
    };
    let schema = contents
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(content_type))
        .map(|(_, content)| &content["schema"])
        .ok_or_else(|| format!("the content type '{content_type}' is not documented"))?;
    let instance = if content_type.contains("json") {
        serde_json::from_str(&reply.text).map_err(|why| format!("the body is not JSON: {why}"))?
    } else {
        Value::String(reply.text.clone())
    };
    validate(schema, &instance)
}

/// Validates a value against a schema of the document (OpenAPI 3.1: JSON Schema 2020-12).
pub(crate) fn validate(schema: &Value, instance: &Value) -> Result<(), String> {
    let differing: Vec<String> = validator(schema)
        .iter_errors(instance)
        .map(|error| format!("{} at '{}'", error, error.instance_path()))
        .collect();
    if differing.is_empty() { Ok(()) } else { Err(differing.join("\n")) }
}

fn validator(schema: &Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let build = || {
        // References point into the document, so its components are included.
        let whole = json!({"allOf": [schema], "components": DOCUMENT["components"]});
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&whole);
        Arc::new(validator.unwrap_or_else(|why| panic!("openapi.yaml has a schema that is none: {why}: {schema}")))
    };
    // An invalid schema panics while the lock is held; the poisoned lock must not hide the reason in other tests.
    let mut known = VALIDATORS.lock();
    Arc::clone(known.entry(schema.to_string()).or_insert_with(build))
}

/// The document's response for errors of the API that the path belongs to.
fn error_response(path: &str, name: &str) -> Value {
    let prefix = if is_native(path) { "Problem" } else { "" };
    let response = &DOCUMENT["components"]["responses"][format!("{prefix}{name}")];
    assert!(!response.is_null(), "openapi.yaml has no response {prefix}{name}");
    response.clone()
}

/// Resolves a `$ref`; other values are returned unchanged.
pub(crate) fn resolve(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("openapi.yaml has no {reference}"))
        }
    }
}

fn same(found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected the body '{expected}'")) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use silo::http::RouteAccess;

    use super::*;

    /// The error about a reply of `GET /jobs/1`, if any.
    fn said(status: u16, content_type: &str, text: &str) -> Result<(), String> {
        let route =
            |path| RouteEntry { method: Method::GET, path, access: RouteAccess::Anyone, content: RouteContent::Data };
        let routes = [route("/jobs"), route("/jobs/search/{*query}"), route("/jobs/{id}")];
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content_type.parse().expect("a header"));
        headers.insert("x-request-id", HeaderValue::from_static("1"));
        let reply = Reply { asked: String::new(), status, headers, text: text.to_owned() };
        checked(&routes, &Method::GET, "/jobs/1?a=b", &reply)
    }

    #[test]
    fn a_reply_that_breaks_the_contract_is_found() {
        const JSON: &str = "application/json";
        assert_eq!(said(404, JSON, r#"{"error":"none"}"#), Ok(()));
        for (status, content_type, text, names) in [
            (404, JSON, r#"{"error":"none","more":1}"#, "more"),
            (404, JSON, r#"{}"#, "error"),
            (404, JSON, r#"{"error":"none"} "trailing""#, "JSON"),
            (404, "text/html", r#"{"error":"none"}"#, "text/html"),
            (418, JSON, r#"{"error":"none"}"#, "418"),
            (200, JSON, r#"{"ID":1}"#, "required"),
            (200, JSON, "null", "null"),
        ] {
            let why = said(status, content_type, text).expect_err(text);
            assert!(why.contains(names), "{why}");
        }
    }

    #[test]
    fn text_goes_before_a_parameter_and_that_before_one_with_slashes() {
        let rank = |template, path| fit(template, path);
        assert_eq!(rank("/jobs/{id}", "/jobs/1"), Some(vec![0, 0, 1]));
        assert_eq!(rank("/jobs/{*rest}", "/jobs/1/2"), Some(vec![0, 0, 2]));
        assert!(rank("/jobs/add", "/jobs/add") < rank("/jobs/{id}", "/jobs/add"));
        for path in ["/jobs", "/jobs/", "/jobs/1/2", "/images/1"] {
            assert_eq!(rank("/jobs/{id}", path), None, "{path}");
        }
    }
}
