//! The only reader of the environment, and of `orch.*` in Git's configuration.

#![expect(
    clippy::disallowed_methods,
    reason = "this module reads the environment"
)]

use std::ffi::OsString;
use std::path::PathBuf;

use crate::git::Repo;
use crate::model::{AgentId, Attempt, MachineId, TaskId};

/// Branch of the ledger unless `orch.ledger` names another.
pub const DEFAULT_LEDGER: &str = "orchestration";

/// Returns the full name of the ledger's ref.
pub fn ledger_ref(repo: &Repo) -> String {
    let branch = repo
        .config("orch.ledger")
        .unwrap_or_else(|| DEFAULT_LEDGER.to_owned());
    format!("refs/heads/{branch}")
}

/// Returns the agent that this process speaks for: `ORCH_AGENT`, or the worktree's `orch.agent`.
pub fn agent(repo: &Repo) -> Option<AgentId> {
    let text = text("ORCH_AGENT").or_else(|| repo.config("orch.agent"))?;
    text.parse().ok()
}

/// Returns the task that this process works on: `ORCH_TASK`, or the worktree's `orch.task`.
pub fn task(repo: &Repo) -> Option<TaskId> {
    text("ORCH_TASK")
        .or_else(|| repo.config("orch.task"))?
        .parse()
        .ok()
}

/// Returns the attempt that this process quotes: `ORCH_ATTEMPT`, or the worktree's `orch.attempt`.
pub fn attempt(repo: &Repo) -> Option<Attempt> {
    text("ORCH_ATTEMPT")
        .or_else(|| repo.config("orch.attempt"))?
        .parse()
        .ok()
}

/// Returns this machine's name: `orch.machine`, or the host's name.
pub fn machine(repo: &Repo) -> MachineId {
    let host = || {
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let clean = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        };
        name.chars().map(clean).collect::<String>()
    };
    MachineId(repo.config("orch.machine").unwrap_or_else(host))
}

/// Returns the pinned wall clock of tests, `ORCH_TEST_TIME` in seconds since 1970.
pub fn pinned_time() -> Option<i64> {
    text("ORCH_TEST_TIME")?.parse().ok()
}

/// Returns the marks that this process was started with, where another `git orch` started it.
pub fn process_marks() -> Option<String> {
    text("ORCH_PROCESS")
}

/// Returns whether colours are unwanted whatever the terminal can do (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Returns the path of the running program, for hooks that must find it again.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("git-orch"))
}

/// Returns this process's whole environment, for handing on to a user's own hook.
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// Returns a variable of the environment as text.
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
