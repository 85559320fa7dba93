//! The stash, which all worktrees share: what is in it, whose it is, and that an agent's `git stash pop` loses nothing.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::git::recovery::{RECOVERY, Saving};
use crate::git::{Oid, Repo};
use crate::model::AgentId;

/// Owner of the recovery refs that keep entries of the stash.
pub(super) const OWNER: &str = "stash";

/// One entry of the stash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) commit: Oid,
    /// Whose name it was made in, where that is an agent's.
    pub(super) agent: Option<AgentId>,
    /// The branch that it was made on, where it says so.
    pub(super) branch: String,
    /// What it is called.
    pub(super) subject: String,
}

/// Lists the entries of the stash, the newest first.
pub(super) fn entries(repo: &Repo) -> Result<Vec<Entry>> {
    if repo.read_ref("refs/stash")?.is_none() {
        return Ok(Vec::new());
    }
    let text = repo
        .git()
        .args(["log", "-g", "refs/stash"])
        .arg("--format=%H%x00%cn%x00%gs")
        .read()?;
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, '\0');
        let (Some(id), Some(name), Some(subject)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let on = subject
            .strip_prefix("WIP on ")
            .or(subject.strip_prefix("On "));
        let by_name = name.strip_prefix("AGENT-");
        found.push(Entry {
            commit: Oid::from_hex(id.as_bytes()).context("git listed no object id")?,
            agent: by_name.and_then(|name| name.parse().ok()),
            branch: on
                .and_then(|on| on.split(": ").next())
                .unwrap_or_default()
                .to_owned(),
            subject: subject.to_owned(),
        });
    }
    Ok(found)
}

/// Keeps the entries that are not this agent's under recovery refs, each once.
pub(super) fn keep_others(repo: &Repo, agent: AgentId) -> Result<()> {
    let mut entries = entries(repo)?;
    entries.retain(|entry| entry.agent != Some(agent));
    if entries.is_empty() {
        return Ok(());
    }
    let listed = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(*objectname)"])
        .arg(RECOVERY)
        .read()?;
    let kept: BTreeSet<&str> = listed.split_whitespace().collect();
    // The oldest first, so that numbers tell the order.
    for entry in entries.iter().rev() {
        if kept.contains(entry.commit.to_string().as_str()) {
            continue;
        }
        let reason = format!("in the stash before agent {agent} began: {}", entry.subject);
        let saving = Saving::new(OWNER, &reason);
        let saving = match entry.branch.as_str() {
            "" | "(no branch)" => saving,
            branch => saving.on(branch),
        };
        repo.keep(&saving, entry.commit)?;
    }
    Ok(())
}

/// Returns those of some refs' commits that the stash still holds.
pub(super) fn commits(repo: &Repo) -> Result<BTreeSet<Oid>> {
    Ok(entries(repo)?
        .into_iter()
        .map(|entry| entry.commit)
        .collect())
}
