//! What is done about one task, in one place for the commands and the executor.
//!
//! * [`submit`] takes finished work from a coder's worktree to a head that may be handed in: what is uncommitted is
//!   committed or kept, the branch is put right, everything that must hold is checked.
//! * [`uncommitted`] commits what an agent left, as far as it belongs to its task, and keeps the rest.
//! * [`branch`] puts right commits that were made past the hooks, and takes refused ones of earlier attempts out.
//! * [`checks`] holds the checks themselves, and `success` runs the task's commands on exactly what was committed.

pub mod branch;
pub mod checks;
mod reword;
pub mod submit;
mod success;
pub mod uncommitted;

use std::path::Path;

use crate::ledger::Ledger;
use crate::workspace::Assignment;

/// What is to be handed in.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// To read by.
    pub ledger: &'a Ledger,
    /// Whose work on which task.
    pub assignment: &'a Assignment,
    /// The worktree that it was done in.
    pub dir: &'a Path,
    /// Where the output of checks goes.
    pub log: &'a Path,
}
