//! Carries out a person's choice between two ledgers.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Keep;
use crate::answer::{Answer, Reply};
use crate::commands::Ctx;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::ui::Paint;

pub(super) fn run(ctx: &Ctx, repo: &Repo, keep: Keep) -> Result<Reply> {
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
    ctx.answer(&Kept {
        ledger: tip.map(|tip| tip.to_string()),
        saved,
        what,
    })
}

/// The ledger that was chosen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kept {
    /// Its tip.
    ledger: Option<String>,
    /// Ref that keeps the other one.
    saved: Option<String>,
    #[serde(skip)]
    what: &'static str,
}

impl Answer for Kept {
    fn text(&self, _: Paint) -> String {
        let what = self.what;
        match &self.saved {
            Some(name) => format!("{what}; the other is kept as {name}"),
            None => what.to_owned(),
        }
    }
}
