//! `git orch recover show`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use super::list::size;
use crate::answer::{Answer, Reply};
use crate::clock;
use crate::git::Repo;
use crate::model::Timestamp;
use crate::report::text::{ago, clean};
use crate::ui::Paint;
use crate::workspace::saved::{self, Saved};

pub(super) fn run(ctx: &Ctx, repo: &Repo, what: &str, patch: bool) -> Result<Reply> {
    let all = saved::list(repo, true)?;
    let found = saved::find(&all, what)?;
    ctx.answer(&SavedState {
        saved: found,
        commits: found.commits(repo)?,
        content: found.content(repo, patch)?,
        now: clock::now(),
    })
}

/// One saved state with what it holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedState<'a> {
    #[serde(flatten)]
    saved: &'a Saved,
    /// Commits that nothing else reaches.
    commits: Vec<String>,
    /// What it changes, as git prints it.
    content: String,
    #[serde(skip)]
    now: Timestamp,
}

impl Answer for SavedState<'_> {
    fn text(&self, _: Paint) -> String {
        let saved = self.saved;
        let when = saved.saved_at.map(|at| {
            let at = Timestamp(at);
            format!("{} ({})", clock::rfc3339(at), ago(at, self.now))
        });
        let path = saved.path.as_ref().map(|path| path.display().to_string());
        let facts = [
            ("saved", saved.name.clone().or(Some(saved.id.clone()))),
            ("when", when),
            ("why", Some(saved.reason.clone())),
            ("task", saved.task.clone()),
            ("branch", saved.branch.clone()),
            ("commit", saved.commit.clone()),
            ("path", path),
            ("size", Some(size(saved))),
        ];
        let facts = facts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)));
        let mut lines: Vec<String> = facts
            .map(|(key, value)| format!("{key:8} {}", clean(&value)))
            .collect();
        if !self.commits.is_empty() {
            lines.push(String::from("commits that nothing else reaches:"));
            lines.extend(self.commits.iter().map(|one| format!("  {}", clean(one))));
        }
        if !self.content.is_empty() {
            // As git prints it: a patch must come out byte for byte.
            lines.push(String::new());
            lines.push(self.content.clone());
        }
        lines.join("\n")
    }
}
