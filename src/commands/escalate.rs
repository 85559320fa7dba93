//! `git orch escalate`: someone must look at a task.

use anyhow::Result;

use super::Ctx;
use super::held::answer;
use crate::answer::Reply;
use crate::model::{Op, TaskId};

/// Tell people that someone must look at a task
///
/// Writes an event whose subject has ESCALATION after its tags, so that `git log --grep=ESCALATION` finds it;
/// the task's state stays as it is.
#[derive(Debug, clap::Args)]
pub struct EscalateArgs {
    /// Task
    task: TaskId,
    /// What is the matter
    #[arg(short, long, value_name = "TEXT")]
    message: String,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such task, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: EscalateArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let done = ledger.transact(Op::Escalate(args.task.clone(), args.message))?;
    answer(ctx, &ledger, &args.task, done)
}
