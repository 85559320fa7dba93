//! Coders' worktrees that are half there, or that nobody works in any more.

use anyhow::Result;

use super::finding::Finding;
use super::locks::of_git;
use crate::git::Repo;
use crate::git::locks::left_locks;
use crate::model::{AgentId, Board, TaskId};
use crate::workspace;
use crate::workspace::inspect::{Condition, Found, inspect, mend};

/// Looks at all of them; without a board nothing is mended, since nobody knows who is at work.
pub(super) fn check(repo: &Repo, board: Option<&Board>) -> Result<Vec<Finding>> {
    let found = inspect(repo)?;
    let mut findings = Vec::new();
    for worktree in &found {
        let holds = board.and_then(|board| board.held_by(worktree.agent));
        let holds = holds.map(|task| &task.id);
        let may_mend = board.is_some() && holds.is_none();
        if worktree.condition != Condition::Sound {
            findings.push(half_there(worktree, may_mend, holds));
        } else if let Some(board) = board
            // The next run's agents will have the worktrees of a closed one's.
            && board.settings.closed.is_none()
            && board.require_agent(worktree.agent).is_err()
            && holds.is_none()
        {
            findings.push(unneeded(worktree));
        }
    }
    let locks = found.iter().flat_map(|worktree| {
        ["index.lock", "HEAD.lock"].map(|name| (worktree.agent, worktree.admin.join(name)))
    });
    let (agents, paths): (Vec<AgentId>, Vec<_>) = locks.unzip();
    for lock in left_locks(&paths) {
        let at = paths.iter().position(|path| *path == lock.path);
        let agent = at.and_then(|at| agents.get(at).copied());
        let is_idle = board
            .zip(agent)
            .is_some_and(|(board, agent)| board.held_by(agent).is_none());
        findings.push(of_git(lock, is_idle));
    }
    Ok(findings)
}

fn half_there(worktree: &Found, may_mend: bool, holds: Option<&TaskId>) -> Finding {
    let agent = worktree.agent;
    let (id, what) = match worktree.condition {
        Condition::NoFiles => (
            "worktree-without-files",
            format!("the worktree of agent {agent} is registered with git, and its files are gone"),
        ),
        Condition::Unregistered => (
            "worktree-unregistered",
            format!("the worktree of agent {agent} has files, and git does not know it"),
        ),
        Condition::HalfMade | Condition::Sound => (
            "worktree-half-made",
            format!("the making of agent {agent}'s worktree was cut short"),
        ),
    };
    let finding = Finding::at(id, &worktree.dir, what);
    if let Some(task) = holds {
        // Somebody may be at work in it, whatever it looks like.
        return finding.command(format!(
            "git orch release {task} -m 'its worktree is broken'"
        ));
    }
    if worktree.is_locked {
        return finding.command(format!("git worktree unlock '{}'", worktree.dir.display()));
    }
    if !may_mend {
        return finding;
    }
    finding.fix(move |repo| {
        mend(repo, agent)?;
        let still = inspect(repo)?
            .into_iter()
            .any(|other| other.agent == agent && other.condition != Condition::Sound);
        anyhow::ensure!(!still, "the worktree is as it was");
        Ok(String::from(
            "its place is free; what could be work was set aside",
        ))
    })
}

fn unneeded(worktree: &Found) -> Finding {
    let agent = worktree.agent;
    let what = format!("there is no agent {agent} any more, and its worktree is still there");
    Finding::at("worktree-unneeded", &worktree.dir, what)
        .command(format!("git -C '{}' status", worktree.dir.display()))
        .fix(move |repo| {
            let removed = workspace::remove(repo, agent)?;
            Ok(match removed.kept_in {
                None => String::from("it held no work and was removed"),
                Some(place) => format!(
                    "it held no work and was removed; what git ignored in it is kept in {}",
                    place.display()
                ),
            })
        })
}
