//! Brings branches together: merged in memory, tested as merged, landed by compare-and-swap.
//!
//! The target only ever moves to a commit whose tree passed the test command, and what lands is what merging
//! and testing one at a time in the given order would have accepted. [`crate::model::train`] decides what is
//! tried next; this module merges, tests and moves refs.
//!
//! * [`plan`] brings in what a plan's coders handed in; [`branches`] any list of branches, without a plan.
//! * [`pattern`] names those branches by a glob, and [`forget`](mod@forget) takes away what assemblies remember.
//! * [`radar`] tells which branches will conflict before anybody merges them.
//! * [`conflict`] holds all that is known of a merge that did not go through; [`resolutions`] and [`structured`] are
//!   second tries at it, whose result is then tested like any other.
//! * [`approval`] moves the base branch to what was brought in.
//! * `engine` is what both share: merge, test, guard, land, next.
//! * [`undo`] takes the last landing, or any other, back out.
//! * `undone` merges work again that was taken out.
//! * [`landing`] moves branches and the files of worktrees that have them checked out, and finishes what a
//!   killed process began.
//! * `own` is the test as a coder runs it.
//! * `moved` notices branches that somebody else moved.
//! * `in_step` keeps the integrated branches level with a remote's.
//! * `order` puts a train into the radar's order, where that is asked for.
//! * `each` and `line` are the two ways to spend tests: each branch as it is merged, or a whole line at once.
//! * `tester` knows what tests said: `slots` runs them side by side, each on a `bench`, a worktree of its own
//!   with the `submodules` of the user's checkout;
//!   `verdicts` keeps what they said.
//!
//! Whoever assembles or approves holds [`lock`]; a second one waits, so nothing here races with itself.

pub mod approval;
mod bench;
pub mod branches;
mod check_worktree;
pub mod conflict;
mod each;
mod engine;
mod fault;
mod findings;
pub mod forget;
mod guard;
mod in_step;
pub mod landing;
mod lane;
mod levels;
mod line;
pub mod lock;
mod method;
mod moved;
mod order;
mod own;
pub mod pattern;
pub mod plan;
pub mod radar;
pub mod report;
mod reports;
pub mod resolutions;
mod slots;
pub mod structured;
mod submodules;
pub mod team_branches;
mod test_worktree;
mod tester;
pub mod undo;
mod undone;
mod verdicts;

pub use approval::approve;
pub use branches::assemble_branches;
pub use check_worktree::{CheckWorktree, check_command};
pub use forget::{Forgotten, forget};
pub use own::{OwnTest, own_test};
pub use pattern::branches_like;
pub use plan::{assemble, assemble_team};
pub use report::{Options, Progress, Report, Row, RunRow, Silent, Watch};
pub use test_worktree::remove_worktrees;
