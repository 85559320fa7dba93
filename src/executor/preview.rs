//! What a run would do first, decided on a copy of the board; nothing is done.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::Options;
use crate::agents::{Briefing, Work, command_line, render};
use crate::clock;
use crate::ledger::Ledger;
use crate::model::{Actor, AgentId, Ask, Attempt, Board, Command, Intent, Op, State, TaskId};

/// What a run would do first.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// Tasks that would be made ready.
    pub dispatched: Vec<TaskId>,
    /// Tasks that would be given up.
    pub gaps: Vec<TaskId>,
    /// Tasks that would be claimed and worked on at once.
    pub planned: Vec<Planned>,
}

/// A task that would be claimed, and how its agent would be started.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Who would work on it.
    pub agent: AgentId,
    /// The task.
    pub task: TaskId,
    /// The number of the attempt.
    pub attempt: Attempt,
    /// Its model tier.
    pub model: String,
    /// Its branch.
    pub branch: String,
    /// Its worktree.
    pub worktree: PathBuf,
    /// The agent's command line, or what is wrong with it.
    pub command: Result<Command, String>,
    /// The prompt.
    pub prompt: String,
    /// Where the attempt's files would lie.
    pub files: PathBuf,
}

/// Returns what a run would do first.
///
/// # Errors
///
/// The ledger cannot be read, or a prompt cannot be rendered.
pub fn preview(ledger: &Ledger, options: &Options) -> Result<Preview> {
    let mut board = ledger.board().clone();
    let gate = options.gate.unwrap_or(board.settings.gate);
    board.settings.gate = gate;
    let dispatched = carry_out(ledger, &mut board, Op::Dispatch(gate)).unwrap_or_default();
    let (gaps, dispatched) = dispatched.into_iter().partition(|task| {
        board
            .tasks
            .get(task)
            .is_some_and(|task| task.status.state == State::Gap)
    });
    let planned_jobs = board.run().jobs.map(|jobs| jobs as usize);
    let slots = options.slots.or(planned_jobs).unwrap_or(usize::MAX);
    let wish = options.wish();
    let mut planned = Vec::new();
    while planned.len() < slots {
        let Ok(choice) = board.choose(&wish) else {
            break;
        };
        let (task, agent) = (choice.task.id.clone(), choice.agent);
        let ask = Ask::named(task.clone(), agent, None);
        if carry_out(ledger, &mut board, Op::Claim(Box::new(ask))).is_none() {
            break;
        }
        planned.push(plan(ledger, &board, agent, &task)?);
    }
    Ok(Preview {
        dispatched,
        gaps,
        planned,
    })
}

/// Carries out an operation on a copy of the board and returns the tasks concerned; `None` where refused.
fn carry_out(ledger: &Ledger, board: &mut Board, op: Op) -> Option<Vec<TaskId>> {
    let intent = Intent {
        id: clock::new_op_id(),
        time: clock::now(),
        actor: Actor::Executor,
        machine: ledger.machine().clone(),
        op,
    };
    let change = board.decide(&intent).ok()??;
    for edit in &change.edits {
        board.absorb(edit);
    }
    Some(change.event.tasks)
}

fn plan(ledger: &Ledger, board: &Board, agent: AgentId, task: &TaskId) -> Result<Planned> {
    let row = board
        .require_task(task)
        .map_err(crate::error::UserError::from)?;
    let worktree = ledger.repo().worktrees_dir().join(agent.to_string());
    let work = Work {
        task: task.clone(),
        agent,
        attempt: row.status.attempt,
        branch: row.branch_name(),
        worktree: worktree.clone(),
    };
    let briefing = Briefing::load(ledger, work)?;
    Ok(Planned {
        agent,
        task: task.clone(),
        attempt: briefing.work.attempt,
        model: briefing.model.clone(),
        branch: briefing.work.branch.clone(),
        worktree,
        command: command_line(&briefing).map_err(|error| error.message),
        prompt: render(&briefing)?,
        files: briefing.files.dir().to_owned(),
    })
}
