//! The plan's way onto the ledger, added tasks, and dispatch.

use std::collections::{BTreeMap, BTreeSet};

use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal, Task};
use crate::model::board::{Gate, Settings};
use crate::model::ids::{PhaseName, TaskId, TeamId};
use crate::model::op::{Actor, Earlier, Intent, PlanChange};
use crate::model::spec::{PhaseSpec, Plan, TaskSpec};
use crate::model::state::{State, Status};
use crate::model::tasks::Glance;

/// Entries of a directory beyond which its files get a second level (docs/decisions/ledger.md).
const SHARD_BEYOND: usize = 100;

/// What a plan changes among the tasks of a board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanDifference {
    /// Tasks that the board does not have.
    pub added: Vec<TaskId>,
    /// Tasks that nobody works on and that the plan says otherwise: not begun yet, or given up.
    pub changed: Vec<TaskId>,
    /// Tasks that nobody has begun and that the plan does not have.
    pub removed: Vec<TaskId>,
    /// Tasks that were given up or failed and are tried again, since the plan says otherwise of them or of how they
    /// are worked on.
    pub brought_back: Vec<TaskId>,
    /// Tasks that stay as they are although the plan says otherwise or does not have them, since work on
    /// them began.
    pub kept: Vec<TaskId>,
}

impl Board {
    /// Returns what a plan changes among the tasks.
    pub fn compare_plan(&self, change: &PlanChange) -> PlanDifference {
        if let Some(archive) = self.archive_closed() {
            let mut emptied = self.clone();
            emptied.absorb(&archive);
            return emptied.compare_plan(change);
        }
        let planned: BTreeSet<&TaskId> = change.plan.tasks.iter().map(|task| &task.id).collect();
        let mut found = PlanDifference::default();
        for (spec, digest) in change.plan.tasks.iter().zip(&change.digests) {
            let list = match self.tasks.get(&spec.id) {
                None => &mut found.added,
                Some(old) if old.digest == *digest => continue,
                Some(old) if may_change(old, spec) => &mut found.changed,
                Some(_) => &mut found.kept,
            };
            list.push(spec.id.clone());
        }
        let mut left: Vec<&Task> = self.tasks.values().collect();
        left.retain(|task| !planned.contains(&task.id));
        left.sort_by_key(|task| task.order);
        for task in left {
            let list = if is_untouched(task) {
                &mut found.removed
            } else {
                &mut found.kept
            };
            list.push(task.id.clone());
        }
        let given_up = |task: &Glance| matches!(task.state, State::Gap | State::Failed);
        if self.tasks.like(given_up).next().is_some() {
            let mut next = self.clone();
            next.absorb_all(&self.plan_edits(change, &found));
            found.brought_back = self.brought_back(&next, &found.changed);
        }
        found
    }

    /// Returns the board as it will be with a plan applied.
    pub fn preview_plan(&self, change: &PlanChange) -> Self {
        let mut next = self.clone();
        if let Some(archive) = self.archive_closed() {
            next.absorb(&archive);
            return next.preview_plan(change);
        }
        next.absorb_all(&self.plan_edits(change, &self.compare_plan(change)));
        next
    }

    fn plan_edits(&self, change: &PlanChange, difference: &PlanDifference) -> Vec<Edit> {
        let plan = self.with_begun(&change.plan, &difference.kept);
        let mut edits = self.settings_edits(&plan);
        let removed = difference.removed.iter().cloned();
        edits.extend(removed.map(Edit::RemoveTask));
        edits.extend(self.task_edits(change, difference));
        let gone = self.teams.keys();
        let gone = gone.filter(|id| plan.teams.iter().all(|team| team.id != **id));
        edits.extend(gone.copied().map(Edit::RemoveTeam));
        edits
    }

    pub(super) fn apply_plan(&self, intent: &Intent, change: &PlanChange) -> Decision {
        self.require_current(&change.earlier)?;
        if let Some(archive) = self.archive_closed() {
            return self.apply_after(archive, intent, change);
        }
        let difference = self.compare_plan(change);
        let mut edits = self.plan_edits(change, &difference);
        let reused = difference.added.iter().filter_map(|id| {
            let before = change.earlier.attempts.get(id)?;
            Some(Self::reused(intent, id, *before))
        });
        edits.extend(reused);
        let back = &difference.brought_back;
        edits.extend(self.bring_back(intent, &edits, back));
        edits.extend(self.fall_back(intent, &edits));
        if edits.is_empty() {
            return Ok(None);
        }
        let PlanDifference {
            added,
            changed,
            removed,
            brought_back,
            kept,
        } = difference;
        let mut event = Event::new(
            EventKind::Plan,
            format!(
                "{}: {} tasks added, {} changed, {} removed",
                change.plan.run.name,
                added.len(),
                changed.len(),
                removed.len()
            ),
        );
        event.teams = change.plan.teams.iter().map(|team| team.id).collect();
        event.tasks.clone_from(&brought_back);
        let about = |what: &str, tasks: &[TaskId]| {
            let ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            (!ids.is_empty()).then(|| format!("{what}: {}", ids.join(", ")))
        };
        let told = [
            about("Tried again, since the plan says otherwise", &brought_back),
            about("Kept as they are, since work on them began", &kept),
        ];
        event.body = told.into_iter().flatten().collect::<Vec<_>>().join("\n");
        Ok(Some(Change { edits, event }))
    }

    /// Applies a plan to a board on which a closed run still stands, whose ids are used up by what is archived with it.
    fn apply_after(&self, archive: Edit, intent: &Intent, change: &PlanChange) -> Decision {
        let mut emptied = self.clone();
        emptied.absorb(&archive);
        let mut change = change.clone();
        change.earlier.archives.clone_from(&emptied.archives);
        for task in self.tasks.values().filter(|task| task.status.attempt.0 > 0) {
            let last = change.earlier.attempts.entry(task.id.clone()).or_default();
            *last = task.status.attempt.max(*last);
        }
        let decided = emptied.apply_plan(intent, &change)?;
        Ok(decided.map(|mut change| {
            change.edits.insert(0, archive);
            change
        }))
    }

    /// Returns the edits of tasks that the plan has, and the places of those that stay without it: behind
    /// all others, in the order they had.
    fn task_edits(&self, change: &PlanChange, difference: &PlanDifference) -> Vec<Edit> {
        let plan = &change.plan;
        let mut per_team: BTreeMap<TeamId, usize> = BTreeMap::new();
        for task in &plan.tasks {
            *per_team.entry(task.team).or_insert(0) += 1;
        }
        let planned: BTreeSet<&TaskId> = plan.tasks.iter().map(|task| &task.id).collect();
        let (mut edits, mut order) = (Vec::new(), 0);
        for (spec, digest) in plan.tasks.iter().zip(&change.digests) {
            let old = self.tasks.get(&spec.id);
            match old {
                Some(old) if old.digest == *digest || !may_change(old, spec) => {
                    if old.order != order {
                        edits.push(Edit::PutOrder(old.id.clone(), order));
                    }
                }
                _ => {
                    // A task that moved to another team leaves its old files behind otherwise.
                    if old.is_some_and(|old| old.team != spec.team) {
                        edits.push(Edit::RemoveTask(spec.id.clone()));
                    }
                    let shards = per_team.get(&spec.team).is_some_and(|n| *n > SHARD_BEYOND);
                    edits.push(Edit::PutTask {
                        spec: Box::new(spec.clone()),
                        order,
                        digest: *digest,
                        sharded: old.map_or(shards, |old| old.sharded),
                    });
                }
            }
            order += 1;
        }
        for id in difference.kept.iter().filter(|id| !planned.contains(id)) {
            if self.tasks.get(id).is_some_and(|old| old.order != order) {
                edits.push(Edit::PutOrder(id.clone(), order));
            }
            order += 1;
        }
        edits
    }

    /// Returns the plan with the teams, phases and profiles that begun tasks still need.
    fn with_begun(&self, plan: &Plan, kept: &[TaskId]) -> Plan {
        let mut plan = plan.clone();
        for task in kept.iter().filter_map(|id| self.tasks.get(id)) {
            self.keep_team(&mut plan, task.team);
            self.keep_phase(&mut plan, task);
            let of_team = plan.teams.iter().find(|team| team.id == task.team);
            let of_team = of_team.and_then(|team| team.agent.clone());
            let name = task.agent.clone().or(of_team);
            if let Some(name) = name
                && !plan.agents.contains_key(&name)
                && let Some(profile) = self.settings.agents.get(&name)
            {
                plan.agents.insert(name, profile.clone());
            }
        }
        plan
    }

    fn keep_team(&self, plan: &mut Plan, id: TeamId) {
        // Hand-written parents may run in a circle; each team is added once.
        let mut next = Some(id);
        while let Some(id) = next {
            if plan.teams.iter().any(|team| team.id == id) {
                return;
            }
            let Some(team) = self.teams.get(&id) else {
                return;
            };
            plan.teams.push(team.clone());
            next = team.parent;
        }
    }

    fn keep_phase(&self, plan: &mut Plan, task: &Task) {
        let Some(old) = self.phase_of(task) else {
            return;
        };
        let opens_elsewhere = plan
            .phases
            .iter()
            .any(|phase| phase.teams.contains(&task.team));
        if task.phase.is_none() && opens_elsewhere {
            return;
        }
        if let Some(phase) = plan.phases.iter_mut().find(|phase| phase.name == old.name) {
            if !phase.teams.contains(&task.team) {
                phase.teams.push(task.team);
            }
            return;
        }
        let names: BTreeSet<PhaseName> = plan.phases.iter().map(|p| p.name.clone()).collect();
        let after = old.after.iter().filter(|name| names.contains(name));
        plan.phases.push(PhaseSpec {
            name: old.name.clone(),
            teams: vec![task.team],
            after: after.cloned().collect(),
        });
    }

    /// Returns the edits that take back what was made ready and what the changed plan does not allow to
    /// start any more.
    fn fall_back(&self, intent: &Intent, edits: &[Edit]) -> Vec<Edit> {
        let is_ready =
            |task: &&Task| task.status.state == State::Ready && task.status.attempt.0 == 0;
        if edits.is_empty() || !self.tasks.values().any(|task| is_ready(&task)) {
            return Vec::new();
        }
        let mut next = self.clone();
        next.absorb_all(edits);
        let states = next.phase_states(next.settings.gate);
        next.tasks
            .values()
            .filter(is_ready)
            .filter(|task| next.waits_for(task).is_some() || !next.may_start_phase(task, &states))
            .map(|task| {
                let status = Status {
                    state: State::Pending,
                    since: intent.time,
                    op: Some(intent.id.clone()),
                    ..task.status.clone()
                };
                Edit::PutStatus(task.id.clone(), Box::new(status))
            })
            .collect()
    }

    fn settings_edits(&self, plan: &Plan) -> Vec<Edit> {
        let mut edits = Vec::new();
        let settings = Settings {
            base: plan
                .run
                .base
                .clone()
                .unwrap_or_else(|| self.settings.base.clone()),
            run: Some(Box::new(plan.run.clone())),
            agents: plan.agents.clone(),
            levels: plan.levels.clone(),
            wrapup: plan.wrapup.clone(),
            // A plan is applied to be worked on.
            closed: None,
            archive: None,
            ..self.settings.clone()
        };
        if settings != self.settings {
            edits.push(Edit::PutSettings(Box::new(settings)));
        }
        let locks = self.locks_with(&plan.locks);
        if locks != self.locks {
            edits.push(Edit::PutLocks(locks));
        }
        if plan.phases != self.phases {
            edits.push(Edit::PutPhases(plan.phases.clone()));
        }
        for team in &plan.teams {
            if self.teams.get(&team.id) != Some(team) {
                edits.push(Edit::PutTeam(team.clone()));
            }
        }
        edits
    }

    pub(super) fn add_task(&self, intent: &Intent, spec: &TaskSpec, earlier: &Earlier) -> Decision {
        let id = &spec.id;
        if self.settings.run.is_none() {
            return Err(Refusal::denied("there is no run to add a task to")
                .hint("git orch plan apply plan.toml"));
        }
        self.require_open()?;
        self.require_current(earlier)?;
        if self.tasks.contains_key(id) {
            return Err(Refusal::denied(format!("task {id} exists already"))
                .hint(format!("git orch task show {id}")));
        }
        if !self.teams.contains_key(&spec.team) {
            return Err(
                Refusal::denied(format!("there is no team {}", spec.team)).hint("git orch status")
            );
        }
        if let Some(dependency) = spec
            .after
            .iter()
            .find(|d| !self.tasks.contains_key(&d.task))
        {
            return Err(Refusal::denied(format!(
                "task {id} comes after {}, which does not exist",
                dependency.task
            ))
            .hint("git orch task list"));
        }
        let order = self
            .tasks
            .values()
            .map(|task| task.order + 1)
            .max()
            .unwrap_or(0);
        let in_team = self
            .tasks
            .values()
            .filter(|task| task.team == spec.team)
            .count();
        let mut event = Event::new(EventKind::Add, spec.title.clone());
        event.teams = vec![spec.team];
        event.tasks = vec![id.clone()];
        let put = Edit::PutTask {
            spec: Box::new(spec.clone()),
            order,
            digest: spec.digest(),
            sharded: in_team >= SHARD_BEYOND,
        };
        let mut edits = vec![put];
        let before = earlier.attempts.get(id);
        edits.extend(before.map(|before| Self::reused(intent, id, *before)));
        Ok(Some(Change { edits, event }))
    }

    pub(super) fn set_gate(&self, gate: Gate) -> Decision {
        if self.settings.gate == gate {
            return Ok(None);
        }
        let settings = Settings {
            gate,
            ..self.settings.clone()
        };
        let summary = match gate {
            Gate::Submitted => "phases open when what comes before is submitted",
            Gate::Merged => "phases open when what comes before is merged",
        };
        Ok(Some(Change {
            edits: vec![Edit::PutSettings(Box::new(settings))],
            event: Event::new(EventKind::Dispatch, summary),
        }))
    }

    /// Makes ready again what could not be begun or checked on the machine of whoever begins there anew.
    pub(super) fn begin(&self, intent: &Intent) -> Option<Change> {
        let failed = self.tasks.like(|task| task.state == State::Failed);
        let here = |task: &&Task| task.status.machine.as_ref() == Some(&intent.machine);
        let again: Vec<&Task> = failed
            .filter(|task| task.status.waits_for_setup())
            .filter(here)
            .collect();
        if again.is_empty() {
            return None;
        }
        let mut event = Event::new(
            EventKind::Dispatch,
            format!("{} ready, which could not be begun before", again.len()),
        );
        event.teams = again.iter().map(|task| task.team).collect();
        event.teams.sort_unstable();
        event.teams.dedup();
        event.tasks = again.iter().map(|task| task.id.clone()).collect();
        let ready = |task: &Task| {
            let status = Status {
                state: State::Ready,
                since: intent.time,
                op: Some(intent.id.clone()),
                ..task.status.clone()
            };
            Edit::PutStatus(task.id.clone(), Box::new(status))
        };
        Some(Change {
            edits: again.into_iter().map(ready).collect(),
            event,
        })
    }

    pub(super) fn dispatch(&self, intent: &Intent, gate: Gate) -> Decision {
        let states = self.phase_states(gate.max(self.settings.gate));
        let mut edits = Vec::new();
        let (mut tasks, mut teams) = (Vec::new(), BTreeSet::new());
        let mut count = [0usize; 3];
        let moves = |task: &Glance| matches!(task.state, State::Pending | State::Failed);
        for task in self.tasks.like(moves) {
            let (state, kind) = match task.status.state {
                State::Pending
                    if self.waits_for(task).is_none() && self.may_start_phase(task, &states) =>
                {
                    (State::Ready, 0)
                }
                // Another machine may be set up otherwise.
                State::Failed if task.status.waits_for_setup() => {
                    let is_here = task.status.machine.as_ref() == Some(&intent.machine);
                    if intent.actor != Actor::Executor || is_here {
                        continue;
                    }
                    (State::Ready, 0)
                }
                State::Failed if task.status.failures <= self.retries_of(task) => (State::Ready, 1),
                State::Failed => (State::Gap, 2),
                _ => continue,
            };
            count[kind] += 1;
            tasks.push(task.id.clone());
            teams.insert(task.team);
            let status = Status {
                state,
                since: intent.time,
                op: Some(intent.id.clone()),
                ..task.status.clone()
            };
            edits.push(Edit::PutStatus(task.id.clone(), Box::new(status)));
        }
        if edits.is_empty() {
            return Err(Refusal::nothing("nothing can be made ready").hint("git orch status"));
        }
        let [ready, retried, gaps] = count;
        let mut parts = vec![format!("{} ready", ready + retried)];
        if retried > 0 {
            parts.push(format!("{retried} of them for another try"));
        }
        if gaps > 0 {
            parts.push(format!("{gaps} given up as gaps"));
        }
        let mut event = Event::new(EventKind::Dispatch, parts.join(", "));
        event.teams = teams.into_iter().collect();
        event.tasks = tasks;
        Ok(Some(Change { edits, event }))
    }
}

/// Returns whether a plan may say otherwise of a task. What was given up is tried again then, and stays in its team, where
/// its record and its branch are.
fn may_change(old: &Task, new: &TaskSpec) -> bool {
    let given_up = matches!(old.status.state, State::Gap | State::Failed);
    is_untouched(old) || given_up && old.team == new.team
}

/// Returns whether nobody has claimed the task yet, so that a plan may still change or drop it.
fn is_untouched(task: &Task) -> bool {
    task.status.attempt.0 == 0
        && matches!(
            task.status.state,
            State::Pending | State::Ready | State::Cancelled
        )
}

#[cfg(test)]
mod tests;
