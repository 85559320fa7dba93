//! `git orch start`: tells that the agent has begun.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, carry_out};
use crate::answer::Reply;
use crate::model::Op;

/// Tell that work on a claimed task has begun
///
/// The task goes from claimed to in progress. Exits with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    #[command(flatten)]
    held: HeldArgs,
}

/// Runs the command.
///
/// # Errors
///
/// The claim does not hold, or the ledger cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: StartArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    carry_out(ctx, &mut ledger, claim, Op::Start)
}
