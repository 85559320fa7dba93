//! No git command of ours waits for ever, whatever others have put where it reads.
//!
//! Agents can write most of what Git reads. A named pipe in place of a file (`.gitignore`, a ref, an object) would
//! hold a command up until somebody writes to it; a file without end, millions of refs or a filter that never ends,
//! for as long as they like. So one thread watches all commands that run: what waits at a named pipe is ended at
//! once, what looks at things that agents write has a limit of time, and all of them can be ended from elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::clock;
use crate::error::UserError;
use crate::model::duration::format_duration;
use crate::process::proc::{self, Row, descendants};

/// How often commands that run are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Age from which a command is looked at; nearly all have ended by then.
const YOUNG: Duration = Duration::from_millis(200);

/// Looks in a row that find it at a named pipe: with somebody at the other end it would have gone on.
const LOOKS_AT_PIPE: u8 = 2;

/// Most entries that are looked at for the pipe that held a command up.
const MOST_ENTRIES: usize = 100_000;

/// Most pipes that are named.
const MOST_NAMED: usize = 3;

/// Why a command was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It waited for somebody to write to a named pipe.
    AtPipe,
    /// It took longer than it may.
    TooLong(Duration),
    /// Everything was to be ended.
    Told,
}

/// A command that runs.
struct Entry {
    row: Option<Row>,
    begun: Instant,
    most: Option<Duration>,
    /// Whether it leads a process group of its own.
    leads: bool,
    /// Whether it looks at what agents can write, and nowhere else.
    looks_at_work: bool,
    /// Looks in a row that found it at a named pipe.
    at_pipe: u8,
    stopped: Option<Stop>,
}

struct Running {
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

static RUNNING: Mutex<Running> = Mutex::new(Running {
    entries: BTreeMap::new(),
    next: 0,
});
static BEGUN: Condvar = Condvar::new();
static WATCHER: Once = Once::new();

fn running() -> MutexGuard<'static, Running> {
    // Every change is a single insertion, removal or mark.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command while it is watched.
pub(super) struct Watched {
    id: u64,
}

impl Watched {
    /// Watches a child. `far` is the time that it may take to talk to another machine, in a process group of its
    /// own; `near` the time that it may take to look at what agents can write.
    pub(super) fn begin(pid: u32, far: Option<Duration>, near: Option<Duration>) -> Self {
        WATCHER.call_once(|| {
            // Without a thread nothing is watched, and everything else goes on.
            let watcher = std::thread::Builder::new().name(String::from("git-watch"));
            let _ = watcher.spawn(watch);
        });
        let mut running = running();
        let id = running.next;
        running.next += 1;
        let entry = Entry {
            row: proc::row(pid.cast_signed()),
            begun: clock::monotonic(),
            most: far.or(near),
            leads: far.is_some(),
            looks_at_work: far.is_none() && near.is_some(),
            at_pipe: 0,
            stopped: None,
        };
        if running.entries.insert(id, entry).is_none() && running.entries.len() == 1 {
            BEGUN.notify_one();
        }
        Self { id }
    }

    /// Returns why the child was ended, if it was.
    pub(super) fn end(self) -> Option<Stop> {
        running().entries.get(&self.id)?.stopped
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        running().entries.remove(&self.id);
    }
}

/// Ends every command that looks at what agents can write: nothing of it is lost, and it can be looked at again.
pub fn end_all() {
    let mut running = running();
    let rows = proc::rows();
    for entry in running
        .entries
        .values_mut()
        .filter(|entry| entry.looks_at_work)
    {
        entry.stop(&rows, Stop::Told);
    }
}

fn watch() {
    let mut running = running();
    loop {
        running = match running.entries.is_empty() {
            true => BEGUN.wait(running).unwrap_or_else(PoisonError::into_inner),
            false => {
                let waited = BEGUN.wait_timeout(running, LOOK_EVERY);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        running.look(clock::monotonic());
    }
}

impl Running {
    fn look(&mut self, now: Instant) {
        let is_old = |entry: &Entry| now.duration_since(entry.begun) >= YOUNG;
        if !self.entries.values().any(is_old) {
            return;
        }
        let rows = proc::rows();
        for entry in self.entries.values_mut().filter(|entry| is_old(entry)) {
            let is_at_pipe = |row: &Row| proc::is_git(row.pid) && proc::waits_for_pipe(row.pid);
            match entry.family(&rows).iter().any(is_at_pipe) {
                true => entry.at_pipe += 1,
                false => entry.at_pipe = 0,
            }
            if entry.at_pipe >= LOOKS_AT_PIPE {
                entry.stop(&rows, Stop::AtPipe);
            }
            if let Some(most) = entry.most
                && now.duration_since(entry.begun) >= most
            {
                entry.stop(&rows, Stop::TooLong(most));
            }
        }
    }
}

impl Entry {
    /// Returns the command and all that it has started; nothing once it has ended, and its pid may be another's.
    fn family(&self, rows: &[Row]) -> Vec<Row> {
        let Some(own) = self.row else {
            return Vec::new();
        };
        let is_alive = rows.iter().any(|row| row.identity() == own.identity());
        if !is_alive {
            return Vec::new();
        }
        let mut family = vec![own];
        family.extend(descendants(rows, &[own.pid].into()));
        family
    }

    fn stop(&mut self, rows: &[Row], why: Stop) {
        let family = self.family(rows);
        if family.is_empty() {
            return;
        }
        self.stopped.get_or_insert(why);
        if let (true, Some(group)) = (self.leads, self.row.and_then(|row| Pid::from_raw(row.pid))) {
            // Gone already is as good.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        for row in &family {
            proc::signal(row, Signal::KILL);
        }
    }
}

/// Returns what a person is told of a command that was ended, by the places that it looked at.
pub(super) fn told(stop: Stop, places: &[PathBuf]) -> UserError {
    let dir = places
        .first()
        .map(PathBuf::as_path)
        .unwrap_or(Path::new("."));
    let shown = dir.display();
    match stop {
        Stop::AtPipe => {
            let pipes = pipes_below(places);
            let error = match pipes.first() {
                Some(first) => format!(
                    "git cannot look at {shown}: {} is a named pipe where Git reads a file",
                    first.display()
                ),
                None => format!("git cannot look at {shown}: it waited at a named pipe"),
            };
            let hints = match pipes.is_empty() {
                true => vec![format!("find '{shown}' -type p")],
                false => pipes
                    .iter()
                    .map(|pipe| format!("rm '{}'", pipe.display()))
                    .collect(),
            };
            let mut error = UserError::new(error);
            for hint in hints {
                error = error.hint(hint);
            }
            error
        }
        Stop::TooLong(most) => UserError::new(format!(
            "git did not come to an end in {shown} within {}",
            format_duration(most)
        ))
        .hint(format!("du -sh '{shown}'"))
        .hint("git config orch.gitTimeout 2h"),
        Stop::Told => UserError::new(format!("git was ended in {shown}")),
    }
}

/// Returns named pipes that Git may have waited at, those first whose names it reads anywhere.
fn pipes_below(places: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut dirs: Vec<PathBuf> = places.to_vec();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_fifo() {
                found.push(entry.path());
            } else if kind.is_dir() {
                dirs.push(entry.path());
            }
        }
        if seen >= MOST_ENTRIES {
            break;
        }
    }
    found.sort_by_key(|path| (!is_read_by_git(path), path.components().count()));
    found.dedup();
    found.truncate(MOST_NAMED);
    let is_read = found.iter().filter(|path| is_read_by_git(path)).count();
    if is_read > 0 {
        found.truncate(is_read);
    }
    found
}

fn is_read_by_git(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_inside = path
        .components()
        .any(|part| part.as_os_str().to_string_lossy().ends_with(".git"));
    is_inside || name.starts_with(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipe_that_git_reads_is_named_first() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("deep/below")).unwrap();
        for name in ["pipe", "deep/below/.gitignore"] {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let fifo = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, at(name), fifo, mode, 0).unwrap();
        }
        let places = [dir.path().to_path_buf()];
        assert_eq!(pipes_below(&places), [at("deep/below/.gitignore")]);
        fs::remove_file(at("deep/below/.gitignore")).unwrap();
        assert_eq!(pipes_below(&places), [at("pipe")]);
    }
}
