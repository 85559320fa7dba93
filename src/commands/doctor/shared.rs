//! Is what agents share with people as it was before they began to work?

use anyhow::Result;

use super::Shared;
use super::finding::Finding;
use crate::commands::Ctx;
use crate::commands::shared::is_anybody_at_work;
use crate::git::Repo;
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::Actor;
use crate::workspace::shared;

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let place = repo.common_dir().display().to_string();
    let finding = |difference: shared::Difference| {
        let what = format!("while agents worked here, {}", difference.what);
        let finding = Finding::new("shared-changed", place.clone(), what);
        let finding = match difference.undo {
            Some(undo) => finding.command(undo),
            None => finding,
        };
        finding
            .command("git orch doctor --shared restore")
            .command("`git orch doctor --shared accept`, if it was you")
    };
    Ok(shared::differences(repo)?
        .into_iter()
        .map(finding)
        .collect())
}

/// Carries out a person's choice.
pub(super) fn run(ctx: &Ctx, repo: &Repo, choice: Shared) -> Result<()> {
    let done = match choice {
        Shared::Restore => {
            let done = shared::restore(repo)?;
            // Whatever was put back, ours stands behind it.
            hooks::install(repo)?;
            done
        }
        Shared::Accept => {
            let found = shared::differences(repo)?;
            shared::accept(repo)?;
            found
                .into_iter()
                .map(|difference| difference.what)
                .collect()
        }
    };
    // It goes by itself once nobody is at work; a ledger that cannot be read keeps it.
    let ledger = Ledger::open(repo.reopen()?, Actor::Human);
    if ledger.is_ok_and(|ledger| !is_anybody_at_work(&ledger)) {
        shared::let_go(repo)?;
    }
    let (key, verb) = match choice {
        Shared::Accept => ("accepted", "accepted"),
        Shared::Restore => ("restored", "undone"),
    };
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({ key: done }));
        return Ok(());
    }
    if done.is_empty() {
        ctx.ui.note("nothing was changed while agents worked");
    }
    for what in done {
        ctx.ui.answer(&format!("{verb}: {what}"));
    }
    Ok(())
}
