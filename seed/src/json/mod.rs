//! An error-recovering JSON parser (RFC 8259): a tree with the byte offset of every value, also for invalid text, so
//! that the rest of a broken manifest can still be validated. Knows nothing of manifests.

mod escape;
mod excerpt;
mod number;
mod reader;

use std::borrow::Cow;
use std::fmt;

pub(super) use escape::escape;
pub(super) use excerpt::{excerpt, quoted};
pub(super) use number::JsonNumber;
#[cfg(test)]
use reader::MAX_DEPTH;
pub(super) use reader::read;

/// The result of parsing a text.
pub(super) struct JsonDocument<'a> {
    /// The outermost value; [`JsonNodeKind::Broken`] if there is none.
    pub root: JsonNode<'a>,
    /// Syntax errors, in document order. If empty, every JSON parser accepts the text.
    pub faults: Vec<JsonFault>,
    /// Number of further faults, which are only counted to bound memory.
    pub more: usize,
}

/// A value and its position.
#[derive(Debug)]
pub(super) struct JsonNode<'a> {
    /// Byte offset of the value's first character.
    pub at: usize,
    pub kind: JsonNodeKind<'a>,
}

#[derive(Debug)]
pub(super) enum JsonNodeKind<'a> {
    Null,
    Bool(bool),
    Number(JsonNumber<'a>),
    /// Borrowed if the string has no escapes; offsets inside it are then offsets in the document.
    Text(Cow<'a, str>),
    List(Vec<JsonNode<'a>>),
    Object(JsonObject<'a>),
    /// Not a value; already reported as a fault.
    Broken,
}

#[derive(Debug)]
pub(super) struct JsonObject<'a> {
    /// In document order, duplicate keys included.
    pub members: Vec<JsonMember<'a>>,
    /// No part of the object was skipped by error recovery: a key that is not among the members is really absent.
    pub whole: bool,
}

#[derive(Debug)]
pub(super) struct JsonMember<'a> {
    pub key: Cow<'a, str>,
    /// Byte offset of the key.
    pub at: usize,
    pub value: JsonNode<'a>,
}

/// A syntax error.
#[derive(Debug)]
pub(super) struct JsonFault {
    pub kind: JsonFaultKind,
    pub at: usize,
    pub message: String,
    pub help: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonFaultKind {
    Syntax,
    TooDeep,
    NumberOutOfRange,
    TrailingText,
}

impl<'a> JsonNode<'a> {
    pub(super) fn object(&self) -> Option<&JsonObject<'a>> {
        match &self.kind {
            JsonNodeKind::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            JsonNodeKind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<JsonNumber<'a>> {
        match &self.kind {
            JsonNodeKind::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> &[JsonNode<'a>] {
        match &self.kind {
            JsonNodeKind::List(items) => items,
            _ => &[],
        }
    }

    /// A member of an object by key. Of duplicate keys the last one, as in most JSON parsers.
    pub(super) fn get(&self, key: &str) -> Option<&JsonNode<'a>> {
        self.object()?.members.iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The value at a path of nested objects.
    pub(super) fn find(&self, keys: &[&str]) -> Option<&JsonNode<'a>> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }
}

/// The path to a value, as a linked list on the stack. Formatted as a JSON pointer only when a problem is reported.
#[derive(Clone, Copy)]
pub(super) enum JsonPointer<'p> {
    Root,
    Key(&'p JsonPointer<'p>, &'p str),
    Index(&'p JsonPointer<'p>, usize),
}

impl JsonPointer<'_> {
    /// Whether this is the path `/keys[0]/keys[1]/…`.
    pub(super) fn is(&self, keys: &[&str]) -> bool {
        match (self, keys.split_last()) {
            (JsonPointer::Root, None) => true,
            (JsonPointer::Key(parent, key), Some((last, rest))) => key == last && parent.is(rest),
            _ => false,
        }
    }
}

/// Formats as a JSON pointer (RFC 6901).
impl fmt::Display for JsonPointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonPointer::Root => Ok(()),
            JsonPointer::Key(parent, key) => write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1")),
            JsonPointer::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests;
