//! Builds `WHERE` clauses from conditions with values.

use super::db::{SqlStatement, sql};
use crate::catalog::{ListPage, SortKey};

#[derive(Default)]
pub(super) struct QueryConditions {
    texts: Vec<String>,
    values: Vec<QueryValue>,
}

/// A value bound to a condition.
pub(super) enum QueryValue {
    Text(String),
    Integer(i64),
    Bool(bool),
}

impl QueryConditions {
    /// Adds a condition; each `?` in it is replaced by the value's placeholder.
    pub(super) fn add(&mut self, text: &str, value: QueryValue) {
        self.values.push(value);
        self.texts.push(text.replace('?', &format!("${}", self.values.len())));
    }

    /// As [`Self::add`]; adds nothing if `value` is `None`.
    pub(super) fn add_text(&mut self, text: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.add(text, QueryValue::Text(value.clone()));
        }
    }

    /// Adds a condition without a value.
    pub(super) fn add_plain(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Adds the condition that the rows follow the page's cursor in the order of `key`, then `id`; returns the clauses
    /// `ORDER BY` and `LIMIT`.
    pub(super) fn page<T>(&mut self, page: &ListPage<T>, key: &str, id: &str) -> String {
        let (than, direction) = if page.is_descending { ("<", "DESC") } else { (">", "ASC") };
        if let Some(after) = &page.after {
            let value = match &after.key {
                SortKey::Number(number) => QueryValue::Integer(*number),
                SortKey::Text(text) => QueryValue::Text(text.clone()),
            };
            let row_id = after.id;
            self.add(&format!("({key} {than} ? OR ({key} = ? AND {id} {than} {row_id}))"), value);
        }
        format!("ORDER BY {key} {direction}, {id} {direction} LIMIT {}", page.limit)
    }

    /// The statement `select WHERE conditions tail`, with the values bound.
    pub(super) fn sql(self, select: &str, tail: &str) -> SqlStatement<'static> {
        let conditions = if self.texts.is_empty() { "1 = 1".to_owned() } else { self.texts.join(" AND ") };
        let statement = sql(format!("{select} WHERE {conditions} {tail}"));
        self.values.into_iter().fold(statement, |statement, value| match value {
            QueryValue::Text(text) => statement.bind(text),
            QueryValue::Integer(integer) => statement.bind(integer),
            QueryValue::Bool(value) => statement.bind(value),
        })
    }
}
