//! `git orch renew`: makes a claim hold for longer.

use anyhow::Result;

use super::Ctx;
use super::held::HeldArgs;
use crate::clock;

/// Make a claim hold for longer
///
/// The machine's lease is renewed, which is a ref without history: no commit is made on the ledger. Exits
/// with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    #[command(flatten)]
    held: HeldArgs,
}

/// Runs the command.
///
/// # Errors
///
/// The claim does not hold, or the lease cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: RenewArgs) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    let until = clock::rfc3339(ledger.renew(&claim)?);
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "task": claim.task,
            "agent": claim.agent,
            "attempt": claim.attempt,
            "lease_until": until,
        }));
    } else {
        ctx.ui.answer(&format!(
            "the claim of {} on {} holds until {until}",
            claim.agent, claim.task
        ));
    }
    Ok(())
}
