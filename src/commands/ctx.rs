//! What every command gets: where it runs and how it speaks.

use std::path::PathBuf;

use anyhow::Result;

use crate::config;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::Actor;
use crate::ui::Ui;

/// Paths, configuration and terminal; a new need is a new module, not a new field.
#[derive(Debug)]
pub struct Ctx {
    /// Directory that the command runs in.
    pub dir: PathBuf,
    /// The terminal.
    pub ui: Ui,
}

impl Ctx {
    /// Opens the repository.
    ///
    /// # Errors
    ///
    /// There is none, or it is not supported.
    pub fn repo(&self) -> Result<Repo> {
        Repo::discover(&self.dir)
    }

    /// Opens the ledger, speaking for whoever this process belongs to: an agent in its worktree, or a
    /// person anywhere else (A2).
    ///
    /// # Errors
    ///
    /// There is no repository, no ledger, or the ledger is broken.
    pub fn ledger(&self) -> Result<Ledger> {
        let repo = self.repo()?;
        let actor = config::agent(&repo).map_or(Actor::Human, Actor::Agent);
        let mut ledger = Ledger::open(repo, actor)?;
        ledger.when_due(super::pack::begin);
        Ok(ledger)
    }
}
