//! What SILO reads of a Dockerfile before it is built: whether it needs BuildKit, its base images, and how to add
//! labels. Pure.

use std::collections::HashMap;

/// Flags that need BuildKit, by instruction.
const FLAGS: [(&str, &[&str]); 3] = [
    ("RUN", &["--mount", "--network", "--security", "--device"]),
    ("COPY", &["--chmod", "--link", "--parents", "--exclude"]),
    ("ADD", &["--chmod", "--link", "--exclude", "--checksum", "--keep-git-dir", "--unpack"]),
];

/// The first part of a Dockerfile that needs BuildKit, as in `RUN --mount`.
pub fn needs_build_kit(dockerfile: &str) -> Option<String> {
    logical_lines(dockerfile).find_map(|line| {
        let (instruction, rest) = line.split_once(char::is_whitespace)?;
        let instruction = instruction.to_ascii_uppercase();
        let (_, known) = FLAGS.iter().find(|(name, _)| *name == instruction)?;
        let mut words = rest.split_whitespace();
        let flag = words.by_ref().take_while(|word| word.starts_with("--")).find_map(|word| {
            let name = word.split('=').next().unwrap_or(word);
            known.contains(&name).then(|| format!("{instruction} {name}"))
        });
        flag.or_else(|| has_here_document(rest).then(|| format!("{instruction} <<")))
    })
}

/// The base images (`FROM`), without its own stages, `scratch` and names with an `ARG`.
pub fn bases(dockerfile: &str) -> Vec<String> {
    let (mut stages, mut bases) = (Vec::new(), Vec::new());
    for line in logical_lines(dockerfile) {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with("--"));
        let Some(image) = words.next() else { continue };
        let is_stage = stages.iter().any(|stage: &String| stage.eq_ignore_ascii_case(image));
        if image != "scratch" && !image.contains('$') && !is_stage {
            bases.push(image.to_owned());
        }
        if let (Some(_as), Some(name)) = (words.next(), words.next()) {
            stages.push(name.to_owned());
        }
    }
    bases
}

/// Appends labels to the last stage, quoted so that no variable is expanded in them.
pub fn with_labels(dockerfile: &str, labels: &HashMap<String, String>) -> String {
    let escape = escape(dockerfile);
    let quoted = |text: &str| {
        let special = |c: char| c == '"' || c == '$' || c == escape;
        let escaped = text.chars().flat_map(|c| special(c).then_some(escape).into_iter().chain([c]));
        format!("\"{}\"", escaped.collect::<String>())
    };
    let mut sorted: Vec<_> = labels.iter().collect();
    sorted.sort();
    let lines = sorted.iter().map(|(name, value)| format!("\nLABEL {}={}", quoted(name), quoted(value)));
    format!("{}{}\n", dockerfile.trim_end(), lines.collect::<String>())
}

/// The escape character: `\`, unless the parser directive `escape` sets another.
pub(super) fn escape(dockerfile: &str) -> char {
    let mut directives = dockerfile.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let named = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    named.and_then(|(_, value)| value.trim().chars().next()).unwrap_or('\\')
}

/// Instructions with continued lines joined, without comments.
fn logical_lines(dockerfile: &str) -> impl Iterator<Item = String> {
    let escape = escape(dockerfile);
    let mut lines = dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    std::iter::from_fn(move || {
        let mut whole = String::new();
        for line in lines.by_ref() {
            match line.strip_suffix(escape) {
                Some(part) => whole = whole + part + " ",
                None => {
                    whole += line;
                    break;
                }
            }
        }
        (!whole.is_empty()).then_some(whole)
    })
}

/// Whether there is a here-document: `<<WORD`, `<<-WORD`, or with a quoted word.
fn has_here_document(text: &str) -> bool {
    text.match_indices("<<").any(|(at, _)| {
        let word = text[at + 2..].trim_start_matches('-').trim_start_matches(['"', '\'']);
        let is_here_string = text[at + 2..].starts_with('<') || text[..at].ends_with('<');
        !is_here_string && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_build_kit_knows_is_seen() {
        for (dockerfile, needs) in [
            ("FROM a\nRUN --mount=type=cache,target=/c make", Some("RUN --mount")),
            ("FROM a\nrun \\\n  # why\n  --network=none \\\n  make", Some("RUN --network")),
            ("FROM a\nCOPY --chown=1:1 --chmod=755 a b", Some("COPY --chmod")),
            ("FROM a\nADD --checksum=sha256:1 https://x/y z", Some("ADD --checksum")),
            ("FROM a\nRUN <<EOF\nmake\nEOF", Some("RUN <<")),
            ("FROM a\nCOPY <<-'EOF' /x\n\ty\nEOF", Some("COPY <<")),
            ("# syntax=docker/dockerfile:1\nFROM a\nCOPY --chown=1 --from=b x y", None),
            ("FROM a\nRUN cat <<< text; x=$((1 << 3)); echo --mount", None),
            ("FROM a\n# RUN --mount=x y\nCMD [\"--mount\"]\nLABEL a=\"<<EOF\"", None),
            ("# escape=`\nFROM a\nRUN dir c:\\\nCOPY --link a b", Some("COPY --link")),
        ] {
            assert_eq!(needs_build_kit(dockerfile).as_deref(), needs, "{dockerfile}");
        }
    }

    #[test]
    fn bases_are_images_and_not_stages() {
        let dockerfile = "ARG V=1\nFROM --platform=linux/amd64 a/b:1 AS One\nFROM one\nFROM scratch\nfrom c$V\nFROM d";
        assert_eq!(bases(dockerfile), ["a/b:1", "d"]);
    }

    #[test]
    fn a_label_is_written_so_that_nothing_in_it_is_a_variable() {
        let labels = HashMap::from([("k".to_owned(), r#"{"a":"${V/#/-d } \n"}"#.to_owned())]);
        assert_eq!(with_labels("FROM a", &labels), "FROM a\nLABEL \"k\"=\"{\\\"a\\\":\\\"\\${V/#/-d } \\\\n\\\"}\"\n");
        let other = with_labels("#escape = `\nFROM a\n\n", &labels);
        assert_eq!(other, "#escape = `\nFROM a\nLABEL \"k\"=\"{`\"a`\":`\"`${V/#/-d } \\n`\"}\"\n");
    }
}
