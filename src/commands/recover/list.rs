//! `git orch recover list`.

use anyhow::Result;
use serde_json::{Value, json};

use super::Ctx;
use crate::git::Repo;
use crate::model::Timestamp;
use crate::report::text::{ago, clean};
use crate::ui::Style;
use crate::workspace::saved::{self, Saved};
use crate::{clock, config};

pub(super) fn run(ctx: &Ctx, repo: &Repo, owner: Option<&str>, task: Option<&str>) -> Result<()> {
    let mut all = saved::list(repo, true)?;
    all.retain(|saved| owner.is_none_or(|owner| saved.owner == owner));
    all.retain(|saved| task.is_none_or(|task| saved.task.as_deref() == Some(task)));
    let expiry = config::recovery_expiry(repo);
    let now = clock::now();
    if ctx.ui.is_json() {
        let expiry = expiry.ok().flatten();
        let rows: Result<Vec<Value>, _> = all
            .iter()
            .map(|saved| {
                let mut row = serde_json::to_value(saved)?;
                row["age_seconds"] = json!(saved.saved_at.map(|at| now.0 - at));
                let ends = |at: i64| expiry.map(|time| at.saturating_add_unsigned(time.as_secs()));
                row["expires_at"] = json!(saved.saved_at.and_then(ends));
                Ok::<_, serde_json::Error>(row)
            })
            .collect();
        ctx.ui.json(&json!({
            "expiry_seconds": expiry.map(|time| time.as_secs()),
            "saved": rows?,
        }));
        return Ok(());
    }
    if all.is_empty() {
        ctx.ui.note("nothing is saved");
    } else {
        ctx.ui.answer(&table(ctx, &all, now));
        ctx.ui.hint(&format!("git orch recover show {}", all[0].id));
    }
    match expiry {
        Ok(_) => Ok(()),
        Err(error) => {
            ctx.ui.warn(&format!("{error}; nothing is given up by age"));
            Ok(())
        }
    }
}

fn table(ctx: &Ctx, all: &[Saved], now: Timestamp) -> String {
    let age = |saved: &Saved| match saved.saved_at {
        Some(at) => ago(Timestamp(at), now),
        None => String::from("unknown"),
    };
    let task = |saved: &Saved| saved.task.clone().unwrap_or_else(|| String::from("-"));
    let cells: Vec<[String; 6]> = all
        .iter()
        .map(|saved| {
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
    let mut lines = vec![ctx.ui.paint(Style::Faint, &line(&heads.map(str::to_owned)))];
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
