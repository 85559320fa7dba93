//! Who would still have a landing if the branch moved back: then it can only be reverted.

use anyhow::Result;

use super::landings::Landing;
use crate::assembler::guard;
use crate::assembler::team_branches::oid;
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::worktree::{Head, read_head};
use crate::git::{Merge, Oid, Repo};
use crate::ledger::Ledger;
use crate::model::State;

/// Where branches, tags and what is known of remotes are.
const SPACES: [&str; 4] = [
    "refs/heads",
    "refs/tags",
    "refs/remotes",
    "refs/orch/remote/heads",
];

/// Most that a message lists.
const MOST: usize = 20;

/// Returns the refs and worktrees, other than branches that would go back with it, which have a commit.
pub(super) fn refs(repo: &Repo, commit: Oid, moving: &[String]) -> Result<Vec<String>> {
    let text = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .arg(format!("--contains={commit}"))
        .args(SPACES)
        .read()?;
    let mut found = Vec::new();
    for line in text.lines() {
        let (at, name) = line.split_once(' ').unwrap_or_default();
        let is_target = moving.first().is_some_and(|target| target == name);
        let goes_back = moving.iter().any(|other| other == name) && commit == *at;
        if !is_target && !goes_back {
            found.push(short(name).to_owned());
        }
    }
    let assembler = repo.worktrees_dir().join("assembler");
    for checkout in repo.checkouts()? {
        let ours = checkout.dir.as_os_str().as_encoded_bytes();
        if ours.starts_with(assembler.as_os_str().as_encoded_bytes()) {
            continue;
        }
        if let Head::Detached(at) = read_head(&checkout.git_dir)
            && repo.is_ancestor(commit, at).unwrap_or(true)
        {
            found.push(format!("the worktree {}", checkout.dir.display()));
        }
    }
    found.truncate(MOST);
    Ok(found)
}

/// Returns the tasks under way whose work is cut from a landing or has it in.
pub(super) fn tasks(ledger: &Ledger, repo: &Repo, landing: &Landing) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for task in ledger.board().tasks.values() {
        let status = &task.status;
        let waits = matches!(status.state, State::Submitted | State::Accepted);
        if Some(&task.id) == landing.task.as_ref() || !(status.state.is_held() || waits) {
            continue;
        }
        let commits = [status.base.as_ref(), status.head.as_ref()];
        // Of a commit that is not here nothing is known, so it counts.
        let has = |commit: Oid| repo.is_ancestor(landing.commit, commit).unwrap_or(true);
        if commits.into_iter().flatten().filter_map(oid).any(has) {
            found.push(format!("task {}", task.id));
        }
    }
    found.truncate(MOST);
    Ok(found)
}

/// Checks that a revert changes nothing but what the landing had changed, as the land guard does for merges.
pub(super) fn require_own_paths(repo: &Repo, landing: &Landing, tip: Oid, tree: Oid) -> Result<()> {
    let merged = guard::Merged {
        base: landing.commit,
        ours: tip,
        theirs: landing.before,
        tree,
    };
    let checked = guard::check_merge(repo, &merged, || {
        let again = repo.revert_tree(landing.commit, landing.before, tip)?;
        Ok(again == Merge::Clean(tree))
    })?;
    checked.map_err(|why| {
        UserError::new(format!(
            "{} cannot be taken out by itself: {why}",
            landing.name()
        ))
        .into()
    })
}
