//! `git orch retry`: tasks that were given up are tried again.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::UserError;
use crate::model::{Attempt, Op, Retry, State, TaskId};
use crate::ui::{Paint, Style};

/// Bring back tasks that were given up, failed or are blocked
///
/// They are ready again with all their retries, or pending where they must wait for others; all that are named in one
/// step, or none. A branch begins anew from what is integrated by now; what it held is kept, as `git orch recover`
/// shows. With `--resume` it goes on as it is, and so it does in any case where the plan names a branch of your own.
///
/// `git orch plan apply` does the same of itself for tasks of which the plan says otherwise, and where it allows more
/// retries. Exits with 3 where there is no gap, or the task is ready already.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// Tasks
    #[arg(required_unless_present = "all_gaps")]
    tasks: Vec<TaskId>,
    /// All tasks that were given up
    #[arg(long)]
    all_gaps: bool,
    /// Go on from what earlier attempts have committed
    #[arg(long)]
    resume: bool,
    /// What whoever works on them next should know
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// A task is in no state to be tried again, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: RetryArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let done = ledger.transact(Op::Retry(Box::new(Retry {
        tasks: args.tasks,
        all_gaps: args.all_gaps,
        resume: args.resume,
        message: args.message,
    })))?;
    let board = ledger.board();
    let mut rows = Vec::new();
    for id in &done.tasks {
        let task = board.require_task(id).map_err(UserError::from)?;
        rows.push(RetriedTask {
            task: task.id.clone(),
            status: task.status.state,
            attempt: task.status.attempt,
            branch: task.branch_name(),
            resumes: args.resume || !task.has_own_branch(),
        });
    }
    let answer = Retried {
        tasks: rows,
        commit: done.commit.map(|commit| commit.to_string()),
    };
    Ok(ctx.answer(&answer)?.hint("git orch run --assemble"))
}

/// Tasks that are tried again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Retried {
    tasks: Vec<RetriedTask>,
    /// The ledger's new commit.
    commit: Option<String>,
}

/// One task, as it is afterwards.
#[derive(Debug, Serialize, JsonSchema)]
struct RetriedTask {
    task: TaskId,
    status: State,
    /// Attempts so far.
    attempt: Attempt,
    branch: String,
    /// Whether the branch goes on as it is.
    resumes: bool,
}

impl Answer for Retried {
    fn text(&self, paint: Paint) -> String {
        let line = |row: &RetriedTask| {
            let how = match row.resumes {
                true => "goes on",
                false => "begins anew",
            };
            let task = paint.set(Style::Strong, row.task.as_str());
            format!("{task} is {}: branch {} {how}", row.status, row.branch)
        };
        let lines: Vec<String> = self.tasks.iter().map(line).collect();
        lines.join("\n")
    }
}
