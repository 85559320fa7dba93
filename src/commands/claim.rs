//! `git orch claim`: gives one agent the right to work on a task.

use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::clock;
use crate::error::{Exit, UserError};
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::{Actor, AgentId, Attempt, Choice, Claim, Other, State, TaskId, Wish};
use crate::report::text::clean;
use crate::ui::Paint;
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
pub fn run(ctx: &Ctx, args: ClaimArgs) -> Result<Reply> {
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
    let title = &ledger
        .board()
        .require_task(&a.task)
        .map_err(UserError::from)?
        .title;
    let reply = ctx.answer(&Claimed {
        task: &a.task,
        agent,
        attempt: a.attempt,
        lease_until: clock::rfc3339(assigned.lease_until),
        branch: &a.branch,
        base: a.base.to_string(),
        worktree: assigned.worktree.as_deref(),
        title,
    })?;
    Ok(reply.hint(format!(
        "git orch start {} --agent {agent} --attempt {}",
        a.task, a.attempt
    )))
}

/// A claim.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Claimed<'a> {
    task: &'a TaskId,
    agent: AgentId,
    /// Number of the attempt, which every later word about it quotes.
    attempt: Attempt,
    /// Until when it holds, as RFC 3339.
    lease_until: String,
    branch: &'a str,
    /// Commit that the branch is based on.
    base: String,
    /// Null where none was asked for.
    worktree: Option<&'a Path>,
    #[serde(skip)]
    title: &'a str,
}

impl Answer for Claimed<'_> {
    fn text(&self, _: Paint) -> String {
        let place = match self.worktree {
            Some(dir) => format!("on branch {} in {}", self.branch, dir.display()),
            None => format!("on branch {} from {}", self.branch, self.base),
        };
        format!(
            "agent {} holds task {} (attempt {}): {}\n{place}",
            self.agent, self.task, self.attempt, self.title
        )
    }
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
fn explain(ctx: &Ctx, ledger: &Ledger, wish: &Wish, number: usize) -> Result<Reply> {
    let explanation = workspace::explain(ledger, wish)?;
    let (shown, rest) = explanation
        .others
        .split_at(number.min(explanation.others.len()));
    let other = |other: &Other<'_>| OtherTask {
        task: other.task.id.clone(),
        state: other.task.status.state,
        why: other.why.clone(),
    };
    let chosen = explanation.chosen.as_ref().ok();
    let chosen = chosen.map(|Choice { task, agent }| ChosenTask {
        task: task.id.clone(),
        agent: *agent,
        reasons: explanation.reasons.clone(),
        title: task.title.clone(),
    });
    let reply = ctx.answer(&Explained {
        chosen,
        others: shown.iter().map(other).collect(),
        more: rest.len(),
    })?;
    Ok(match explanation.chosen {
        Ok(_) => reply,
        // Nothing was asked for that could be refused or lost: there is nothing to be had.
        Err(refusal) => {
            let error = UserError::from(refusal).exit(Exit::NothingToDo);
            reply.failing(Err(error.into()))
        }
    })
}

/// What a claim would get, and why no other task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained {
    chosen: Option<ChosenTask>,
    others: Vec<OtherTask>,
    /// How many others are not listed.
    more: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChosenTask {
    task: TaskId,
    agent: AgentId,
    reasons: Vec<String>,
    #[serde(skip)]
    title: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct OtherTask {
    task: TaskId,
    state: State,
    why: String,
}

impl Answer for Explained {
    fn text(&self, _: Paint) -> String {
        let mut lines = Vec::new();
        if let Some(chosen) = &self.chosen {
            let title = clean(&chosen.title);
            lines.push(format!(
                "agent {} would get {}: {title}",
                chosen.agent, chosen.task
            ));
            lines.extend(chosen.reasons.iter().map(|why| format!("  {}", clean(why))));
        }
        lines.extend(self.others.iter().map(|other| {
            format!(
                "not {} ({}): {}",
                other.task,
                other.state,
                clean(&other.why)
            )
        }));
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines.join("\n")
    }
}
