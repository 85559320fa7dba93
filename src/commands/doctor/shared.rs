//! Is what agents share with people as it was before they began to work?

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Shared;
use super::finding::Finding;
use crate::answer::{Answer, Reply};
use crate::commands::Ctx;
use crate::commands::shared::is_anybody_at_work;
use crate::git::Repo;
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::Actor;
use crate::ui::Paint;
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
pub(super) fn run(ctx: &Ctx, repo: &Repo, choice: Shared) -> Result<Reply> {
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
    let is_empty = done.is_empty();
    let reply = ctx.answer(&match choice {
        Shared::Accept => SharedSettled::Accepted(done),
        Shared::Restore => SharedSettled::Restored(done),
    })?;
    Ok(match is_empty {
        true => reply.note("nothing was changed while agents worked"),
        false => reply,
    })
}

/// What became of changes to what agents share with people.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SharedSettled {
    /// They stand.
    Accepted(Vec<String>),
    /// They are undone.
    Restored(Vec<String>),
}

impl Answer for SharedSettled {
    fn text(&self, _: Paint) -> String {
        let (verb, all) = match self {
            Self::Accepted(all) => ("accepted", all),
            Self::Restored(all) => ("undone", all),
        };
        let lines: Vec<String> = all.iter().map(|what| format!("{verb}: {what}")).collect();
        lines.join("\n")
    }
}
