//! Slowing down guesses: after some free failures each further one doubles the wait, per account and per address.

use std::collections::HashMap;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

/// Accounts and addresses remembered; beyond it those whose wait is over go first.
const MOST_REMEMBERED: usize = 10_000;
/// A quiet account or address starts afresh after this long.
const FORGET_AFTER: TimeDelta = TimeDelta::hours(1);

/// How patient the throttle is.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRules {
    pub free_per_account: u32,
    pub free_per_address: u32,
    pub longest_wait: TimeDelta,
}

/// Remembers failed logins of this process.
pub struct Throttle {
    rules: ThrottleRules,
    failures: Mutex<HashMap<Subject, Failures>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Account(String),
    Address(String),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: DateTime<Utc>,
    blocked_until: DateTime<Utc>,
}

impl Throttle {
    pub fn new(rules: ThrottleRules) -> Self {
        Self { rules, failures: Mutex::default() }
    }

    /// How long to wait before the next try; `None`: go ahead.
    pub fn wait(&self, account: &str, address: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
        let failures = self.failures.lock().expect("no panic while locked");
        subjects(account, address)
            .iter()
            .filter_map(|subject| failures.get(subject))
            .map(|known| known.blocked_until - now)
            .filter(|wait| *wait > TimeDelta::zero())
            .max()
    }

    /// A login failed.
    pub fn failed(&self, account: &str, address: &str, now: DateTime<Utc>) {
        let mut failures = self.failures.lock().expect("no panic while locked");
        if failures.len() >= MOST_REMEMBERED {
            failures.retain(|_, known| known.blocked_until > now);
        }
        for subject in subjects(account, address) {
            let free = match subject {
                Subject::Account(_) => self.rules.free_per_account,
                Subject::Address(_) => self.rules.free_per_address,
            };
            let count = match failures.get(&subject) {
                Some(known) if now - known.last < FORGET_AFTER => known.count.saturating_add(1),
                _ => 1,
            };
            let blocked_until = match count.checked_sub(free) {
                None | Some(0) => now,
                Some(over) => now + self.rules.longest_wait.min(TimeDelta::seconds(1 << (over - 1).min(30))),
            };
            failures.insert(subject, Failures { count, last: now, blocked_until });
        }
    }

    /// A login worked: the account starts afresh. The address does not, or one known account would unlock guessing.
    pub fn succeeded(&self, account: &str) {
        self.failures.lock().expect("no panic while locked").remove(&Subject::Account(account.to_owned()));
    }
}

fn subjects(account: &str, address: &str) -> [Subject; 2] {
    [Subject::Account(account.to_owned()), Subject::Address(address.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(ThrottleRules { free_per_account: 3, free_per_address: 5, longest_wait: TimeDelta::seconds(60) })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn waits_double_after_the_free_failures_up_to_the_longest() {
        let throttle = throttle();
        let waits: Vec<i64> = (0..12)
            .map(|_| {
                throttle.failed("ann", "somewhere", at(0));
                throttle.wait("ann", "elsewhere", at(0)).map_or(0, |wait| wait.num_seconds())
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(throttle.wait("ann", "elsewhere", at(60)), None, "the wait ends");
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too() {
        let throttle = throttle();
        for name in ["a", "b", "c", "d", "e", "f"] {
            throttle.failed(name, "somewhere", at(0));
        }
        assert!(throttle.wait("g", "somewhere", at(0)).is_some());
        assert_eq!(throttle.wait("g", "elsewhere", at(0)), None);
        throttle.succeeded("g");
        assert!(throttle.wait("g", "somewhere", at(0)).is_some());
    }

    #[test]
    fn a_login_that_works_and_a_quiet_hour_forgive() {
        let throttle = throttle();
        (0..4).for_each(|_| throttle.failed("ann", "1", at(0)));
        throttle.succeeded("ann");
        assert_eq!(throttle.wait("ann", "2", at(0)), None);
        (0..4).for_each(|_| throttle.failed("ben", "3", at(0)));
        throttle.failed("ben", "4", at(3600));
        assert_eq!(throttle.wait("ben", "5", at(3600)), None);
    }
}
