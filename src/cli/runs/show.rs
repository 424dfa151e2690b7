//! A run's record as text for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::args::server_client::{items, moment, text};
use crate::cli::output::render::tame;

/// Summary of a run: status and reason, inputs, and where the rest is.
pub(super) fn record(record: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            _ = writeln!(out, "{name:<10} {}", tame(&value));
        }
    };
    let job = &record["job"];
    line("Run", text(&record["id"]));
    line(
        "Job",
        format!("{} {} (package {})", text(&job["name"]), text(&job["jobVersion"]), text(&job["packageVersion"])),
    );
    line("Image", text(&record["image"]["reference"]));
    line("Digest", text(&record["image"]["digest"]));
    line("Label", text(&record["label"]));
    line("Tags", items(&record["tags"]).iter().map(text).collect::<Vec<_>>().join(", "));
    let phase = if record["finished"].is_null() { format!(", {}", text(&record["phase"])) } else { String::new() };
    line("Status", format!("{}{phase}", text(&record["status"])));
    line("Message", text(&record["message"]));
    if let Some(error) = record["error"].as_object() {
        let retry = if record["willRetry"] == true { "it is tried again" } else { "it is not tried again" };
        line("Error", format!("{} ({}): {retry}", text(&error["name"]), text(&error["category"])));
    }
    let attempts = items(&record["attempts"]);
    line("Attempts", format!("{} of at most {}", attempts.len(), record["maxTries"]));
    for attempt in attempts {
        let why = text(&attempt["error"]["name"]);
        let why = if why.is_empty() { String::new() } else { format!(", {why}") };
        let code = attempt["exitCode"].as_i64().map(|code| format!(", exit code {code}")).unwrap_or_default();
        line(
            "",
            format!("{}: {} on {}{code}{why}", attempt["number"], moment(&attempt["started"]), text(&attempt["host"])),
        );
    }
    line("Created", format!("{} by {}", moment(&record["created"]), text(&record["owner"])));
    line("Started", moment(&record["started"]));
    line("Finished", moment(&record["finished"]));
    for input in items(&record["given"]["files"]) {
        for file in items(&input["files"]) {
            let digest = text(&file["sha256"]);
            let digest = digest.get(..12).unwrap_or_default();
            line(
                "Input",
                format!(
                    "{} = {} ({} bytes, sha256 {digest}…)",
                    text(&input["name"]),
                    text(&file["name"]),
                    file["size"]
                ),
            );
        }
    }
    for (kind, values) in [("Value", &record["given"]["json"]), ("Setting", &record["given"]["settings"])] {
        for (name, value) in values.as_object().into_iter().flatten() {
            line(kind, format!("{name} = {}", text(value)));
        }
    }
    for output in items(&record["outputs"]["files"]) {
        for file in items(&output["files"]) {
            line("Output", format!("{} = {} ({} bytes)", text(&output["name"]), text(&file["path"]), file["size"]));
        }
    }
    for (name, value) in record["outputs"]["json"].as_object().into_iter().flatten() {
        line("Output", format!("{name} = {value}"));
    }
    for warning in items(&record["warnings"]) {
        line("Warning", text(warning));
    }
    line("Command", text(&record["dockerRun"]));
    let id = text(&record["id"]);
    line("Logs", format!("silo runs logs {id}"));
    out
}

/// The result, for a command that waited.
pub(super) fn end(record: &Value) -> String {
    let status = text(&record["status"]);
    let mut out = format!("{}: {}\n", tame(&status), tame(&text(&record["message"])));
    if status != "successful" {
        let id = text(&record["id"]);
        _ = writeln!(out, "More: silo runs show {id}; silo runs logs {id} --stderr");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_screen_says_it_all() {
        let at = "2026-03-01T06:14:38.000Z";
        let shown = record(&json!({
            "id": "0197", "job": {"name": "ice", "jobVersion": "1.0.0", "packageVersion": "2.0.0"},
            "image": {"reference": "r/ice-1.0.0-seed:2.0.0", "digest": "sha256:ab", "platform": null},
            "tags": ["a", "b"], "status": "failed", "phase": "done", "message": "Bad input.\u{1b}[2J",
            "error": {"name": "bad-input", "category": "data"}, "willRetry": false, "maxTries": 3, "owner": "ada",
            "attempts": [{"number": 1, "started": at, "host": "node", "exitCode": 3, "error": {"name": "bad-input"}}],
            "created": at, "started": at, "finished": at, "warnings": ["It is odd."],
            "given": {
                "files": [{"name": "SCENE", "files": [{"name": "a.tif", "size": 7, "sha256": "0123456789abcdef"}]}],
                "json": {"BANDS": "[1,2]"}, "settings": {"KEY": "*****"}
            },
            "outputs": {"files": [{"name": "MAP", "files": [{"path": "x/map.tif", "size": 9}]}], "json": {"N": 4}},
            "dockerRun": "docker run r/ice"
        }));
        insta::assert_snapshot!(shown);
        let waiting = record(&json!({"id": "0197", "status": "running", "phase": "main", "maxTries": 1}));
        assert!(waiting.contains("Status     running, main\n") && !waiting.contains("Error"), "{waiting}");
    }
}
