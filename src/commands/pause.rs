//! `git orch pause`: an agent gets no work for now.

use anyhow::Result;

use super::Ctx;
use crate::model::{AgentId, Op};

/// Give an agent no work for now
///
/// What it works on goes on; other work that is ready goes to others.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// Agent
    agent: AgentId,
    /// Why, in a line
    #[arg(short, long, value_name = "TEXT")]
    message: String,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such agent, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: PauseArgs) -> Result<()> {
    steer(ctx, args.agent, Op::Pause(args.agent, args.message))
}

/// Carries out an operation on an agent and tells how it stands now.
pub(super) fn steer(ctx: &Ctx, agent: AgentId, op: Op) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    let done = ledger.transact(op)?;
    let paused = ledger.board().paused(agent);
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "agent": agent,
            "paused": paused,
            "commit": done.commit.map(|commit| commit.to_string()),
        }));
    } else if done.changed() {
        ctx.ui.answer(&done.subject);
    } else {
        let state = if paused.is_some() {
            "paused"
        } else {
            "not paused"
        };
        ctx.ui.answer(&format!("agent {agent} is {state} already"));
    }
    Ok(())
}
