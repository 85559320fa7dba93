//! Notices branches that are not where they were left: nothing is brought in over a branch that a coder moved.
//!
//! Every move of ours is noted. Whatever a branch has gained since is judged along its first parents: what people
//! and leaders commit there, and handed-in work that the gate lets pass, is told, tested and taken in as ever; what a
//! coder committed or pushed there, past the gate, is refused, and so is a branch that was set back or deleted. Where
//! everything is signed, what is on an integrated branch is signed as well: by a machine, or by a person whom the
//! ledger names. The ledger may be edited by people and not, by hand, by coders. It takes a person to say that a move
//! was meant.
//!
//! The note only saves looking twice: without it everything is judged from where the branch was cut, and what the
//! ledger says has landed must be there all the same.

mod left;
mod view;

use anyhow::Result;

use super::landing::Move;
use super::report::Watch;
use super::team_branches::{integration_ref, team_ref};
use crate::config;
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::{Actor, TeamId};
use left::Left;
use view::View;

/// Notes moves of ours, where there is a plan that they are for.
///
/// # Errors
///
/// The note cannot be written.
pub(super) fn note(repo: &Repo, moves: &[&Move]) -> Result<()> {
    if repo.read_ref(&config::ledger_ref(repo))?.is_none() {
        return Ok(());
    }
    Left::change(repo, |left| {
        for moved in moves {
            // What somebody else has put between the two is yet to be judged.
            let is_from_there = left
                .of(&moved.branch)
                .is_none_or(|at| Some(at) == moved.old);
            if is_from_there || !is_integrated(&moved.branch) {
                left.put(&moved.branch, Some(moved.new));
            }
        }
    })
}

/// Notes that branches went back from one commit to another by an undo that was killed.
///
/// # Errors
///
/// The note cannot be written.
pub(super) fn note_undone(repo: &Repo, before: &str, after: Oid) -> Result<()> {
    Left::change(repo, |left| {
        left.put_back(before, after, |name| {
            repo.read_ref(name).is_ok_and(|now| now == Some(after))
        });
    })
}

/// Takes all branches as they are: a person has looked.
///
/// # Errors
///
/// It is no person who asks, or the note cannot be written.
pub(super) fn accept(ledger: &Ledger, repo: &Repo) -> Result<()> {
    if ledger.actor() != Actor::Human {
        return Err(
            UserError::new("only a person says that a branch was meant to move")
                .hint("git orch escalate <task> -m 'a branch was moved'")
                .into(),
        );
    }
    let mut names = ours(ledger);
    names.extend([config::ledger_ref(repo), base_ref(ledger)]);
    let tips = tips(repo, names)?;
    let gone = View::new(ledger, repo, &Left::load(repo)?).gone()?;
    let gone: Vec<Oid> = gone.into_iter().map(|(_, commit)| commit).collect();
    Left::change(repo, |left| {
        for (name, tip) in &tips {
            left.put(name, *tip);
        }
        left.let_be_gone(&gone);
    })
}

/// Requires that no coder has moved a branch that others build on.
///
/// # Errors
///
/// One has, or a branch was set back or deleted: what happened and how to mend it is told.
pub(super) fn require_ours(ledger: &Ledger, repo: &Repo, watch: &mut dyn Watch) -> Result<()> {
    let left = Left::load(repo)?;
    let view = View::new(ledger, repo, &left);
    let mut looked_at = tips(repo, ours(ledger))?;
    for (name, now) in &looked_at {
        view.check(name, *now, watch)?;
    }
    let base = base_ref(ledger);
    view.check(&base, repo.read_ref(&base)?, watch)?;
    let name = config::ledger_ref(repo);
    if let Some(tip) = repo.read_ref(&name)? {
        view.check_ledger(&name, tip)?;
        looked_at.push((name, Some(tip)));
    }
    Left::change(repo, |left| {
        for (name, tip) in &looked_at {
            left.put(name, *tip);
        }
    })
}

/// Requires that no coder has moved one team's branch; whatever else has moved is for the next assembly of all.
///
/// # Errors
///
/// As [`require_ours`].
pub(super) fn require_team(
    ledger: &Ledger,
    repo: &Repo,
    team: TeamId,
    watch: &mut dyn Watch,
) -> Result<()> {
    let name = team_ref(team);
    let now = repo.read_ref(&name)?;
    require_at(ledger, repo, (&name, now), watch)
}

/// Requires that no coder has moved a branch to where it is about to be moved from.
///
/// # Errors
///
/// As [`require_ours`].
pub(super) fn require_at(
    ledger: &Ledger,
    repo: &Repo,
    (name, now): (&str, Option<Oid>),
    watch: &mut dyn Watch,
) -> Result<()> {
    let left = Left::load(repo)?;
    if now.is_some() && left.of(name) == now {
        return Ok(());
    }
    View::new(ledger, repo, &left).check(name, now, watch)?;
    match now {
        Some(_) => Left::change(repo, |left| left.put(name, now)),
        None => Ok(()),
    }
}

/// Requires that what the ledger says has landed is there, once what other machines have integrated is here as well.
///
/// # Errors
///
/// Some of it is gone: what and how to mend it is told.
pub(super) fn require_kept(ledger: &Ledger, repo: &Repo) -> Result<()> {
    View::new(ledger, repo, &Left::load(repo)?).require_kept()
}

/// Requires that what a remote has of a branch was not put there by a coder.
///
/// # Errors
///
/// It was, or it cannot be read.
pub(super) fn require_landed(
    ledger: &Ledger,
    repo: &Repo,
    name: &str,
    (ours, theirs): (Option<Oid>, Oid),
) -> Result<()> {
    let left = Left::load(repo)?;
    let view = View::new(ledger, repo, &left);
    let line = view.gained(name, ours, theirs)?;
    view.judge(name, ours, theirs, &line)
}

fn ours(ledger: &Ledger) -> Vec<String> {
    let teams = ledger.board().teams.keys().map(|team| team_ref(*team));
    [integration_ref()].into_iter().chain(teams).collect()
}

/// Whether a branch is one that work is integrated on.
fn is_integrated(name: &str) -> bool {
    name.starts_with("refs/heads/orch/") && name.ends_with("integration")
}

fn tips(repo: &Repo, names: Vec<String>) -> Result<Vec<(String, Option<Oid>)>> {
    let tip = |name: String| repo.read_ref(&name).map(|tip| (name, tip));
    names.into_iter().map(tip).collect()
}

fn base_ref(ledger: &Ledger) -> String {
    format!("refs/heads/{}", ledger.board().settings.base)
}
