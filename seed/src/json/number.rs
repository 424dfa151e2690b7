//! JSON numbers (RFC 8259, §6), kept as written.

/// A number as it is written in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonNumber<'a>(pub &'a str);

impl JsonNumber<'_> {
    /// Whether a text matches the grammar of numbers.
    pub(super) fn is_valid(text: &str) -> bool {
        let rest = text.strip_prefix('-').unwrap_or(text);
        let (digits, rest) = split_digits(rest);
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            return false;
        }
        let rest = match rest.strip_prefix('.').map(split_digits) {
            Some(("", _)) => return false,
            Some((_, rest)) => rest,
            None => rest,
        };
        match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => {
                let (digits, rest) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
                !digits.is_empty() && rest.is_empty()
            }
            None => rest.is_empty(),
        }
    }

    /// Whether the number is written without fraction and exponent.
    pub(crate) fn is_whole(self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }

    /// The value as a 64-bit integer; `None` if it has a fraction or exponent, or does not fit.
    pub(crate) fn integer(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The nearest double; infinite if out of range.
    pub(crate) fn float(self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Whether the number is in the range of doubles. Less than 300 characters without an exponent always are.
    pub(super) fn is_in_range(self) -> bool {
        (self.0.len() < 300 && !self.0.contains(['e', 'E'])) || self.float().is_finite()
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}
