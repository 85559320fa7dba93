//! `git orch renew`: makes a claim hold for longer.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use super::held::HeldArgs;
use crate::answer::{Answer, Reply};
use crate::clock;
use crate::model::{AgentId, Attempt, TaskId};
use crate::ui::Paint;

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
pub fn run(ctx: &Ctx, args: RenewArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    let until = clock::rfc3339(ledger.renew(&claim)?);
    ctx.answer(&Renewed {
        task: claim.task,
        agent: claim.agent,
        attempt: claim.attempt,
        lease_until: until,
    })
}

/// A claim that holds for longer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Renewed {
    task: TaskId,
    agent: AgentId,
    attempt: Attempt,
    /// Until when, as RFC 3339.
    lease_until: String,
}

impl Answer for Renewed {
    fn text(&self, _: Paint) -> String {
        format!(
            "the claim of {} on {} holds until {}",
            self.agent, self.task, self.lease_until
        )
    }
}
