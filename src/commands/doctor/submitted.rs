//! Tasks whose work is not where the ledger says.

use std::path::Path;

use anyhow::{Result, bail};

use super::finding::Finding;
use super::queue::status_path;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo, files};
use crate::ledger::Ledger;
use crate::model::{CommitId, State, Task};
use crate::workspace::settings::worktree_name;

pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let mut fetched = false;
    let mut findings = Vec::new();
    for task in ledger.board().tasks.values() {
        let status = &task.status;
        match (status.state, &status.head) {
            (State::Submitted | State::Accepted, Some(head)) => {
                findings.extend(handed_in(ledger, task, head, &mut fetched)?);
            }
            _ if status.state.is_held() => findings.extend(held(ledger, task)?),
            _ => {}
        }
    }
    Ok(findings)
}

/// Looks for the work that a task has handed in.
fn handed_in(
    ledger: &Ledger,
    task: &Task,
    head: &CommitId,
    fetched: &mut bool,
) -> Result<Option<Finding>> {
    let repo = ledger.repo();
    let branch = task.branch_name();
    let mut commit = repo.resolve_commit(&head.0).ok();
    if commit.is_none() && ledger.remote().is_some() && !*fetched {
        *fetched = true;
        // Whoever cannot be reached sends nothing; then it stays missing here.
        let _ = ledger.fetch_work();
        commit = repo.resolve_commit(&head.0).ok();
    }
    let Some(commit) = commit else {
        let what = format!(
            "task {} has handed in commit {}, which is not in this repository",
            task.id, head.0
        );
        let finding = Finding::new("head-missing", status_path(task), what);
        return Ok(Some(
            finding.command(format!("git orch status {}", task.id)),
        ));
    };
    let Some(tip) = ledger.branch_tip(&branch)? else {
        let what = format!(
            "task {} has handed in commit {commit}, and its branch {branch} is missing",
            task.id
        );
        return Ok(Some(missing(&branch, commit, what)));
    };
    if tip == commit || ledger.is_handed_beside(&task.id, commit)? {
        return Ok(None);
    }
    let what = format!(
        "task {} has handed in commit {commit}, and its branch is at {tip}; what counts is what was handed in",
        task.id
    );
    let finding = Finding::new("head-moved", branch, what);
    Ok(Some(finding.command(format!("git log {commit}...{tip}"))))
}

/// Looks for the branch of a task that is being worked on in a worktree of this machine.
fn held(ledger: &Ledger, task: &Task) -> Result<Option<Finding>> {
    let repo = ledger.repo();
    let here = task.status.machine.as_ref() == Some(ledger.machine());
    let Some(agent) = task.status.agent.filter(|_| here) else {
        return Ok(None);
    };
    let branch = task.branch_name();
    let admin = repo.worktree_admin(&worktree_name(agent));
    let is_on_it = crate::git::worktree::read_head(&admin)
        == crate::git::worktree::Head::Branch(branch.clone());
    if !is_on_it || ledger.branch_tip(&branch)?.is_some() {
        return Ok(None);
    }
    let base = task.status.base.as_ref();
    let base = || repo.resolve_commit(&base?.0).ok();
    let Some(last) = last_head(repo, &admin).or_else(base) else {
        let what = format!(
            "task {} is being worked on, and its branch is missing",
            task.id
        );
        return Ok(Some(Finding::new("branch-missing", branch, what)));
    };
    let what = format!(
        "task {} is being worked on, and its branch is missing; its worktree was last at {last}",
        task.id
    );
    Ok(Some(missing(&branch, last, what)))
}

fn missing(branch: &str, commit: Oid, what: String) -> Finding {
    let name = format!("refs/heads/{branch}");
    Finding::new("branch-missing", branch, what)
        .command(format!("git branch {branch} {commit}"))
        .fix(
            move |repo| match repo.swap_refs(&[(&name, None, Some(commit))], "orch: doctor")? {
                Swap::Won => Ok(format!("it is at {commit} again")),
                Swap::Lost => bail!("somebody else made it in this moment"),
            },
        )
}

/// Returns the commit that a worktree's HEAD was last at, by its reflog.
fn last_head(repo: &Repo, admin: &Path) -> Option<Oid> {
    let log = files::read_if_exists(&admin.join("logs/HEAD")).ok()??;
    let log = String::from_utf8_lossy(&log);
    let ids = log.lines().rev().filter_map(|line| {
        let id = Oid::from_hex(line.split(' ').nth(1)?.as_bytes()).ok()?;
        repo.read_commit(id).ok().map(|_| id)
    });
    ids.into_iter().next()
}
