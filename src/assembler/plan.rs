//! Bringing in what a plan's coders handed in: coder branch to team branch to integration branch.
//!
//! A task is merged onto the integration branch's tip; when the merge passed, the team's branch and the
//! integration branch move to it together and the ledger records it. A team may also be brought together by itself
//! before: then its branch goes in as a whole, or, where that fails, its tasks one by one. Killed between the two, the next
//! assembly finds the submitted commit in the integration branch and records it then.

use anyhow::Result;

use super::approval;
use super::engine::Engine;
use super::forget;
use super::in_step;
use super::landing;
use super::levels;
use super::lock::Alone;
use super::method;
use super::moved;
use super::order;
use super::report::{Options, Progress, Report, Watch};
use super::team_branches::{TeamBranches, oid, team_ref};
use crate::clock;
use crate::error::{Exit, UserError};
use crate::git::{Oid, Repo};
use crate::ledger::{Ledger, Overtaken};
use crate::model::train::obtained::Goal;
use crate::model::train::{Car, INTEGRATION, Strayed, Train, Verdict, team_branch};
use crate::model::{Actor, AssemblyRecord, CommitId, Op, Task, TeamId, Tested};
use lane::PlanLane;

mod lane;

/// How often an assembly begins again because another machine was first.
const MOST_OVERTAKEN: u32 = 3;

/// Brings in all work that was handed in, and records the report.
///
/// # Errors
///
/// There is nothing to do ([`Exit::NothingToDo`]); another assembler is at work; a worktree that has one of
/// the branches checked out has changes; the repository or the ledger cannot be written.
pub fn assemble(ledger: &mut Ledger, options: &Options, watch: &mut dyn Watch) -> Result<Report> {
    for _ in 0..MOST_OVERTAKEN {
        match assemble_once(ledger, options, watch) {
            Err(error) if error.is::<Overtaken>() => watch.progress(Progress::Note(
                "another machine has brought work in meanwhile: this goes on from there",
            )),
            done => return done,
        }
    }
    assemble_once(ledger, options, watch)
}

fn assemble_once(ledger: &mut Ledger, options: &Options, watch: &mut dyn Watch) -> Result<Report> {
    let begun = clock::monotonic();
    let repo = ledger.repo().reopen()?;
    let alone = Alone::wait(&repo, options, watch)?;
    approval::finish_interrupted(ledger, &repo, &alone)?;
    if options.accept_moved {
        moved::accept(ledger, &repo)?;
    }
    moved::require_ours(ledger, &repo, watch)?;
    in_step::take_over(ledger, &repo, &alone, watch)?;
    ledger.refresh()?;
    moved::require_kept(ledger, &repo)?;
    levels::tell_doubts(ledger, watch)?;
    let run = ledger.board().run();
    let branches = TeamBranches::load(ledger, &repo)?;
    let strayed = branches.strayed(ledger, &repo)?;
    let train = Train::of(ledger.board(), &strayed);
    if train.is_empty() && branches.is_settled(ledger, &repo)? {
        // Whoever was killed at the very end has not come to this.
        branches.bring_up(&repo, &alone)?;
        return Err(UserError::new("there is nothing to assemble")
            .hint("git orch status")
            .exit(Exit::NothingToDo)
            .into());
    }
    branches.require_movable(&repo)?;
    branches.bring_up(&repo, &alone)?;
    let train = match options.by_radar {
        true => in_radar_order(ledger, &repo, branches.start(&repo)?, train, watch)?,
        false => train,
    };
    let checks = ledger.board().merge_checks();
    let checks: Vec<String> = checks.into_iter().map(str::to_owned).collect();
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    let tester = method::checked_tester(&repo, &alone, (&run, Goal::Within), &checks, options)?;
    let lane = PlanLane {
        repo: &repo,
        alone: &alone,
        ledger,
        cars: train.cars().to_vec(),
        target: branches.integration,
    };
    let mut engine = Engine::new(&repo, lane, train, tester, watch, begun);
    let mut report = engine.run(options)?;
    let now = TeamBranches::load(engine.lane.ledger, &repo)?;
    let settled = now.is_settled(engine.lane.ledger, &repo)?;
    let tested = if settled { None } else { engine.confirm_tip()? };
    engine.finish(&mut report);
    let summary = engine.train.summary();
    let is_red = tested.is_none() && !settled;
    let again = to_start_again(&engine.train, &strayed);
    // Gives back what it borrows, its slots first.
    drop(engine);
    record(ledger, &report, &summary, (None, tested))?;
    forget::prune(&repo)?;
    let branches = TeamBranches::load(ledger, &repo)?;
    for told in branches.start_again(&repo, &alone, &again)? {
        watch.progress(Progress::Note(&told));
    }
    TeamBranches::load(ledger, &repo)?.bring_up(&repo, &alone)?;
    in_step::hand_over(ledger, watch)?;
    if is_red && report.train.is_empty() {
        return Err(
            UserError::new(format!("{INTEGRATION} itself fails the test"))
                .hint(format!("git log --oneline {INTEGRATION}"))
                .into(),
        );
    }
    Ok(report)
}

/// Brings what one team has handed in onto the team's branch, beside whatever other teams do, and records it.
///
/// # Errors
///
/// As [`assemble`]; or there is no such team.
pub fn assemble_team(
    ledger: &mut Ledger,
    team: TeamId,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let begun = clock::monotonic();
    let repo = ledger.repo().reopen()?;
    let alone = alone_for_team(ledger, &repo, team, options, watch)?;
    landing::finish_interrupted(&repo, &alone)?;
    if options.accept_moved {
        moved::accept(ledger, &repo)?;
    }
    moved::require_team(ledger, &repo, team, watch)?;
    in_step::take_over(ledger, &repo, &alone, watch)?;
    ledger.refresh()?;
    let branches = TeamBranches::load(ledger, &repo)?;
    let (tip, is_behind) = branches.bring_up_team(&repo, &alone, team)?;
    let own = repo.range(branches.start(&repo)?, tip)?;
    let has = |task: &Task| {
        let head = task.status.head.as_ref().and_then(oid);
        head.is_some_and(|head| own.iter().any(|commit| commit.id == head))
    };
    let train = Train::of_team(ledger.board(), team, is_behind, has);
    if train.is_empty() {
        return Err(UserError::new(format!(
            "team {team} has handed nothing in that its branch lacks"
        ))
        .hint("git orch assemble")
        .hint("git orch status")
        .exit(Exit::NothingToDo)
        .into());
    }
    let train = match options.by_radar {
        true => in_radar_order(ledger, &repo, tip, train, watch)?,
        false => train,
    };
    let run = ledger.board().run();
    let checks = ledger.board().team_checks();
    let checks: Vec<String> = checks.into_iter().map(str::to_owned).collect();
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    let tester = method::checked_tester(&repo, &alone, (&run, Goal::Within), &checks, options)?;
    let lane = PlanLane {
        repo: &repo,
        alone: &alone,
        ledger,
        cars: train.cars().to_vec(),
        target: team_ref(team),
    };
    let mut engine = Engine::new(&repo, lane, train, tester, watch, begun);
    let report = engine.run(options)?;
    let summary = engine.train.summary();
    drop(engine);
    record(ledger, &report, &summary, (Some(team), None))?;
    in_step::hand_over(ledger, watch)?;
    Ok(report)
}

/// Takes the lock over one team's branch; what somebody who held the lock over everything left unfinished is
/// finished before.
fn alone_for_team(
    ledger: &mut Ledger,
    repo: &Repo,
    team: TeamId,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Alone> {
    loop {
        let alone = Alone::wait_for_team(repo, team, options, watch)?;
        if !landing::is_interrupted(repo) {
            return Ok(alone);
        }
        drop(alone);
        let alone = Alone::wait(repo, options, watch)?;
        approval::finish_interrupted(ledger, repo, &alone)?;
    }
}

/// Returns the teams whose branch did not go in as a whole, although it holds nothing but tasks' work.
fn to_start_again(train: &Train, strayed: &[Strayed]) -> Vec<TeamId> {
    let failed = |team: TeamId| {
        let branch = team_branch(team);
        let position = train.cars().iter().position(|car| car.branch == branch);
        let outcome = position.and_then(|position| train.outcome(position));
        let out = [Verdict::Conflict, Verdict::TestFailed, Verdict::GateFailed];
        outcome.is_some_and(|outcome| out.contains(&outcome.verdict))
    };
    let again = strayed
        .iter()
        .filter(|of| of.is_made_of_tasks && failed(of.team));
    again.map(|of| of.team).collect()
}

/// Puts a train into the order in which most of it merges.
fn in_radar_order(
    ledger: &Ledger,
    repo: &Repo,
    tip: Oid,
    train: Train,
    watch: &mut dyn Watch,
) -> Result<Train> {
    let tasks = &ledger.board().tasks;
    let head = |car: &Car| match &car.task {
        Some(task) => {
            let head = tasks.get(task).and_then(|task| task.status.head.as_ref());
            let head = head.and_then(oid);
            Ok(head.filter(|head| repo.read_commit(*head).is_ok()))
        }
        None => repo.read_ref(&format!("refs/heads/{}", car.branch)),
    };
    let heads: Vec<Option<Oid>> = train.cars().iter().map(head).collect::<Result<_>>()?;
    let order = order::by_radar(repo, (tip, &train), &heads, true, watch)?;
    Ok(train.in_order(&order))
}

fn record(
    ledger: &mut Ledger,
    report: &Report,
    summary: &str,
    (team, tested): (Option<TeamId>, Option<Tested>),
) -> Result<()> {
    let record = AssemblyRecord {
        report: report.to_toml()?,
        summary: summary.to_owned(),
        team,
        tested,
    };
    let op = Op::Assembled(Box::new(record));
    ledger.transact_as(Actor::Assembler, op).map(drop)
}

impl Engine<'_, PlanLane<'_>> {
    /// Returns what may be recorded of the integration branch's tip: that it passed, or that the plan has no
    /// test. Tests it where nothing is known, for example after a commit by hand.
    fn confirm_tip(&mut self) -> Result<Option<Tested>> {
        let tip = self.tip()?;
        let commit = CommitId(tip.to_string());
        let tree = self.repo.read_commit(tip)?.tree;
        Ok(match self.settle(tree, tip, INTEGRATION)? {
            Ok(()) => Some(self.tested(commit)),
            Err(red) => {
                let text = format!("{INTEGRATION} itself fails the test: {}", red.why);
                self.watch.progress(Progress::Note(&text));
                None
            }
        })
    }

    fn tested(&self, commit: CommitId) -> Tested {
        Tested {
            commit,
            test: self.tester.method.command.clone(),
        }
    }
}
