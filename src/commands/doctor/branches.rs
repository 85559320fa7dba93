//! Branches of ours that belong to no task.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::finding::Finding;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::{Board, TeamId, train};

/// Owner of the recovery refs that hold deleted branches.
const OWNER: &str = "branches";

/// Why they hold it.
const REASON: &str = "deleted by doctor: it belongs to no task, and all of it is in";

/// Where fetched copies of a remote's branches lie.
const REMOTE: &str = "refs/orch/remote/heads/";

pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let (repo, board) = (ledger.repo(), ledger.board());
    let mut expected = expected(board);
    expected.extend(ledger.archived_branches()?);
    let into = containers(ledger)?;
    let mut findings = Vec::new();
    for (branch, tip) in list(repo, "refs/heads/orch/")? {
        let branch = format!("orch/{branch}");
        if !expected.contains(&branch) {
            findings.push(local(repo, &branch, tip, &into)?);
        }
    }
    if let Some(remote) = ledger.remote() {
        for (branch, tip) in list(repo, REMOTE)? {
            let branch = format!("orch/{branch}");
            if !expected.contains(&branch) {
                let what = format!("branch {branch} on {remote} (at {tip}) belongs to no task");
                let delete = format!("git push {remote} --delete {branch}");
                let finding = Finding::new("branch-without-task", branch, what);
                findings.push(finding.command(delete));
            }
        }
    }
    Ok(findings)
}

/// Returns the names of all branches that there may be.
fn expected(board: &Board) -> BTreeSet<String> {
    let mut expected: BTreeSet<String> = board
        .tasks
        .values()
        .map(|task| task.branch_name())
        .collect();
    expected.insert(train::INTEGRATION.to_owned());
    let of_team = |team: &TeamId| train::team_branch(*team);
    expected.extend(board.teams.keys().map(of_team));
    expected
}

/// Returns the tips that a branch may be contained in: then nothing is lost with it.
fn containers(ledger: &Ledger) -> Result<Vec<Oid>> {
    let base = format!("refs/heads/{}", ledger.board().settings.base);
    let integration = ledger.branch_tip(train::INTEGRATION)?;
    let base = ledger.repo().read_ref(&base)?;
    Ok(integration.into_iter().chain(base).collect())
}

/// Returns the refs below a prefix, by the rest of their names.
fn list(repo: &Repo, prefix: &str) -> Result<Vec<(String, Oid)>> {
    let listed = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(refname)", prefix])
        .read()?;
    listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, name)| {
            let id = Oid::from_hex(id.as_bytes()).context("git listed no object id")?;
            Ok((name.trim_start_matches(prefix).to_owned(), id))
        })
        .collect()
}

fn local(repo: &Repo, branch: &str, tip: Oid, into: &[Oid]) -> Result<Finding> {
    let mut contained = false;
    for container in into {
        contained |= repo.is_ancestor(tip, *container)?;
    }
    let held = !repo.branch_holders(branch)?.is_empty();
    let state = match (contained, held) {
        (_, true) => "it is checked out in a worktree",
        (true, _) => "all of it is in the integration or base branch",
        (false, _) => "it has commits that are in neither the integration nor the base branch",
    };
    let what = format!("branch {branch} belongs to no task; {state}");
    let finding = Finding::new("branch-without-task", branch, what)
        .command(format!("git log {branch}"))
        .command(format!("git branch -D {branch}"));
    if !contained || held {
        return Ok(finding);
    }
    let (branch, name) = (branch.to_owned(), format!("refs/heads/{branch}"));
    Ok(finding.fix(move |repo| {
        let kept = repo.keep(&Saving::new(OWNER, REASON).on(&branch), tip)?;
        match repo.swap_refs(&[(&name, Some(tip), None)], "orch: doctor")? {
            Swap::Won => Ok(format!("it was deleted and is kept as {kept}")),
            Swap::Lost => bail!("it was moved in this moment"),
        }
    }))
}
