//! Rewrites a Dockerfile for engines that do not know here-documents or `--link`, if the meaning stays the same.
//! Pure.

use std::collections::BTreeMap;

use super::instructions::escape;

/// Folder in the stream for the contents of here-documents.
const HERE: &str = ".silo-here";

/// A rewritten Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderDockerfile {
    pub text: String,
    /// Files that it copies in addition, by name in the stream.
    pub files: BTreeMap<String, String>,
}

/// A here-document: `<<WORD`, and the lines up to `WORD`.
struct HereDocument {
    /// As written, with quotes.
    token: String,
    word: String,
    is_quoted: bool,
    body: String,
}

/// The Dockerfile without here-documents and `--link`; `None` if it has neither, or one cannot be rewritten.
pub fn older(dockerfile: &str) -> Option<OlderDockerfile> {
    let escape = escape(dockerfile);
    let mut lines = dockerfile.lines();
    let mut older = OlderDockerfile { text: String::new(), files: BTreeMap::new() };
    let (mut is_other, mut has_shell) = (false, false);
    while let Some(first) = lines.next() {
        let mut raw = vec![first];
        let mut whole = first.trim().to_owned();
        while !whole.starts_with('#') && whole.ends_with(escape) {
            let Some(line) = lines.next() else { break };
            raw.push(line);
            if !line.trim_start().starts_with('#') {
                whole.truncate(whole.len() - escape.len_utf8());
                whole = format!("{whole} {}", line.trim());
            }
        }
        let (instruction, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        let instruction = instruction.to_ascii_uppercase();
        has_shell |= instruction == "SHELL";
        let said = match instruction.as_str() {
            "RUN" => run(rest, &mut lines)?,
            "COPY" | "ADD" => copy(&instruction, rest, &mut lines, &mut older.files)?,
            _ => None,
        };
        // The script of a `RUN` is for `/bin/sh`; a `SHELL` instruction may have set another shell.
        if said.is_some() && instruction == "RUN" && has_shell {
            return None;
        }
        is_other |= said.is_some();
        older.text += &said.unwrap_or_else(|| raw.join("\n"));
        older.text.push('\n');
    }
    is_other.then_some(older)
}

/// Rewrites a `RUN`. `Some(None)`: unchanged; `None`: cannot be rewritten.
fn run<'a>(rest: &str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Option<String>> {
    let documents = here_documents(rest, lines)?;
    let [first, ..] = &documents[..] else { return Some(None) };
    let (flags, command) = flags(rest);
    let script = if command == first.token {
        first.body.clone()
    } else {
        let bodies = documents.iter().map(|it| format!("{}{}\n", it.body, it.word));
        format!("{command}\n{}", bodies.collect::<String>())
    };
    // A shebang names another interpreter.
    if script.starts_with("#!") {
        return None;
    }
    let words = serde_json::to_string(&["/bin/sh", "-c", &script]).ok()?;
    let flags: String = flags.iter().map(|flag| format!("{flag} ")).collect();
    Some(Some(format!("RUN {flags}{words}")))
}

fn copy<'a>(
    instruction: &str,
    rest: &str,
    lines: &mut impl Iterator<Item = &'a str>,
    files: &mut BTreeMap<String, String>,
) -> Option<Option<String>> {
    let documents = here_documents(rest, lines)?;
    let (flags, mut paths) = flags(rest);
    let kept: Vec<&str> =
        flags.iter().copied().filter(|flag| *flag != "--link" && !flag.starts_with("--link=")).collect();
    if documents.is_empty() && kept.len() == flags.len() {
        return Some(None);
    }
    for document in documents {
        // The builder would expand variables and escapes in it.
        if !document.is_quoted && document.body.contains(['$', '\\']) {
            return None;
        }
        let name = format!("{HERE}/{}/{}", files.len(), document.word);
        paths = paths.replacen(&document.token, &name, 1);
        files.insert(name, document.body);
    }
    let flags: String = kept.iter().map(|flag| format!("{flag} ")).collect();
    Some(Some(format!("{instruction} {flags}{paths}")))
}

/// The flags of an instruction, and the rest of its line.
fn flags(rest: &str) -> (Vec<&str>, String) {
    let mut left = rest.trim_start();
    let mut flags = Vec::new();
    while left.starts_with("--") {
        let (flag, after) = left.split_once(char::is_whitespace).unwrap_or((left, ""));
        flags.push(flag);
        left = after.trim_start();
    }
    (flags, left.trim_end().to_owned())
}

/// Reads the here-documents of an instruction from the following lines; `None`: one is not terminated.
fn here_documents<'a>(rest: &str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Vec<HereDocument>> {
    let mut documents = Vec::new();
    for token in rest.split_whitespace().filter_map(|word| Some(&word[word.find("<<")?..])) {
        let name = token.trim_start_matches('<');
        let (is_cut, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
        let word = name.trim_matches(['"', '\'']);
        let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_word || token.starts_with("<<<") || word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let mut body = String::new();
        loop {
            let line = lines.next()?;
            let line = if is_cut { line.trim_start_matches('\t') } else { line };
            if line == word {
                break;
            }
            body = body + line + "\n";
        }
        documents.push(HereDocument { token: token.to_owned(), word: word.to_owned(), is_quoted: name != word, body });
    }
    Some(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_engines_do_not_know_is_said_otherwise() {
        let dockerfile = "FROM a\n# why\nRUN <<EOF\nmkdir /a\necho \"$A\"\nEOF\nRUN --network=none cat <<-X >/b \\\n  && true\n\ttext\n\tX\n\
                          COPY --link --chown=1:1 x y\nADD --chmod=7 <<one <<'two' /d/\n1\none\n$2\ntwo\nCMD [\"x\"]";
        let older = older(dockerfile).expect("it can be said otherwise");
        let expected = "FROM a\n# why\nRUN [\"/bin/sh\",\"-c\",\"mkdir /a\\necho \\\"$A\\\"\\n\"]\n\
                        RUN --network=none [\"/bin/sh\",\"-c\",\"cat <<-X >/b  && true\\ntext\\nX\\n\"]\n\
                        COPY --chown=1:1 x y\nADD --chmod=7 .silo-here/0/one .silo-here/1/two /d/\nCMD [\"x\"]\n";
        assert_eq!(older.text, expected);
        let files = [(".silo-here/0/one", "1\n"), (".silo-here/1/two", "$2\n")];
        assert_eq!(older.files, files.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }

    #[test]
    fn what_would_become_something_else_stays() {
        for dockerfile in [
            "FROM a\nRUN make\nCOPY a b",
            "FROM a\nCOPY <<EOF /x\n$HOME\nEOF",
            "FROM a\nRUN <<EOF\n#!/usr/bin/python3\nprint(1)\nEOF",
            "FROM a\nRUN <<EOF\nmake",
            "FROM a\nSHELL [\"bash\"]\nRUN <<EOF\nmake\nEOF",
            "FROM a\nRUN cat <<< text; x=$((1<<3))",
        ] {
            assert_eq!(older(dockerfile), None, "{dockerfile}");
        }
    }
}
