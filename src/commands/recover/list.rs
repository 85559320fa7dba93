//! `git orch recover list`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::git::Repo;
use crate::model::Timestamp;
use crate::report::text::{ago, clean};
use crate::ui::{Paint, Style};
use crate::workspace::saved::{self, Saved};
use crate::{clock, config};

pub(super) fn run(
    ctx: &Ctx,
    repo: &Repo,
    owner: Option<&str>,
    task: Option<&str>,
) -> Result<Reply> {
    let mut all = saved::list(repo, true)?;
    all.retain(|saved| owner.is_none_or(|owner| saved.owner == owner));
    all.retain(|saved| task.is_none_or(|task| saved.task.as_deref() == Some(task)));
    let expiry = config::recovery_expiry(repo);
    let now = clock::now();
    let time = expiry.as_ref().ok().copied().flatten();
    let ends = |at: i64| time.map(|time| at.saturating_add_unsigned(time.as_secs()));
    let row = |saved: Saved| SavedRow {
        age_seconds: saved.saved_at.map(|at| now.0 - at),
        expires_at: saved.saved_at.and_then(ends),
        saved,
    };
    let answer = SavedStates {
        expiry_seconds: time.map(|time| time.as_secs()),
        saved: all.into_iter().map(row).collect(),
        now,
    };
    let reply = ctx.answer(&answer)?;
    let reply = match answer.saved.first() {
        None => reply.note("nothing is saved"),
        Some(first) => reply.hint(format!("git orch recover show {}", first.saved.id)),
    };
    Ok(match expiry {
        Ok(_) => reply,
        Err(error) => reply.warn(format!("{error}; nothing is given up by age")),
    })
}

/// What is saved, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedStates {
    /// Age at which a saved state is given up; null where none is.
    expiry_seconds: Option<u64>,
    saved: Vec<SavedRow>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SavedRow {
    #[serde(flatten)]
    saved: Saved,
    age_seconds: Option<i64>,
    /// When it is given up, in seconds since 1970.
    expires_at: Option<i64>,
}

impl Answer for SavedStates {
    fn text(&self, paint: Paint) -> String {
        if self.saved.is_empty() {
            return String::new();
        }
        table(&self.saved, self.now, paint)
    }
}

fn table(all: &[SavedRow], now: Timestamp, paint: Paint) -> String {
    let age = |saved: &Saved| match saved.saved_at {
        Some(at) => ago(Timestamp(at), now),
        None => String::from("unknown"),
    };
    let task = |saved: &Saved| saved.task.clone().unwrap_or_else(|| String::from("-"));
    let cells: Vec<[String; 6]> = all
        .iter()
        .map(|SavedRow { saved, .. }| {
            let number = saved.number.to_string();
            let reason = clean(&saved.reason);
            [
                number,
                saved.id.clone(),
                age(saved),
                task(saved),
                size(saved),
                reason,
            ]
        })
        .collect();
    let heads = ["#", "id", "saved", "task", "size", "why"];
    let width = |column: usize| {
        let cells = cells.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(heads[column].len())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![paint.set(Style::Faint, &line(&heads.map(str::to_owned)))];
    lines.extend(cells.iter().map(line));
    lines.join("\n")
}

pub(super) fn size(saved: &Saved) -> String {
    match (saved.files, saved.bytes) {
        (Some(files), _) => {
            let added = saved.insertions.unwrap_or(0);
            let removed = saved.deletions.unwrap_or(0);
            let noun = if files == 1 { "file" } else { "files" };
            format!("{files} {noun} +{added} -{removed}")
        }
        (None, Some(bytes)) => format!("{} KB", bytes.div_ceil(1024)),
        (None, None) => String::new(),
    }
}
