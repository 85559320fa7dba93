//! What is done about one task, in one place for the commands and the executor.
//!
//! * [`submit`] takes finished work from a coder's worktree to a head that may be handed in: what is uncommitted is
//!   committed or kept, the branch is put right, everything that must hold is checked.
//! * [`uncommitted`] commits what an agent left, as far as it belongs to its task, and keeps the rest.
//! * [`branch`] puts right commits that were made past the hooks, and takes refused ones of earlier attempts out.
//! * [`checks`] holds the checks themselves: deliverables, success commands, what a wrap-up asks for.

pub mod branch;
pub mod checks;
mod reword;
pub mod submit;
pub mod uncommitted;
