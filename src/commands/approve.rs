//! `git orch approve`: a person moves the base branch to what was assembled and tested.

use anyhow::Result;

use super::Ctx;
use super::assemble::Lines;
use crate::assembler;
use crate::git::checkout::short;
use crate::model::Level;

/// Move the base branch to the tested integration commit
///
/// By fast-forward, or by a merge that is tested again where the base branch has moved meanwhile. Files of a
/// worktree that has the base branch checked out follow if it has no changes. Only a person may do this.
/// What the plan's `[levels.approval]` says is told: what to look at, how to take it back, what comes next; its
/// checks must pass first.
/// Exits with 3 where there is nothing to approve.
#[derive(Debug, clap::Args)]
pub struct ApproveArgs {}

/// Runs the command.
///
/// # Errors
///
/// The integration commit is not tested, something is in the way, or there is nothing to approve.
pub fn run(ctx: &Ctx, _args: ApproveArgs) -> Result<()> {
    let mut ledger = ctx.ledger_to_build_on()?;
    let mut watch = Lines { ui: ctx.ui };
    let approved = assembler::approve(&mut ledger, &mut watch)?;
    let base = short(&approved.branch);
    let levels = &ledger.board().settings.levels;
    let spec = levels.get(Level::Approval);
    let before = approved.old.map(|old| old.to_string());
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "base": base,
            "before": before,
            "after": approved.new.to_string(),
            "owner": levels.owner(Level::Approval),
            "criteria": spec.map_or(&[][..], |spec| &spec.criteria),
            "rollback": levels.rollback(Level::Approval),
            "next": spec.and_then(|spec| spec.next.as_ref()),
        }));
    } else {
        let brief = |commit: &str| commit.chars().take(12).collect::<String>();
        ctx.ui.answer(&format!(
            "{base} moved from {} to {}",
            before.as_deref().map(brief).unwrap_or_default(),
            brief(&approved.new.to_string())
        ));
        if let Some(spec) = spec {
            let rollback = levels.rollback(Level::Approval);
            ctx.ui.answer(&format!("to take it back: {rollback}"));
            if let Some(next) = &spec.next {
                ctx.ui.answer(&format!("next: {next}"));
            }
        }
        if let Some(remote) = ledger.remote() {
            ctx.ui.hint(&format!("git push {remote} {base}"));
        }
    }
    Ok(())
}
