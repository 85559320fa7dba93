//! `git orch dispatch`: makes ready what may start.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::{Gate, Op, TaskId};
use crate::ui::Paint;

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
pub fn run(ctx: &Ctx, args: DispatchArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let gate = if args.merged {
        Gate::Merged
    } else {
        Gate::Submitted
    };
    let done = ledger.transact(Op::Dispatch(gate))?;
    ctx.answer(&Dispatched {
        dispatched: done.tasks,
        subject: done.subject,
    })
}

/// What was made ready.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dispatched {
    dispatched: Vec<TaskId>,
    #[serde(skip)]
    subject: String,
}

impl Answer for Dispatched {
    fn text(&self, _: Paint) -> String {
        self.subject.clone()
    }
}
