//! Which processes belong to which of our children.
//!
//! A process belongs to a child when it descends from it, carries its mark, is in its process group, or
//! was seen to descend from it earlier. Orphans come to this process, since it is a subreaper.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::MARK_VARIABLE;
use super::proc::{self, Row, descendants};
use crate::clock;

/// Names a process for good: pid and start.
type Identity = (i32, u64);

/// The children of ours that run, and what is known of their descendants.
///
/// One per process, because being a subreaper is a property of the process: whoever sees an orphan must
/// know all who might have started it. Held while a child is started, so that nobody takes a child that
/// is not entered yet for an orphan.
pub(super) struct Families {
    /// Pid of each child, its mark, and what the process table said of it.
    children: BTreeMap<i32, (String, Option<Row>)>,
    /// Descendants that were seen, and the mark of the child that they descended from.
    seen: BTreeMap<Identity, String>,
    /// CPU time that each process had used when it was seen last.
    ticks: BTreeMap<Identity, u64>,
    /// CPU time that each child and its descendants were seen to use, in clock ticks.
    worked: BTreeMap<String, u64>,
    /// When [`Families::observe`] last looked.
    observed: Option<Instant>,
    /// Whether this process is about to end.
    closing: bool,
}

static FAMILIES: Mutex<Families> = Mutex::new(Families {
    children: BTreeMap::new(),
    seen: BTreeMap::new(),
    ticks: BTreeMap::new(),
    worked: BTreeMap::new(),
    observed: None,
    closing: false,
});

/// How often descendants are looked at.
pub(super) const OBSERVE_EVERY: Duration = Duration::from_secs(1);

/// Returns the families, for this thread alone while it holds them.
pub(super) fn families() -> MutexGuard<'static, Families> {
    // Every change is a single insertion or removal, so a panic elsewhere leaves nothing half done.
    FAMILIES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Families {
    /// Enters a child that was started under this lock.
    pub(super) fn enter(&mut self, pid: i32, mark: &str) -> Option<Row> {
        let row = proc::row(pid);
        self.children.insert(pid, (mark.to_owned(), row));
        row
    }

    /// Returns whether this process is about to end: no child is started, and no end of one is told.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Says that this process is about to end.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Returns all children that run and all that belongs to them.
    pub(super) fn everyone(&self) -> Vec<Row> {
        let mut everyone: Vec<Row> = self.children.values().filter_map(|(_, row)| *row).collect();
        for (mark, row) in self.children.values() {
            everyone.extend(self.members(mark, row.as_ref()));
        }
        everyone.retain(|row| {
            proc::row(row.pid).is_some_and(|now| now.start == row.start && !now.zombie)
        });
        everyone
    }

    /// Forgets a child whose family has ended.
    pub(super) fn leave(&mut self, pid: i32, mark: &str) {
        if self.children.get(&pid).is_some_and(|(of, _)| of == mark) {
            self.children.remove(&pid);
        }
        self.seen.retain(|_, of| of != mark);
        self.worked.remove(mark);
    }

    /// Notes which processes descend from which child, so that they are known when they are orphans.
    ///
    /// However many children ask for it, the table is read once a second.
    pub(super) fn observe(&mut self) {
        let now = clock::monotonic();
        let recent = |last| now.duration_since(last) < OBSERVE_EVERY;
        if !self.observed.is_some_and(recent) {
            self.observed = Some(now);
            self.observe_now();
        }
    }

    /// Notes the same whenever it was last done.
    pub(super) fn observe_now(&mut self) {
        let rows = proc::rows();
        for (pid, (mark, child)) in &self.children {
            let of_child = descendants(&rows, &HashSet::from([*pid]));
            for row in &of_child {
                self.seen.insert(row.identity(), mark.clone());
            }
            let is_child = |row: &&Row| child.is_some_and(|c| c.identity() == row.identity());
            for row in of_child.iter().chain(rows.iter().filter(is_child)) {
                let before = self.ticks.insert(row.identity(), row.ticks);
                // What a process has used before it was first seen is new as well.
                let new = row.ticks.saturating_sub(before.unwrap_or(0));
                *self.worked.entry(mark.clone()).or_default() += new;
            }
        }
        let alive: HashSet<Identity> = rows.iter().map(Row::identity).collect();
        self.seen.retain(|identity, _| alive.contains(identity));
        self.ticks.retain(|identity, _| alive.contains(identity));
    }

    /// Returns the CPU time that a child and its descendants were seen to use, in clock ticks.
    pub(super) fn worked(&self, mark: &str) -> u64 {
        self.worked.get(mark).copied().unwrap_or(0)
    }

    /// Returns what carries a mark and still runs.
    pub(super) fn carriers(&self, mark: &str) -> Vec<Row> {
        let mut rows = proc::rows();
        let spared = ancestors(&rows, std::process::id().cast_signed());
        rows.retain(|row| !row.zombie && !spared.contains(&row.pid) && carries(row.pid, mark));
        rows
    }

    /// Returns what belongs to a mark and still runs, the child itself left out, and reaps what is dead.
    pub(super) fn members(&self, mark: &str, child: Option<&Row>) -> Vec<Row> {
        let rows = proc::rows();
        let us = std::process::id().cast_signed();
        let ours = rows
            .iter()
            .find(|row| row.pid == us)
            .map_or(0, |row| row.group);
        let spared = ancestors(&rows, us);
        let is_child = |row: &Row| child.is_some_and(|child| child.identity() == row.identity());
        let is_of_group = |row: &Row| child.is_some_and(|child| child.pid == row.group);
        let mut roots = HashSet::new();
        for row in rows.iter().filter(|row| !spared.contains(&row.pid)) {
            let adopted =
                row.parent == us && row.group != ours && !self.children.contains_key(&row.pid);
            if adopted && row.zombie {
                reap(row.pid);
                continue;
            }
            let belongs = is_child(row)
                || self.seen.get(&row.identity()).is_some_and(|of| of == mark)
                || carries(row.pid, mark)
                || adopted && (is_of_group(row) || self.is_stray(row.pid, child));
            if belongs {
                roots.insert(row.pid);
            }
        }
        let mut members = descendants(&rows, &roots);
        members.extend(rows.iter().filter(|row| roots.contains(&row.pid)).copied());
        members.retain(|row| {
            !row.zombie && !is_child(row) && !spared.contains(&row.pid) && row.pid > 1
        });
        members.sort_by_key(Row::identity);
        members.dedup();
        members
    }

    /// Returns whether an orphan that carries nobody's mark must come from the only child there is.
    ///
    /// Git leaves its housekeeping behind on purpose; ours is known by a variable that `git::cmd` sets.
    fn is_stray(&self, pid: i32, child: Option<&Row>) -> bool {
        let Some(child) = child else {
            return false;
        };
        let alone = self.children.keys().all(|other| *other == child.pid);
        let environ = proc::environ(pid);
        let variables = || environ.split(|byte| *byte == 0);
        let marked = variables().any(|variable| value_of(variable, MARK_VARIABLE).is_some());
        let of_git =
            variables().any(|variable| value_of(variable, "GIT_TERMINAL_PROMPT") == Some(b"0"));
        alone && !marked && !of_git
    }
}

/// Returns whether a process was started with a mark, or with one below it.
fn carries(pid: i32, mark: &str) -> bool {
    proc::environ(pid)
        .split(|byte| *byte == 0)
        .filter_map(|variable| value_of(variable, MARK_VARIABLE))
        .any(|marks| {
            marks
                .split(|byte| *byte == b'/')
                .any(|one| is_at_or_below(one, mark.as_bytes()))
        })
}

fn is_at_or_below(one: &[u8], mark: &[u8]) -> bool {
    let rest = one.strip_prefix(mark);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

fn value_of<'a>(variable: &'a [u8], name: &str) -> Option<&'a [u8]> {
    variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// Returns a process and those it descends from.
fn ancestors(rows: &[Row], of: i32) -> HashSet<i32> {
    let parents: BTreeMap<i32, i32> = rows.iter().map(|row| (row.pid, row.parent)).collect();
    let mut line = HashSet::new();
    let mut pid = of;
    while line.insert(pid) {
        let Some(parent) = parents.get(&pid) else {
            break;
        };
        pid = *parent;
    }
    line
}

/// Takes a dead orphan off the process table. It is our child, so its pid cannot have come again.
fn reap(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid);
    if pid.is_some() {
        // Somebody else of this process may have been quicker.
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i32, parent: i32) -> Row {
        Row {
            pid,
            parent,
            group: pid,
            start: 1,
            zombie: false,
            ticks: 0,
        }
    }

    #[test]
    fn descendants_are_found_in_any_order_of_the_table() {
        let rows = [
            row(9, 8),
            row(8, 7),
            row(7, 1),
            row(5, 1),
            row(6, 5),
            row(1, 0),
        ];
        let mut found: Vec<i32> = descendants(&rows, &HashSet::from([7]))
            .iter()
            .map(|row| row.pid)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [8, 9]);
        assert_eq!(ancestors(&rows, 8), HashSet::from([8, 7, 1, 0]));
    }
}
