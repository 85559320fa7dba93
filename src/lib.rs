//! `git orch` runs fleets of coding agents on a Git repository.
//!
//! The ledger is a Git branch; every command reads a snapshot of it, decides, and moves it forward by
//! one compare-and-swapped commit. Everything else (worktrees, agents, merges, reports) hangs on that.
//!
//! # Layers
//!
//! Each arrow reads "may call"; nothing points back.
//!
//! ```text
//! commands ─► executor ─► tasks ─► assembler, hooks, report ─► workspace, plan, agents ─► ledger ─► git, process ─► model
//! ```
//!
//! * [`model`] is pure: values, rules and decisions; no files, processes, clock or Git.
//! * [`git`] holds all Git I/O; [`git::cmd`] alone spawns `git`.
//! * [`process`] runs agents, tests and checks: logged, bounded in time, and ended with all they started.
//! * [`ledger`] turns the ledger branch into a [`model::Board`] and decisions into commits.
//! * [`plan`] turns the text of a `plan.toml` into a [`model::Plan`], or into findings with line and column.
//! * [`workspace`] gives every coder a worktree and branch; [`hooks`] says what each Git hook checks there.
//! * [`agents`] renders prompts and command lines of agents.
//! * [`tasks`] holds what commands and executor do alike about one task, such as handing it in.
//! * [`executor`] claims tasks and runs agents; [`assembler`] brings their branches together.
//! * [`report`] renders status and log for people and machines.
//! * [`seal`] marks records that decide something as written by this user's git-orch.
//! * [`waits`] tells of waits that take long.
//! * [`answer`] is what commands return, in the form that is asked for.
//! * [`config`], [`ui`] and [`clock`] are the only readers of the environment, writers to the
//!   terminal, and sources of time and fresh ids.
//!
//! # Words
//!
//! ledger, transition, run, phase, team, leader, coder, task, claim, lease, attempt, executor, agent,
//! profile, submit, accept, merge, assembler, train, gate: each means one thing; docs/reference/words.md has the list.

pub mod agents;
pub mod answer;
pub mod assembler;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod error;
pub mod executor;
pub mod git;
pub mod hooks;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod process;
pub mod report;
pub mod seal;
pub mod tasks;
pub mod ui;
pub mod waits;
pub mod workspace;
