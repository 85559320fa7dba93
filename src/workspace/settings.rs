//! The configuration that Git sees in one coder's worktree.
//!
//! `<common>/config` includes `<common>/orch/worktree.gitconfig` in worktrees called `orch-*`; that file
//! includes `worktrees/<agent>.gitconfig` in the worktree `orch-<agent>`. `extensions.worktreeConfig` would
//! do the same and make tools on go-git refuse the repository (facts.md 7).

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Assignment;
use crate::config;
use crate::git::Repo;
use crate::git::files::{self, Lock};
use crate::model::AgentId;

/// Returns the name under which Git knows a coder's worktree.
pub fn worktree_name(agent: AgentId) -> String {
    format!("orch-{agent}")
}

/// Returns the name and address in whose name a coder's work is committed.
pub fn identity(repo: &Repo, agent: AgentId) -> (String, String) {
    let machine = config::machine(repo);
    (
        format!("AGENT-{agent}"),
        format!("agent-{agent}@{machine}.invalid"),
    )
}

/// Writes a coder's configuration whole; without an assignment it names no task.
pub(super) fn write(
    repo: &Repo,
    alone: &Lock,
    agent: AgentId,
    assignment: Option<&Assignment>,
    is_sparse: bool,
) -> Result<()> {
    let (name, email) = identity(repo, agent);
    let mut text = format!(
        "[user]\n\tname = {}\n\temail = {}\n",
        quoted(&name),
        quoted(&email)
    );
    if is_sparse {
        text.push_str("[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n");
    }
    text.push_str(&format!("[orch]\n\tagent = {agent}\n"));
    if let Some(assignment) = assignment {
        let run = &assignment.run;
        text.push_str(&format!("\ttask = {}\n", assignment.task));
        text.push_str(&format!("\tattempt = {}\n", assignment.attempt));
        if !run.is_empty() {
            text.push_str(&format!("\trun = {}\n", quoted(run)));
        }
    }
    files::edit(&file(repo, agent), text.as_bytes())?;
    add_include(repo, alone, agent)
}

/// Removes a coder's configuration.
pub(super) fn remove(repo: &Repo, _alone: &Lock, agent: AgentId) -> Result<()> {
    let path = shared_file(repo);
    if let Some(text) = files::read_if_exists(&path)? {
        let text = String::from_utf8_lossy(&text).into_owned();
        let without = text.replace(&include(agent), "");
        if without != text {
            files::edit(&path, without.as_bytes())?;
        }
    }
    match std::fs::remove_file(file(repo, agent)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove a coder's configuration")
        }
        _ => Ok(()),
    }
}

fn add_include(repo: &Repo, _alone: &Lock, agent: AgentId) -> Result<()> {
    let path = shared_file(repo);
    let text = files::read_if_exists(&path)?.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&text).into_owned();
    let include = include(agent);
    if text.contains(&include) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&include);
    files::edit(&path, text.as_bytes())
}

/// A pattern without a final slash matches this directory alone: `orch-1.2`, not `orch-1.20`.
fn include(agent: AgentId) -> String {
    let name = worktree_name(agent);
    format!("[includeIf \"gitdir:**/worktrees/{name}\"]\n\tpath = worktrees/{agent}.gitconfig\n")
}

fn shared_file(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("worktree.gitconfig")
}

fn file(repo: &Repo, agent: AgentId) -> PathBuf {
    repo.orch_dir().join(format!("worktrees/{agent}.gitconfig"))
}

/// Quotes a value for a configuration file.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
