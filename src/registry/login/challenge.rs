//! Parses `WWW-Authenticate` (RFC 9110 §11.6.1), by which a registry announces its login methods. Pure; never fails:
//! malformed parts are skipped.

use super::header_reader::{HeaderReader, is_token};

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) struct AuthChallenge {
    pub(in crate::registry) scheme: String,
    params: Vec<(String, String)>,
}

impl AuthChallenge {
    /// A parameter's value; the first if it is given twice.
    pub(in crate::registry) fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Login method of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) enum LoginMethod {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// The scope of the first bearer challenge with one. `headers`: the values of all `WWW-Authenticate` headers. Use it
/// for the list of repositories only: for a repository some registries send placeholders.
pub(in crate::registry) fn scope<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    let challenges = headers.into_iter().flat_map(|value| parse(&String::from_utf8_lossy(value)));
    challenges.filter(|c| c.scheme == "bearer").find_map(|c| c.get("scope").map(str::to_owned))
}

/// The preferred method: bearer before basic. `headers`: the values of all `WWW-Authenticate` headers. `None`: neither
/// is offered.
pub(in crate::registry) fn method<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Option<LoginMethod> {
    let challenges: Vec<AuthChallenge> =
        headers.into_iter().flat_map(|value| parse(&String::from_utf8_lossy(value))).collect();
    let bearer = challenges.iter().filter(|c| c.scheme == "bearer").find_map(|c| {
        let realm = c.get("realm").filter(|realm| !realm.is_empty())?;
        Some(LoginMethod::Bearer { realm: realm.to_owned(), service: c.get("service").map(str::to_owned) })
    });
    bearer.or_else(|| challenges.iter().any(|c| c.scheme == "basic").then_some(LoginMethod::Basic))
}

/// Parses one header value. It may hold several challenges, separated by the same commas as their parameters: a word
/// followed by `=` is a parameter of the current challenge, any other word starts the next one.
pub(in crate::registry) fn parse(header: &str) -> Vec<AuthChallenge> {
    let mut rest = HeaderReader::new(header);
    let mut found: Vec<AuthChallenge> = Vec::new();
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return found;
        }
        let word = rest.take(is_token).to_ascii_lowercase();
        rest.skip(|c| c.is_ascii_whitespace());
        if word.is_empty() {
            rest.element();
        } else if rest.eat('=') {
            let value = rest.value(None);
            if let (Some(challenge), Some(value)) = (found.last_mut(), value) {
                challenge.params.push((word, value));
            }
        } else {
            found.push(AuthChallenge { scheme: word, params: Vec::new() });
            rest.skip_token68();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<LoginMethod> {
        Some(LoginMethod::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    fn of(headers: &[&str]) -> Option<LoginMethod> {
        method(headers.iter().map(|h| h.as_bytes()))
    }

    #[test]
    fn one_bearer() {
        let header = r#"Bearer realm="https://auth.example.org/token",service="reg.example.org",scope="a:b:pull,push""#;
        assert_eq!(of(&[header]), bearer("https://auth.example.org/token", Some("reg.example.org")));
        assert_eq!(parse(header)[0].get("scope"), Some("a:b:pull,push"), "a comma in quotes ends nothing");
    }

    #[test]
    fn several_in_one_header_and_several_headers() {
        let line = r#"Basic realm="a, Bearer realm=\"x\"", Bearer realm="https://t/", service=s"#;
        assert_eq!(of(&[line]), bearer("https://t/", Some("s")));
        assert_eq!(of(&["Basic realm=x", "Bearer realm=\"https://t/\""]), bearer("https://t/", None));
        assert_eq!(of(&["Negotiate, NTLM, basic"]), Some(LoginMethod::Basic));
        assert_eq!(of(&["Negotiate YII/x+==, Basic realm=\"r\""]), Some(LoginMethod::Basic));
        assert_eq!(of(&["Negotiate abc, bearer realm=/t"]), bearer("/t", None));
    }

    #[test]
    fn sloppy_ones() {
        assert_eq!(of(&["Bearer realm=https://t/a?b=c,service=s"]), bearer("https://t/a?b=c", Some("s")));
        assert_eq!(of(&[r#"BEARER  Realm = "https://t/" , , Service="s""#]), bearer("https://t/", Some("s")));
        assert_eq!(of(&[r#"Bearer realm="https://t/"#]), bearer("https://t/", None), "an open quote");
        assert_eq!(of(&["Bearer service=s, Basic"]), Some(LoginMethod::Basic), "a bearer without realm is none");
        for nothing in ["", ",,,", "realm=x", "=", "\"", "Digest realm=x", "Bearer", "Bearer realm=\"\""] {
            assert_eq!(of(&[nothing]), None, "{nothing}");
        }
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(parse(r#"Basic realm="a\"b\\c""#)[0].get("realm"), Some(r#"a"b\c"#));
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC{0,200}") {
            parse(&header);
        }

        #[test]
        fn never_panics_on_near_misses(header in "(Bearer|Basic|realm|service|=|,|\"|\\\\| |/|==|a){0,30}") {
            parse(&header);
        }

        #[test]
        fn what_is_quoted_is_read_back(realm in "[ -~]{1,40}", service in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Basic realm=\"x\", Bearer realm=\"{}\",service=\"{}\"", quote(&realm), quote(&service));
            prop_assert_eq!(of(&[&header]), bearer(&realm, Some(&service)));
        }
    }
}
