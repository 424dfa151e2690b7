//! Batches from tables, on a real engine.

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::Runs;
use crate::support::manifest::of_job;
use crate::support::process::Engine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_run_and_its_values_come_back_as_a_table() {
    let runs = Runs::on(Engine::Sqlite).await;
    let manifest = of_job(
        "doubles",
        json!({
            "timeout": 600,
            "interface": {
                "inputs": {"json": [{"name": "COUNT", "type": "integer"}]},
                "outputs": {"json": [{"name": "TWICE", "type": "integer"}, {"name": "NOTE", "type": "string"}]}
            },
            "errors": [{"code": 3, "name": "too-large", "title": "Too large", "description": "x", "category": "data"}]
        }),
    );
    let script = "[ $COUNT -lt 100 ] || exit 3; \
        echo \"{\\\"TWICE\\\": $((COUNT * 2)), \\\"NOTE\\\": \\\"=$COUNT\\\"}\" >$OUTPUT_DIR/seed.outputs.json";
    let image = format!("doubles-{}-1.0.0-seed:1.0.0", std::process::id());
    let image = runs.engine.script(&image, script, &[(LABEL, &manifest.to_string())]).await;
    let form = json!({"image": image, "table": "COUNT\n-4\n100\n"});
    assert_eq!(runs.silo.post("/api/v1/batches?dry_run=true", form.clone()).await.expect(200)["rows"], 2);
    let batch = runs.silo.post("/api/v1/batches", form).await.expect(201);
    let id = batch["id"].as_str().expect("an id").to_owned();
    let rows = runs.silo.get(&format!("/api/v1/batches/{id}/runs")).await.expect(200);
    for run in rows["items"].as_array().expect("a list") {
        runs.ended(run["id"].as_str().expect("an id")).await;
    }
    let ended = runs.silo.get(&format!("/api/v1/batches/{id}")).await.expect(200);
    let error = &ended["errors"][0];
    assert_eq!((&error["name"], &error["category"], &error["count"]), (&json!("too-large"), &json!("data"), &json!(1)));
    let csv = runs.silo.get(&format!("/api/v1/batches/{id}/outputs.csv")).await;
    let Value::String(csv) = csv.expect(200) else { panic!("a table is text") };
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let told: Vec<String> = lines.iter().map(|cells| [&cells[..1], &cells[2..]].concat().join(",")).collect();
    assert_eq!(told, ["row,status,error,TWICE,NOTE", "1,successful,,-8,'=-4", "2,failed,too-large,,"]);
    runs.engine.remove_image(&image).await;
}
