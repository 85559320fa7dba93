//! Claims that nobody can be working on.

use anyhow::{Result, bail};

use super::finding::Finding;
use crate::error::UserError;
use crate::executor::{self, News, Watch};
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::ledger::layout::{Place, TaskPlace};
use crate::model::duration::format_duration;
use crate::model::lease::Expired;
use crate::model::{Actor, Board, Claim, Op, Task};

pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let board = ledger.board();
    let left = executor::abandoned(ledger)?;
    let mut findings: Vec<Finding> = left.iter().map(|claim| abandoned(board, claim)).collect();
    for expired in ledger.watch_leases()? {
        if !left.contains(&expired.claim) {
            findings.push(of_lease(board, expired));
        }
    }
    for task in board.tasks.values() {
        let holder = task.status.agent.filter(|_| task.status.state.is_held());
        if let Some(agent) = holder
            && board.require_agent(agent).is_err()
        {
            findings.push(unknown_holder(task, &agent.to_string()));
        }
    }
    Ok(findings)
}

/// A claim whose executor was killed.
fn abandoned(board: &Board, claim: &Claim) -> Finding {
    let claim = claim.clone();
    let what = format!(
        "agent {} holds task {} (attempt {}), and the run that started it on this machine is gone",
        claim.agent, claim.task, claim.attempt
    );
    Finding::new("claim-abandoned", place(board, &claim), what)
        .command("git orch run")
        .fix(move |repo| {
            let mut ledger = open(repo)?;
            let mut told = Told::default();
            executor::recover_abandoned(&mut ledger, &mut told)?;
            ledger.refresh()?;
            if ledger.board().holds(&claim).is_ok() {
                bail!("{}", told.of(&claim));
            }
            Ok(told.of(&claim))
        })
}

/// A claim whose machine gives no sign of life.
fn of_lease(board: &Board, expired: Expired) -> Finding {
    let Expired {
        claim,
        machine,
        unmoved,
    } = expired;
    let machine = machine.map_or_else(|| String::from("its machine"), |name| name.to_string());
    let what = format!(
        "agent {} holds task {} (attempt {}), and {machine} has not renewed its lease for {}",
        claim.agent,
        claim.task,
        claim.attempt,
        format_duration(unmoved)
    );
    Finding::new("claim-expired", place(board, &claim), what)
        .command("git orch sync")
        .fix(move |repo| {
            let mut ledger = open(repo)?;
            // All that have expired are taken over together.
            for (other, outcome) in ledger.expire_claims(Actor::Human)? {
                if other.claim == claim {
                    outcome.map_err(UserError::from)?;
                }
            }
            if ledger.board().holds(&claim).is_ok() {
                bail!("its machine has renewed its lease in this moment");
            }
            Ok(String::from("the claim was taken over"))
        })
}

/// A claim of an agent that the plan does not have.
fn unknown_holder(task: &Task, agent: &str) -> Finding {
    let id = task.id.clone();
    let what = format!("agent {agent} holds task {id}, and there is no such agent");
    Finding::new("holder-unknown", status_path(task), what)
        .command(format!(
            "git orch release {id} -m 'its agent does not exist'"
        ))
        .fix(move |repo| {
            let mut ledger = open(repo)?;
            let reason = String::from("its agent does not exist");
            let done = ledger.transact(Op::Free {
                task: id,
                reason,
                message: None,
            })?;
            Ok(done.subject)
        })
}

fn open(repo: &Repo) -> Result<Ledger> {
    Ledger::open(repo.reopen()?, Actor::Human)
}

fn place(board: &Board, claim: &Claim) -> String {
    let task = board.tasks.get(&claim.task);
    task.map_or_else(|| claim.task.to_string(), status_path)
}

/// Returns where a task's record lies on the ledger.
pub(super) fn status_path(task: &Task) -> String {
    Place::Status(TaskPlace {
        team: task.team,
        id: task.id.clone(),
        sharded: task.sharded,
    })
    .path()
}

/// Remembers what recovering has told.
#[derive(Default)]
struct Told(Vec<News>);

impl Told {
    fn of(&self, claim: &Claim) -> String {
        let about = |news: &&News| match news {
            News::Released(_, task, _) => *task == claim.task,
            News::Warning(text) => text.contains(claim.task.as_str()),
            _ => false,
        };
        let told: Vec<String> = self
            .0
            .iter()
            .filter(about)
            .map(ToString::to_string)
            .collect();
        if told.is_empty() {
            return String::from("the claim was given back");
        }
        told.join("; ")
    }
}

impl Watch for Told {
    fn tell(&mut self, news: &News) {
        self.0.push(news.clone());
    }

    fn show(&mut self, _board: &Board) {}
}
