//! Sorting and cursors of sorted lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::limit;
use crate::api::PageReply;
use crate::app::Error;
use crate::catalog::{ListPage, ListPosition, SortKey};
use crate::http::error::Result;

/// Values of the parameter `sort` and their orders, the default first; `-` before a value reverses the order.
pub(super) type SortWords<T> = [(&'static str, T)];

/// A requested page, and the value of `sort`.
pub(super) struct AskedPage<T> {
    pub page: ListPage<T>,
    sort: String,
}

impl<T: Copy> AskedPage<T> {
    /// Parses `sort`, `limit` and `cursor`.
    pub(super) fn read(
        words: &SortWords<T>,
        sort: Option<&str>,
        asked: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self> {
        let sort = sort.unwrap_or(words[0].0);
        let (is_descending, word) = sort.strip_prefix('-').map_or((false, sort), |word| (true, word));
        let known = || words.iter().map(|(word, _)| format!("{word}, -{word}")).collect::<Vec<_>>().join(", ");
        let found = words.iter().find(|(known, _)| *known == word);
        let (_, order) =
            found.ok_or_else(|| Error::Invalid(format!("sort is `{sort}`; it must be one of {}", known())))?;
        let after = cursor.map(|cursor| position(cursor, sort)).transpose()?;
        Ok(Self { page: ListPage { order: *order, is_descending, after, limit: limit(asked)? }, sort: sort.to_owned() })
    }

    /// The page as it is sent; `place` gives the position of an entry.
    pub(super) fn view<E, V>(
        &self,
        entries: Vec<E>,
        place: impl Fn(&E) -> (SortKey, i64),
        one: impl Fn(E) -> V,
    ) -> PageReply<V> {
        let last = entries.last().filter(|_| entries.len() == self.page.limit as usize).map(place);
        let next = last.map(|(key, id)| cursor(&self.sort, &ListPosition { key, id }));
        PageReply { items: entries.into_iter().map(one).collect(), next }
    }
}

fn cursor(sort: &str, position: &ListPosition) -> String {
    let text = serde_json::to_string(&(sort, position)).expect("texts and numbers are JSON");
    URL_SAFE_NO_PAD.encode(text)
}

fn position(cursor: &str, sort: &str) -> std::result::Result<ListPosition, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    let read: Option<(String, ListPosition)> = serde_json::from_slice(&bytes).ok();
    let (sorted, position) =
        read.ok_or_else(|| Error::Invalid("cursor is invalid; use the `next` of a page of this list".to_owned()))?;
    if sorted != sort {
        return Err(Error::Invalid(format!("cursor is for the list sorted by `{sorted}`, not by `{sort}`")));
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_are_read_as_they_were_written(id: i64, number: i64, text in "\\PC{0,20}") {
            for key in [SortKey::Number(number), SortKey::Text(text.clone())] {
                let place = ListPosition { key, id };
                prop_assert_eq!(position(&cursor("-name", &place), "-name").unwrap(), place.clone());
                prop_assert!(position(&cursor("-name", &place), "name").is_err());
            }
        }

        #[test]
        fn other_texts_are_refused(text in "\\PC{0,40}") {
            prop_assert!(position(&text, "name").is_err());
        }
    }
}
