//! Worktree and branch per coder; claiming work into them and verifying it there.
//!
//! Coder `1.2` works in `../<repo>.orch/1.2`, registered with Git as `orch-1.2`, and keeps that worktree
//! from task to task so that its build caches stay warm. Nothing that could be work is ever deleted: what is
//! uncommitted goes to a commit under `refs/orch/recovery/<agent>/`, and files that fit nowhere are moved to
//! `.trash/<agent>-<n>` beside the worktrees, where they stay until a person deletes them.
//!
//! * [`worktree`] makes, reuses, parks and removes worktrees.
//! * [`leftovers`] finds, commits or saves what an agent left uncommitted.
//! * [`settings`] writes the configuration that Git sees in one coder's worktree.
//! * [`keys`] makes the keys with which agents sign, where anything is signed.
//! * [`mod@assign`] takes a free agent to a claimed task on a branch cut from the right commit.
//! * [`mod@verify`] makes the checks of `submit`.
//! * [`private`] lends a sandboxed agent a repository of its own, and brings its commits home.
//! * [`sandbox`] says what an agent is kept in, and what of it works here.
//! * [`inspect`] looks at all of them without changing anything.
//! * [`view`] shows a coder its task, and keeps that out of the repository.

pub mod assign;
pub mod inspect;
pub mod keys;
pub mod leftovers;
mod merging;
mod place;
pub mod private;
mod recovery;
pub mod sandbox;
pub mod settings;
pub mod verify;
pub mod view;
pub mod worktree;

use crate::git::Oid;
use crate::model::{AgentId, Attempt, TaskId};

pub use assign::{
    Assigned, NoWork, ask, assign, assignment_of, attempt_dir, base_commit, check_mark, claimed,
    explain, ready, take_up,
};
pub use leftovers::{commit_leftovers, save_leftovers, uncommitted};
pub use merging::undecided;
pub use private::bring_home;
pub use verify::{Verdict, verify};
pub use view::{exclude_add, exclude_remove, show_task};
pub use worktree::{empty_trash, park, prepare, prepare_cone, prepare_from, remove, remove_all};

/// A coder's work on one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The coder.
    pub agent: AgentId,
    /// The task.
    pub task: TaskId,
    /// The claim's fencing number.
    pub attempt: Attempt,
    /// Short name of the task's branch.
    pub branch: String,
    /// Commit that the branch is cut from where it does not exist yet.
    pub base: Oid,
    /// Name of the run, for trailers; left out where it is empty.
    pub run: String,
}
