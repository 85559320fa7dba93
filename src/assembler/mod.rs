//! Brings branches together: merged in memory, tested as merged, landed by compare-and-swap.
//!
//! The target only ever moves to a commit whose tree passed the test command, and what lands is what merging
//! and testing one at a time in the given order would have accepted. [`crate::model::train`] decides what is
//! tried next; this module merges, tests and moves refs.
//!
//! * [`plan`] brings in what a plan's coders handed in; [`branches`] any list of branches, without a plan.
//! * [`radar`] tells which branches will conflict before anybody merges them.
//! * [`conflict`] holds all that is known of a merge that did not go through; [`resolutions`] and [`structured`] are
//!   second tries at it, whose result is then tested like any other.
//! * [`approval`] moves the base branch to what was brought in.
//! * `engine` is what both share: merge, test, guard, land, next.
//! * [`landing`] moves branches and the files of worktrees that have them checked out, and finishes what a
//!   killed process began.
//! * `in_step` keeps the integrated branches level with a remote's.
//! * `bench` is the worktree that tests run in; `verdicts` remembers what they said.
//!
//! Whoever assembles or approves holds [`lock`]; a second one is refused, so nothing here races with itself.

pub mod approval;
mod bench;
pub mod branches;
pub mod conflict;
mod engine;
mod findings;
mod guard;
mod in_step;
pub mod landing;
pub mod lock;
pub mod plan;
pub mod radar;
pub mod report;
pub mod resolutions;
pub mod structured;
pub mod team_branches;
mod verdicts;

pub use approval::approve;
pub use bench::remove_worktree;
pub use branches::assemble_branches;
pub use plan::assemble;
pub use report::{Options, Progress, Report, Row, Silent, Watch};
