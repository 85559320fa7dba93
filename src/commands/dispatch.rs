//! `git orch dispatch`: makes ready what may start.

use anyhow::Result;

use super::Ctx;
use crate::model::{Gate, Op};

/// Make ready what may start
///
/// Pending tasks whose dependencies and phase allow it become ready; failed tasks get their retry, or are
/// recorded as gaps once they have had it. Exits with 3 where there is nothing to make ready.
#[derive(Debug, clap::Args)]
pub struct DispatchArgs {
    /// Open a phase only when everything before it is merged, not merely submitted
    #[arg(long)]
    merged: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is nothing to make ready, or the ledger cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: DispatchArgs) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    let gate = if args.merged {
        Gate::Merged
    } else {
        Gate::Submitted
    };
    let done = ledger.transact(Op::Dispatch(gate))?;
    let ready: Vec<String> = done.tasks.iter().map(ToString::to_string).collect();
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({ "dispatched": ready }));
    } else {
        ctx.ui.answer(&done.subject);
    }
    Ok(())
}
