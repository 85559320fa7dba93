//! `git orch task list`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::UserError;
use crate::model::{State, TeamId};
use crate::report::swarm::{Row, Swarm};
use crate::report::text::{clean, style};
use crate::ui::{Paint, Style};

pub(super) fn run(ctx: &Ctx, team: Option<TeamId>, state: Option<State>) -> Result<Reply> {
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
    let is_empty = rows.is_empty();
    let reply = ctx.answer(&Tasks(rows))?;
    Ok(match is_empty {
        true => reply.note("no tasks"),
        false => reply,
    })
}

/// Tasks in the plan's order.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tasks<'a>(Vec<Row<'a>>);

impl Answer for Tasks<'_> {
    fn text(&self, paint: Paint) -> String {
        match self.0.as_slice() {
            [] => String::new(),
            rows => table(rows, paint),
        }
    }
}

fn table(rows: &[Row<'_>], paint: Paint) -> String {
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
    let mut lines = vec![paint.set(Style::Faint, &head)];
    for row in rows {
        let word = paint.set(style(row.status), &format!("{:state$}", row.status));
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
