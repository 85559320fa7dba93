//! Branches by a glob, for a train that nobody wants to type.

use anyhow::Result;
use globset::Glob;

use crate::config;
use crate::error::{Exit, UserError};
use crate::git::Repo;
use crate::git::checkout::short;

/// Branches that git-orch makes for plans begin like this.
const OURS: &str = "orch/";

/// Returns the local branches whose short names match a glob, versions in order of their numbers (`fix-9`
/// before `fix-10`). `*` matches slashes too, as for `git branch --list`.
///
/// The target is left out, and so is the ledger; a plan's own branches are left out unless the glob names
/// their space itself.
///
/// # Errors
///
/// It is no glob, or no branch matches ([`Exit::NothingToDo`]).
pub fn branches_like(repo: &Repo, pattern: &str, target: &str) -> Result<Vec<String>> {
    let glob = Glob::new(pattern)
        .map_err(|error| UserError::new(format!("`{pattern}` is no glob: {}", error.kind())))?
        .compile_matcher();
    let text = repo
        .git()
        .args(["for-each-ref", "--sort=version:refname"])
        .args(["--format=%(refname)", "refs/heads"])
        .read()?;
    let ledger = config::ledger_ref(repo);
    let names = text.lines().filter(|name| *name != ledger).map(short);
    let found: Vec<String> = names
        .filter(|name| glob.is_match(name) && *name != short(target))
        .filter(|name| !name.starts_with(OURS) || pattern.starts_with(OURS))
        .map(ToOwned::to_owned)
        .collect();
    if found.is_empty() {
        return Err(UserError::new(format!("no branch matches `{pattern}`"))
            .hint("git branch --list")
            .exit(Exit::NothingToDo)
            .into());
    }
    Ok(found)
}
