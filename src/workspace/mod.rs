//! Worktree and branch per coder; claiming work into them and verifying it there.

pub mod assign;
pub mod verify;

pub use assign::{Assigned, assign, assignment_of, attempt_dir, base_commit};
pub use verify::{Verdict, verify};
