//! Crews: coders that differ from the others are there once each, and can do what is asked of their team.

use std::collections::{BTreeSet, HashMap};

use super::super::fields::Notes;
use super::super::finding::{Severity, nearest};
use crate::model::{Plan, TaskSpec, TeamId, TeamSpec};

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    for (i, team) in plan.teams.iter().enumerate() {
        numbers(team, &format!("teams[{i}].agents"), notes);
    }
    let teams: HashMap<TeamId, &TeamSpec> = plan.teams.iter().map(|team| (team.id, team)).collect();
    for (i, task) in plan.tasks.iter().enumerate() {
        // A team that is not there is told elsewhere.
        if let Some(team) = teams.get(&task.team) {
            role(team, task, &format!("tasks[{i}].role"), notes);
            skills(team, task, &format!("tasks[{i}].skills"), notes);
        }
    }
}

fn numbers(team: &TeamSpec, key: &str, notes: &mut Notes<'_>) {
    let mut seen = BTreeSet::new();
    for (j, coder) in team.agents.iter().enumerate() {
        let (number, coders) = (coder.number, team.coders);
        let key = format!("{key}[{j}].number");
        if number > coders {
            notes.at(
                Severity::Error,
                &key,
                format!("team {} has no coder {number}, only {coders}", team.id),
                format!("write a smaller number, or `coders = {number}` in the team"),
            );
        } else if !seen.insert(number) {
            notes.at(
                Severity::Error,
                &key,
                format!("coder {number} of team {} stands there twice", team.id),
                "put all that is said of it into one `[[teams.agents]]`",
            );
        }
    }
}

fn role(team: &TeamSpec, task: &TaskSpec, key: &str, notes: &mut Notes<'_>) {
    let Some(role) = task.role.as_deref() else {
        return;
    };
    let roles = || team.agents.iter().filter_map(|coder| coder.role.as_deref());
    // Where nobody has a role it is meant for the prompt.
    if roles().next().is_none() || roles().any(|other| other == role) {
        return;
    }
    let help = match nearest(role, roles()) {
        Some(near) => format!("write `{near}`, or give a coder the role in `[[teams.agents]]`"),
        None => {
            String::from("give a coder the role in `[[teams.agents]]`, or anyone gets the task")
        }
    };
    let message = format!("no coder of team {} has the role `{role}`", team.id);
    notes.at(Severity::Warning, key, message, help);
}

fn skills(team: &TeamSpec, task: &TaskSpec, key: &str, notes: &mut Notes<'_>) {
    let own = || team.agents.iter().flat_map(|coder| &coder.skills);
    let all = || team.skills.iter().chain(own()).map(String::as_str);
    // Where nobody has skills they are meant for the prompt.
    if all().next().is_none() {
        return;
    }
    for (j, skill) in task.skills.iter().enumerate() {
        if all().any(|other| other == skill) {
            continue;
        }
        let help = match nearest(skill, all()) {
            Some(near) => format!("write `{near}`, or add `{skill}` to the skills of a coder"),
            None => format!("add `{skill}` to the skills of the team or of a coder"),
        };
        let message = format!("no coder of team {} has the skill `{skill}`", team.id);
        notes.at(Severity::Warning, &format!("{key}[{j}]"), message, help);
    }
}
