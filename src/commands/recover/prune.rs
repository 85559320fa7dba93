//! `git orch recover prune`.

use std::time::Duration;

use anyhow::Result;

use super::Ctx;
use crate::git::Repo;
use crate::model::duration::format_duration;
use crate::report::text::count;
use crate::workspace::saved::{self, Saved};
use crate::workspace::trash;
use crate::{clock, config};

pub(super) fn run(
    ctx: &Ctx,
    repo: &Repo,
    what: &[String],
    older_than: Option<Duration>,
    dry_run: bool,
) -> Result<()> {
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
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "given_up": chosen,
            "stays": stays,
            "dry_run": dry_run,
        }));
        return Ok(());
    }
    for saved in &chosen {
        let commit = saved.commit.as_deref().unwrap_or_default();
        ctx.ui.answer(format!("{}  {commit}", saved.id).trim_end());
    }
    let would = if dry_run { "would be " } else { "" };
    let older = match (what, age) {
        ([], Some(age)) => format!(" that is older than {}", days(age)),
        ([], None) => String::from(": orch.recoveryExpiry keeps everything"),
        _ => String::new(),
    };
    ctx.ui.note(&match chosen.len() {
        0 => format!("there is nothing{older}; {} kept", count(stays, "state")),
        n => format!(
            "{} {would}given up{}; {stays} kept",
            count(n, "state"),
            older.replace(" that is", ",")
        ),
    });
    Ok(())
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
