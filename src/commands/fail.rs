//! `git orch fail`: tells that an attempt failed.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, carry_out};
use crate::answer::Reply;
use crate::model::Op;

/// Tell that an attempt failed
///
/// The claim ends; `git orch dispatch` gives the task its retry with the reason attached, or records the gap. Exits with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct FailArgs {
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
pub fn run(ctx: &Ctx, args: FailArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    carry_out(ctx, &mut ledger, claim, |claim| {
        Op::Fail(claim, args.message, None)
    })
}
