//! Claims tasks and runs agents.
//!
//! [`run`] is one asynchronous loop on one thread, the same for `git orch run` and `git orch work`. It feeds
//! what happens to the pure `step` and carries out what that answers. Writing to the ledger, here or at a
//! remote, is the `clerk`'s, on a thread of its own; making worktrees, running agents and checking their work
//! goes on beside the loop as well. Killed at any moment, the next executor finds on the ledger and in the
//! attempts' directories what was going on (`recover`), and carries on.

mod apart;
mod assemble;
mod attempt;
mod clerk;
mod drive;
mod judge;
mod marks;

mod preview;
mod recover;
mod report;
mod signals;
mod step;
mod warn;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{AgentId, Attempt, Board, Gate, TaskId, TeamId, Wish};

pub use drive::run;

pub use preview::{Planned, Preview, preview};
pub use recover::{abandoned, recover_abandoned};
pub use report::{Gap, Problem, Report, Waiting};
pub use step::Until;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bring together what was submitted, as often as it lets further tasks start.
    pub assemble: bool,
    /// Most agents at once; as many as there are coders where the plan says nothing either.
    pub slots: Option<usize>,
    /// Teams whose tasks are done; all where empty.
    pub teams: Vec<TeamId>,
    /// Only tasks that need none but these skills; `None` where any will do.
    pub skills: Option<Vec<String>>,
    /// When it ends by itself.
    pub until: Until,
    /// How long agents may go on after the first signal; `None` asks them to end at once.
    pub grace: Option<Duration>,
    /// The gate that phases open by from now on; `None` leaves the ledger's.
    pub gate: Option<Gate>,
}

impl Options {
    /// Returns what is asked of the ledger.
    fn wish(&self) -> Wish {
        Wish {
            teams: self.teams.clone(),
            skills: self.skills.clone(),
            ..Wish::default()
        }
    }
}

/// Something to tell the person who watches.
#[derive(Debug, Clone)]
pub enum News {
    /// An agent got a task.
    Claimed(AgentId, TaskId, Attempt),
    /// Its work was checked and handed in.
    Submitted(AgentId, TaskId, String),
    /// Its attempt failed: why, and where the log is.
    Failed(AgentId, TaskId, String, PathBuf),
    /// The claim was given back.
    Released(AgentId, TaskId, String),
    /// Its agent waits for an answer: what it asked.
    Blocked(AgentId, TaskId, String),
    /// Tasks were made ready or given up: the subject of the ledger's commit.
    Dispatched(String),
    /// Something else.
    Note(String),
    /// Something that a person should look at.
    Warning(String),
}

impl std::fmt::Display for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Claimed(agent, task, attempt) => {
                write!(f, "[{agent}] claimed {task} (attempt {attempt})")
            }
            Self::Submitted(agent, task, summary) => {
                write!(f, "[{agent}] submitted {task}: {summary}")
            }
            Self::Failed(agent, task, reason, log) => {
                write!(
                    f,
                    "[{agent}] failed {task}: {reason}; log: {}",
                    log.display()
                )
            }
            Self::Released(agent, task, reason) => {
                write!(f, "[{agent}] released {task}: {reason}")
            }
            Self::Blocked(agent, task, words) => {
                write!(
                    f,
                    "[{agent}] blocked {task}: {words} (to answer: `git orch release {task} -m '…'`)"
                )
            }
            Self::Dispatched(text) | Self::Note(text) | Self::Warning(text) => f.write_str(text),
        }
    }
}

/// Whoever watches a run.
pub trait Watch {
    /// Is told what happened.
    fn tell(&mut self, news: &News);
    /// Is shown the board whenever it has changed.
    fn show(&mut self, board: &Board);
}
