//! `git orch task list`.

use anyhow::Result;

use super::Ctx;
use crate::error::UserError;
use crate::model::{State, TeamId};
use crate::report::swarm::{Row, Swarm};
use crate::report::text::{clean, style};
use crate::ui::Style;

pub(super) fn run(ctx: &Ctx, team: Option<TeamId>, state: Option<State>) -> Result<()> {
    let ledger = ctx.ledger()?;
    let board = ledger.board();
    if let Some(team) = team.filter(|team| !board.teams.contains_key(team)) {
        return Err(UserError::new(format!("there is no team {team}"))
            .hint("git orch status")
            .into());
    }
    let mut rows = Swarm::new(board).tasks;
    rows.retain(|row| team.is_none_or(|team| row.team == team));
    rows.retain(|row| state.is_none_or(|state| row.status == state));
    if ctx.ui.is_json() {
        ctx.ui.json(&rows);
    } else if rows.is_empty() {
        ctx.ui.note("no tasks");
    } else {
        ctx.ui.answer(&table(ctx, &rows));
    }
    Ok(())
}

fn table(ctx: &Ctx, rows: &[Row<'_>]) -> String {
    let agent = |row: &Row<'_>| {
        row.agent
            .map_or_else(String::new, |agent| agent.to_string())
    };
    let width = |head: &str, cell: &dyn Fn(&Row<'_>) -> usize| {
        rows.iter().map(cell).max().unwrap_or(0).max(head.len())
    };
    let id = width("task", &|row| row.id.as_str().len());
    let state = width("state", &|row| row.status.as_str().len());
    let who = width("agent", &|row| agent(row).len());
    let head = format!(
        "{:id$}  team  {:state$}  {:who$}  try  title",
        "task", "state", "agent"
    );
    let mut lines = vec![ctx.ui.paint(Style::Faint, &head)];
    for row in rows {
        let word = ctx
            .ui
            .paint(style(row.status), &format!("{:state$}", row.status));
        let attempt = match row.attempt {
            0 => String::new(),
            n => n.to_string(),
        };
        lines.push(format!(
            "{:id$}  {:>4}  {word}  {:who$}  {attempt:>3}  {}",
            row.id,
            row.team,
            agent(row),
            clean(row.title)
        ));
    }
    lines.join("\n")
}
