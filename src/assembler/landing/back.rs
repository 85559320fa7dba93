//! The way back where files could not follow a branch that has moved: the branch goes back, and they with it.

use anyhow::Result;

use super::super::lock::Alone;
use super::super::moved;
use super::{Move, followers, strike_note};
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{Checkout, Oid, Repo};

/// Moves branches back to where they were, and the files of all worktrees that were to follow; tells whether the
/// branches still were where they had been moved to.
///
/// # Errors
///
/// A ref cannot be written, or files cannot go back either; the note stays then, for the next command.
pub(super) fn go(
    repo: &Repo,
    alone: &Alone,
    concerned: &[Checkout],
    moves: &[&Move],
) -> Result<Swap> {
    let edits: Vec<(&str, Option<Oid>, Option<Oid>)> = moves
        .iter()
        .map(|m| (m.branch.as_str(), Some(m.new), m.old))
        .collect();
    if repo.swap_refs(&edits, "orch: files could not follow")? != Swap::Won {
        return Ok(Swap::Lost);
    }
    let reversed: Vec<Move> = moves
        .iter()
        .filter_map(|m| {
            Some(Move {
                branch: m.branch.clone(),
                old: Some(m.new),
                new: m.old?,
            })
        })
        .collect();
    moved::note(repo, &reversed.iter().collect::<Vec<_>>())?;
    for (checkout, old, new) in followers(concerned, moves) {
        checkout.go_back(repo, old, new).map_err(|error| {
            let (dir, branch) = (checkout.dir.display(), checkout.branch.as_deref());
            let branch = short(branch.unwrap_or("HEAD"));
            error.context(
                UserError::new(format!(
                    "{branch} went back to {old}, and some files at {dir} are still those of {new}"
                ))
                .hint(format!("git -C '{dir}' status")),
            )
        })?;
    }
    strike_note(repo, alone);
    Ok(Swap::Won)
}

/// Brings back files that a process had begun to bring along when it was killed on its way back; whatever else was
/// changed since stays as it is.
///
/// # Errors
///
/// The worktrees cannot be listed.
pub(super) fn tidy(repo: &Repo, planned: &Move) -> Result<()> {
    let Some(old) = planned.old else {
        return Ok(());
    };
    for checkout in repo.checkouts_of(&planned.branch)? {
        // Somebody's own changes are no reason to stop here.
        let _ = checkout.go_back(repo, old, planned.new);
    }
    Ok(())
}
