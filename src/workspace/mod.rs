//! Worktree and branch per coder, and claiming work into them.
//!
//! Coder `1.2` works in `../<repo>.orch/1.2`, registered with Git as `orch-1.2`, and keeps that worktree
//! from task to task so that its build caches stay warm.
//!
//! * [`worktree`] makes, reuses and parks worktrees; `removal` takes them away.
//! * `uncommitted` finds what an agent left uncommitted, hidden or not; [`leftovers`] commits or saves it;
//!   `attempts` says where an attempt's files lie.
//! * [`settings`] writes the configuration that Git sees in one coder's worktree.
//! * [`keys`] makes the keys with which agents sign, where anything is signed.
//! * [`mod@assign`] takes a free agent to a claimed task on a branch cut from the right commit.
//! * [`private`] lends a sandboxed agent a repository of its own, and brings its commits home.
//! * [`sandbox`] says what an agent is kept in, and what of it works here.
//! * [`inspect`] looks at all of them without changing anything.
//! * [`view`] shows a coder its task, and keeps that out of the repository.
//! * [`shared`] watches over what agents share with people: settings, hooks, the stash.
//! * [`saved`] and [`trash`] hold what would have been lost.
//! * [`wrapup`] tells what would stay behind on this machine.
//!
//! # Nothing is lost
//!
//! Whatever deletes something of ours or moves it back saves it first: commits and uncommitted files, untracked
//! ones too, under `refs/orch/recovery/<owner>/` ([`crate::git::recovery`] says in which form), what fits in no commit
//! in the trash. Files that Git ignores stay where they are, since build caches are kept warm; when their worktree goes,
//! those that no tool can build again go to the trash, and the others are told. These are all the places:
//!
//! | what goes | who does it | what is kept first |
//! |---|---|---|
//! | uncommitted files of a worktree that gets its next task | [`prepare`] | a commit, owner the coder; repositories inside: trash |
//! | ignored files where the next branch has its own, and an agent's below `.orchestration/` | [`prepare`] | trash |
//! | the same while the branch is wanted elsewhere | [`prepare`] | a commit; the files stay, too |
//! | a merge, rebase, cherry-pick or bisect under way | [`prepare`], [`commit_leftovers`] | the commits that only it names |
//! | a branch that a retry continues from another machine's | [`prepare_from`] | its tip, owner the coder |
//! | a branch that begins anew, here and at the remote | [`prepare_from`] | its tips, owner the coder |
//! | a worktree that is broken, or that no commit can hold | [`prepare`], `doctor --fix` | trash, as it was |
//! | a registration whose files are gone | [`prepare`], `doctor --fix` | commits that only its HEAD reached; trash for submodules |
//! | a worktree, asked for | `worktree remove`, `doctor --fix`, `init --undo` | refused while it holds work; by force: a commit, or trash |
//! | work of an attempt that is broken off | `run`, `work` | a commit on its branch, or under recovery |
//! | what an agent left outside its scope | `run`, `work` | under recovery; the files stay until the next task |
//! | a branch whose commits become one | `submit`, `run`, `work` | its tip, owner the coder |
//! | a branch of no task | `doctor --fix` | its tip, owner `branches`; only if all of it is in |
//! | the integration branch, and what stands with it, moving back | `undo` | where it was, owner `undo` |
//! | a team's branch that starts again | `assemble` | where it was, owner the branch |
//! | integrated branches that are behind the remote's | `assemble` | where they were, owner `assembler` |
//! | one of two ledgers | `doctor --keep` | the other one, owner `ledger` |
//! | branches of git-orch's, and the recovery refs themselves | `init --undo` | refused while they hold what no other branch has |
//!
//! `cancel`, `free`, `release`, a lease that ran out and a new plan delete no branch and no worktree. What goes
//! without being kept can all be made again: verdicts, notes of conflicts and remembered resolutions
//! (`assemble --forget`), worktrees that only tests ran in, what a coder was shown of its task in `.orchestration/`,
//! copies of a remote's refs, caches and locks of the dead.

pub mod assign;
mod attempts;
mod confined;
pub mod inspect;
pub mod keys;
pub mod leftovers;
mod merging;
mod obstacles;
mod place;
pub mod private;
mod recovery;
mod removal;
pub mod sandbox;
pub mod saved;
pub mod settings;
pub mod shared;
mod stash;
pub mod trash;
mod uncommitted;
pub mod view;
pub mod worktree;
pub mod wrapup;

use crate::git::Oid;
use crate::model::{AgentId, Attempt, TaskId};

pub use assign::{
    Assigned, NoWork, ask, assign, assignment_of, base_commit, claimed, explain, ready, take_up,
};
pub use attempts::{attempt_dir, check_mark, load_start};
pub use confined::is_busy;
pub use leftovers::{
    Bounds, Refused, Taken, commit_leftovers, commit_within, save_leftovers, uncommitted_within,
};
pub use merging::undecided;
pub use place::seen_from;
pub use private::bring_home;
pub use removal::{Removed, remove, remove_all, remove_by_force};
pub use uncommitted::{ignored, uncommitted};
pub use view::{exclude_add, exclude_remove, show_task};
pub use worktree::{Start, park, prepare, prepare_cone, prepare_from};

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
