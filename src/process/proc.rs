//! What the kernel says about processes. Without `/proc` it says nothing, and only groups are ended.

use std::collections::HashSet;

/// One process as it was when the table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Its start in clock ticks: with the pid it names the process for good, since pids come again.
    pub(crate) start: u64,
    pub(crate) zombie: bool,
    /// Clock ticks of CPU time that it has used, and its children that have ended and were waited for.
    pub(crate) ticks: u64,
}

impl Row {
    /// Returns the name of the process that no other ever has until the machine restarts.
    pub(crate) fn identity(&self) -> (i32, u64) {
        (self.pid, self.start)
    }
}

/// Returns all that descends from some processes, those themselves left out.
pub(crate) fn descendants(rows: &[Row], roots: &HashSet<i32>) -> Vec<Row> {
    let mut known = roots.clone();
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for row in rows {
            if known.contains(&row.parent) && known.insert(row.pid) {
                found.push(*row);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{become_subreaper, environ, is_git, row, rows, signal, waits_for_pipe};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::Row;

    /// Makes orphans among our descendants our own children.
    pub(crate) fn become_subreaper() {
        // Refused by no kernel since 3.4; without it orphans are found by their mark alone.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    /// Reads the process table.
    pub(crate) fn rows() -> Vec<Row> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| row(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    /// Reads one process; `None` where it is gone.
    pub(crate) fn row(pid: i32) -> Option<Row> {
        parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses `/proc/<pid>/stat` (proc_pid_stat(5)); the name in brackets may hold anything.
    pub(super) fn parse_stat(pid: i32, stat: &[u8]) -> Option<Row> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = fields.get(11..15)?.iter();
        Some(Row {
            ticks: ticks.filter_map(|field| field.parse::<u64>().ok()).sum(),
            pid,
            zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// Returns the environment that a process was started with; empty where it may not be read.
    pub(crate) fn environ(pid: i32) -> Vec<u8> {
        fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
    }

    /// Returns whether a process is Git, or one of the programs that Git consists of.
    pub(crate) fn is_git(pid: i32) -> bool {
        fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(b"git"))
    }

    /// Returns whether a process waits for somebody to open the other end of a named pipe; the kernel tells nothing
    /// of what is not ours to look into.
    pub(crate) fn waits_for_pipe(pid: i32) -> bool {
        let at = fs::read(format!("/proc/{pid}/wchan")).unwrap_or_default();
        matches!(at.trim_ascii(), b"wait_for_partner" | b"fifo_open")
    }

    /// Signals a process unless it is gone, even if its pid has come again.
    pub(crate) fn signal(target: &Row, signal: Signal) {
        let Some(pid) = Pid::from_raw(target.pid) else {
            return;
        };
        let handle = pidfd_open(pid, PidfdFlags::empty());
        if row(target.pid).is_none_or(|now| now.start != target.start) {
            return;
        }
        // Gone meanwhile is what we want; someone else's is not ours to end.
        let _ = match handle {
            Ok(handle) => pidfd_send_signal(handle, signal),
            Err(rustix::io::Errno::NOSYS) => rustix::process::kill_process(pid, signal),
            Err(error) => Err(error),
        };
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn become_subreaper() {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn rows() -> Vec<Row> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn row(_pid: i32) -> Option<Row> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn environ(_pid: i32) -> Vec<u8> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_git(_pid: i32) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn waits_for_pipe(_pid: i32) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn signal(_target: &Row, _signal: rustix::process::Signal) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let stat = b"7 (a) R (b c) S 3 5 6 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 4711 9 9";
        let row = linux::parse_stat(7, stat).unwrap();
        assert_eq!(
            (row.parent, row.group, row.start, row.zombie, row.ticks),
            (3, 5, 4711, false, 10)
        );
    }

    #[test]
    fn a_process_that_is_not_the_one_meant_is_left_alone() {
        let us = row(std::process::id().cast_signed()).unwrap();
        let earlier = Row {
            start: us.start - 1,
            ..us
        };
        signal(&earlier, Signal::KILL);
    }
}
