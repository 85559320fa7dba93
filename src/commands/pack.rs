//! `git orch pack`: what a command that finds too many loose objects leaves running behind it.

use std::ffi::OsString;

use anyhow::Result;

use super::Ctx;
use crate::config;
use crate::git::Repo;
use crate::ledger::pack;
use crate::process::detach;

/// Pack the ledger's objects; runs by itself when it is time
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct PackArgs {}

/// Runs the command.
///
/// # Errors
///
/// There is no repository, or git cannot pack it.
pub fn run(ctx: &Ctx, _args: PackArgs) -> Result<()> {
    let repo = ctx.repo()?;
    let Some(packing) = pack::pack(&repo, &config::ledger_ref(&repo))? else {
        ctx.ui.note("nothing to pack, or another process is at it");
        return Ok(());
    };
    for problem in &packing.problems {
        ctx.ui.warn(problem);
    }
    let ((loose, left), (_, packs)) = (packing.loose, packing.packs);
    ctx.ui.note(&format!(
        "about {loose} loose objects are about {left} now, packs {packs}"
    ));
    Ok(())
}

/// Begins to pack beside this process and after it. What an executor runs leaves that to the executor, which
/// would end it with the agent.
pub fn begin(repo: &Repo) {
    if config::process_marks().is_some() {
        return;
    }
    let words = [
        OsString::from("-C"),
        repo.common_dir().into(),
        OsString::from("pack"),
    ];
    // What fails is begun again by a later transition.
    let _ = detach::begin(&config::program(), &words);
}
