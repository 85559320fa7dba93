//! Order: what waits for what, by tasks, phases and teams.

use std::collections::HashMap;

use super::super::fields::Notes;
use super::super::finding::Severity;
use super::graph::{Before, Reach, cycles, turned};
use crate::model::{PhaseName, Plan, TaskId, TeamId};

/// What comes before what in a plan.
#[derive(Debug)]
pub(super) struct Order {
    /// The tasks' own `after`, without what is unknown or the task itself.
    tasks: Before,
    /// The phases' own `after`.
    phases: Before,
    /// Phase of each task.
    phase_of: Vec<Option<usize>>,
    /// Tasks, with all that phases put before them.
    reach: Reach,
    /// The same, turned round.
    turned: Reach,
}

impl Order {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut ids: HashMap<&TaskId, usize> = HashMap::new();
        for (i, task) in plan.tasks.iter().enumerate() {
            ids.entry(&task.id).or_insert(i);
        }
        let mut names: HashMap<&PhaseName, usize> = HashMap::new();
        let mut first_of_team: HashMap<TeamId, usize> = HashMap::new();
        for (i, phase) in plan.phases.iter().enumerate() {
            names.entry(&phase.name).or_insert(i);
            for team in &phase.teams {
                first_of_team.entry(*team).or_insert(i);
            }
        }
        let own = |i: usize, found: Option<&usize>| found.copied().filter(|j| *j != i);
        let tasks: Before = plan
            .tasks
            .iter()
            .enumerate()
            .map(|(i, task)| {
                let on = task.after.iter();
                on.filter_map(|on| own(i, ids.get(&on.task))).collect()
            })
            .collect();
        let phases: Before = plan
            .phases
            .iter()
            .enumerate()
            .map(|(i, phase)| {
                let on = phase.after.iter();
                on.filter_map(|on| own(i, names.get(on))).collect()
            })
            .collect();
        let phase_of: Vec<Option<usize>> = plan
            .tasks
            .iter()
            .map(|task| match &task.phase {
                Some(name) => names.get(name).copied(),
                None => first_of_team.get(&task.team).copied(),
            })
            .collect();
        // Behind the tasks stand two nodes for each phase: it opens, it closes.
        let (n, open) = (plan.tasks.len(), plan.tasks.len());
        let close = open + phases.len();
        let mut all = tasks.clone();
        all.resize(close + phases.len(), Vec::new());
        for (phase, after) in phases.iter().enumerate() {
            all[open + phase].extend(after.iter().map(|other| close + other));
            all[close + phase].push(open + phase);
        }
        for (task, phase) in phase_of.iter().enumerate() {
            if let Some(phase) = phase {
                all[task].push(open + phase);
                all[close + phase].push(task);
            }
        }
        Self {
            reach: Reach::new(&all, n),
            turned: Reach::new(&turned(&all), n),
            tasks,
            phases,
            phase_of,
        }
    }

    /// Returns whether two tasks may run at the same time.
    pub(super) fn may_meet(&self, a: usize, b: usize) -> bool {
        a != b && !self.reach.is_before(a, b) && !self.reach.is_before(b, a)
    }

    /// Returns whether a task may run at the same time as any other.
    pub(super) fn may_meet_any(&self, task: usize) -> bool {
        let others = self.phase_of.len() - 1;
        self.reach.count_before(task) + self.turned.count_before(task) < others
    }
}

pub(super) fn check(plan: &Plan, order: &Order, notes: &mut Notes<'_>) {
    task_cycles(plan, order, notes);
    phase_cycles(plan, order, notes);
    team_cycles(plan, notes);
    later_phases(plan, order, notes);
}

fn path(names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(names.first().copied());
    names.join(" → ")
}

fn task_cycles(plan: &Plan, order: &Order, notes: &mut Notes<'_>) {
    for cycle in cycles(&order.tasks) {
        let names: Vec<String> = cycle
            .iter()
            .map(|i| plan.tasks[*i].id.to_string())
            .collect();
        let (first, next) = (&plan.tasks[cycle[0]], &plan.tasks[cycle[1]].id);
        let place = first.after.iter().position(|on| on.task == *next);
        let key = format!("tasks[{}].after[{}]", cycle[0], place.unwrap_or_default());
        notes.at(
            Severity::Error,
            &key,
            format!("tasks wait for each other: {}", path(&names)),
            format!("take one of these out of an `after`, for example `{next}` here"),
        );
    }
}

fn phase_cycles(plan: &Plan, order: &Order, notes: &mut Notes<'_>) {
    for cycle in cycles(&order.phases) {
        let names: Vec<String> = cycle
            .iter()
            .map(|i| plan.phases[*i].name.to_string())
            .collect();
        let (first, next) = (&plan.phases[cycle[0]], &plan.phases[cycle[1]].name);
        let place = first.after.iter().position(|on| on == next);
        let key = format!("phases[{}].after[{}]", cycle[0], place.unwrap_or_default());
        notes.at(
            Severity::Error,
            &key,
            format!("phases wait for each other: {}", path(&names)),
            format!("take one of these out of an `after`, for example `{next}` here"),
        );
    }
}

fn team_cycles(plan: &Plan, notes: &mut Notes<'_>) {
    let mut numbers: HashMap<TeamId, usize> = HashMap::new();
    for (i, team) in plan.teams.iter().enumerate() {
        numbers.entry(team.id).or_insert(i);
    }
    let parent = |i: usize, parent: Option<TeamId>| {
        let found = parent.and_then(|parent| numbers.get(&parent));
        found.copied().filter(|j| *j != i)
    };
    let parents: Before = plan
        .teams
        .iter()
        .enumerate()
        .map(|(i, team)| parent(i, team.parent).into_iter().collect())
        .collect();
    for cycle in cycles(&parents) {
        let names: Vec<String> = cycle
            .iter()
            .map(|i| plan.teams[*i].id.to_string())
            .collect();
        notes.at(
            Severity::Error,
            &format!("teams[{}].parent", cycle[0]),
            format!("teams report to each other: {}", path(&names)),
            "take `parent` out of one of them",
        );
    }
}

/// A task cannot come after one whose phase opens only when its own has closed.
fn later_phases(plan: &Plan, order: &Order, notes: &mut Notes<'_>) {
    if !cycles(&order.phases).is_empty() {
        return;
    }
    let later = Reach::new(&order.phases, plan.phases.len());
    for (i, before) in order.tasks.iter().enumerate() {
        for on in before {
            let (Some(own), Some(its)) = (order.phase_of[i], order.phase_of[*on]) else {
                continue;
            };
            if own == its || !later.is_before(own, its) {
                continue;
            }
            let (task, other) = (&plan.tasks[i], &plan.tasks[*on].id);
            let place = task.after.iter().position(|after| after.task == *other);
            let key = format!("tasks[{i}].after[{}]", place.unwrap_or_default());
            let (own, its) = (&plan.phases[own].name, &plan.phases[its].name);
            notes.at(
                Severity::Error,
                &key,
                format!(
                    "task `{}` of phase `{own}` comes after `{other}` of phase `{its}`, which opens only \
                     when `{own}` has closed",
                    task.id
                ),
                format!("move `{}` to phase `{its}`, or take `{other}` out", task.id),
            );
        }
    }
}
