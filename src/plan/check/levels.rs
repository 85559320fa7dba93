//! Steps that work goes up by: whose they are must be there and may own them.

use super::super::fields::Notes;
use super::super::finding::Severity;
use crate::model::{Level, Owner, Plan};

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    for level in Level::ALL {
        let Some(spec) = plan.levels.get(level) else {
            continue;
        };
        let key = format!("levels.{}", level.as_str());
        if let Some((message, help)) = spec.owner.and_then(|owner| wrong(plan, level, owner)) {
            notes.at(Severity::Error, &format!("{key}.owner"), message, help);
        }
        for (i, check) in spec.checks.iter().enumerate() {
            if check.contains('\0') {
                let message = format!("`checks[{i}]` is no command");
                let help = "write a command, or take it out";
                notes.at(
                    Severity::Error,
                    &format!("{key}.checks[{i}]"),
                    message,
                    help,
                );
            }
        }
    }
}

/// Returns what is wrong with an owner, and what to write instead.
fn wrong(plan: &Plan, level: Level, owner: Owner) -> Option<(String, String)> {
    match (level, owner) {
        (Level::Approval, Owner::Person) => None,
        (Level::Approval, _) => Some((
            format!("`{owner}` cannot own the approval: only a person moves the base branch"),
            String::from("write `person`, or take the key out"),
        )),
        (_, Owner::Agent(agent)) if !agent.is_leader() => Some((
            format!("agent {agent} is a coder: only leaders own steps"),
            format!("write `{}.0`", agent.team),
        )),
        (_, Owner::Agent(agent)) => {
            let is_there = plan.teams.iter().any(|team| team.id == agent.team);
            let teams: Vec<String> = plan.teams.iter().map(|t| format!("`{}.0`", t.id)).collect();
            (!is_there).then(|| {
                (
                    format!("there is no team {} that {agent} would lead", agent.team),
                    format!("write one of {}", teams.join(", ")),
                )
            })
        }
        (Level::Integration, Owner::Leader) => Some((
            String::from("`leader` does not say which: the integration is of all teams"),
            String::from("write a leader's id such as `1.0`, `assembler` or `person`"),
        )),
        (Level::Team, Owner::Leader) | (_, Owner::Person | Owner::Assembler) => None,
    }
}
