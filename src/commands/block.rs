//! `git orch block`: tells that the agent waits for something.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, carry_out};
use crate::answer::Reply;
use crate::model::Op;

/// Tell that a held task waits for something
///
/// The claim stays; `git orch unblock` goes on. Exits with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct BlockArgs {
    #[command(flatten)]
    held: HeldArgs,
    /// Why, in a line
    #[arg(short, long, value_name = "TEXT")]
    message: String,
}

/// Runs the command.
///
/// # Errors
///
/// The claim does not hold, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: BlockArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    carry_out(ctx, &mut ledger, claim, |claim| {
        Op::Block(claim, args.message)
    })
}
