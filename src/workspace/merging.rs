//! Work that did not merge goes back to a coder with that merge under way in its worktree.

use std::path::Path;

use anyhow::Result;

use super::Assignment;
use super::assign::start_commit;
use super::place::{Place, seen_from};
use super::recovery::end_operations;
use super::uncommitted::PLAIN;
use crate::git::files::read_if_exists;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;

/// Times that git is asked to begin a merge: what was in its way may be gone the second time.
const MOST_TRIES: u32 = 2;

/// Begins to merge what the work conflicted with, at its current tip, into the branch of a worktree that was
/// just made ready. Does nothing where the work did not conflict or has that tip in it already.
///
/// # Errors
///
/// Git or the ledger cannot be read.
pub(super) fn begin(ledger: &Ledger, assignment: &Assignment) -> Result<()> {
    let (repo, board) = (ledger.repo(), ledger.board());
    let Some(task) = board.tasks.get(&assignment.task) else {
        return Ok(());
    };
    if task.status.conflicts == 0 {
        return Ok(());
    }
    let tip = start_commit(ledger, task.team)?;
    let head = repo.read_ref(&format!("refs/heads/{}", assignment.branch))?;
    let Some(head) = head else {
        return Ok(());
    };
    if repo.is_ancestor(tip, head)? {
        return Ok(());
    }
    let place = Place::of(repo, assignment.agent);
    place.begin_preparing(repo)?;
    let tip = name_of(repo, task.team, tip)?;
    for _ in 0..MOST_TRIES {
        if merge(&place, &tip)? {
            break;
        }
        // A merge that git cannot even begin is left to the coder, who has been told what conflicts.
        give_up(&place)?;
    }
    place.is_prepared(repo)
}

/// Returns whether a merge is under way: done by itself or with conflicts, it waits for the coder's commit.
fn merge(place: &Place, tip: &str) -> Result<bool> {
    let merged = place
        .git()
        .args(["-c", "rerere.enabled=false", "merge"])
        .args([
            "--no-ff",
            "--no-commit",
            "--quiet",
            "--no-verify-signatures",
        ])
        .arg(tip)
        .output()?;
    Ok(matches!(merged.status.code(), Some(0 | 1)))
}

/// Names a tip by its branch, which reads better between conflict markers.
fn name_of(repo: &Repo, team: crate::model::TeamId, tip: Oid) -> Result<String> {
    for branch in [
        String::from("orch/integration"),
        format!("orch/team-{team}/integration"),
    ] {
        if repo.read_ref(&format!("refs/heads/{branch}"))? == Some(tip) {
            return Ok(branch);
        }
    }
    Ok(tip.to_string())
}

fn give_up(place: &Place) -> Result<()> {
    place.git().args(["reset", "--hard", "--quiet"]).run()?;
    end_operations(&place.admin)
}

/// Returns the paths that a coder has to decide, where a merge is under way in its worktree.
///
/// # Errors
///
/// The worktree cannot be read.
pub fn undecided(repo: &Repo, dir: &Path) -> Result<Option<Vec<String>>> {
    let at = seen_from(repo, dir)?;
    if !at.git_dir().join("MERGE_HEAD").exists() {
        return Ok(None);
    }
    let listed = at
        .git_here()
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(PLAIN)
        .args(["diff", "--name-only", "--diff-filter=U", "-z"])
        .read_bytes()?;
    let paths = listed.split(|byte| *byte == 0);
    let paths = paths.filter(|path| !path.is_empty());
    let paths = paths.map(|path| String::from_utf8_lossy(path).into_owned());
    Ok(Some(paths.collect()))
}

/// Returns whether a file that both sides changed holds no conflict marker any more: whoever took them out has
/// decided. Of a file that is no text nobody can tell.
pub(super) fn is_decided(path: &Path) -> bool {
    let Ok(Some(bytes)) = read_if_exists(path) else {
        return false;
    };
    let marks = |line: &[u8]| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ");
    !bytes.contains(&0) && !bytes.split(|byte| *byte == b'\n').any(marks)
}
