//! `git orch recover prune`.

use std::time::Duration;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::git::Repo;
use crate::model::duration::format_duration;
use crate::report::text::count;
use crate::ui::Paint;
use crate::workspace::saved::{self, Saved};
use crate::workspace::trash;
use crate::{clock, config};

pub(super) fn run(
    ctx: &Ctx,
    repo: &Repo,
    what: &[String],
    older_than: Option<Duration>,
    dry_run: bool,
) -> Result<Reply> {
    let all = saved::list(repo, false)?;
    let age = match older_than {
        Some(age) => Some(age),
        None => config::recovery_expiry(repo)?,
    };
    let mut chosen: Vec<Saved> = match (what, age) {
        ([], Some(age)) => saved::expired(repo, age, clock::now().0)?,
        ([], None) => Vec::new(),
        (names, _) => {
            let found = names.iter().map(|name| saved::find(&all, name).cloned());
            found.collect::<Result<_>>()?
        }
    };
    chosen.sort_by_key(|saved| saved.number);
    chosen.dedup_by_key(|saved| saved.number);
    if !dry_run {
        saved::give_up(repo, &chosen)?;
        trash::empty(repo)?;
    }
    let stays = all.len() - chosen.len();
    let answer = GivenUp {
        given_up: chosen,
        stays,
        dry_run,
    };
    let reply = ctx.answer(&answer)?;
    let would = if dry_run { "would be " } else { "" };
    let older = match (what, age) {
        ([], Some(age)) => format!(" that is older than {}", days(age)),
        ([], None) => String::from(": orch.recoveryExpiry keeps everything"),
        _ => String::new(),
    };
    Ok(reply.note(match answer.given_up.len() {
        0 => format!("there is nothing{older}; {} kept", count(stays, "state")),
        n => format!(
            "{} {would}given up{}; {stays} kept",
            count(n, "state"),
            older.replace(" that is", ",")
        ),
    }))
}

/// Saved states that were given up, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GivenUp {
    given_up: Vec<Saved>,
    /// How many are kept.
    stays: usize,
    dry_run: bool,
}

impl Answer for GivenUp {
    fn text(&self, _: Paint) -> String {
        let line = |saved: &Saved| {
            let commit = saved.commit.as_deref().unwrap_or_default();
            format!("{}  {commit}", saved.id).trim_end().to_owned()
        };
        let lines: Vec<String> = self.given_up.iter().map(line).collect();
        lines.join("\n")
    }
}

fn days(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds >= 86_400 && seconds.is_multiple_of(86_400) => count(
            usize::try_from(seconds / 86_400).unwrap_or(usize::MAX),
            "day",
        ),
        _ => format_duration(age),
    }
}
