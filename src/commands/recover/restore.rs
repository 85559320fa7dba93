//! `git orch recover restore`.

use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::{Exit, UserError};
use crate::git::Repo;
use crate::ui::Paint;
use crate::workspace::saved::{self, Kind};

pub(super) fn run(
    ctx: &Ctx,
    repo: &Repo,
    what: &str,
    branch: Option<&str>,
    to: Option<&Path>,
) -> Result<Reply> {
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
    let reply = ctx.answer(&BroughtBack {
        id: &found.id,
        commit: found.commit.as_deref(),
        branch: restored.branch.as_deref(),
        dir: restored.dir.as_deref(),
    })?;
    Ok(match (&restored.branch, &restored.dir) {
        (Some(branch), None) => reply.hint(format!("git switch {branch}")),
        _ => reply,
    })
}

/// A saved state that was brought back.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BroughtBack<'a> {
    id: &'a str,
    commit: Option<&'a str>,
    /// The branch that holds it.
    branch: Option<&'a str>,
    /// The directory that holds its files.
    dir: Option<&'a Path>,
}

impl Answer for BroughtBack<'_> {
    fn text(&self, _: Paint) -> String {
        let id = self.id;
        match (self.branch, self.dir) {
            (Some(branch), Some(dir)) => {
                let dir = dir.display();
                format!("{id} is on branch {branch}, checked out in {dir}")
            }
            (Some(branch), None) => format!("{id} is on branch {branch}"),
            (None, dir) => format!("{id} is in {}", dir.unwrap_or(Path::new("")).display()),
        }
    }
}
