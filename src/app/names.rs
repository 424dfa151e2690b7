//! Rules for names and passwords.

use secrecy::{ExposeSecret as _, SecretString};
use unicode_security::{MixedScript as _, skeleton};

use super::{Error, Result};

/// Longest name of a user or registry, in characters; longest password, in bytes.
pub(super) const LONGEST_NAME: usize = 255;
pub(super) const LONGEST_PASSWORD: usize = 1024;
/// Shortest new password, in characters. Shorter ones from earlier versions keep working.
const SHORTEST_PASSWORD: usize = 8;

/// Checks that a name can be listed, typed and stored.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::Invalid(format!("The {what} {why}")));
    if name.trim().is_empty() {
        return refuse("is empty".to_owned());
    }
    if name.chars().count() > LONGEST_NAME {
        return refuse(format!("is longer than {LONGEST_NAME} characters"));
    }
    if name.chars().any(char::is_control) {
        return refuse("contains control characters".to_owned());
    }
    if name.chars().any(is_invisible) {
        return refuse("contains invisible characters".to_owned());
    }
    if name.trim() != name {
        return refuse("begins or ends with a space".to_owned());
    }
    Ok(())
}

/// Checks the name of a new user, which must not be confusable with another's.
pub(super) fn check_user_name<'a>(name: &str, others: impl IntoIterator<Item = &'a str>) -> Result<()> {
    check_name("user name", name)?;
    if !name.is_single_script() {
        return Err(Error::Invalid(
            "The user name mixes letters of several scripts, such as Latin and Cyrillic, which look alike".to_owned(),
        ));
    }
    let looks = looks_of(name);
    let is_alike = |other: &&str| *other != name && looks_of(other).iter().any(|look| looks.contains(look));
    match others.into_iter().find(is_alike) {
        Some(other) => Err(Error::Invalid(format!("The user name looks like that of the user {other}"))),
        None => Ok(()),
    }
}

/// Checks a new password.
pub(super) fn check_password(password: &SecretString) -> Result<()> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(Error::Invalid(format!("The password is shorter than {SHORTEST_PASSWORD} characters")));
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(Error::Invalid(format!("The password is longer than {LONGEST_PASSWORD} bytes")));
    }
    Ok(())
}

/// Skeletons of a name, in its own case and in lower case. Names that share one look alike (UTS #39, section 4).
fn looks_of(name: &str) -> [String; 2] {
    [skeleton(name).collect(), skeleton(&name.to_lowercase()).collect()]
}

/// Whether a character is invisible, turns the writing direction, or is a space other than U+0020: Unicode's default
/// ignorable code points, formatting characters and separators.
fn is_invisible(c: char) -> bool {
    let is_other_space = c.is_whitespace() && c != ' ';
    is_other_space
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_plain() {
        let others = ["admin", "Ada Lovelace", "mike"];
        for name in ["bob", "ada@example.org", "Jürgen Müller", "山田太郎", "иван", "o'neill-2", "admin"] {
            check_user_name(name, others).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        for name in [
            "",
            " ",
            " bob",
            "bob ",
            "bob\u{a0}",
            "a\nb",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{2028}b",
            "bo\u{200b}b",
            "bob\u{feff}",
            "\u{202e}bob",
            "b\u{ad}ob",
            "x\u{e0041}",
            "аdmin",
            "Admin",
            "ADMIN",
            "adm1n",
            "ada Iovelace",
            "rnike",
        ] {
            // Digits look like letters in some fonts only (1 and l, 0 and O), so `adm1n` may pass.
            let outcome = check_user_name(name, others);
            assert!(outcome.is_err() || name == "adm1n", "{name:?}");
        }
        assert!(check_user_name("аԁмin", []).is_err(), "scripts are mixed whoever else there is");
        assert!(check_user_name("ѕсоре", ["scope"]).is_err(), "all Cyrillic, and looks Latin");
        assert!(check_user_name(&"x".repeat(256), []).is_err());
    }

    #[test]
    fn passwords_have_a_length() {
        for (password, is_fine) in
            [("", false), ("1234567", false), ("12345678", true), ("ÄÖÜäöüß", false), ("ÄÖÜäöüßß", true)]
        {
            assert_eq!(check_password(&password.into()).is_ok(), is_fine, "{password}");
        }
        assert!(check_password(&"p".repeat(1025).into()).is_err());
    }
}
