//! Identifies a process in a label, and checks whether it is gone.
//!
//! PIDs are reused, so the start time (`/proc/PID/stat`, field 22, proc_pid_stat(5)) is part of the identity; the
//! boot id distinguishes reboots, the machine id with the host name machines, and the namespace containers.

use std::str::FromStr;
use std::{fmt, fs};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process, unique over all machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessIdentity {
    /// Empty if the machine has no id.
    machine: String,
    boot: String,
    /// PID namespace, as in `pid:[4026531836]`.
    namespace: String,
    pid: i32,
    /// Clock ticks after boot.
    pub(super) started: u64,
}

impl ProcessIdentity {
    /// The current process; `None` without `/proc`.
    pub(super) fn own() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned();
        let boot = line("/proc/sys/kernel/random/boot_id")?;
        Some(Self { machine: machine(), boot, namespace, pid, started: started(pid)? })
    }
}

/// Machine id and host name, since cloned machines share the id. Empty if there is none.
fn machine() -> String {
    let id = line("/etc/machine-id").filter(|id| id.len() == 32);
    let host = line("/proc/sys/kernel/hostname").unwrap_or_default().replace(' ', "_");
    id.map(|id| format!("{id}.{host}")).unwrap_or_default()
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Start time of a process; `None` if it does not exist or is hidden.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name, which may hold any character.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the process of a label is certainly gone. `false` if that cannot be judged from here.
pub(super) fn is_dead(label: &str) -> bool {
    let (Ok(process), Some(own)) = (label.parse::<ProcessIdentity>(), ProcessIdentity::own()) else { return false };
    if process.boot != own.boot {
        return !own.machine.is_empty() && process.machine == own.machine;
    }
    if process.namespace != own.namespace {
        return false;
    }
    let Some(pid) = Pid::from_raw(process.pid) else { return false };
    // `/proc` may hide processes of other users.
    test_kill_process(pid) == Err(Errno::SRCH) || started(process.pid).is_some_and(|at| at != process.started)
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, boot, namespace, pid, started } = self;
        write!(f, "{boot} {namespace} {pid} {started} {machine}")
    }
}

impl FromStr for ProcessIdentity {
    type Err = ();

    fn from_str(label: &str) -> Result<Self, ()> {
        let [boot, namespace, pid, started, machine] =
            label.split(' ').collect::<Vec<_>>().try_into().map_err(|_| ())?;
        Ok(Self {
            machine: machine.to_owned(),
            boot: boot.to_owned(),
            namespace: namespace.to_owned(),
            pid: pid.parse().ok().filter(|pid| *pid > 0).ok_or(())?,
            started: started.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let own = ProcessIdentity::own().expect("there is a /proc");
        assert_eq!(own.to_string().parse(), Ok(own.clone()));
        let is_dead = |change: fn(&mut ProcessIdentity)| {
            let mut other = own.clone();
            change(&mut other);
            super::is_dead(&other.to_string())
        };
        assert!(!is_dead(|_| {}), "it is this one");
        assert!(is_dead(|it| it.started += 1), "its number was given again");
        assert!(is_dead(|it| it.pid = i32::MAX), "there is no such process");
        assert!(!is_dead(|it| it.namespace = "pid:[1]".to_owned()), "it cannot be seen from here");
        assert!(!is_dead(|it| (it.boot, it.machine) = ("other".to_owned(), "other".to_owned())), "another machine's");
        let after_reboot = ProcessIdentity { boot: "other".to_owned(), ..own.clone() };
        assert_eq!(super::is_dead(&after_reboot.to_string()), !own.machine.is_empty());
        for hostile in ["", "a b c d e", "a b 0 1 e", "a b -1 1 e", "a b 1 1 e f"] {
            assert!(!super::is_dead(hostile), "{hostile}");
        }
    }
}
