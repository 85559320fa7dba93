//! What each Git hook checks in a coder's worktree; shared with the gate.
//!
//! * [`mod@install`] puts the scripts of `hooks/` in place, for coders' worktrees only.
//! * [`mod@run`] is what a script calls; it looks at raw files first, since most hooks have nothing to say.
//! * [`previous`] runs the hooks that were there before ours.
//! * [`message`], [`commits`] and [`references`] say what is right; [`gate`] checks it again from the commits,
//!   since hooks can be skipped.

pub mod commits;
pub mod gate;
pub mod install;
pub mod locks;
pub mod message;
pub mod previous;
pub mod references;
pub mod run;
pub mod seat;
pub mod signatures;

pub use install::{install, is_installed, out_of_order, uninstall};
pub use run::run;
