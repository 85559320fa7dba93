//! Are our hooks in place for coders' worktrees?

use anyhow::Result;

use super::finding::Finding;
use crate::config;
use crate::git::Repo;
use crate::hooks;

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let set_up =
        repo.orch_dir().exists() || !matches!(repo.read_ref(&config::ledger_ref(repo)), Ok(None));
    if !set_up {
        return Ok(Vec::new());
    }
    let wrong = hooks::out_of_order(repo)?;
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    let what = format!(
        "hooks of coders' worktrees are not in order: {}",
        wrong.join("; ")
    );
    let finding = Finding::at(
        "hooks-out-of-order",
        &repo.common_dir().join("config"),
        what,
    )
    .command("git orch init")
    .fix(|repo| {
        hooks::install(repo)?;
        Ok(String::from("the hooks were put in place again"))
    });
    Ok(vec![finding])
}
