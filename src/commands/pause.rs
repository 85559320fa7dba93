//! `git orch pause`: an agent gets no work for now.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::{AgentId, Op};
use crate::ui::Paint;

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
pub fn run(ctx: &Ctx, args: PauseArgs) -> Result<Reply> {
    steer(ctx, args.agent, Op::Pause(args.agent, args.message))
}

/// An agent after it was paused or resumed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Steered {
    agent: AgentId,
    /// Why it is paused; null where it is not.
    paused: Option<String>,
    /// The ledger's new commit; null where nothing changed.
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for Steered {
    fn text(&self, _: Paint) -> String {
        let agent = self.agent;
        match (&self.commit, &self.paused) {
            (Some(_), _) => self.subject.clone(),
            (None, Some(_)) => format!("agent {agent} is paused already"),
            (None, None) => format!("agent {agent} is not paused already"),
        }
    }
}

/// Carries out an operation on an agent and answers how it stands now.
pub(super) fn steer(ctx: &Ctx, agent: AgentId, op: Op) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let done = ledger.transact(op)?;
    ctx.answer(&Steered {
        agent,
        paused: ledger.board().paused(agent).map(str::to_owned),
        commit: done.commit.map(|commit| commit.to_string()),
        subject: done.subject,
    })
}
