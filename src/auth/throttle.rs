//! Throttle of login attempts. An attempt is counted before its password is checked, so that concurrent attempts cannot
//! all pass as the first; a successful one is uncounted. After some free failures each further one doubles the wait.
//!
//! The origin of an attempt decides what it counts against. A stranger's attempt counts against the account and the
//! network. An attempt from a network from which the account has logged in before, or with a valid token of the
//! account, has a counter of its own. So strangers cannot lock the owner out.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::ClientNetwork;

/// Counters kept at most. Beyond that a tenth is dropped: those with the fewest attempts, among equals the oldest.
const MOST_KEPT: usize = 10_000;
/// A counter expires this long after its last attempt.
const FORGET_AFTER: TimeDelta = TimeDelta::hours(1);

/// The longest wait for an account in a network from which it has logged in before.
const LONGEST_AT_KNOWN_NETWORK: TimeDelta = TimeDelta::minutes(1);

/// Limits of the throttle.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRules {
    pub free_per_account: u32,
    pub free_per_address: u32,
    pub longest_wait: TimeDelta,
}

/// Where a login attempt comes from. The network is `None` if it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOrigin<'a> {
    /// Neither a known network nor a session.
    Stranger(Option<ClientNetwork>),
    /// The account has logged in from this network before.
    KnownNetwork(ClientNetwork),
    /// The request carries a valid token of the account; its `jti`.
    Session(&'a str),
}

/// Counts failed logins, in this process only.
pub struct LoginThrottle {
    rules: ThrottleRules,
    counts: Mutex<HashMap<ThrottleKey, FailureCount>>,
}

/// A login attempt that was counted, and whose password may be checked. If dropped, it counts as a failure.
#[derive(Debug)]
#[must_use]
pub struct LoginAttempt(Vec<ThrottleKey>);

/// Key of a counter. Names are kept as digests, because their size is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ThrottleKey {
    Account(NameDigest),
    Network(ClientNetwork),
    AccountAtNetwork(NameDigest, ClientNetwork),
    Session(NameDigest),
}

type NameDigest = [u8; 32];

#[derive(Clone, Copy)]
struct FailureCount {
    tries: u32,
    last: DateTime<Utc>,
}

impl LoginThrottle {
    pub fn new(rules: ThrottleRules) -> Self {
        Self { rules, counts: Mutex::default() }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// The wait until the next attempt; this one is not counted.
    pub fn reserve(
        &self,
        account: &str,
        origin: LoginOrigin<'_>,
        now: DateTime<Utc>,
    ) -> Result<LoginAttempt, TimeDelta> {
        let mut counts = self.counts.lock();
        let subjects = subjects(account, origin);
        let wait = subjects.iter().map(|subject| self.wait(&mut counts, *subject, now)).max();
        if let Some(wait) = wait.filter(|wait| *wait > TimeDelta::zero()) {
            return Err(wait);
        }
        if counts.len() + subjects.len() > MOST_KEPT {
            shrink(&mut counts);
        }
        for subject in &subjects {
            let count = counts.entry(*subject).or_insert(FailureCount { tries: 0, last: now });
            *count = FailureCount { tries: count.tries.saturating_add(1), last: now };
        }
        Ok(LoginAttempt(subjects))
    }

    /// Reports a correct password: the account's counter is reset. The network's is only reduced by this attempt, else
    /// the owner of one account could guess the passwords of others without limit.
    pub fn succeeded(&self, login: LoginAttempt) {
        let mut counts = self.counts.lock();
        for subject in login.0 {
            match (subject, counts.get_mut(&subject)) {
                (ThrottleKey::Network(_), Some(count)) => count.tries = count.tries.saturating_sub(1),
                _ => _ = counts.remove(&subject),
            }
        }
    }

    /// The wait until the next attempt that counts against `subject`.
    fn wait(
        &self,
        counts: &mut HashMap<ThrottleKey, FailureCount>,
        subject: ThrottleKey,
        now: DateTime<Utc>,
    ) -> TimeDelta {
        let Some(count) = counts.get_mut(&subject) else { return TimeDelta::zero() };
        // If the clock was set back, the wait must not grow.
        count.last = count.last.min(now);
        if now - count.last >= FORGET_AFTER {
            counts.remove(&subject);
            return TimeDelta::zero();
        }
        let free = match subject {
            ThrottleKey::Network(_) => self.rules.free_per_address,
            _ => self.rules.free_per_account,
        };
        // A stranger in the owner's network, for example behind the same proxy, must not lock the owner out for long.
        let longest = match subject {
            ThrottleKey::AccountAtNetwork(..) => self.rules.longest_wait.min(LONGEST_AT_KNOWN_NETWORK),
            _ => self.rules.longest_wait,
        };
        let wait = match count.tries.saturating_sub(free) {
            0 => TimeDelta::zero(),
            over => longest.min(TimeDelta::seconds(1 << (over - 1).min(30))),
        };
        count.last + wait - now
    }
}

/// Drops the counters that matter least, so that a client that tries many names from many networks does not push out
/// the others.
fn shrink(counts: &mut HashMap<ThrottleKey, FailureCount>) {
    let mut by_weight: Vec<_> = counts.iter().map(|(subject, count)| (count.tries, count.last, *subject)).collect();
    by_weight.sort_unstable_by_key(|(tries, last, _)| (*tries, *last));
    for (_, _, subject) in by_weight.iter().take(MOST_KEPT / 10) {
        counts.remove(subject);
    }
}

fn subjects(account: &str, origin: LoginOrigin<'_>) -> Vec<ThrottleKey> {
    let name = |text: &str| NameDigest::from(Sha256::digest(text));
    match origin {
        LoginOrigin::Stranger(network) => {
            [ThrottleKey::Account(name(account))].into_iter().chain(network.map(ThrottleKey::Network)).collect()
        }
        LoginOrigin::KnownNetwork(network) => vec![ThrottleKey::AccountAtNetwork(name(account), network)],
        LoginOrigin::Session(jti) => vec![ThrottleKey::Session(name(jti))],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREE: u32 = 3;
    const LONGEST: i64 = 60;

    fn throttle() -> LoginThrottle {
        let longest_wait = TimeDelta::seconds(LONGEST);
        LoginThrottle::new(ThrottleRules { free_per_account: FREE, free_per_address: 5, longest_wait })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn network(number: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, number].into())
    }

    fn stranger(number: u8) -> LoginOrigin<'static> {
        LoginOrigin::Stranger(Some(network(number)))
    }

    #[test]
    fn waits_double_after_the_free_failures_up_to_the_longest() {
        let throttle = throttle();
        let (mut now, mut waits) = (0, Vec::new());
        for number in 0..12 {
            _ = throttle.reserve("ann", stranger(number), at(now)).expect("it has waited");
            let mut counts = throttle.counts.lock();
            let account = subjects("ann", LoginOrigin::Stranger(None))[0];
            let wait = throttle.wait(&mut counts, account, at(now)).num_seconds();
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn of_many_tries_at_once_few_are_judged() {
        let throttle = throttle();
        let judged = (0..400).filter(|n| throttle.reserve("ann", stranger((n % 200) as u8), at(0)).is_ok()).count();
        assert_eq!(judged, FREE as usize + 1);
        assert_eq!(
            throttle.reserve("ann", stranger(1), at(0)).unwrap_err(),
            TimeDelta::seconds(1),
            "a burst adds nothing"
        );
    }

    #[test]
    fn a_network_that_tries_many_names_waits_too() {
        let throttle = throttle();
        for name in ["a", "b", "c", "d", "e", "f"] {
            _ = throttle.reserve(name, stranger(1), at(0)).expect("it is free");
        }
        assert!(throttle.reserve("g", stranger(1), at(0)).is_err());
        throttle.succeeded(throttle.reserve("g", stranger(2), at(0)).expect("another network"));
        assert!(throttle.reserve("g", stranger(1), at(0)).is_err(), "one known account unlocks no network");
    }

    #[test]
    fn a_login_that_works_and_a_quiet_hour_forgive() {
        let throttle = throttle();
        let fail = |name, now| throttle.reserve(name, stranger(1), at(now)).map(drop).is_ok();
        assert!((0..3).all(|_| fail("ann", 0)));
        throttle.succeeded(throttle.reserve("ann", stranger(2), at(0)).expect("the last free one"));
        assert!(fail("ann", 0) && fail("ann", 0));
        let throttle = self::throttle();
        let fail = |name, now| throttle.reserve(name, stranger(1), at(now)).map(drop).is_ok();
        assert!((0..4).all(|_| fail("ben", 0)) && !fail("ben", 0));
        assert!((0..4).all(|_| fail("ben", 3600)) && !fail("ben", 3600));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_largest_counts_stay() {
        let throttle = throttle();
        (0..4).for_each(|n| _ = throttle.reserve("ann", stranger(n), at(0)).expect("it is free"));
        for n in 0..30_000 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + n);
            let origin = LoginOrigin::Stranger(Some(ClientNetwork::of(address.into())));
            _ = throttle.reserve(&format!("{n}{}", "x".repeat(1000)), origin, at(0));
        }
        assert!(throttle.counts.lock().len() <= MOST_KEPT);
        assert!(throttle.reserve("ann", stranger(9), at(0)).is_err(), "a flood of names forgives nothing");
    }

    /// One event of a simulated throttle.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Try { account: u8, origin: u8, network: u8, outcome: u8 },
        Pass(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u8, 0..3u8, 0..4u8, 0..4u8).prop_map(|(account, origin, network, outcome)| {
                Step::Try { account, origin, network, outcome }
            }),
            // The clock may be set back.
            1 => (-100..5000i64).prop_map(Step::Pass),
        ]
    }

    /// The result of each attempt: the wait, or `None` if it was admitted.
    fn play(steps: &[Step], wanted: impl Fn(u8, u8) -> bool) -> Vec<Option<TimeDelta>> {
        let (throttle, mut now, mut history) = (throttle(), 1_000_000, Vec::new());
        for step in steps {
            match *step {
                Step::Pass(seconds) => now += seconds,
                Step::Try { account, origin, network: number, outcome } if wanted(account, origin) => {
                    let (name, jti) = (account.to_string(), format!("session of {account}"));
                    let origin = match origin {
                        0 => stranger(number),
                        1 => LoginOrigin::KnownNetwork(network(number)),
                        _ => LoginOrigin::Session(&jti),
                    };
                    let reserved = throttle.reserve(&name, origin, at(now));
                    history.push(reserved.as_ref().err().copied());
                    if let (Ok(login), 0) = (reserved, outcome) {
                        throttle.succeeded(login);
                    }
                }
                Step::Try { .. } => {}
            }
        }
        history
    }

    proptest! {
        /// Attempts of strangers do not change anything for an owner in a known network, nor the reverse.
        #[test]
        fn strangers_keep_no_owner_out(steps in prop::collection::vec(step(), 0..120)) {
            let mixed = play(&steps, |_, _| true);
            let is_owner: Vec<bool> = steps.iter().filter_map(|step| match step {
                Step::Try { origin, .. } => Some(*origin > 0),
                Step::Pass(_) => None,
            }).collect();
            let of_owners: Vec<_> = mixed.iter().zip(&is_owner).filter(|(_, owner)| **owner).map(|(it, _)| *it).collect();
            prop_assert_eq!(of_owners, play(&steps, |_, origin| origin > 0));
            let of_strangers: Vec<_> = mixed.iter().zip(&is_owner).filter(|(_, owner)| !**owner).map(|(it, _)| *it).collect();
            prop_assert_eq!(of_strangers, play(&steps, |_, origin| origin == 0));
        }

        /// Attempts at one moment are admitted up to the free ones plus one, from any origin; no wait exceeds the
        /// longest.
        #[test]
        fn a_burst_is_bounded_in_every_state(steps in prop::collection::vec(step(), 0..60), origin in 0..3u8) {
            let burst = Step::Try { account: 0, origin, network: 0, outcome: 9 };
            let all: Vec<Step> = steps.iter().copied().chain([burst; 50]).collect();
            let history = play(&all, |_, _| true);
            let judged = history[history.len() - 50..].iter().filter(|wait| wait.is_none()).count();
            prop_assert!(judged <= FREE as usize + 1, "{judged}");
            prop_assert!(history.iter().flatten().all(|wait| *wait <= TimeDelta::seconds(LONGEST)));
        }
    }
}
