//! `git orch powers`: who may do what.

use anyhow::Result;

use super::Ctx;
use crate::model::{Actor, Board, Power, Role, powers};

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
pub fn run(ctx: &Ctx, PowersArgs {}: PowersArgs) -> Result<()> {
    let actor = ctx.actor()?;
    let role = role_of(ctx, actor);
    if ctx.ui.is_json() {
        let row = |power: &Power| {
            let roles = Role::ALL.map(|role| (role.as_str(), power.reach(role)));
            let roles: std::collections::BTreeMap<_, _> = roles.into();
            serde_json::json!({
                "power": power.as_str(),
                "what": power.says(),
                "commands": power.commands(),
                "roles": roles,
            })
        };
        ctx.ui.json(&serde_json::json!({
            "you": actor.to_string(),
            "role": role,
            "roles": Role::ALL,
            "powers": Power::ALL.iter().map(row).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    ctx.ui.answer(&powers::table());
    ctx.ui.note(&match actor {
        Actor::Agent(agent) => format!("you are agent {agent}, a {}", role.as_str()),
        _ => String::from("you are a person"),
    });
    Ok(())
}

/// Returns the role of whoever asks; what the plan says of it counts where there is one.
fn role_of(ctx: &Ctx, actor: Actor) -> Role {
    match ctx.ledger() {
        Ok(ledger) => ledger.board().role(actor),
        Err(_) => Board::default().role(actor),
    }
}
