//! Takes a landing back out: by moving the branch back where nothing was built on it, otherwise by a commit
//! that reverts it, tested like any other.
//!
//! Order: note what is about to happen, move the branches, record it in the ledger, strike the note. Killed in
//! between, the next `undo`, `assemble` or `approve` finds the note and finishes what has happened; what has
//! not is begun anew. Whatever a branch moves away from is kept under a recovery ref first.

mod built_on;
mod landings;
mod note;
mod proof;

use std::path::PathBuf;

use anyhow::Result;

use super::approval;
use super::in_step;
use super::landing::{self, Kind, Move};
use super::lock::Alone;
use super::moved;
use super::report::{Silent, Watch};
use super::team_branches::{TeamBranches, integration_ref, team_ref};
use super::test_worktree::remove_worktrees;
use super::undone::UNDOES;
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::checkout::short;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::{Merge, MergeCommit, Oid, Repo};
use crate::ledger::{Ledger, Overtaken};
use crate::model::event::one_line;
use crate::model::levels::with_checks;
use crate::model::train::INTEGRATION;
use crate::model::{Actor, Board, CommitId, Op, Over, Power, RunSpec, TaskId, Tested, Undone};

use landings::Landing;
use note::Note;
use proof::Proof;

/// What is asked of an undo.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Task or commit; the last landing if nothing is named.
    pub what: Option<String>,
    /// Test command instead of the plan's.
    pub test: Option<String>,
    /// Why, in a line.
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// How a landing is taken out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The branch goes back to where it was before.
    MovedBack,
    /// A commit of its own takes it out.
    Reverted,
}

/// What an undo came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The branch, without `refs/heads/`.
    pub target: String,
    /// The commit that had brought the work in.
    pub landing: Oid,
    /// The task whose work it was.
    pub task: Option<TaskId>,
    /// How it is taken out.
    pub how: How,
    /// Where the branch was.
    pub before: Oid,
    /// Where it is; `None` where that is not known yet.
    pub after: Option<Oid>,
    /// The ref that keeps what the branch moved away from.
    pub kept: Option<String>,
    /// What is built on the landing, so that it can only be reverted.
    pub built_on: Vec<String>,
}

/// How often the branch may move under us before we give up.
const MOST_TRIES: u32 = 5;

/// Takes a landing out of the plan's integration branch.
///
/// # Errors
///
/// There is nothing to undo ([`Exit::NothingToDo`]); what is named is no landing; taking it out conflicts with
/// what came after or fails the test; something is in the way of a branch that moves.
pub fn undo(ledger: &mut Ledger, asked: &Asked, watch: &mut dyn Watch) -> Result<Outcome> {
    require_person(ledger.actor())?;
    let repo = ledger.repo().reopen()?;
    let alone = Alone::take(&repo)?;
    let noted = Note::read(&repo)?;
    approval::finish_interrupted(ledger, &repo, &alone)?;
    if let Some(finished) = done(&repo, noted)? {
        TeamBranches::load(ledger, &repo)?.bring_up(&repo, &alone)?;
        in_step::hand_over(ledger, watch)?;
        return Ok(finished);
    }
    moved::require_ours(ledger, &repo, watch)?;
    in_step::take_over(ledger, &repo, &alone, watch)?;
    for _ in 0..MOST_TRIES {
        ledger.refresh()?;
        let target = integration_ref();
        let Some(tip) = TeamBranches::load(ledger, &repo)?.tip else {
            return Err(landings::nothing(INTEGRATION));
        };
        let landing = landings::of_plan(ledger, &repo, asked.what.as_deref(), tip)?;
        let teams = ledger.board().teams.keys().map(|team| team_ref(*team));
        let moving = [vec![target.clone()], teams.collect()].concat();
        let mut built_on = built_on::refs(&repo, landing.commit, &moving)?;
        built_on.extend(built_on::tasks(ledger, &repo, &landing)?);
        let run = ledger.board().run();
        let test = asked.test.as_ref().or(run.test.as_ref());
        let checks = ledger.board().merge_checks();
        let work = Work {
            repo: &repo,
            alone: &alone,
            proof: Proof {
                run: RunSpec {
                    test: with_checks(test.map(String::as_str), &checks),
                    ..run
                },
                needs_command: false,
            },
            run: Some(one_line(ledger.board().run_name())),
            base: Some(format!("refs/heads/{}", ledger.board().settings.base)),
            moving,
            landing,
            built_on,
            tip,
            key: ledger.merge_key()?,
        };
        if let Some(outcome) = work.carry_out(asked, watch)? {
            if !asked.dry_run {
                record_noted(ledger, &repo)?;
                TeamBranches::load(ledger, &repo)?.bring_up(&repo, &alone)?;
                in_step::hand_over(ledger, watch)?;
                // Last, so that the same command, given again after a crash, finishes this one and does not
                // take the next landing out as well.
                note::strike(&repo);
            }
            return Ok(outcome);
        }
    }
    Err(keeps_moving(INTEGRATION))
}

/// Takes a landing out of any branch, without a plan.
///
/// # Errors
///
/// As [`undo`]; or the branch is the base branch of a plan, whose integration branch holds the landing.
pub fn undo_branch(
    repo: &Repo,
    onto: &str,
    asked: &Asked,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    require_person(config::actor(repo))?;
    let target = format!("refs/heads/{}", short(onto));
    require_no_plans(repo, &target)?;
    let alone = Alone::take(repo)?;
    let outcome = take_out(repo, &alone, &target, asked, watch);
    if repo.read_ref(&config::ledger_ref(repo))?.is_none() {
        remove_worktrees(repo, &alone)?;
        alone.leave_nothing(repo);
        // Goes only if it is empty.
        let _ = std::fs::remove_dir(repo.orch_dir());
    }
    outcome
}

fn take_out(
    repo: &Repo,
    alone: &Alone,
    target: &str,
    asked: &Asked,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    let noted = Note::read(repo)?;
    if repo.read_ref(&config::ledger_ref(repo))?.is_some() {
        let mut ledger = Ledger::open(repo.reopen()?, Actor::Human)?;
        approval::finish_interrupted(&mut ledger, repo, alone)?;
    } else {
        landing::finish_interrupted(repo, alone)?;
        note::strike(repo);
    }
    if let Some(finished) = done(repo, noted)? {
        return Ok(finished);
    }
    for _ in 0..MOST_TRIES {
        let Some(tip) = repo.read_ref(target)? else {
            return Err(
                UserError::new(format!("there is no branch {}", short(target)))
                    .hint("git branch --list")
                    .into(),
            );
        };
        let landing = landings::of_branch(repo, asked.what.as_deref(), target, tip)?;
        let moving = vec![target.to_owned()];
        let work = Work {
            repo,
            alone,
            proof: Proof {
                run: RunSpec {
                    test: asked.test.clone(),
                    ..RunSpec::default()
                },
                needs_command: true,
            },
            run: None,
            base: None,
            built_on: built_on::refs(repo, landing.commit, &moving)?,
            moving,
            landing,
            tip,
            key: None,
        };
        if let Some(outcome) = work.carry_out(asked, watch)? {
            if !asked.dry_run {
                note::strike(repo);
            }
            return Ok(outcome);
        }
    }
    Err(keeps_moving(short(target)))
}

/// Records what has happened of a noted undo, and strikes the note; what has not happened is begun anew by
/// whoever asks again.
///
/// # Errors
///
/// The ledger cannot be written, or a ref cannot be read.
pub(super) fn finish_interrupted(ledger: &mut Ledger, repo: &Repo, alone: &Alone) -> Result<()> {
    match record_noted(ledger, repo) {
        // What the remote has counts: on that it has not happened.
        Err(error) if error.is::<Overtaken>() => {
            in_step::take_over(ledger, repo, alone, &mut Silent)?;
            record_noted(ledger, repo)?;
        }
        recorded => recorded?,
    }
    note::strike(repo);
    Ok(())
}

/// Records a noted undo that has happened, unless the ledger has it.
fn record_noted(ledger: &mut Ledger, repo: &Repo) -> Result<()> {
    let Some(note) = Note::read(repo)? else {
        return Ok(());
    };
    if note.is_done(repo)? && note.target() == integration_ref() {
        let id = |oid: Oid| CommitId(oid.to_string());
        let (landing, after) = (note.landing()?, note.after()?);
        moved::note_undone(repo, &note.before, after)?;
        let undone = Undone {
            task: note.task.clone(),
            landing: id(landing),
            tip: id(after),
            reverted: note.how == How::Reverted,
            reason: note.reason.clone(),
            tested: note.is_tested.then(|| Tested {
                commit: id(after),
                test: note.test.clone(),
            }),
        };
        ledger.refresh()?;
        // Refused means that someone has changed the task's state since: the work is out all the same. A person
        // has asked for it, whoever finishes it after a crash.
        let _refused = ledger.try_transact(Actor::Human, Op::Undo(Box::new(undone)))?;
    }
    Ok(())
}

/// Returns whether somebody was killed in the middle of an undo, which nobody has finished.
pub fn is_unfinished(repo: &Repo) -> bool {
    note::is_there(repo)
}

/// Returns what a killed undo came to, if it had come that far.
fn done(repo: &Repo, noted: Option<Note>) -> Result<Option<Outcome>> {
    match noted {
        Some(note) if note.is_done(repo)? => note.outcome().map(Some),
        _ => Ok(None),
    }
}

/// One landing that is to be taken out.
struct Work<'a> {
    repo: &'a Repo,
    alone: &'a Alone,
    proof: Proof,
    /// The run, where there is a plan.
    run: Option<String>,
    /// The plan's base branch, full name.
    base: Option<String>,
    /// The target and what goes back with it, full names.
    moving: Vec<String>,
    landing: Landing,
    built_on: Vec<String>,
    tip: Oid,
    /// The key that a commit is signed with, where it is.
    key: Option<PathBuf>,
}

impl Work<'_> {
    /// Takes it out; `None` where the branch was moved meanwhile.
    fn carry_out(&self, asked: &Asked, watch: &mut dyn Watch) -> Result<Option<Outcome>> {
        let back = self.landing.commit == self.tip && self.built_on.is_empty();
        let mut outcome = Outcome {
            target: short(&self.moving[0]).to_owned(),
            landing: self.landing.commit,
            task: self.landing.task.clone(),
            how: if back { How::MovedBack } else { How::Reverted },
            before: self.tip,
            after: back.then_some(self.landing.before),
            kept: None,
            built_on: self.built_on.clone(),
        };
        let reverted = if back {
            None
        } else {
            Some(self.revert(asked)?)
        };
        if asked.dry_run {
            return Ok(Some(outcome));
        }
        let after = reverted.unwrap_or(self.landing.before);
        outcome.after = Some(after);
        self.repo.require_movable(&self.moving)?;
        let is_tested = self.prove(after, back, watch)?;
        if back {
            let reason = format!("before {} was taken back out", self.landing.name());
            let task = self.landing.task.as_ref().map(TaskId::as_str);
            let saving = Saving {
                task,
                ..Saving::new("undo", &reason).on(&outcome.target)
            };
            outcome.kept = Some(self.repo.keep(&saving, self.tip)?);
        }
        Note::of(&outcome, after, self, asked, is_tested).write(self.repo)?;
        let text = format!("orch undo: {}", self.landing.name());
        let moves = self.moves(after, back)?;
        let swap = landing::land(self.repo, self.alone, &moves, Kind::Assembly, &text)?;
        Ok((swap == Swap::Won).then_some(outcome))
    }

    /// Returns whether the new tip is known to pass the test.
    fn prove(&self, after: Oid, back: bool, watch: &mut dyn Watch) -> Result<bool> {
        let target = short(&self.moving[0]);
        if back {
            let base = match &self.base {
                Some(base) => self.repo.read_ref(base)?,
                None => None,
            };
            let is_base = match base {
                Some(base) => self.repo.is_ancestor(after, base)?,
                None => false,
            };
            // Nobody's test is needed to go back to what the base branch has, nor, without a plan, to where the
            // branch stood before.
            let stood =
                self.run.is_none() && landings::has_stood(self.repo, &self.moving[0], after)?;
            if is_base || stood {
                return Ok(false);
            }
        }
        let what = format!("{target} without {}", self.landing.name());
        self.proof.give(self.repo, self.alone, after, &what, watch)
    }

    /// Returns the target's move and those of the branches that stand where it stands.
    fn moves(&self, after: Oid, back: bool) -> Result<Vec<Move>> {
        let mut moves = Vec::new();
        for (i, branch) in self.moving.iter().enumerate() {
            let now = if i == 0 {
                Some(self.tip)
            } else {
                self.repo.read_ref(branch)?
            };
            // Forward, team branches follow by themselves when all is done.
            let follows = i == 0 || back && now == Some(self.tip);
            if follows {
                moves.push(Move {
                    branch: branch.clone(),
                    old: now,
                    new: after,
                });
            }
        }
        Ok(moves)
    }

    /// Makes the commit that takes the landing out of the tip.
    fn revert(&self, asked: &Asked) -> Result<Oid> {
        let Landing { commit, before, .. } = self.landing;
        let (name, target) = (self.landing.name(), short(&self.moving[0]));
        let tree = match self.repo.revert_tree(commit, before, self.tip)? {
            Merge::Clean(tree) => tree,
            Merge::Conflict(files) => {
                let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                return Err(UserError::new(format!(
                    "{name} cannot be taken out of {target} without a decision: what came after it changed {}",
                    names.join(", ")
                ))
                .hint(format!(
                    "`git revert -m 1 {commit}` on {target} in a worktree of your own, or undo what came after it first"
                ))
                .into());
            }
            Merge::Unrelated => {
                return Err(landings::nothing(target));
            }
        };
        if tree == self.repo.read_commit(self.tip)?.tree {
            return Err(UserError::new(format!(
                "there is nothing to undo: {target} has nothing of {name} any more"
            ))
            .exit(Exit::NothingToDo)
            .into());
        }
        built_on::require_own_paths(self.repo, &self.landing, self.tip, tree)?;
        self.repo.write_merge(&MergeCommit {
            tree,
            parents: &[self.tip],
            message: &self.message(asked),
            who: &self.repo.person(),
            key: self.key.as_deref(),
        })
    }

    fn message(&self, asked: &Asked) -> String {
        let Landing { commit, .. } = self.landing;
        let mut text = match &self.run {
            Some(_) => format!("[ORCH] undo {}\n\n", self.landing.name()),
            None => format!("Undo {}\n\n", self.landing.name()),
        };
        if !asked.reason.is_empty() {
            text.push_str(&format!("{}\n\n", one_line(&asked.reason)));
        }
        text.push_str(&format!("{}: {commit}\n", UNDOES));
        if let Some(run) = &self.run {
            text.push_str(&format!("Orch-Run: {run}\n"));
        }
        text
    }
}

/// Refuses branches whose landings are a plan's business.
fn require_no_plans(repo: &Repo, target: &str) -> Result<()> {
    if *target == config::ledger_ref(repo) {
        let text = format!("{} is the ledger: nothing lands there", short(target));
        return Err(UserError::new(text).into());
    }
    if repo.read_ref(&config::ledger_ref(repo))?.is_none() {
        return Ok(());
    }
    let ledger = Ledger::open(repo.reopen()?, Actor::Human)?;
    let base = format!("refs/heads/{}", ledger.board().settings.base);
    let team = ledger.board().teams.keys().any(|t| team_ref(*t) == target);
    let has_plan = !ledger.board().tasks.is_empty();
    if has_plan && (base == target || team || target == integration_ref()) {
        return Err(UserError::new(format!(
            "{} gets what {INTEGRATION} has: undo it there",
            short(target)
        ))
        .hint("git orch undo")
        .hint("git orch approve")
        .into());
    }
    Ok(())
}

fn keeps_moving(target: &str) -> anyhow::Error {
    UserError::new(format!("{target} keeps being moved by someone else"))
        .hint("git orch undo")
        .into()
}

/// Taking back is for people (A2).
fn require_person(actor: Actor) -> Result<()> {
    let may = Board::default().may(actor, Power::Undo, Over::All);
    Ok(may.map_err(UserError::from)?)
}
