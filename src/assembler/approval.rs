//! The last step: a person moves the base branch to what was assembled and tested.
//!
//! By fast-forward where it can be; where the base branch has moved meanwhile, the integration branch is
//! merged into it in memory and that is tested again first. The ledger records it; a process killed between
//! moving and recording leaves a note, and the next run finishes.

use anyhow::Result;

use super::guard;
use super::in_step;
use super::landing::{self, Kind, Move};
use super::levels;
use super::lock::Alone;
use super::method;
use super::moved;
use super::report::{Options, Watch};
use super::team_branches::{TeamBranches, integration_ref, is_tested};
use super::tester::Red;
use super::undo;
use crate::error::{Exit, UserError};
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{Merge, MergeCommit, Oid, Repo};
use crate::ledger::Ledger;
use crate::model::event::{EventKind, one_line};
use crate::model::train::INTEGRATION;
use crate::model::train::obtained::Goal;
use crate::model::{Actor, CommitId, Op};

/// How often the base branch may move under us before we give up.
const MOST_TRIES: u32 = 5;

/// Moves the base branch to the tested integration commit.
///
/// # Errors
///
/// It is not tested, conflicts with the base branch, or is not for whoever asks; there is nothing to approve;
/// a worktree that has the base branch checked out has changes or files in the way.
pub fn approve(ledger: &mut Ledger, watch: &mut dyn Watch) -> Result<Move> {
    levels::require_approver(ledger)?;
    let repo = ledger.repo().reopen()?;
    let alone = Alone::take(&repo)?;
    if let Some(finished) = finish_interrupted(ledger, &repo, &alone)? {
        return Ok(finished);
    }
    moved::require_ours(ledger, &repo, watch)?;
    in_step::take_over(ledger, &repo, &alone, watch)?;
    moved::require_kept(ledger, &repo)?;
    for attempt in 0..MOST_TRIES {
        ledger.refresh()?;
        let moves = plan(ledger, &repo, &alone, watch)?;
        if attempt == 0 {
            levels::tell_criteria(ledger, watch);
        }
        in_step::require_push_allowed(ledger, &moves)?;
        levels::check_approval(ledger, (&repo, &alone), moves[0].new, watch)?;
        let message = format!("orch approve: {}", ledger.board().run_name());
        if landing::land(&repo, &alone, &moves, Kind::Approval, &message)? == Swap::Won {
            let approved = moves[0].clone();
            record(ledger, &approved)?;
            landing::strike_note(&repo, &alone);
            in_step::hand_over(ledger, watch)?;
            return Ok(approved);
        }
    }
    Err(
        UserError::new("the base branch keeps being moved by someone else")
            .hint("git orch approve")
            .into(),
    )
}

/// Records an approval that a killed process had carried out.
///
/// # Errors
///
/// Files cannot follow their branch, or the ledger cannot be written.
pub(super) fn finish_interrupted(
    ledger: &mut Ledger,
    repo: &Repo,
    alone: &Alone,
) -> Result<Option<Move>> {
    let approved = landing::finish_interrupted(repo, alone)?;
    undo::finish_interrupted(ledger, repo, alone)?;
    let Some(approved) = approved else {
        return Ok(None);
    };
    record_late(ledger, (repo, alone), &approved)?;
    Ok(Some(approved))
}

/// Records what a killed process had carried out, unless it had recorded it too.
pub(super) fn record_late(
    ledger: &mut Ledger,
    (repo, alone): (&Repo, &Alone),
    approved: &Move,
) -> Result<()> {
    ledger.refresh()?;
    if !is_recorded(ledger, approved)? {
        record(ledger, approved)?;
    }
    landing::strike_note(repo, alone);
    Ok(())
}

/// Returns whether the ledger tells of an approval, looking as far back as one may lie.
fn is_recorded(ledger: &Ledger, approved: &Move) -> Result<bool> {
    const FAR_ENOUGH: usize = 1000;
    let commit = approved.new.to_string();
    for entry in ledger.history().take(FAR_ENOUGH) {
        let told = entry?.told;
        if told.get("Event") == Some(EventKind::Approve.as_str()) {
            return Ok(told.get("Commit") == Some(commit.as_str()));
        }
    }
    Ok(false)
}

fn record(ledger: &mut Ledger, approved: &Move) -> Result<()> {
    let commit = |id: Oid| CommitId(id.to_string());
    let from = commit(approved.old.unwrap_or(approved.new));
    let branch = short(&approved.branch).to_owned();
    // A person has asked for it, whoever finishes it after a crash.
    let op = Op::Approve(branch, from, commit(approved.new));
    ledger.transact_as(Actor::Human, op).map(drop)
}

/// Returns the moves of an approval, the base branch's first.
fn plan(ledger: &Ledger, repo: &Repo, alone: &Alone, watch: &mut dyn Watch) -> Result<Vec<Move>> {
    let branches = TeamBranches::load(ledger, repo)?;
    let base = &ledger.board().settings.base;
    let nothing = || {
        UserError::new(format!(
            "there is nothing to approve: {base} has all of {INTEGRATION}"
        ))
        .hint("git orch status")
        .exit(Exit::NothingToDo)
    };
    let tip = branches.tip.ok_or_else(nothing)?;
    if repo.is_ancestor(tip, branches.base)? {
        return Err(nothing().into());
    }
    if !is_tested(ledger, tip) {
        return Err(
            UserError::new(format!("{INTEGRATION} is at a commit that was not tested"))
                .hint("git orch assemble")
                .into(),
        );
    }
    let mut moves = vec![Move {
        branch: format!("refs/heads/{base}"),
        old: Some(branches.base),
        new: tip,
    }];
    // Refused before a test is run for nothing.
    repo.require_movable(&[moves[0].branch.clone()])?;
    let tested = ledger.board().tested.as_ref();
    let options = Options {
        test: tested.and_then(|tested| tested.test.clone()),
        ..Options::default()
    };
    if repo.is_ancestor(branches.base, tip)? {
        confirm(ledger, (repo, alone), (branches.base, tip), &options, watch)?;
        return Ok(moves);
    }
    let merged = merge(ledger, repo, &branches, tip)?;
    test(
        ledger,
        (repo, alone),
        (branches.base, merged),
        &options,
        watch,
    )?;
    moves[0].new = merged;
    moves.push(Move {
        branch: integration_ref(),
        old: Some(tip),
        new: merged,
    });
    Ok(moves)
}

/// Merges the integration branch into a base branch that has moved.
fn merge(ledger: &Ledger, repo: &Repo, branches: &TeamBranches, tip: Oid) -> Result<Oid> {
    let base = &ledger.board().settings.base;
    let conflict = |what: String| {
        UserError::new(format!(
            "{base} has moved and conflicts with {INTEGRATION}: {what}"
        ))
        .hint(format!(
            "merge {base} into {INTEGRATION} in a worktree of your own, then `git orch assemble`"
        ))
    };
    let tree = match repo.merge_tree(branches.base, tip)? {
        Merge::Clean(tree) => tree,
        Merge::Conflict(files) => {
            let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            return Err(conflict(names.join(", ")).into());
        }
        Merge::Unrelated => return Err(conflict(String::from("no common history")).into()),
    };
    let run = one_line(ledger.board().run_name());
    let commit = repo.write_merge(&MergeCommit {
        tree,
        parents: &[branches.base, tip],
        message: &format!("[ORCH] merge {run} into {base}\n\nOrch-Run: {run}\n"),
        who: &repo.person(),
        key: ledger.merge_key()?.as_deref(),
    })?;
    let landing = guard::Landing {
        tip: branches.base,
        head: tip,
        commit,
        tree,
        base: None,
    };
    match guard::check(repo, &landing)? {
        Ok(()) => Ok(commit),
        Err(why) => Err(conflict(why).into()),
    }
}

/// Makes sure that the integration branch's tip, which passed, has done so where the plan wants it confirmed.
fn confirm(
    ledger: &Ledger,
    at: (&Repo, &Alone),
    (base, tip): (Oid, Oid),
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<()> {
    let said = settle(ledger, at, (base, tip), (INTEGRATION, options), watch)?;
    said.map_err(|red| {
        let base = &ledger.board().settings.base;
        UserError::new(format!(
            "{INTEGRATION} was seen to pass, and fails on a clean checkout: {}\n{}",
            red.why, red.output
        ))
        .hint(format!("git log --oneline {base}..{INTEGRATION}"))
        .hint("`git orch undo <task>` takes what breaks it back out; `git orch assemble` then tests on clean checkouts only")
        .into()
    })
}

/// Tests a commit unless its tree is known to pass.
fn test(
    ledger: &Ledger,
    at: (&Repo, &Alone),
    (ground, commit): (Oid, Oid),
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<()> {
    let base = &ledger.board().settings.base;
    let name = format!("{base} with {INTEGRATION}");
    let said = settle(ledger, at, (ground, commit), (&name, options), watch)?;
    said.map_err(|red| {
        let command = options.test.as_deref().unwrap_or_default();
        UserError::new(format!(
            "{base} has moved, and with {INTEGRATION} merged in `{command}` fails: {}\n{}",
            red.why, red.output
        ))
        .hint(format!("git log --oneline {INTEGRATION}..{base}"))
        .into()
    })
}

/// Finds out whether a commit may be what the base branch moves to; without a test every one may.
fn settle(
    ledger: &Ledger,
    (repo, alone): (&Repo, &Alone),
    (ground, commit): (Oid, Oid),
    (name, options): (&str, &Options),
    watch: &mut dyn Watch,
) -> Result<Result<(), Red>> {
    if options.test.is_none() {
        return Ok(Ok(()));
    }
    let run = ledger.board().run();
    let tree = repo.read_commit(commit)?.tree;
    let mut tester = method::tester(repo, alone, &run, Goal::Base, options)?;
    tester.ground = Some(ground);
    tester.settle((tree, commit), name, watch)
}
