//! `git orch undo`: takes a landing back out.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use super::assemble::Lines;
use crate::answer::{Answer, Reply};
use crate::assembler::undo::{self, Asked, How, Outcome};
use crate::model::{Power, TaskId};
use crate::ui::Paint;

/// Take a landing back out
///
/// Without a name: the last one that is not approved. Where nothing was built on it, the branch goes back to
/// the tested commit before it, and what it moved away from is kept under `refs/orch/recovery/undo/`.
/// Otherwise a commit that reverts it is made in memory, tested like any other and landed on top. The task
/// goes back to its coder with the reason; that costs none of its retries.
///
/// With `--onto`: a landing of `git orch assemble --onto`, without a plan. Only a person may undo. Exits with
/// 3 where there is nothing to undo.
#[derive(Debug, clap::Args)]
pub struct UndoArgs {
    /// Task whose landing it is, or the merge that brought it in [default: the last landing]
    #[arg(value_name = "TASK|COMMIT")]
    what: Option<String>,
    /// Branch that it landed on [default: the plan's integration branch]
    #[arg(long, value_name = "BRANCH")]
    onto: Option<String>,
    /// Test command, run by `sh` in a worktree kept for it [default: the plan's]
    #[arg(long, value_name = "COMMAND")]
    test: Option<String>,
    /// Why, in a line; its coder gets to read it
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is nothing to undo, what came after is in the way, or the branch fails its test without it.
pub fn run(ctx: &Ctx, args: UndoArgs) -> Result<Reply> {
    ctx.require(Power::Undo)?;
    let asked = Asked {
        what: args.what,
        test: args.test,
        reason: args.message.unwrap_or_default(),
        dry_run: args.dry_run,
    };
    let mut watch = Lines { ui: ctx.ui };
    let outcome = match &args.onto {
        Some(onto) => undo::undo_branch(&ctx.repo()?, onto, &asked, &mut watch)?,
        None => undo::undo(&mut ctx.ledger_to_build_on()?, &asked, &mut watch)?,
    };
    let answer = Undone::new(&outcome, asked.dry_run);
    let mut reply = ctx.answer(&answer)?;
    if !outcome.built_on.is_empty() {
        let others = outcome.built_on.join(", ");
        reply = reply.note(format!("not moved back, since it is built on by {others}"));
    }
    if let Some(kept) = &outcome.kept {
        reply = reply.note(format!("what {} was is kept as {kept}", outcome.target));
    }
    Ok(reply)
}

/// A landing that was taken back out, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Undone<'a> {
    /// Branch that it had landed on.
    target: &'a str,
    /// Commit of the landing.
    undone: String,
    task: Option<&'a TaskId>,
    how: How,
    before: String,
    /// Where the branch is, or would be; null where that needs a test first.
    after: Option<String>,
    /// Ref that keeps what the branch was.
    kept: Option<&'a str>,
    /// Landings that are built on it.
    built_on: &'a [String],
    dry_run: bool,
}

impl<'a> Undone<'a> {
    fn new(outcome: &'a Outcome, dry_run: bool) -> Self {
        Self {
            target: &outcome.target,
            undone: outcome.landing.to_string(),
            task: outcome.task.as_ref(),
            how: outcome.how,
            before: outcome.before.to_string(),
            after: outcome.after.map(|after| after.to_string()),
            kept: outcome.kept.as_deref(),
            built_on: &outcome.built_on,
            dry_run,
        }
    }
}

impl Answer for Undone<'_> {
    fn text(&self, _: Paint) -> String {
        let name = match self.task {
            Some(task) => format!("{task} ({:.12})", self.undone),
            None => self.undone.clone(),
        };
        let (would, target) = (if self.dry_run { "would be " } else { "" }, self.target);
        let how = match (self.how, &self.after) {
            (How::MovedBack, Some(after)) => format!("{target} {would}moved back to {after:.12}"),
            (How::Reverted, Some(after)) => {
                format!("{would}reverted on {target} by {after:.12}")
            }
            (_, None) => format!("{would}reverted on {target}, once that is tested"),
        };
        format!("undo {name}: {how}")
    }
}
