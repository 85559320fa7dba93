//! `git orch claim`: gives one agent the right to work on a task.

use anyhow::Result;

use super::Ctx;
use crate::clock;
use crate::config;
use crate::error::{Exit, UserError};
use crate::model::{AgentId, TaskId, Wish};
use crate::workspace;

/// Claim a task for an agent
///
/// Without a task the best one that is ready for the agent's team is taken. The coder's worktree is made
/// ready on the task's branch. Exits with 3 where nothing is ready, with 4 where someone else holds the task.
#[derive(Debug, clap::Args)]
pub struct ClaimArgs {
    /// Task to claim [default: the best one that is ready]
    task: Option<TaskId>,
    /// Agent that will work on it [default: the one of this worktree]
    #[arg(long, value_name = "N.M")]
    agent: Option<AgentId>,
    /// Claim only; make no worktree
    #[arg(long)]
    no_worktree: bool,
}

/// Runs the command.
///
/// # Errors
///
/// The task cannot be claimed, or its worktree cannot be made.
pub fn run(ctx: &Ctx, args: ClaimArgs) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    let agent = args
        .agent
        .or_else(|| config::agent(ledger.repo()))
        .ok_or_else(|| {
            UserError::new("the agent is not given, and this is no coder's worktree")
                .hint("git orch claim --agent 1.1")
                .exit(Exit::Usage)
        })?;
    let actor = ledger.actor();
    let wish = Wish {
        task: args.task,
        ..Wish::of(agent)
    };
    let assigned = workspace::assign(&mut ledger, actor, &wish, !args.no_worktree)?
        .map_err(UserError::from)?;
    let a = &assigned.assignment;
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "task": a.task,
            "agent": a.agent,
            "attempt": a.attempt,
            "lease_until": clock::rfc3339(assigned.lease_until),
            "branch": a.branch,
            "base": a.base.to_string(),
            "worktree": assigned.worktree,
        }));
        return Ok(());
    }
    let title = &ledger
        .board()
        .require_task(&a.task)
        .map_err(UserError::from)?
        .title;
    ctx.ui.answer(&format!(
        "agent {agent} holds task {} (attempt {}): {title}",
        a.task, a.attempt
    ));
    match &assigned.worktree {
        Some(dir) => ctx
            .ui
            .answer(&format!("on branch {} in {}", a.branch, dir.display())),
        None => ctx
            .ui
            .answer(&format!("on branch {} from {}", a.branch, a.base)),
    }
    ctx.ui.hint(&format!(
        "git orch start {} --agent {agent} --attempt {}",
        a.task, a.attempt
    ));
    Ok(())
}
