//! What agents changed of what they share with people: told by every command of a person's.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::Ctx;
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::State;
use crate::workspace::shared;

/// Tells what is not as it was before agents began to work; where nothing differs and nobody works here any more,
/// it is looked at no longer.
///
/// # Errors
///
/// Something of it cannot be read.
pub(super) fn tell(ctx: &Ctx, ledger: &Ledger) -> Result<()> {
    // A command may open the ledger more than once.
    static TOLD: AtomicBool = AtomicBool::new(false);
    let repo = ledger.repo();
    if !shared::is_kept(repo) || TOLD.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    if !hooks::is_installed(repo) {
        ctx.ui.warn("while agents worked here, the hooks of their worktrees were taken out of the configuration");
        ctx.ui.hint("git orch init");
    }
    let found = shared::differences(repo)?;
    if found.is_empty() {
        return match is_anybody_at_work(ledger) {
            true => Ok(()),
            false => shared::let_go(repo),
        };
    }
    for difference in &found {
        ctx.ui
            .warn(&format!("while agents worked here, {}", difference.what));
        if let Some(undo) = &difference.undo {
            ctx.ui.hint(undo);
        }
    }
    ctx.ui
        .hint("`git orch doctor --shared accept`, if it was you; `restore` puts all of it back");
    Ok(())
}

/// Whether an agent has work on this machine that it has not handed in.
pub(super) fn is_anybody_at_work(ledger: &Ledger) -> bool {
    ledger.board().tasks.values().any(|task| {
        let is_here = task.status.machine.as_ref() == Some(ledger.machine());
        is_here && matches!(task.status.state, State::Claimed | State::InProgress)
    })
}
