//! `git orch recover restore`.

use std::path::Path;

use anyhow::Result;

use super::Ctx;
use crate::error::{Exit, UserError};
use crate::git::Repo;
use crate::workspace::saved::{self, Kind};

pub(super) fn run(
    ctx: &Ctx,
    repo: &Repo,
    what: &str,
    branch: Option<&str>,
    to: Option<&Path>,
) -> Result<()> {
    let all = saved::list(repo, false)?;
    let found = saved::find(&all, what)?;
    if found.kind == Kind::Files && branch.is_some() {
        let error = format!(
            "{} are files and no commit: no branch can hold them",
            found.id
        );
        return Err(UserError::new(error)
            .hint(format!("git orch recover restore {} --to <dir>", found.id))
            .exit(Exit::Usage)
            .into());
    }
    let restored = found.restore(repo, branch, to)?;
    let dir = restored.dir.as_deref();
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "id": found.id,
            "commit": found.commit,
            "branch": restored.branch,
            "dir": dir,
        }));
        return Ok(());
    }
    let id = &found.id;
    ctx.ui.answer(&match (&restored.branch, dir) {
        (Some(branch), Some(dir)) => {
            format!(
                "{id} is on branch {branch}, checked out in {}",
                dir.display()
            )
        }
        (Some(branch), None) => format!("{id} is on branch {branch}"),
        (None, dir) => format!("{id} is in {}", dir.unwrap_or(Path::new("")).display()),
    });
    if let (Some(branch), None) = (&restored.branch, dir) {
        ctx.ui.hint(&format!("git switch {branch}"));
    }
    Ok(())
}
