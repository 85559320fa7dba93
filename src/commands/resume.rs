//! `git orch resume`: a paused agent gets work again.

use anyhow::Result;

use super::Ctx;
use super::pause::steer;
use crate::answer::Reply;
use crate::model::{AgentId, Op};

/// Give a paused agent work again
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Agent
    agent: AgentId,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such agent, or the ledger cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: ResumeArgs) -> Result<Reply> {
    steer(ctx, args.agent, Op::Resume(args.agent))
}
