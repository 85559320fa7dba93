//! Worktree and branch per coder.
