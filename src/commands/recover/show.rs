//! `git orch recover show`.

use anyhow::Result;

use super::Ctx;
use super::list::size;
use crate::clock;
use crate::git::Repo;
use crate::model::Timestamp;
use crate::report::text::{ago, clean};
use crate::workspace::saved;

pub(super) fn run(ctx: &Ctx, repo: &Repo, what: &str, patch: bool) -> Result<()> {
    let all = saved::list(repo, true)?;
    let found = saved::find(&all, what)?;
    let (content, commits) = (found.content(repo, patch)?, found.commits(repo)?);
    if ctx.ui.is_json() {
        let mut answer = serde_json::to_value(found)?;
        answer["commits"] = serde_json::json!(commits);
        answer["content"] = serde_json::json!(content);
        ctx.ui.json(&answer);
        return Ok(());
    }
    let mut lines = Vec::new();
    let mut tell = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{key:8} {}", clean(&value)));
        }
    };
    tell(
        "saved",
        Some(found.name.clone().unwrap_or_else(|| found.id.clone())),
    );
    let when = found.saved_at.map(|at| {
        let at = Timestamp(at);
        format!("{} ({})", clock::rfc3339(at), ago(at, clock::now()))
    });
    tell("when", when);
    tell("why", Some(found.reason.clone()));
    tell("task", found.task.clone());
    tell("branch", found.branch.clone());
    tell("commit", found.commit.clone());
    tell(
        "path",
        found.path.as_ref().map(|path| path.display().to_string()),
    );
    tell("size", Some(size(found)));
    if !commits.is_empty() {
        lines.push(String::from("commits that nothing else reaches:"));
        lines.extend(commits.iter().map(|commit| format!("  {}", clean(commit))));
    }
    ctx.ui.answer(&lines.join("\n"));
    if !content.is_empty() {
        // As git prints it: a patch must come out byte for byte.
        ctx.ui.answer("");
        ctx.ui.answer(&content);
    }
    Ok(())
}
