//! Names: each once, and each that is used is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::fields::Notes;
use super::super::finding::{Severity, nearest};
use super::super::read::{NO_TEAM, Unsure};
use crate::model::branch;
use crate::model::{PhaseName, PhaseSpec, Plan, TaskId, TeamId};

/// The most unknown tasks for which the nearest name is looked for.
const MOST_SUGGESTED: usize = 50;

const ERROR: Severity = Severity::Error;

pub(super) fn check(plan: &Plan, unsure: Unsure, notes: &mut Notes<'_>) {
    phases(plan, unsure, notes);
    teams(plan, unsure, notes);
    task_ids(plan, notes);
    for (i, task) in plan.tasks.iter().enumerate() {
        if !unsure.teams {
            require_team(plan, task.team, &format!("tasks[{i}].team"), notes);
        }
        profile(
            plan,
            task.agent.as_deref(),
            &format!("tasks[{i}].agent"),
            notes,
        );
    }
    dependencies(plan, notes);
    task_phases(plan, unsure, notes);
    branches(plan, notes);
}

fn phases(plan: &Plan, unsure: Unsure, notes: &mut Notes<'_>) {
    let mut seen = BTreeSet::new();
    for (i, phase) in plan.phases.iter().enumerate() {
        let name = &phase.name;
        if !name.0.is_empty() && !seen.insert(name) {
            let message = format!("there are two phases `{name}`");
            let key = format!("phases[{i}].name");
            notes.at(ERROR, &key, message, "give each phase a name of its own");
        }
        let mut teams = BTreeSet::new();
        for (j, team) in phase.teams.iter().enumerate() {
            let key = format!("phases[{i}].teams[{j}]");
            if !teams.insert(team) {
                let message = format!("team {team} is named twice");
                notes.at(ERROR, &key, message, "take one of them out");
            } else if !unsure.teams {
                require_team(plan, *team, &key, notes);
            }
        }
        for (j, after) in phase.after.iter().enumerate() {
            let key = format!("phases[{i}].after[{j}]");
            if after == name {
                let message = format!("phase `{name}` comes after itself");
                notes.at(ERROR, &key, message, "take it out");
            } else if !unsure.phases {
                require_phase(plan, &after.0, &key, notes);
            }
        }
    }
}

fn require_phase(plan: &Plan, name: &str, key: &str, notes: &mut Notes<'_>) {
    let names = || plan.phases.iter().map(|phase| phase.name.0.as_str());
    if names().all(|other| other != name) {
        let help = suggest(nearest(name, names()), names());
        notes.at(ERROR, key, format!("there is no phase `{name}`"), help);
    }
}

fn suggest<'a>(near: Option<&str>, all: impl Iterator<Item = &'a str>) -> String {
    match near {
        Some(near) => format!("write `{near}`"),
        None => {
            let all: BTreeSet<&str> = all.collect();
            let names: Vec<String> = all.iter().take(8).map(|name| format!("`{name}`")).collect();
            let more = if all.len() > 8 { ", …" } else { "" };
            let one_of = if all.len() == 1 { "" } else { "one of " };
            format!("write {one_of}{}{more}", names.join(", "))
        }
    }
}

fn require_team(plan: &Plan, team: TeamId, key: &str, notes: &mut Notes<'_>) {
    if team == NO_TEAM || plan.teams.iter().any(|other| other.id == team) {
        return;
    }
    let all: BTreeSet<TeamId> = plan.teams.iter().map(|team| team.id).collect();
    let all: Vec<String> = all.iter().take(20).map(ToString::to_string).collect();
    let help = format!(
        "write one of {}, or add `[[teams]]` with `id = {team}`",
        all.join(", ")
    );
    notes.at(ERROR, key, format!("there is no team {team}"), help);
}

fn profile(plan: &Plan, name: Option<&str>, key: &str, notes: &mut Notes<'_>) {
    let Some(name) = name else { return };
    // `default` is there even where nobody declares it.
    if name == "default" || plan.agents.contains_key(name) {
        return;
    }
    let names = || {
        let declared = plan.agents.keys().map(String::as_str);
        declared.chain((!plan.agents.contains_key("default")).then_some("default"))
    };
    let mut help = suggest(nearest(name, names()), names());
    help.push_str(&format!(", or add `[agents.{name}]`"));
    let message = format!("there is no agent profile `{name}`");
    notes.at(ERROR, key, message, help);
}

fn teams(plan: &Plan, unsure: Unsure, notes: &mut Notes<'_>) {
    let mut seen = BTreeSet::new();
    let phased: BTreeSet<TeamId> = plan
        .phases
        .iter()
        .flat_map(|phase| phase.teams.clone())
        .collect();
    let parents: BTreeSet<TeamId> = plan.teams.iter().filter_map(|team| team.parent).collect();
    let busy: BTreeSet<TeamId> = plan.tasks.iter().map(|task| task.team).collect();
    for (i, team) in plan.teams.iter().enumerate() {
        let id = team.id;
        profile(
            plan,
            team.agent.as_deref(),
            &format!("teams[{i}].agent"),
            notes,
        );
        if let Some(parent) = team.parent {
            let key = format!("teams[{i}].parent");
            if parent == id {
                let message = format!("team {id} is its own parent");
                notes.at(ERROR, &key, message, "take it out");
            } else if !unsure.teams {
                require_team(plan, parent, &key, notes);
            }
        }
        if id == NO_TEAM {
            continue;
        }
        let key = format!("teams[{i}].id");
        if !seen.insert(id) {
            let message = format!("there are two teams {id}");
            notes.at(ERROR, &key, message, "give each team a number of its own");
        } else if !phased.contains(&id) && !unsure.phases {
            let is_lead = parents.contains(&id) && !busy.contains(&id);
            // A team that only leads other teams has no work of its own to open.
            if !is_lead {
                let message = format!("team {id} is in no phase, so its tasks are never opened");
                let help = format!("add {id} to the `teams` of a phase");
                notes.at(ERROR, &key, message, help);
            }
        }
        if team.coders == 0 && busy.contains(&id) {
            let message = format!("team {id} has tasks and no coders");
            let key = format!("teams[{i}].coders");
            notes.at(
                ERROR,
                &key,
                message,
                "write how many coders it has, for example 4",
            );
        }
    }
}

fn task_ids(plan: &Plan, notes: &mut Notes<'_>) {
    let mut seen: HashMap<String, &TaskId> = HashMap::new();
    for (i, task) in plan.tasks.iter().enumerate() {
        let id = &task.id;
        let Some(other) = seen.get(&id.as_str().to_ascii_lowercase()) else {
            seen.insert(id.as_str().to_ascii_lowercase(), id);
            continue;
        };
        let key = format!("tasks[{i}].id");
        if *other == id {
            let message = format!("there are two tasks `{id}`");
            notes.at(ERROR, &key, message, "give each task an id of its own");
        } else {
            let message = format!(
                "tasks `{other}` and `{id}` differ by case only, which some file systems do not tell apart"
            );
            notes.at(ERROR, &key, message, "give one of them another id");
        }
    }
}

fn dependencies(plan: &Plan, notes: &mut Notes<'_>) {
    let ids: BTreeSet<&str> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
    let mut suggested = 0;
    for (i, task) in plan.tasks.iter().enumerate() {
        for (j, dependency) in task.after.iter().enumerate() {
            let on = dependency.task.as_str();
            let key = format!("tasks[{i}].after[{j}]");
            if dependency.task == task.id {
                let message = format!("task `{on}` comes after itself");
                notes.at(ERROR, &key, message, "take it out");
            } else if !ids.contains(on) {
                // Comparing every name with every other takes too long where all are wrong.
                suggested += 1;
                let among = ids.iter().copied().filter(|_| suggested <= MOST_SUGGESTED);
                let help = match nearest(on, among) {
                    Some(near) => format!("write `{near}`"),
                    None => format!("add a task `{on}`, or take it out"),
                };
                notes.at(ERROR, &key, format!("there is no task `{on}`"), help);
            }
        }
    }
}

fn task_phases(plan: &Plan, unsure: Unsure, notes: &mut Notes<'_>) {
    let mut of_team: BTreeMap<TeamId, Vec<&PhaseSpec>> = BTreeMap::new();
    for phase in &plan.phases {
        for team in &phase.teams {
            of_team.entry(*team).or_default().push(phase);
        }
    }
    for (i, task) in plan.tasks.iter().enumerate() {
        let team = task.team;
        let phases = of_team.get(&team).map_or(&[][..], Vec::as_slice);
        let names = || phases.iter().map(|phase| phase.name.0.as_str());
        let is_unknown = |name: &PhaseName| plan.phases.iter().all(|phase| phase.name != *name);
        match &task.phase {
            // The name may be that of a phase that could not be read.
            Some(name) if is_unknown(name) && unsure.phases => {}
            Some(name) if is_unknown(name) => {
                require_phase(plan, &name.0, &format!("tasks[{i}].phase"), notes);
            }
            Some(name) if team != NO_TEAM && names().all(|other| other != name.0) => {
                let message = format!("team {team} does not work in phase `{name}`");
                let help = match phases {
                    [] => format!("add {team} to the `teams` of `{name}`"),
                    _ => {
                        let near = nearest(&name.0, names());
                        let help = suggest(near, names());
                        format!("{help}, or add {team} to the `teams` of `{name}`")
                    }
                };
                notes.at(ERROR, &format!("tasks[{i}].phase"), message, help);
            }
            None if phases.len() > 1 => {
                let message = format!(
                    "task `{}` does not say which phase it is in: team {team} works in {}",
                    task.id,
                    names().collect::<Vec<_>>().join(", ")
                );
                let help = format!("write for example `phase = \"{}\"`", phases[0].name);
                notes.at(ERROR, &format!("tasks[{i}].phase"), message, help);
            }
            _ => {}
        }
    }
}

/// Branches that tasks name: valid, their own, and none that something else moves.
fn branches(plan: &Plan, notes: &mut Notes<'_>) {
    if let Some(base) = &plan.run.base
        && let Err(why) = branch::check(base)
    {
        let message = format!("`{base}` is no branch: {why}");
        notes.at(ERROR, "run.base", message, "write for example `main`");
    }
    let mut seen: HashMap<&str, &TaskId> = HashMap::new();
    for (i, task) in plan.tasks.iter().enumerate() {
        let Some(branch) = task.branch.as_deref() else {
            continue;
        };
        let key = format!("tasks[{i}].branch");
        let help = format!("write for example `feature/{}`", task.id);
        let is_ours = branch == "orch/integration"
            || branch == "orchestration"
            || (branch.starts_with("orch/team-") && branch.ends_with("/integration"));
        if let Err(why) = branch::check(branch) {
            notes.at(ERROR, &key, format!("`{branch}` is no branch: {why}"), help);
        } else if is_ours || plan.run.base.as_deref() == Some(branch) {
            let message = format!("the branch `{branch}` is moved by the assembler only");
            notes.at(ERROR, &key, message, help);
        } else if let Some(other) = seen.insert(branch, &task.id) {
            let message = format!("task `{other}` is done on the branch `{branch}` already");
            notes.at(ERROR, &key, message, help);
        }
    }
}
