//! Runs agents, tests and checks: logged to disk, bounded in time, and ended with everything they started.

pub mod inherit;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Command;

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
    /// Time that it may stay silent; `None` is without bound.
    pub idle: Option<Duration>,
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
    /// It stayed silent for too long and was ended.
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
