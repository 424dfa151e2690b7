//! `/api/v1/batches/{id}/outputs`: the values that the runs of a batch gave, also as CSV for spreadsheets.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use csv::WriterBuilder;
use futures_util::{StreamExt as _, stream};
use http::header;
use serde_json::Value;

use crate::api::PageReply;
use crate::api::batches::BatchOutputReply;
use crate::app::{BatchOutputPage, BatchRowOutputs, Error, UserSession};
use crate::http::api::v1::{NumberPagingQuery, limit};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};

/// Rows that are read at once for a table.
const PIECE: u32 = 100;

/// The values by row; the cursor is a row number.
pub(super) async fn list(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
    QueryParameters(asked): QueryParameters<NumberPagingQuery>,
) -> Result<Json<PageReply<BatchOutputReply>>> {
    let limit = limit(asked.limit)?;
    app.batch_get(&session, &id).await?;
    let rows = app.batch_outputs(&session, &id, asked.cursor.unwrap_or(0), limit).await?.rows;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|last| last.row.to_string());
    let item = |BatchRowOutputs { row, run, status, error, json }: BatchRowOutputs| BatchOutputReply {
        row,
        run,
        status: status.as_str().into(),
        error,
        json,
    };
    Ok(Json(PageReply { items: rows.into_iter().map(item).collect(), next }))
}

/// All values as a table, read and sent in pieces.
pub(super) async fn csv(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters(id): PathParameters<String>,
) -> Result<Response> {
    let batch = app.batch_get(&session, &id).await?.id;
    let first = app.batch_outputs(&session, &batch, 0, PIECE).await?;
    let names = first.names.clone();
    let save_as = format!("attachment; filename=\"batch-{batch}.csv\"");
    let head = [(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, save_as.as_str())];
    let begin = lines(std::iter::once(heading(&names)))?;
    let first = (last_row(&first), lines(first.rows.iter().map(|row| record(&names, row)))?);
    let rest = stream::unfold(first.0, move |after| {
        let (app, session, batch, names) = (app.clone(), session.clone(), batch.clone(), names.clone());
        async move {
            let page = match app.batch_outputs(&session, &batch, after?, PIECE).await {
                Ok(page) => page,
                Err(why) => return Some((Err(why), None)),
            };
            let piece = lines(page.rows.iter().map(|row| record(&names, row)));
            Some((piece, last_row(&page)))
        }
    });
    let body = stream::iter([Ok(begin), Ok(first.1)]).chain(rest);
    Ok((head, Body::from_stream(body)).into_response())
}

/// The row after which the next piece begins; `None` at the end.
fn last_row(page: &BatchOutputPage) -> Option<i64> {
    page.rows.last().filter(|_| page.rows.len() == PIECE as usize).map(|last| last.row)
}

fn heading(names: &[String]) -> Vec<String> {
    ["row", "run", "status", "error"]
        .into_iter()
        .map(str::to_owned)
        .chain(names.iter().map(|name| cell(name)))
        .collect()
}

fn record(names: &[String], row: &BatchRowOutputs) -> Vec<String> {
    let own = [row.row.to_string(), row.run.clone(), row.status.as_str().to_owned()];
    let error = cell(row.error.as_deref().unwrap_or_default());
    let values = names.iter().map(|name| match row.json.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => cell(text),
        Some(value) => value.to_string(),
    });
    own.into_iter().chain([error]).chain(values).collect()
}

/// A text of somebody else as a cell. Spreadsheets take texts that begin with one of these signs as formulas, which can
/// send the table elsewhere: a quote before it makes it a text again (OWASP, "CSV Injection"). JSON numbers are not
/// texts, and stay as they are.
fn cell(text: &str) -> String {
    const SIGNS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let text = text.replace('\0', "\u{FFFD}");
    if text.starts_with(SIGNS) { format!("'{text}") } else { text }
}

fn lines(records: impl Iterator<Item = Vec<String>>) -> std::result::Result<Vec<u8>, Error> {
    let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for record in records {
        writer.write_record(&record).map_err(|why| Error::Internal(format!("a table cannot be written: {why}")))?;
    }
    writer.into_inner().map_err(|why| Error::Internal(format!("a table cannot be written: {why}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::RunStatus;

    #[test]
    fn a_spreadsheet_takes_no_text_for_a_formula() {
        for (text, expected) in [
            ("=HYPERLINK(\"https://example.org\")", "'=HYPERLINK(\"https://example.org\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("\n=1", "'\n=1"),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
            ("a\0b", "a\u{FFFD}b"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_output() {
        let json = json!({"SUM": -5, "NOTE": "=1,\"2\"", "LIST": [1, "a"], "OTHER": true});
        let row = BatchRowOutputs {
            row: 3,
            run: "id".to_owned(),
            status: RunStatus::Failed,
            error: Some("-x".to_owned()),
            json: json.as_object().expect("an object").clone(),
        };
        let names = ["SUM", "NOTE", "LIST", "MISSING", "=A1"].map(str::to_owned);
        let written = lines([heading(&names), record(&names, &row)].into_iter()).expect("memory");
        let expected = "row,run,status,error,SUM,NOTE,LIST,MISSING,'=A1\n3,id,failed,'-x,-5,\"'=1,\"\"2\"\"\",\"[1,\"\"a\"\"]\",,\n";
        assert_eq!(String::from_utf8(written).expect("UTF-8"), expected);
    }
}
