//! The search extension of zot.

use serde_json::{Value, json};

use crate::fake_registry::{FakeRegistry, Own, Peek, Repositories, Seen};

/// A zot with the search extension; `page` limits the page size.
pub async fn zot(page: usize) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    let peek = registry.peek();
    registry.serve_to_members(move |seen, repositories| search(&peek, page, seen, repositories));
    registry
}

pub fn is_search(seen: &Seen) -> bool {
    seen.path == "/v2/_zot/ext/search"
}

fn search(peek: &Peek, most: usize, seen: &Seen, repositories: &Repositories) -> Option<Own> {
    if !is_search(seen) {
        return None;
    }
    let query = seen.parameter("query").unwrap_or_default();
    let number = |name: &str| {
        let rest = query.split_once(&format!("{name}:")).map(|(_, rest)| rest)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    };
    let (Some(limit), Some(offset)) = (number("limit"), number("offset")) else {
        return Some(Own::new(422, json!({"errors": [{"message": "no page"}], "data": null})));
    };
    let (name, all): (&str, Vec<Value>) = if query.starts_with("{RepoListWithNewestImage(") {
        let row = |name: &String| json!({"Name": name, "LastUpdated": peek.signal(name)});
        ("RepoListWithNewestImage", repositories.keys().map(row).collect())
    } else {
        let name = query.strip_prefix("{ImageList(repo:\"")?.split('"').next()?;
        let image = |(tag, digest): (&String, &String)| {
            let manifest = json!({"Digest": digest, "ConfigDigest": peek.config_of(digest)});
            json!({"Tag": tag, "Digest": digest, "Size": "4711", "Manifests": [manifest]})
        };
        ("ImageList", repositories.get(name).into_iter().flatten().map(image).collect())
    };
    let total = all.len();
    let page: Vec<Value> = all.into_iter().skip(offset).take(limit.min(most)).collect();
    Some(Own::new(200, json!({"data": {name: {"Page": {"TotalCount": total}, "Results": page}}})))
}
