//! A search with PostgreSQL's own means: full text with weights and stemming, prefix match of the last word, any word
//! if not all match, and trigrams (pg_trgm) for typos.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

const TABLE: &str = "
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE TEMPORARY TABLE job (name text PRIMARY KEY, near text NOT NULL, words tsvector NOT NULL);
    CREATE INDEX ON job USING gin (words);
    CREATE INDEX ON job USING gin (near gin_trgm_ops);";

/// Names and media types as a whole, and split at punctuation.
const INSERT: &str = "
    INSERT INTO job (name, near, words)
    SELECT $1, $1 || ' ' || $2,
           setweight(to_tsvector('english', $1 || ' ' || translate($1, '-_', '  ') || ' ' || $2), 'A')
        || setweight(to_tsvector('english', $3), 'B')
        || setweight(to_tsvector('english', $4), 'B')
        || setweight(to_tsvector('english', $5 || ' ' || translate($5, '/.+-', '    ')), 'C')
        || setweight(to_tsvector('english', $6), 'D')";

const SEARCH: &str = "
    WITH parsed AS (SELECT plainto_tsquery('english', translate($1, '/_', '  ')) AS whole),
    asked AS (
        SELECT whole, replace(whole::text, '&', '|')::tsquery AS any_word,
               CASE WHEN numnode(whole) > 0 THEN (whole::text || ':*')::tsquery ELSE whole END AS begun
        FROM parsed)
    SELECT name FROM job, asked
    WHERE words @@ any_word OR words @@ begun OR $1 <% near
    ORDER BY name = lower($1) DESC, words @@ whole DESC, words @@ begun DESC,
             ts_rank(words, any_word) + word_similarity($1, near) + similarity($1, name) DESC, name
    LIMIT 10";

pub(crate) struct Postgres(PgConnection);

impl Postgres {
    /// Stores the jobs of these manifests, the latest of each job, in a temporary table.
    pub(crate) async fn fill(url: &str, manifests: &[Value]) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("a PostgreSQL at the given address");
        connection.execute(TABLE).await.expect("a temporary table, and the extension pg_trgm");
        for manifest in manifests {
            let job = &manifest["job"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let maintainer = &job["maintainer"];
            let people = [&maintainer["name"], &maintainer["organization"], &maintainer["email"]].map(text).join(" ");
            let tags = job["tags"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(" ");
            let files = [&job["interface"]["inputs"]["files"], &job["interface"]["outputs"]["files"]];
            let media = files.into_iter().flat_map(|list| list.as_array().into_iter().flatten()).map(|file| {
                let many = file["mediaTypes"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(" ");
                many + &text(&file["mediaType"])
            });
            sqlx::query(INSERT)
                .bind(text(&job["name"]))
                .bind(text(&job["title"]))
                .bind(tags)
                .bind(people)
                .bind(media.collect::<Vec<_>>().join(" "))
                .bind(text(&job["description"]))
                .execute(&mut connection)
                .await
                .expect("a job is stored");
        }
        connection.execute("ANALYZE job").await.expect("statistics");
        Self(connection)
    }

    /// Names of jobs, best first.
    pub(crate) async fn search(&mut self, query: &str) -> Vec<String> {
        sqlx::query_scalar(SEARCH).bind(query).fetch_all(&mut self.0).await.expect("a search")
    }
}
