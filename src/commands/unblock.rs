//! `git orch unblock`: tells that a blocked task goes on.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, answer, carry_out};
use crate::answer::Reply;
use crate::model::Op;

/// Tell that a blocked task goes on
///
/// The task goes back to in progress. A person may leave out agent and attempt; a task that was blocked after its
/// holders were lost is then opened for anyone. The message is kept and stands in the agent's next prompt, with the words
/// that it answers. Exits with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct UnblockArgs {
    #[command(flatten)]
    held: HeldArgs,
    /// What the agent should know to go on
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// The claim does not hold, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: UnblockArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let named = args.held.by_name_only(&ledger);
    let held = args.held.held_by_name(&ledger);
    let claim = match (held, named) {
        (Some(claim), _) => claim,
        // Nobody holds it: it is opened, or the refusal says why there is nothing to unblock.
        (None, Some(task)) => {
            let reason = args.message.clone();
            let done = ledger.transact(Op::Free {
                task: task.clone(),
                reason: reason.unwrap_or_else(|| String::from("unblocked")),
                message: args.message,
            })?;
            return answer(ctx, &ledger, &task, done);
        }
        (None, None) => args.held.claim(&ledger)?,
    };
    carry_out(ctx, &mut ledger, claim, |claim| {
        Op::Unblock(claim, args.message)
    })
}
