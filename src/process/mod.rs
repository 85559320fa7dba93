//! Runs agents, tests and checks: logged to disk, bounded in time, and ended with everything they started.
//!
//! The only spawner of programs other than Git. A child gets a process group of its own, an environment
//! without Git's own variables, and a *mark* in [`MARK_VARIABLE`] by which everything that it starts can be
//! found again, also by a later process after this one was killed. Agents start tools in groups of their
//! own (docs/decisions/processes.md), so ending the group is not enough: this process is a child subreaper, and all that
//! descends from a child or carries its mark is ended with it.
//!
//! Not promised: a process that clears its environment and leaves the family within a second of being
//! started, while several children run, is found only when the last of them has ended.

mod command;
mod family;
mod idle;
mod output;
pub(crate) mod proc;
mod supervise;
mod sweep;
#[cfg(test)]
mod tests;

pub use supervise::{run, run_async, run_until};
pub use sweep::{close, is_alive, kill_all, sweep};

pub mod detach;
pub mod inherit;
pub mod landlock;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Command;

/// Variable that carries the marks of a process and of those it descends from, with `/` between them.
pub const MARK_VARIABLE: &str = "ORCH_PROCESS";

/// A child process to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Command line.
    pub command: Command,
    /// Directory that it runs in.
    pub dir: PathBuf,
    /// Variables added to its environment, from which Git's own are cleared.
    pub env: Vec<(OsString, OsString)>,
    /// File that its standard input is read from; empty otherwise.
    pub stdin: Option<PathBuf>,
    /// File that its output is appended to, standard error included.
    pub log: PathBuf,
    /// Time that it may take.
    pub wall: Duration,
    /// When it counts as idle and is ended; `None` is without bound.
    pub idle: Option<Idle>,
    /// Name that it and everything it starts is found by: unique, without `/`, for example an operation's
    /// id. `a.b` is below `a`, and ended with it.
    pub mark: String,
    /// Tokens that it shares with others side by side, for programs that know GNU make's protocol.
    pub jobserver: Option<jobserver::Client>,
}

/// When a child counts as idle: it has printed nothing, used no CPU time and given no other sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// For how long.
    pub time: Duration,
    /// Files whose change is a sign of life; they need not exist.
    pub signs: Vec<PathBuf>,
}

/// How a child process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It took too long and was ended.
    TimedOut,
    /// It gave no sign of life for too long and was ended.
    Silent,
    /// It was asked to stop.
    Stopped,
}

/// What a child process came to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// The last lines of its output, at most 16 KiB.
    pub tail: String,
    /// How long it took.
    pub took: Duration,
    /// Processes that it had left behind and that were ended.
    pub leftovers: usize,
}
