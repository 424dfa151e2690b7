//! JSON with places: a document as a tree that knows where in the text each value stands, read even where the text is
//! broken, so that everything else can still be judged.
//!
//! Knows JSON (RFC 8259) only, nothing of manifests.

mod escape;
mod excerpt;
mod number;
mod reader;

use std::borrow::Cow;
use std::fmt;

pub(super) use escape::escape;
pub(super) use excerpt::{excerpt, quoted};
pub(super) use number::Number;
#[cfg(test)]
use reader::MAX_DEPTH;
pub(super) use reader::read;

/// What reading a text gave.
pub(super) struct Document<'a> {
    /// The outermost value; [`Kind::Broken`] where there is none.
    pub root: Node<'a>,
    /// Everything that is not JSON, in the order of the text. None: any JSON parser takes the text.
    pub faults: Vec<Fault>,
    /// How many faults there are besides; they are not described, so that memory stays bounded.
    pub more: usize,
}

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Byte offset of its first character.
    pub at: usize,
    pub kind: Kind<'a>,
}

#[derive(Debug)]
pub(super) enum Kind<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    /// Borrowed where the text holds no escapes, so that offsets inside it are offsets in the document.
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Object<'a>),
    /// Something else, already reported as a fault.
    Broken,
}

#[derive(Debug)]
pub(super) struct Object<'a> {
    /// In the order of the text, repeated keys included.
    pub members: Vec<Member<'a>>,
    /// Nothing of it was passed over: what is not among the members is not there.
    pub whole: bool,
}

#[derive(Debug)]
pub(super) struct Member<'a> {
    pub key: Cow<'a, str>,
    /// Byte offset of the key.
    pub at: usize,
    pub value: Node<'a>,
}

/// A place where the text is not JSON.
#[derive(Debug)]
pub(super) struct Fault {
    pub kind: FaultKind,
    pub at: usize,
    pub message: String,
    pub help: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Syntax,
    TooDeep,
    NumberOutOfRange,
    TrailingText,
}

impl<'a> Node<'a> {
    pub fn object(&self) -> Option<&Object<'a>> {
        match &self.kind {
            Kind::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<Number<'a>> {
        match &self.kind {
            Kind::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn items(&self) -> &[Node<'a>] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The member of an object: of a repeated key the last, as most readers take it.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.object()?.members.iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The value at the end of a way through objects.
    pub fn find(&self, keys: &[&str]) -> Option<&Node<'a>> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }
}

/// The way to a value, on the stack; only a problem turns it into a JSON pointer.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// Whether this is `/keys[0]/keys[1]/…`.
    pub fn is(&self, keys: &[&str]) -> bool {
        match (self, keys.split_last()) {
            (Path::Root, None) => true,
            (Path::Key(parent, key), Some((last, rest))) => key == last && parent.is(rest),
            _ => false,
        }
    }
}

/// A JSON pointer (RFC 6901).
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(parent, key) => write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1")),
            Path::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests;
