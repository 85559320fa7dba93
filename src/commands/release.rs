//! `git orch release`: gives a claim back.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, answer, carry_out};
use crate::answer::Reply;
use crate::model::Op;

/// Give a claim back
///
/// The task is ready again for anyone, and the attempt does not count as a failure; its commits stay on its
/// branch. A person may leave out agent and attempt: the task is then taken from whoever holds it, and one
/// that was blocked after its holders were lost is opened again. Exits with 4 where the claim does not hold any
/// more.
///
/// The message is kept and stands in the next attempt's prompt, with the words that it answers where the task was
/// blocked.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    held: HeldArgs,
    /// Why, and what whoever works on it next should know
    #[arg(short, long, value_name = "TEXT")]
    message: String,
}

/// Runs the command.
///
/// # Errors
///
/// The claim does not hold, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: ReleaseArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    if let Some(task) = args.held.by_name_only(&ledger) {
        let done = ledger.transact(Op::Free {
            task: task.clone(),
            reason: args.message.clone(),
            message: Some(args.message),
        })?;
        return answer(ctx, &ledger, &task, done);
    }
    let claim = args.held.claim(&ledger)?;
    carry_out(ctx, &mut ledger, claim, |claim| {
        Op::Release(claim, args.message)
    })
}
