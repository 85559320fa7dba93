//! `git orch claim`: gives one agent the right to work on a task.

use anyhow::Result;

use super::Ctx;
use crate::clock;
use crate::error::{Exit, UserError};
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::{Actor, AgentId, Attempt, Choice, Claim, Other, TaskId, Wish};
use crate::report::text::clean;
use crate::workspace::{self, Assigned};

/// Claim a task for an agent
///
/// Without a task the best one that is ready for the agent's team is taken. The coder's worktree is made
/// ready on the task's branch. A claim that was killed before its worktree was ready is gone on with by
/// `--attempt`. Exits with 3 where nothing is ready, with 4 where someone else holds the task.
#[derive(Debug, clap::Args)]
pub struct ClaimArgs {
    /// Task to claim [default: the best one that is ready]
    task: Option<TaskId>,
    /// Agent that will work on it [default: the one of this worktree]
    #[arg(long, value_name = "N.M")]
    agent: Option<AgentId>,
    /// Go on with this attempt, which the agent holds already: make its worktree ready
    #[arg(long, value_name = "K", requires = "task", conflicts_with = "explain")]
    attempt: Option<Attempt>,
    /// Claim only; make no worktree
    #[arg(long)]
    no_worktree: bool,
    /// Say what would be claimed and why, and claim nothing
    ///
    /// Exits with 3 where nothing would be claimed.
    #[arg(long, conflicts_with = "no_worktree")]
    explain: bool,
    /// At most this many other tasks in the explanation
    #[arg(long, value_name = "K", default_value_t = 20, requires = "explain")]
    number: usize,
}

/// Runs the command.
///
/// # Errors
///
/// The task cannot be claimed, or its worktree cannot be made.
pub fn run(ctx: &Ctx, args: ClaimArgs) -> Result<()> {
    let mut ledger = ctx.ledger_to_build_on()?;
    let agent = args
        .agent
        .or(match ledger.actor() {
            Actor::Agent(agent) => Some(agent),
            _ => None,
        })
        .ok_or_else(|| {
            UserError::new("the agent is not given, and this is no coder's worktree")
                .hint("git orch claim --agent 1.1")
                .exit(Exit::Usage)
        })?;
    let wish = Wish {
        task: args.task,
        ..Wish::of(agent)
    };
    if args.explain {
        return explain(ctx, &ledger, &wish, args.number);
    }
    let assigned = take(&mut ledger, &wish, args.attempt, !args.no_worktree)?;
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

/// Claims a task, or goes on with an attempt at it that holds already.
fn take(
    ledger: &mut Ledger,
    wish: &Wish,
    attempt: Option<Attempt>,
    with_worktree: bool,
) -> Result<Assigned> {
    if with_worktree {
        hooks::install(ledger.repo())?;
    }
    let taken = match (attempt, &wish.task, wish.agent) {
        (Some(attempt), Some(task), Some(agent)) => {
            let claim = Claim {
                task: task.clone(),
                agent,
                attempt,
            };
            workspace::take_up(ledger, &claim, with_worktree)?
        }
        _ => workspace::assign(ledger, ledger.actor(), wish, with_worktree)?,
    };
    Ok(taken.map_err(UserError::from)?)
}

/// Says which task a claim would get, and why no other.
fn explain(ctx: &Ctx, ledger: &Ledger, wish: &Wish, number: usize) -> Result<()> {
    let explanation = workspace::explain(ledger, wish)?;
    let (shown, rest) = explanation
        .others
        .split_at(number.min(explanation.others.len()));
    if ctx.ui.is_json() {
        let other = |other: &Other<'_>| {
            serde_json::json!({
                "task": other.task.id,
                "state": other.task.status.state,
                "why": other.why,
            })
        };
        let chosen = explanation.chosen.as_ref().ok().map(|choice| {
            serde_json::json!({
                "task": choice.task.id,
                "agent": choice.agent,
                "reasons": explanation.reasons,
            })
        });
        ctx.ui.json(&serde_json::json!({
            "chosen": chosen,
            "others": shown.iter().map(other).collect::<Vec<_>>(),
            "more": rest.len(),
        }));
    } else {
        if let Ok(Choice { task, agent }) = &explanation.chosen {
            let title = clean(&task.title);
            ctx.ui
                .answer(&format!("agent {agent} would get {}: {title}", task.id));
            for reason in &explanation.reasons {
                ctx.ui.answer(&format!("  {}", clean(reason)));
            }
        }
        for Other { task, why } in shown {
            let state = task.status.state;
            ctx.ui
                .answer(&format!("not {} ({state}): {}", task.id, clean(why)));
        }
        if !rest.is_empty() {
            ctx.ui.answer(&format!("and {} more", rest.len()));
        }
    }
    match explanation.chosen {
        Ok(_) => Ok(()),
        // Nothing was asked for that could be refused or lost: there is nothing to be had.
        Err(refusal) => Err(UserError::from(refusal).exit(Exit::NothingToDo).into()),
    }
}
