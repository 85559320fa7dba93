//! Arguments by which a holder quotes its claim, shared by the workers' verbs.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::config;
use crate::error::{Exit, UserError};
use crate::ledger::{Done, Ledger};
use crate::model::{Actor, AgentId, Attempt, Claim, Op, Over, Power, State, TaskId};
use crate::ui::Paint;

/// Which claim is meant; in a coder's worktree all of it is known.
#[derive(Debug, clap::Args)]
pub(super) struct HeldArgs {
    /// Task [default: the one of this worktree]
    pub task: Option<TaskId>,
    /// Agent that holds it [default: the one of this worktree]
    #[arg(long, value_name = "N.M")]
    pub agent: Option<AgentId>,
    /// Attempt, as `claim` answered it [default: the one of this worktree]
    #[arg(long, value_name = "K")]
    pub attempt: Option<Attempt>,
}

impl HeldArgs {
    /// Returns the task where nothing but it is given, outside of any coder's worktree.
    pub(super) fn by_name_only(&self, ledger: &Ledger) -> Option<TaskId> {
        let unsaid = self.agent.is_none() && self.attempt.is_none();
        let outside = speaker(ledger).is_none();
        self.task.clone().filter(|_| unsaid && outside)
    }

    /// Returns the claim of a task that a person calls by its name, where an agent holds it.
    pub(super) fn held_by_name(&self, ledger: &Ledger) -> Option<Claim> {
        let task = self.by_name_only(ledger)?;
        let status = &ledger.board().tasks.get(&task)?.status;
        let agent = status.agent.filter(|_| status.state.is_held())?;
        Some(Claim {
            agent,
            attempt: status.attempt,
            task,
        })
    }

    /// Returns what to add to the command where it is known which claim can be meant.
    fn holder(&self, ledger: &Ledger) -> String {
        let held = self.held_by_name(ledger);
        held.map_or_else(String::new, |claim| {
            format!(
                "; it is held: add --agent {} --attempt {}",
                claim.agent, claim.attempt
            )
        })
    }

    /// Returns the claim that is meant.
    ///
    /// # Errors
    ///
    /// A part is neither given nor known from the worktree, or the claim is somebody else's to speak of.
    pub(super) fn claim(&self, ledger: &Ledger) -> Result<Claim> {
        let repo = ledger.repo();
        let missing = |what: &str| {
            let error = UserError::new(format!(
                "{what} is not given, and this is no coder's worktree{}",
                self.holder(ledger)
            ));
            let error = match &self.task {
                Some(task) => error.hint(format!("git orch status {task}")),
                None => error.hint("git orch task list --state in_progress"),
            };
            error.exit(Exit::Usage)
        };
        let task = self.task.clone().or_else(|| config::task(repo));
        let agent = self.agent.or_else(|| speaker(ledger));
        let attempt = self.attempt.or_else(|| config::attempt(repo));
        let claim = Claim {
            task: task.ok_or_else(|| missing("the task"))?,
            agent: agent.ok_or_else(|| missing("the agent (--agent)"))?,
            attempt: attempt.ok_or_else(|| missing("the attempt (--attempt)"))?,
        };
        // Asked before what may take minutes, such as the checks of a submission.
        let may = ledger
            .board()
            .may(ledger.actor(), Power::Work, Over::Agent(claim.agent));
        may.map_err(UserError::from)?;
        Ok(claim)
    }
}

/// Returns the agent that a command speaks for.
fn speaker(ledger: &Ledger) -> Option<AgentId> {
    match ledger.actor() {
        Actor::Agent(agent) => Some(agent),
        Actor::Human | Actor::Executor | Actor::Assembler => None,
    }
}

/// Carries out a verb on a held task and tells what became of it.
///
/// # Errors
///
/// The claim does not hold, or the ledger cannot be written.
pub(super) fn carry_out(
    ctx: &Ctx,
    ledger: &mut Ledger,
    claim: Claim,
    op: impl FnOnce(Claim) -> Op,
) -> Result<Reply> {
    let task = claim.task.clone();
    let done = ledger.transact(op(claim))?;
    answer(ctx, ledger, &task, done)
}

/// A task after a word about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskNow {
    task: TaskId,
    status: State,
    /// Who holds it.
    agent: Option<AgentId>,
    /// Attempts so far.
    attempt: Attempt,
    /// The ledger's new commit; null where nothing changed.
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for TaskNow {
    fn text(&self, _: Paint) -> String {
        match self.commit {
            Some(_) => self.subject.clone(),
            None => format!("task {} is {} already", self.task, self.status),
        }
    }
}

/// Answers what became of a task.
///
/// # Errors
///
/// The task is gone from the board.
pub(super) fn answer(ctx: &Ctx, ledger: &Ledger, task: &TaskId, done: Done) -> Result<Reply> {
    let row = ledger.board().require_task(task).map_err(UserError::from)?;
    let status = &row.status;
    ctx.answer(&TaskNow {
        task: task.clone(),
        status: status.state,
        agent: status.agent,
        attempt: status.attempt,
        commit: done.commit.map(|commit| commit.to_string()),
        subject: done.subject,
    })
}
