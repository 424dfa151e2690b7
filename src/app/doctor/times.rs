//! Checks of the clock, and of stored times that lie in the future.

use chrono::{DateTime, TimeDelta, Utc};

use super::{DiagnosticFinding, bad, good, notice};
use crate::app::runs::RUN_LEASE;
use crate::config::ServiceSettings;
use crate::store::StoredTimes;

/// Difference that clocks synchronised by a time server may have.
const ALIKE: TimeDelta = TimeDelta::seconds(5);
/// From this difference on, processes take over each other's leases.
const APART: TimeDelta = TimeDelta::seconds(30);

pub(super) fn clock(times: &StoredTimes, now: DateTime<Utc>) -> DiagnosticFinding {
    const ABOUT: &str = "clock";
    const ADVICE: &str =
        "synchronise all machines with a time server: leases, schedules and tokens depend on their clocks";
    let ahead = times.database_now.map_or(TimeDelta::zero(), |database| now - database);
    if ahead.abs() > ALIKE {
        let how = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
        let text = format!("this machine's clock is {} seconds {how} PostgreSQL's", ahead.abs().num_seconds());
        return if ahead.abs() > APART { bad(ABOUT, text, ADVICE) } else { notice(ABOUT, text, ADVICE) };
    }
    match times.latest {
        Some(latest) if latest > now + ALIKE => {
            let text = format!("the latest entry in the database is in the future: {latest}");
            notice(ABOUT, text, "this clock is behind, or another was ahead at that time: set the wrong one")
        }
        _ if times.database_now.is_some() => good(ABOUT, "same as PostgreSQL's; no entry is in the future"),
        _ => good(ABOUT, "no entry is in the future"),
    }
}

pub(super) fn leases(settings: &ServiceSettings, times: &StoredTimes, now: DateTime<Utc>) -> DiagnosticFinding {
    const ABOUT: &str = "leases";
    let longest = [
        ("a scan", times.scan_lease, TimeDelta::seconds(i64::from(settings.scan.lease_seconds))),
        ("a run", times.run_lease, RUN_LEASE),
    ];
    let too_long = longest.into_iter().find_map(|(what, until, most)| {
        let until = until.filter(|until| *until > now + most + ALIKE)?;
        Some(format!("{what} is leased until {until}, which is longer than a lease can be"))
    });
    match too_long {
        None => good(ABOUT, "no lease is too long"),
        Some(text) => notice(
            ABOUT,
            text,
            "a clock was ahead, or this one is behind; the service shortens the lease at its next claim",
        ),
    }
}
