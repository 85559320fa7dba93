//! `git orch undo`: takes a landing back out.

use anyhow::Result;

use super::Ctx;
use super::assemble::Lines;
use crate::assembler::undo::{self, Asked, How, Outcome};
use crate::model::Power;

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
pub fn run(ctx: &Ctx, args: UndoArgs) -> Result<()> {
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
    answer(ctx, &outcome, asked.dry_run);
    Ok(())
}

fn answer(ctx: &Ctx, outcome: &Outcome, dry_run: bool) {
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "target": outcome.target,
            "undone": outcome.landing.to_string(),
            "task": outcome.task,
            "how": outcome.how,
            "before": outcome.before.to_string(),
            "after": outcome.after.map(|after| after.to_string()),
            "kept": outcome.kept,
            "built_on": outcome.built_on,
            "dry_run": dry_run,
        }));
        return;
    }
    let landing = outcome.landing.to_hex_with_len(12);
    let name = match &outcome.task {
        Some(task) => format!("{task} ({landing})"),
        None => landing.to_string(),
    };
    let (would, target) = (if dry_run { "would be " } else { "" }, &outcome.target);
    let how = match (outcome.how, outcome.after) {
        (How::MovedBack, Some(after)) => {
            format!("{target} {would}moved back to {:.12}", after.to_string())
        }
        (How::Reverted, Some(after)) => {
            format!("{would}reverted on {target} by {:.12}", after.to_string())
        }
        (_, None) => format!("{would}reverted on {target}, once that is tested"),
    };
    ctx.ui.answer(&format!("undo {name}: {how}"));
    if !outcome.built_on.is_empty() {
        let others = outcome.built_on.join(", ");
        ctx.ui
            .note(&format!("not moved back, since it is built on by {others}"));
    }
    if let Some(kept) = &outcome.kept {
        ctx.ui.note(&format!("what {target} was is kept as {kept}"));
    }
}
