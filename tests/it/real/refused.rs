//! A registry that lists more than the account may read.

use serde_json::{Value, json};

use crate::scan::{counts, registry_of, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::process::{Engine, Setup, Silo, on_both};
use crate::support::token_desk::TokenHabit;

const SECRET: &str = "secret-1.0.0-seed";

fn is_of_secret(seen: &Seen) -> bool {
    seen.path.starts_with("/v2/secret-1.0.0-seed/")
}

fn denied(status: u16) -> Fault {
    Fault::Json(status, json!({"errors": [{"code": "DENIED", "message": "requested access is denied"}]}))
}

/// Refuses one of three repositories, and removes another, and a tag of the third; returns the remaining images and the
/// report.
async fn after_a_refusal(silo: &Silo, name: &str, refuse: impl Fn(&FakeRegistry)) -> (Value, Vec<[String; 3]>) {
    let registry = registry_of(&["ice", "snow", "secret"]).await;
    registry.push("ice-1.0.0-seed", "0.9.0", &seed("ice", "1.0.0", "An older one"));
    registry.require_bearer(&registry.clone(), Some(("ada", "s3cret")));
    let form = json!({"name": name, "url": registry.url(), "username": "ada", "password": "s3cret"});
    let id = silo.add_with(form).await;
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["images"])), (&json!("complete"), [4]), "{name}: {scan:#}");

    refuse(&registry);
    registry.delete_repository("snow-1.0.0-seed");
    registry.delete_tag("ice-1.0.0-seed", "0.9.0");
    let scan = silo.scan(id).await;
    (scan.clone(), silo.problems(&scan).await)
}

async fn a_refused_repository_keeps_its_images_and_others_lose_what_is_gone(engine: Engine) {
    let silo = Setup::on(engine).await.impatient().start().await;
    let pull = "repository:secret-1.0.0-seed:pull";
    let scopes = |habit: TokenHabit| move |registry: &FakeRegistry| registry.tokens_as(habit);
    let answers = |status: u16| move |registry: &FakeRegistry| registry.fault(is_of_secret, ALWAYS, denied(status));
    let refusals = [
        after_a_refusal(&silo, "scope-401", scopes(TokenHabit::AllBut(401, pull))).await,
        after_a_refusal(&silo, "scope-403", scopes(TokenHabit::AllBut(403, pull))).await,
        after_a_refusal(&silo, "answer-401", answers(401)).await,
        after_a_refusal(&silo, "answer-403", answers(403)).await,
    ];
    for (scan, problems) in refusals {
        assert_eq!((&scan["state"], &scan["error"]), (&json!("complete"), &Value::Null), "{scan:#}");
        let all = ["repositories", "repositoriesDone", "repositoriesRefused", "removed", "images"];
        assert_eq!(counts(&scan, all), [2, 1, 1, 2, 2], "{scan:#}");
        let note = scan["notes"][0].as_str().expect("a note");
        assert!(note.contains("denies this account 1 of the repositories"), "{note}");
        let [[code, place, message]] = &problems[..] else { panic!("{problems:#?}") };
        assert_eq!((code.as_str(), place.trim_end_matches(':')), ("pull-refused", SECRET), "{message}");
        assert!(message.contains("right") && message.contains("stay as they are"), "{message}");
    }
    assert_eq!(silo.images("secret").await.len(), 4, "of each registry");
    assert_eq!(silo.images("snow").await, Vec::<Value>::new());
}

async fn a_refused_tag_stays_and_what_is_gone_beside_it_goes(engine: Engine) {
    let registry = registry_of(&["ice"]).await;
    for version in ["0.8.0", "0.9.0"] {
        registry.push("ice-1.0.0-seed", version, &seed("ice", "1.0.0", version));
    }
    let silo = Setup::on(engine).await.impatient().start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    registry.delete_tag("ice-1.0.0-seed", "0.8.0");
    registry.fault(|seen| seen.path.ends_with("/manifests/0.9.0"), ALWAYS, denied(403));
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["removed", "images"])), (&json!("complete"), [1, 2]), "{scan:#}");
    let [[code, place, message]] = &silo.problems(&scan).await[..] else { panic!("one problem") };
    assert_eq!((code.as_str(), place.as_str()), ("pull-refused", "ice-1.0.0-seed:0.9.0"));
    assert!(message.contains("username and password"), "{message}");
}

/// Permissions that were all revoked look like an empty registry.
async fn who_is_refused_everything_removes_nothing(engine: Engine) {
    let registry = registry_of(&["ice", "snow"]).await;
    let silo = Setup::on(engine).await.impatient().start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    registry.delete_repository("snow-1.0.0-seed");
    registry.fault(Seen::is_tags, ALWAYS, denied(403));
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["removed", "images"])), (&json!("partial"), [0, 2]), "{scan:#}");
    let error = scan["error"].as_str().expect("an error");
    assert!(error.contains("none of the repositories could be read"), "{error}");

    registry.clear_faults();
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["removed", "images"])), (&json!("complete"), [1, 1]), "{scan:#}");
}

on_both!(
    a_refused_repository_keeps_its_images_and_others_lose_what_is_gone,
    a_refused_tag_stays_and_what_is_gone_beside_it_goes,
    who_is_refused_everything_removes_nothing,
);
