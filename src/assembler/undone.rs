//! Work that was taken back out and comes again.
//!
//! A revert leaves the commits of what it takes out in the history: merged once more, a branch that goes on from them
//! brings what is new on it and nothing else. Such a branch is merged over where it parted from the target before it
//! had landed, so that all of it comes in, and the guard looks whether all of it is there.

use anyhow::{Context as _, Result};

use crate::git::{Oid, Repo};
use crate::model::TaskId;

/// Trailer of a commit that takes a landing out: the landing.
pub(super) const UNDOES: &str = "Orch-Undoes";

/// Returns what a branch is to be merged over, where the target has a revert of its work that the branch has not
/// taken in; `None` where it is merged as any other.
pub(super) fn base_before(
    repo: &Repo,
    (tip, head): (Oid, Oid),
    task: Option<&TaskId>,
) -> Result<Option<Oid>> {
    // The oldest landing counts: what came after it was merged over the same place.
    for landing in reverted(repo, tip, head)?.into_iter().rev() {
        let Ok(data) = repo.read_commit(landing) else {
            continue;
        };
        let &[before, brought, ..] = data.parents.as_slice() else {
            continue;
        };
        if shares(repo, (landing, before, brought), head, task)? {
            return Ok(repo.merge_bases(before, head)?.first().copied());
        }
    }
    Ok(None)
}

/// Returns the landings that a target has reverted and a branch has not, the last revert first.
fn reverted(repo: &Repo, tip: Oid, head: Oid) -> Result<Vec<Oid>> {
    let text = repo
        .audit_git()
        .args(["log", "--first-parent", "--no-show-signature", "-z"])
        .arg(format!("--format=%(trailers:key={UNDOES},valueonly)"))
        .args([&format!("--grep=^{UNDOES}: "), &tip.to_string()])
        .arg(format!("^{head}"))
        .read()
        .context("cannot list what was taken back out")?;
    let landings = text.split(['\0', '\n']);
    Ok(landings
        .filter_map(|line| Oid::from_hex(line.trim().as_bytes()).ok())
        .collect())
}

/// Whether a branch goes on from the work of its own that a landing brought: not from what others have built on it.
fn shares(
    repo: &Repo,
    (landing, before, brought): (Oid, Oid, Oid),
    head: Oid,
    task: Option<&TaskId>,
) -> Result<bool> {
    let Some(task) = task else {
        // Whoever has the landing itself was cut from the target after it.
        if repo.is_ancestor(landing, head)? {
            return Ok(false);
        }
        let shared = repo.merge_bases(brought, head)?;
        let Some(shared) = shared.first() else {
            return Ok(false);
        };
        return Ok(!repo.is_ancestor(*shared, before)?);
    };
    for commit in repo.range(before, brought)? {
        let is_its = commit.tasks.iter().any(|name| name == task.as_str());
        if is_its && repo.is_ancestor(commit.id, head)? {
            return Ok(true);
        }
    }
    Ok(false)
}
