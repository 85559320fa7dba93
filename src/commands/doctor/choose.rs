//! Carries out a person's choice between two ledgers.

use anyhow::Result;

use super::Keep;
use crate::commands::Ctx;
use crate::git::Repo;
use crate::ledger::Ledger;

pub(super) fn run(ctx: &Ctx, repo: &Repo, keep: Keep) -> Result<()> {
    let (what, saved) = match keep {
        Keep::Noted => (
            "the ledger is where git-orch left it",
            Some(Ledger::keep_noted(repo)?),
        ),
        Keep::Current => ("the ledger stays as it stands", Ledger::keep_current(repo)?),
        Keep::Remote => (
            "the remote's ledger is ours now",
            Some(Ledger::keep_remote(repo)?),
        ),
        Keep::Ours => ("our ledger is the remote's now", Ledger::keep_ours(repo)?),
    };
    let tip = repo.read_ref(&crate::config::ledger_ref(repo))?;
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "ledger": tip.map(|tip| tip.to_string()),
            "saved": saved,
        }));
        return Ok(());
    }
    let saved = saved.map_or_else(String::new, |name| format!("; the other is kept as {name}"));
    ctx.ui.answer(&format!("{what}{saved}"));
    Ok(())
}
