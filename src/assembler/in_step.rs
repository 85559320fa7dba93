//! Integration and team branches across machines: what others have integrated is taken over before anything
//! is merged, and what is integrated here goes up with the ledger's word of it.
//!
//! Whichever machine assembles, the remote's branches are the ones that count: a merge of ours that did not
//! get there, because another machine was first, is kept under a recovery ref and made again on theirs.

use anyhow::Result;

use super::landing::{self, Kind, Move};
use super::lock::Alone;
use super::moved;
use super::report::{Progress, Watch};
use super::team_branches::{integration_ref, team_ref};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::checkout::short;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::ledger::{Ledger, Outgoing, Unreachable};

/// Whose work recovery refs of branches keep that were set to the remote's.
const OWNER: &str = "assembler";

/// Why they keep it.
const KEPT: &str = "integrated here, and set aside for what the remote has";

/// Fetches what other machines have handed in and integrated, and brings our branches to theirs.
///
/// # Errors
///
/// The remote cannot be reached, or a worktree that has one of the branches checked out is in the way.
pub(super) fn take_over(
    ledger: &mut Ledger,
    repo: &Repo,
    alone: &Alone,
    watch: &mut dyn Watch,
) -> Result<()> {
    if ledger.remote().is_none() {
        return Ok(());
    }
    ledger.sync()?;
    let branches = match alone.team() {
        Some(team) => vec![team_ref(team)],
        None => {
            let teams = ledger.board().teams.keys();
            let mut branches = vec![integration_ref()];
            branches.extend(teams.map(|team| team_ref(*team)));
            branches
        }
    };
    let mut moves = Vec::new();
    for branch in branches {
        let Some(theirs) = ledger.fetched_tip(&branch)? else {
            continue;
        };
        let ours = repo.read_ref(&branch)?;
        if let Some(ours) = ours {
            if repo.is_ancestor(theirs, ours)? {
                continue;
            }
            moved::require_landed(ledger, repo, &branch, (Some(ours), theirs))?;
            if !repo.is_ancestor(ours, theirs)? {
                let kept = repo.keep(&Saving::new(OWNER, KEPT).on(short(&branch)), ours)?;
                let text = format!(
                    "{} is set to the one of the remote, which was integrated elsewhere; ours is kept as {kept}",
                    short(&branch)
                );
                watch.progress(Progress::Note(&text));
            }
        }
        moves.push(Move {
            branch,
            old: ours,
            new: theirs,
        });
    }
    let swap = landing::land(
        repo,
        alone,
        &moves,
        Kind::Assembly,
        "orch assemble: take over",
    )?;
    if swap == Swap::Lost {
        return Err(
            UserError::new("someone else is moving the integrated branches")
                .hint("git orch assemble")
                .into(),
        );
    }
    Ok(())
}

/// Asks the user's `pre-push` hook about integrated branches before they move: what it refuses is not landed, since it
/// could not go up.
///
/// # Errors
///
/// The hook refuses, or does not come to an end.
pub(super) fn require_push_allowed(ledger: &Ledger, moves: &[Move]) -> Result<()> {
    let ours = moves
        .iter()
        .filter(|m| short(&m.branch).starts_with("orch/"));
    let going: Vec<Outgoing> = ours
        .map(|m| Outgoing {
            branch: m.branch.clone(),
            commit: m.new,
        })
        .collect();
    ledger.require_push_allowed(&going)
}

/// Sends integrated branches up that went forward without a merge of their own.
///
/// # Errors
///
/// The remote does not take them; one that cannot be reached gets them with the next assembly.
pub(super) fn hand_over(ledger: &Ledger, watch: &mut dyn Watch) -> Result<()> {
    match ledger.push_integrated() {
        Err(error) if error.is::<Unreachable>() => {
            let text = format!("{error}; the branches go up with the next assembly");
            watch.progress(Progress::Note(&text));
            Ok(())
        }
        pushed => {
            for told in pushed?.1 {
                let text = format!("{told}; the branch goes up once the hook lets it");
                watch.progress(Progress::Note(&text));
            }
            Ok(())
        }
    }
}
