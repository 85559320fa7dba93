//! Takes away what assemblies remember: verdicts and the worktrees that tests ran in, which testing again makes
//! again; without a plan also noted conflicts and how they were resolved, so that nothing of ours is left.
//!
//! With a plan those two stay: tasks wait with the one, and no test brings the other back. Recovery refs stay
//! always: they keep somebody's work.

use anyhow::Result;

use super::landing;
use super::lock::Alone;
use super::test_worktree::remove_worktrees;
use super::verdicts;
use crate::config;
use crate::error::UserError;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::{Board, Over, Power};

/// Where assemblies keep what they remember; the first is all that goes where there is a plan.
const SPACES: [&str; 3] = [
    "refs/orch/verdict",
    "refs/orch/conflict",
    "refs/orch/resolution",
];

/// Refs that are deleted in one go.
const MOST_AT_ONCE: usize = 1_000;

/// Verdicts that are kept at most; beyond, the oldest quarter goes.
const MOST_VERDICTS: usize = 4_096;

/// What was taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Refs that remembered something.
    pub refs: usize,
}

/// Forgets every verdict; without a ledger nothing of ours is left in the repository.
///
/// # Errors
///
/// An agent asks; another process assembles; an undo or a landing that was killed waits to be finished; or
/// something cannot be removed.
pub fn forget(repo: &Repo) -> Result<Forgotten> {
    let may = Board::default().may(config::actor(repo), Power::Forget, Over::All);
    may.map_err(UserError::from)?;
    let alone = Alone::take(repo)?;
    let has_ledger = repo.read_ref(&config::ledger_ref(repo))?.is_some();
    if !has_ledger {
        // Files that a killed process left behind its branch must not stay so.
        landing::finish_interrupted(repo, &alone)?;
    }
    let spaces = if has_ledger {
        &SPACES[..1]
    } else {
        &SPACES[..]
    };
    let mut forgotten = Forgotten::default();
    loop {
        let refs = remembered(repo, spaces)?;
        if refs.is_empty() {
            break;
        }
        let edits: Vec<(&str, Option<Oid>, Option<Oid>)> = refs
            .iter()
            .take(MOST_AT_ONCE)
            .map(|(name, at)| (name.as_str(), Some(*at), None))
            .collect();
        for (name, _, _) in &edits {
            repo.break_dead_lock(name)?;
        }
        if repo.swap_refs(&edits, "orch assemble: forget")? == Swap::Won {
            forgotten.refs += edits.len();
        }
    }
    for space in spaces {
        // What Git does not list: files there that are no refs, and empty directories.
        let _ = std::fs::remove_dir_all(repo.common_dir().join(space));
    }
    remove_worktrees(repo, &alone)?;
    if !has_ledger {
        alone.leave_nothing(repo);
        // Goes only if it is empty.
        let _ = std::fs::remove_dir(repo.orch_dir());
    }
    Ok(forgotten)
}

/// Takes the oldest verdicts away where there are more than anybody looks at again.
///
/// # Errors
///
/// Refs cannot be listed or deleted.
pub(super) fn prune(repo: &Repo) -> Result<()> {
    let mut refs = remembered(repo, &SPACES[..1])?;
    if refs.len() <= MOST_VERDICTS {
        return Ok(());
    }
    // A text that cannot be read says nothing, and is the first to go.
    refs.sort_by_cached_key(|(_, id)| verdicts::last_run(repo, *id));
    let most = refs.len() - MOST_VERDICTS * 3 / 4;
    for some in refs[..most].chunks(MOST_AT_ONCE) {
        let edits: Vec<(&str, Option<Oid>, Option<Oid>)> = some
            .iter()
            .map(|(name, at)| (name.as_str(), Some(*at), None))
            .collect();
        // Lost, somebody has just added a run: the next assembly looks again.
        repo.swap_refs(&edits, "orch assemble: old verdicts")?;
    }
    Ok(())
}

fn remembered(repo: &Repo, spaces: &[&str]) -> Result<Vec<(String, Oid)>> {
    let text = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .args(spaces)
        .read()?;
    let read = |line: &str| {
        let (at, name) = line.split_once(' ')?;
        Some((name.to_owned(), Oid::from_hex(at.as_bytes()).ok()?))
    };
    Ok(text.lines().filter_map(read).collect())
}
