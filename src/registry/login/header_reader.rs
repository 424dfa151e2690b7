//! Parser for header values of comma-separated elements with parameters (RFC 9110 §5.6): tokens and quoted strings.
//! Pure; never fails and always makes progress.

/// A character of a token (RFC 9110 §5.6.2).
pub(in crate::registry) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// The unread rest of a header value.
pub(in crate::registry) struct HeaderReader<'a>(&'a str);

impl<'a> HeaderReader<'a> {
    pub(in crate::registry) fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(in crate::registry) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::registry) fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !wanted(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    pub(in crate::registry) fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(unwanted);
    }

    pub(in crate::registry) fn eat(&mut self, wanted: char) -> bool {
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Skips to the next comma outside of quotes.
    pub(in crate::registry) fn element(&mut self) {
        loop {
            self.take(|c| c != ',' && c != '"');
            if !self.eat('"') {
                return;
            }
            self.quoted();
        }
    }

    /// Reads a parameter's value after its `=`. Unquoted values may hold anything but commas, whitespace and `end`:
    /// some registries omit the quotes around a URL. `None`: there is no value, so the word was no parameter.
    pub(in crate::registry) fn value(&mut self, end: Option<char>) -> Option<String> {
        self.skip(|c| c.is_ascii_whitespace());
        if self.eat('"') {
            return Some(self.quoted());
        }
        let value = self.take(|c| c != ',' && Some(c) != end && !c.is_ascii_whitespace());
        (!value.trim_matches('=').is_empty()).then(|| value.to_owned())
    }

    /// Reads the rest of a quoted string after its first quote, escapes resolved. An unterminated one extends to the
    /// end.
    fn quoted(&mut self) -> String {
        let mut text = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return text;
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                c => text.push(c),
            }
        }
        self.0 = "";
        text
    }

    /// Skips a token68 after a scheme (as in `Negotiate YII=`), but not a first parameter.
    pub(in crate::registry) fn skip_token68(&mut self) {
        let mut ahead = HeaderReader(self.0);
        let word = ahead.take(|c| is_token(c) || c == '/');
        ahead.skip(|c| c == '=' || c.is_ascii_whitespace());
        if !word.is_empty() && (ahead.0.is_empty() || ahead.0.starts_with(',')) {
            self.0 = ahead.0;
        }
    }
}
