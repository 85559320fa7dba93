//! `git orch powers`: who may do what.

use std::collections::BTreeMap;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::powers::{self, Reach};
use crate::model::{Actor, Board, Power, Role};
use crate::ui::Paint;

/// Show who may do what
///
/// A row for each power, a column for each role: `own` is for itself and the task it holds, `team` for its own team,
/// `any` for all, `-` not at all. A command belongs to the agent whose worktree it runs in or whose name is in
/// ORCH_AGENT, otherwise to a person; it says which you are. A plan's `[levels.integration]` may give a leader the
/// assembly of all teams; nobody rejects work that it handed in itself.
#[derive(Debug, clap::Args)]
pub struct PowersArgs {}

/// Runs the command.
///
/// # Errors
///
/// Nobody knows whose command it is.
pub fn run(ctx: &Ctx, PowersArgs {}: PowersArgs) -> Result<Reply> {
    let actor = ctx.actor()?;
    let role = role_of(ctx, actor);
    let row = |power: &Power| PowerRow {
        power: power.as_str(),
        what: power.says(),
        commands: power.commands(),
        roles: Role::ALL
            .map(|role| (role.as_str(), power.reach(role)))
            .into(),
    };
    let reply = ctx.answer(&Powers {
        you: actor.to_string(),
        role,
        roles: Role::ALL.to_vec(),
        powers: Power::ALL.iter().map(row).collect(),
    })?;
    Ok(reply.note(match actor {
        Actor::Agent(agent) => format!("you are agent {agent}, a {}", role.as_str()),
        _ => String::from("you are a person"),
    }))
}

/// Who may do what.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Powers {
    /// Whose command this is.
    you: String,
    role: Role,
    roles: Vec<Role>,
    powers: Vec<PowerRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PowerRow {
    power: &'static str,
    /// What it is to have it.
    what: &'static str,
    /// Commands that need it.
    commands: &'static [&'static str],
    /// How far each role has it.
    roles: BTreeMap<&'static str, Reach>,
}

impl Answer for Powers {
    fn text(&self, _: Paint) -> String {
        powers::table()
    }
}

/// Returns the role of whoever asks; what the plan says of it counts where there is one.
fn role_of(ctx: &Ctx, actor: Actor) -> Role {
    match ctx.ledger() {
        Ok(ledger) => ledger.board().role(actor),
        Err(_) => Board::default().role(actor),
    }
}
