//! Limits on open connections, in total and by network, and which one is closed when a limit is reached.
//!
//! A new connection evicts the one that has been idle the longest. If none is idle, it becomes a *spare* one: its idle
//! timeout is short, and only admins and probes are served on it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::connection_watch::ConnectionWatch;
use crate::app::{DiagnosticFinding, DiagnosticVerdict};
use crate::auth::ClientNetwork;

/// File handles that a connection may need: its own, one of a file that is sent, one of the database.
const HANDLES_EACH: usize = 3;

/// Limits on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionBounds {
    pub most: usize,
    pub per_network: usize,
    pub spare: usize,
}

impl ConnectionBounds {
    /// The configured limits, reduced to what the process's file handles allow. `per_network` 0 means a quarter of all.
    pub(super) fn new(most: usize, per_network: usize, handles: usize) -> Self {
        let most = most.min(handles / HANDLES_EACH).max(8);
        let per_network = if per_network == 0 { most / 4 } else { per_network };
        Self { most, per_network: per_network.min(most), spare: (most / 16).max(4) }
    }
}

/// Whether the process's file handles are enough for so many connections. The hard limit counts: the service raises its
/// soft limit to it.
pub fn file_handle_finding(wanted: usize) -> DiagnosticFinding {
    const ABOUT: &str = "file handles";
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let handles = maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap_or(usize::MAX));
    let possible = handles / HANDLES_EACH;
    if possible >= wanted {
        let text = format!("enough for {wanted} connections (http.connections)");
        return DiagnosticFinding::new(ABOUT, DiagnosticVerdict::Good, text, "");
    }
    let text = format!("{handles} at most, enough for {possible} connections of {wanted} (http.connections)");
    let advice = "raise the limit for the service: LimitNOFILE in systemd, ulimit -Hn in a shell";
    DiagnosticFinding::new(ABOUT, DiagnosticVerdict::Notice, text, advice)
}

/// Raises the soft limit of file handles to the hard limit; returns the limit.
pub(super) fn raise_handle_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let bound = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    bound.map_or(usize::MAX, |bound| usize::try_from(bound).unwrap_or(usize::MAX))
}

/// All open connections.
pub(super) struct ConnectionTable {
    bounds: ConnectionBounds,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    next: u64,
    entries: HashMap<u64, ConnectionEntry>,
    /// Connections that are not spare, by network.
    of_network: HashMap<ClientNetwork, usize>,
    spare: usize,
}

struct ConnectionEntry {
    network: ClientNetwork,
    is_spare: bool,
    watch: Arc<ConnectionWatch>,
    close: CancellationToken,
}

/// An open connection, until it is dropped.
pub(super) struct ConnectionSlot {
    connections: Arc<ConnectionTable>,
    id: u64,
    pub is_spare: bool,
    pub watch: Arc<ConnectionWatch>,
    /// Cancelled when another connection evicts this one.
    pub close: CancellationToken,
}

impl ConnectionTable {
    pub(super) fn new(bounds: ConnectionBounds) -> Arc<Self> {
        Arc::new(Self { bounds, open: Mutex::default() })
    }

    /// Registers a connection; `None` if there is no place, not even a spare one.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let ConnectionBounds { most, per_network, spare } = self.bounds;
        let network = ClientNetwork::of(peer);
        let mut open = self.open();
        let of_network = open.of_network.get(&network).copied().unwrap_or_default();
        let is_spare = if of_network >= per_network {
            !open.evict(|entry| !entry.is_spare && entry.network == network)
        } else if open.entries.len() - open.spare >= most {
            !open.evict(|entry| !entry.is_spare)
        } else {
            false
        };
        if is_spare && open.spare >= spare && !open.evict(|entry| entry.is_spare) {
            return None;
        }
        let (id, watch, close) = (open.next, ConnectionWatch::new(), CancellationToken::new());
        open.next += 1;
        open.insert(id, ConnectionEntry { network, is_spare, watch: Arc::clone(&watch), close: close.clone() });
        Some(ConnectionSlot { connections: Arc::clone(self), id, is_spare, watch, close })
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock()
    }
}

impl OpenConnections {
    fn insert(&mut self, id: u64, entry: ConnectionEntry) {
        match entry.is_spare {
            true => self.spare += 1,
            false => *self.of_network.entry(entry.network).or_default() += 1,
        }
        self.entries.insert(id, entry);
        metrics::gauge!("silo_connections_open").increment(1.0);
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        metrics::gauge!("silo_connections_open").decrement(1.0);
        if entry.is_spare {
            self.spare -= 1;
        } else if let Some(count) = self.of_network.get_mut(&entry.network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&entry.network);
            }
        }
    }

    /// Closes the connection that has been idle the longest. False: none is idle.
    fn evict(&mut self, among: impl Fn(&ConnectionEntry) -> bool) -> bool {
        let entries = self.entries.iter().filter(|(_, entry)| among(entry));
        let idle = entries.filter_map(|(id, entry)| Some((entry.watch.idle_since()?, *id)));
        let Some((_, id)) = idle.min() else { return false };
        if let Some(entry) = self.entries.get(&id) {
            entry.close.cancel();
        }
        self.remove(id);
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.open().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, per_network: usize, spare: usize) -> Arc<ConnectionTable> {
        ConnectionTable::new(ConnectionBounds { most, per_network, spare })
    }

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn bounds_fit_the_handles() {
        assert_eq!(ConnectionBounds::new(10_000, 0, 256), ConnectionBounds { most: 85, per_network: 21, spare: 5 });
        assert_eq!(
            ConnectionBounds::new(10_000, 0, 1_000_000),
            ConnectionBounds { most: 10_000, per_network: 2500, spare: 625 }
        );
        assert_eq!(
            ConnectionBounds::new(100, 1000, 1_000_000),
            ConnectionBounds { most: 100, per_network: 100, spare: 6 }
        );
    }

    #[test]
    fn the_longest_idle_one_makes_room() {
        let connections = connections(2, 2, 1);
        let first = connections.enter(peer(1)).unwrap();
        let second = connections.enter(peer(2)).unwrap();
        let third = connections.enter(peer(3)).unwrap();
        assert!(first.close.is_cancelled() && !second.close.is_cancelled() && !third.is_spare);
        drop(first);
        assert_eq!(connections.open().entries.len(), 2, "what was closed is not counted twice");
    }

    #[test]
    fn where_all_are_at_work_there_are_some_spare_ones() {
        let connections = connections(2, 2, 1);
        let busy: Vec<ConnectionSlot> = (1..=2).map(|number| connections.enter(peer(number)).unwrap()).collect();
        let _under_way: Vec<_> = busy.iter().map(|place| place.watch.begin()).collect();
        let spare = connections.enter(peer(3)).unwrap();
        assert!(spare.is_spare);
        let next = connections.enter(peer(3)).unwrap();
        assert!(next.is_spare && spare.close.is_cancelled() && !busy[0].close.is_cancelled());
        let under_way = next.watch.begin();
        assert!(connections.enter(peer(4)).is_none());
        drop((under_way, busy));
        assert!(!connections.enter(peer(4)).unwrap().is_spare);
    }

    #[test]
    fn a_network_has_its_own_bound() {
        let connections = connections(100, 2, 1);
        let mine: Vec<ConnectionSlot> = (0..2).map(|_| connections.enter(peer(1)).unwrap()).collect();
        let other = connections.enter(peer(2)).unwrap();
        let third = connections.enter(peer(1)).unwrap();
        assert!(mine[0].close.is_cancelled() && !third.is_spare && !other.close.is_cancelled());
        let _under_way = [mine[1].watch.begin(), third.watch.begin()];
        assert!(connections.enter(peer(1)).unwrap().is_spare);
        assert!(!connections.enter(peer(2)).unwrap().is_spare);
    }
}
