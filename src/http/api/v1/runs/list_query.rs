//! Parameters of lists of runs, in the native interface and on the page.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, de};

use crate::app::Error;
use crate::catalog::{RunFilter, RunStatus};
use crate::http::error::Result;
use crate::http::extract::words;

/// Parameters of a list of runs. An empty one, as forms send it, does not filter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::http) struct RunListQuery {
    /// Separated by commas: any of these; with `!`, none of these.
    pub status: String,
    pub job: String,
    pub job_version: String,
    pub image: String,
    /// Separated by commas; all must match.
    pub tag: String,
    pub batch: String,
    pub error: String,
    /// Name of a user.
    pub owner: String,
    #[serde(deserialize_with = "moment")]
    pub created_after: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "moment")]
    pub created_before: Option<DateTime<Utc>>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

impl RunListQuery {
    /// # Errors
    /// [`Error::Invalid`] for an unknown status and for too many words.
    pub(crate) fn filter(&self) -> Result<RunFilter> {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(RunFilter {
            owner: None,
            owner_name: text(&self.owner),
            status: self.statuses()?,
            job: text(&self.job),
            job_version: text(&self.job_version),
            image: text(&self.image),
            tags: words("tag", &self.tag)?.into_iter().map(str::to_owned).collect(),
            batch: text(&self.batch),
            error: text(&self.error),
            created_after: self.created_after,
            created_before: self.created_before,
        })
    }

    fn statuses(&self) -> Result<Vec<RunStatus>> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for word in words("status", &self.status)? {
            let (list, word) = match word.strip_prefix('!') {
                Some(word) => (&mut unwanted, word),
                None => (&mut wanted, word),
            };
            let status = RunStatus::parse(word).ok_or_else(|| {
                Error::Invalid(format!(
                    "There is no status '{word}': give accepted, running, successful, failed or dismissed, each with ! for all others"
                ))
            })?;
            list.push(status);
        }
        if wanted.is_empty() && !unwanted.is_empty() {
            wanted = RunStatus::ALL.to_vec();
        }
        wanted.retain(|status| !unwanted.contains(status));
        if wanted.is_empty() && !unwanted.is_empty() {
            return Err(Error::Invalid("status leaves no status over; give fewer with !".to_owned()).into());
        }
        Ok(wanted)
    }
}

/// A time (RFC 3339), or a day as forms send it, which begins at midnight in UTC. `None` for an empty text.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let read = text.parse().ok().or_else(day);
    read.map(Some).ok_or_else(|| de::Error::custom(format!("`{text}` is neither a time nor a day, as 2026-11-30")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> RunListQuery {
        let uri: http::Uri = format!("/runs?{query}").parse().expect("an address");
        axum::extract::Query::try_from_uri(&uri).expect("it can be read").0
    }

    #[test]
    fn statuses_are_chosen_or_left_out() {
        use RunStatus::{Accepted, Dismissed, Failed, Running, Successful};
        for (words, expected) in [
            ("", &[][..]),
            ("failed,running", &[Failed, Running]),
            ("!successful", &[Accepted, Running, Failed, Dismissed]),
            ("!failed,!dismissed", &[Accepted, Running, Successful]),
            ("failed,running,!failed", &[Running]),
        ] {
            let filter = read(&format!("status={words}")).filter().unwrap_or_else(|_| panic!("{words}"));
            assert_eq!(filter.status, expected, "{words}");
        }
        for wrong in ["done", "!", "failed,!failed", "!!failed", "!accepted,!running,!successful,!failed,!dismissed"] {
            assert!(read(&format!("status={wrong}")).filter().is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_begin_at_midnight_and_empty_fields_do_not_filter() {
        let query = read("createdAfter=2026-11-30&createdBefore=2026-11-30T01:00:00%2B01:00&job=&owner=&cursor=");
        assert_eq!(query.created_after, query.created_before);
        let filter =
            read("createdAfter=&job=&owner=&error=&tag=").filter().unwrap_or_else(|_| panic!("nothing is wrong"));
        assert_eq!(filter, RunFilter::default());
    }
}
