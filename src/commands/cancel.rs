//! `git orch cancel`: a task is not wanted any more.

use anyhow::Result;

use super::Ctx;
use super::held::answer;
use crate::answer::Reply;
use crate::model::{Op, TaskId};

/// Tell that a task is not wanted any more
///
/// Anything before merged may be cancelled; the commits made so far stay on the task's branch.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// Task
    task: TaskId,
    /// Why, in a line
    #[arg(short, long, value_name = "TEXT")]
    message: String,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such task, it is merged, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: CancelArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let done = ledger.transact(Op::Cancel(args.task.clone(), args.message))?;
    answer(ctx, &ledger, &args.task, done)
}
