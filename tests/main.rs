//! Runs of the binary and of whole modules on real repositories; one test binary for all of them.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "tests drive the program from outside"
)]

mod approve;
mod assemble;
mod bypass;
mod checker;
mod choose;
mod cli;
mod close;
mod comeback;
mod common;
mod conflict;
mod contention;
mod demo;
mod doctor;
mod endings;
mod events;
mod exact;
mod faults;
mod fleet;
mod forged;
mod gate;
mod held_up;
mod histories;
mod hooks;
mod hostile;
mod identity;
mod init;
mod injection;
mod joining;
mod landings;
mod ledger;
mod levels;
mod locks;
mod log;
mod machines;
mod mains;
mod merge;
mod merging;
mod order;
mod own;
mod pack;
mod pains;
mod parsers;
mod plan;
mod powers;
mod pre_push;
mod queue;
mod radar;
mod readme;
mod recorded;
mod recover;
mod release;
mod remotes;
mod renames;
mod retry;
mod run;
mod sandbox;
mod schema;
mod serial;
mod shared;
mod signing;
mod sim;
mod slurm;
mod standalone;
mod status;
mod submit;
mod success;
mod suite;
mod surroundings;
mod teams;
mod theirs;
mod tidy;
mod trains;
mod trials;
mod uncommitted;
mod undo;
mod verbs;
mod waiting;
mod warm;
mod work;
mod worktrees;
mod wrapup;
