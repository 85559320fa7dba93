//! `git orch init`: begins the ledger.

use anyhow::Result;

use super::Ctx;
use crate::error::UserError;
use crate::ledger::Ledger;
use crate::model::Settings;

/// Set up git-orch in this repository
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Branch that the work starts from and returns to [default: the one checked out]
    #[arg(long)]
    base: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// There is no repository, or no commit on the base branch.
pub fn run(ctx: &Ctx, args: InitArgs) -> Result<()> {
    let repo = ctx.repo()?;
    let base = match args.base.or_else(|| repo.head_branch()) {
        Some(base) => base,
        None => {
            return Err(
                UserError::new("HEAD is detached, so there is no base branch to take")
                    .hint("git orch init --base main")
                    .into(),
            );
        }
    };
    if repo.read_ref(&format!("refs/heads/{base}"))?.is_none() {
        return Err(UserError::new(format!("there is no branch {base}")).into());
    }
    let begun = Ledger::create(
        repo,
        Settings {
            base: base.clone(),
            ..Settings::default()
        },
    )?;
    match begun {
        Some(commit) => ctx
            .ui
            .answer(&format!("ledger begun on base {base}: {commit}")),
        None => ctx.ui.answer("there is a ledger already"),
    }
    Ok(())
}
