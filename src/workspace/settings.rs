//! The configuration that Git sees in one coder's worktree.
//!
//! `<common>/config` includes `<common>/orch/worktree.gitconfig` in worktrees called `orch-*`; that file
//! includes `worktrees/<agent>.gitconfig` in the worktree `orch-<agent>`. `extensions.worktreeConfig` would
//! do the same and make tools on go-git refuse the repository (docs/decisions/worktrees.md).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Assignment;
use crate::config;
use crate::git::Repo;
use crate::git::config_file::{ConfigFile, edit, quote};
use crate::git::files;
use crate::ledger::signatures::agent_key;
use crate::model::identity::{Identity, of_agent};
use crate::model::{AgentId, Attempt, TaskId};

/// Returns the name under which Git knows a coder's worktree.
pub fn worktree_name(agent: AgentId) -> String {
    format!("orch-{agent}")
}

/// Returns the name and address in whose name a coder's work is committed.
pub fn identity(repo: &Repo, agent: AgentId) -> Identity {
    of_agent(agent, &config::machine(repo))
}

/// Returns the settings, each a key and its value, that decide in whose name a coder commits, and that the
/// user's own (`author.name`, `commit.gpgSign`, a key) must not decide.
pub fn of_commits(repo: &Repo, agent: AgentId) -> Vec<(&'static str, String)> {
    let (name, email) = identity(repo, agent);
    let names = ["user.name", "author.name", "committer.name"];
    let emails = ["user.email", "author.email", "committer.email"];
    let mut settings: Vec<_> = names.map(|key| (key, name.clone())).into();
    settings.extend(emails.map(|key| (key, email.clone())));
    let key = agent_key(repo, agent);
    let signing = match key.exists() {
        true => vec![
            ("user.signingKey", key.to_string_lossy().into_owned()),
            ("gpg.format", String::from("ssh")),
            ("gpg.ssh.program", String::from("ssh-keygen")),
            ("commit.gpgSign", String::from("true")),
        ],
        // Without a key of its own an agent that asks for a signature is refused one.
        false => vec![
            ("user.signingKey", String::new()),
            ("gpg.ssh.defaultKeyCommand", String::new()),
            ("commit.gpgSign", String::from("false")),
        ],
    };
    settings.extend(signing);
    settings.push(("tag.gpgSign", String::from("false")));
    settings.push(("push.gpgSign", String::from("false")));
    settings
}

/// Returns a setting as a configuration file has it.
fn as_text(key: &str, value: &str) -> String {
    let (section, name) = key.rsplit_once('.').unwrap_or((key, ""));
    let section = match section.split_once('.') {
        Some((section, below)) => format!("{section} \"{below}\""),
        None => section.to_owned(),
    };
    format!("[{section}]\n\t{name} = {}\n", quoted(value))
}

/// Returns the file in which a Git directory logs what a coder's worktree had checked out: every commit there shows.
pub fn reflog(git_dir: &Path, agent: AgentId) -> PathBuf {
    let admin = git_dir.join("worktrees").join(worktree_name(agent));
    admin.join("logs/HEAD")
}

/// Writes a coder's configuration whole; without an assignment it names no task.
pub(super) fn write(
    repo: &Repo,
    agent: AgentId,
    assignment: Option<&Assignment>,
    is_sparse: bool,
) -> Result<()> {
    let settings = of_commits(repo, agent);
    let mut text: String = settings
        .iter()
        .map(|(key, value)| as_text(key, value))
        .collect();
    // Files that git writes would count as ones not to look at, and edits in them be lost.
    text.push_str("[core]\n\tignoreStat = false\n");
    if is_sparse {
        text.push_str("[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n");
    }
    text.push_str(&format!("[orch]\n\tagent = {agent}\n"));
    if let Some(assignment) = assignment {
        let run = &assignment.run;
        text.push_str(&format!("\ttask = {}\n", assignment.task));
        text.push_str(&format!("\tattempt = {}\n", assignment.attempt));
        text.push_str(&format!("\tbranch = {}\n", quoted(&assignment.branch)));
        if !run.is_empty() {
            text.push_str(&format!("\trun = {}\n", quoted(run)));
        }
    }
    files::edit(&file(repo, agent), text.as_bytes())?;
    add_include(repo, agent)
}

/// Returns the task and attempt that a coder's configuration names.
pub(super) fn assigned(repo: &Repo, agent: AgentId) -> Option<(TaskId, Attempt)> {
    let own = ConfigFile::read(&file(repo, agent)).ok()??;
    let value = |key: &str| own.value(key);
    Some((
        value("orch.task")?.parse().ok()?,
        value("orch.attempt")?.parse().ok()?,
    ))
}

/// Removes a coder's configuration.
pub(super) fn remove(repo: &Repo, agent: AgentId) -> Result<()> {
    if repo.orch_dir().join("worktree.gitconfig").exists() {
        edit_shared(repo, |text| text.replace(&include(agent), ""))?;
    }
    match std::fs::remove_file(file(repo, agent)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove a coder's configuration")
        }
        _ => Ok(()),
    }
}

/// Changes the file that all coders' worktrees share, under the lock that the hooks' installer takes too.
fn edit_shared(repo: &Repo, change: impl FnOnce(String) -> String) -> Result<()> {
    let path = repo.orch_dir().join("worktree.gitconfig");
    let scratch = repo.orch_dir().join("worktree.new");
    edit(&path, &scratch, |old| {
        let new = change(String::from_utf8_lossy(old).into_owned()).into_bytes();
        (new != old).then_some(new)
    })
    .map(drop)
}

fn add_include(repo: &Repo, agent: AgentId) -> Result<()> {
    let include = include(agent);
    let path = repo.orch_dir().join("worktree.gitconfig");
    let text = files::read_if_exists(&path)?.unwrap_or_default();
    if String::from_utf8_lossy(&text).contains(&include) {
        return Ok(());
    }
    edit_shared(repo, |mut text| {
        if !text.contains(&include) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&include);
        }
        text
    })
}

/// A pattern without a final slash matches this directory alone: `orch-1.2`, not `orch-1.20`.
fn include(agent: AgentId) -> String {
    let name = worktree_name(agent);
    format!("[includeIf \"gitdir:**/worktrees/{name}\"]\n\tpath = worktrees/{agent}.gitconfig\n")
}

fn file(repo: &Repo, agent: AgentId) -> PathBuf {
    repo.orch_dir().join(format!("worktrees/{agent}.gitconfig"))
}

fn quoted(value: &str) -> String {
    String::from_utf8_lossy(&quote(value.as_bytes())).into_owned()
}
