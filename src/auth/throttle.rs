//! Slowing down guesses. A try is counted before its password is looked at, so tries at the same time are not judged all
//! together; one that succeeds gives its count back. After some free failures each further one doubles the wait.
//!
//! What a try counts against depends on where it comes from. A stranger's counts against the account and the network; one
//! from a network from which this account has logged in before, or with a valid token of the account, has a count of its
//! own. So strangers cannot keep the owner out.

use std::collections::HashMap;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::ClientNetwork;

/// Counts that are kept. Beyond it a tenth goes, the smallest and oldest first.
const MOST_KEPT: usize = 10_000;
/// A count that nothing was added to for so long starts afresh.
const FORGET_AFTER: TimeDelta = TimeDelta::hours(1);

/// The longest wait for an account in a network from which it has logged in before.
const LONGEST_AT_KNOWN_NETWORK: TimeDelta = TimeDelta::minutes(1);

/// How patient the throttle is.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRules {
    pub free_per_account: u32,
    pub free_per_address: u32,
    pub longest_wait: TimeDelta,
}

/// Where a try to log in comes from. The network is `None` where nobody knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOrigin<'a> {
    /// Nothing is known of it.
    Stranger(Option<ClientNetwork>),
    /// The account has logged in from this network before.
    KnownNetwork(ClientNetwork),
    /// It carries a token of the account; this is its `jti`.
    Session(&'a str),
}

/// Counts the failed logins of this process.
pub struct Throttle {
    rules: ThrottleRules,
    counts: Mutex<HashMap<Subject, Count>>,
}

/// A try that was counted and may be judged. Dropped, it counts as a failure.
#[derive(Debug)]
#[must_use]
pub struct LoginTry(Vec<Subject>);

/// What is counted. Names are kept as digests, whose size is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Account(Name),
    Network(ClientNetwork),
    AccountAtNetwork(Name, ClientNetwork),
    Session(Name),
}

type Name = [u8; 32];

#[derive(Clone, Copy)]
struct Count {
    tries: u32,
    last: DateTime<Utc>,
}

impl Throttle {
    pub fn new(rules: ThrottleRules) -> Self {
        Self { rules, counts: Mutex::default() }
    }

    /// Counts a try.
    ///
    /// # Errors
    /// The wait until the next one may come; this one is not counted.
    pub fn reserve(&self, account: &str, origin: LoginOrigin<'_>, now: DateTime<Utc>) -> Result<LoginTry, TimeDelta> {
        let mut counts = self.counts.lock().expect("no panic while locked");
        let subjects = subjects(account, origin);
        let wait = subjects.iter().map(|subject| self.wait(&mut counts, *subject, now)).max();
        if let Some(wait) = wait.filter(|wait| *wait > TimeDelta::zero()) {
            return Err(wait);
        }
        if counts.len() + subjects.len() > MOST_KEPT {
            shrink(&mut counts);
        }
        for subject in &subjects {
            let count = counts.entry(*subject).or_insert(Count { tries: 0, last: now });
            *count = Count { tries: count.tries.saturating_add(1), last: now };
        }
        Ok(LoginTry(subjects))
    }

    /// It was the right password: the account's count starts afresh. The network's does not, or one known account would
    /// allow its owner to guess others.
    pub fn succeeded(&self, login: LoginTry) {
        let mut counts = self.counts.lock().expect("no panic while locked");
        for subject in login.0 {
            match (subject, counts.get_mut(&subject)) {
                (Subject::Network(_), Some(count)) => count.tries = count.tries.saturating_sub(1),
                _ => _ = counts.remove(&subject),
            }
        }
    }

    /// How long the next try has to wait for one subject.
    fn wait(&self, counts: &mut HashMap<Subject, Count>, subject: Subject, now: DateTime<Utc>) -> TimeDelta {
        let Some(count) = counts.get_mut(&subject) else { return TimeDelta::zero() };
        // A clock that was set back must not make a wait longer.
        count.last = count.last.min(now);
        if now - count.last >= FORGET_AFTER {
            counts.remove(&subject);
            return TimeDelta::zero();
        }
        let free = match subject {
            Subject::Network(_) => self.rules.free_per_address,
            _ => self.rules.free_per_account,
        };
        // Somebody else in the owner's network, such as behind the same proxy, must not keep the owner out for long.
        let longest = match subject {
            Subject::AccountAtNetwork(..) => self.rules.longest_wait.min(LONGEST_AT_KNOWN_NETWORK),
            _ => self.rules.longest_wait,
        };
        let wait = match count.tries.saturating_sub(free) {
            0 => TimeDelta::zero(),
            over => longest.min(TimeDelta::seconds(1 << (over - 1).min(30))),
        };
        count.last + wait - now
    }
}

/// Somebody who tries many names from many networks must not push out the counts that matter.
fn shrink(counts: &mut HashMap<Subject, Count>) {
    let mut by_weight: Vec<_> = counts.iter().map(|(subject, count)| (count.tries, count.last, *subject)).collect();
    by_weight.sort_unstable_by_key(|(tries, last, _)| (*tries, *last));
    for (_, _, subject) in by_weight.iter().take(MOST_KEPT / 10) {
        counts.remove(subject);
    }
}

fn subjects(account: &str, origin: LoginOrigin<'_>) -> Vec<Subject> {
    let name = |text: &str| Name::from(Sha256::digest(text));
    match origin {
        LoginOrigin::Stranger(network) => {
            [Subject::Account(name(account))].into_iter().chain(network.map(Subject::Network)).collect()
        }
        LoginOrigin::KnownNetwork(network) => vec![Subject::AccountAtNetwork(name(account), network)],
        LoginOrigin::Session(jti) => vec![Subject::Session(name(jti))],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREE: u32 = 3;
    const LONGEST: i64 = 60;

    fn throttle() -> Throttle {
        let longest_wait = TimeDelta::seconds(LONGEST);
        Throttle::new(ThrottleRules { free_per_account: FREE, free_per_address: 5, longest_wait })
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
            let mut counts = throttle.counts.lock().unwrap();
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
        assert!(throttle.counts.lock().unwrap().len() <= MOST_KEPT);
        assert!(throttle.reserve("ann", stranger(9), at(0)).is_err(), "a flood of names forgives nothing");
    }

    /// One thing that happens to a throttle.
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

    /// What each try gave: the wait, or `None` where it was judged.
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
        /// What strangers do changes nothing for an owner at a known place, nor the other way round.
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

        /// Tries at one moment are judged up to the free ones and one more, whoever they come from; no wait is longer than
        /// the longest.
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
