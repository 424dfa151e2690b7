//! Escapes in strings (RFC 8259, §7).

/// What stands at a backslash.
pub(super) enum Escape {
    /// The character it means, and how many bytes it takes with its backslash.
    Char(char, usize),
    /// It means no character.
    Bad,
}

/// Reads the escape at the start of `text`, which begins with a backslash.
pub(super) fn read(text: &str) -> Escape {
    let plain = match text.as_bytes().get(1) {
        Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text).map_or(Escape::Bad, |(c, length)| Escape::Char(c, length)),
        _ => return Escape::Bad,
    };
    Escape::Char(plain, 2)
}

/// The character of `\uXXXX`, or of the pair `\uXXXX\uXXXX`, at the start of `text`, and how many bytes it took.
pub(in crate::seed) fn unicode(text: &str) -> Option<(char, usize)> {
    let first = unit(text)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, 6));
    }
    let second = unit(text.get(6..)?)?;
    let c = char::decode_utf16([first, second]).next()?.ok()?;
    Some((c, 12))
}

fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` alone would take a sign.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}
