//! The name by which this program was called, used in its hints: `silo`, or Seed CLI's `seed`.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::args::seed_cli;

static NAME: OnceLock<&str> = OnceLock::new();

/// Remembers the name; only the first call has an effect.
pub(super) fn remember(name: &'static str) {
    _ = NAME.set(name);
}

/// The command as the user types it.
pub(super) fn name() -> &'static str {
    NAME.get().copied().unwrap_or("silo")
}

/// A text for people, with the current program name in commands that Seed CLI has, too.
pub(super) fn as_called(text: &str) -> Cow<'_, str> {
    with_name(text, name())
}

fn with_name<'t>(text: &'t str, name: &str) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    if name != "silo" {
        for verb in seed_cli::verbs() {
            let (ours, theirs) = (format!("silo {verb}"), format!("{name} {verb}"));
            if text.contains(&ours) {
                text = text.replace(&ours, &theirs).into();
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_typed_as_the_program_was() {
        let hint = "build it with: silo build x; then silo run x, or silo scan";
        assert_eq!(with_name(hint, "silo"), hint);
        assert_eq!(with_name(hint, "seed"), "build it with: seed build x; then seed run x, or silo scan");
        assert_eq!(with_name("silo init", "silo seed"), "silo seed init");
    }
}
