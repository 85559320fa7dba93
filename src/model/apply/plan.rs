//! The plan's way onto the ledger, added tasks, and dispatch.

use std::collections::BTreeSet;

use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal, Task};
use crate::model::board::{Gate, Settings};
use crate::model::ids::{TaskId, TeamId};
use crate::model::op::{Intent, PlanChange};
use crate::model::spec::{Plan, TaskSpec};
use crate::model::state::{State, Status};

/// Entries of a directory beyond which its files get a second level (design.md 2).
const SHARD_BEYOND: usize = 100;

impl Board {
    pub(super) fn apply_plan(&self, _intent: &Intent, change: &PlanChange) -> Decision {
        let plan = &change.plan;
        let mut edits = self.settings_edits(plan);
        let kept: BTreeSet<&TaskId> = plan.tasks.iter().map(|task| &task.id).collect();
        let (mut added, mut changed, mut removed, mut left) = (0, 0, 0, Vec::new());
        for old in self.tasks.values().filter(|old| !kept.contains(&old.id)) {
            if is_untouched(old) {
                removed += 1;
                edits.push(Edit::RemoveTask(old.id.clone()));
            } else {
                left.push(&old.id);
            }
        }
        for (order, (spec, digest)) in plan.tasks.iter().zip(&change.digests).enumerate() {
            let order = u32::try_from(order).unwrap_or(u32::MAX);
            let old = self.tasks.get(&spec.id);
            match old {
                Some(old) if old.digest == *digest && old.order == order => continue,
                Some(old) if old.digest != *digest && !is_untouched(old) => {
                    left.push(&old.id);
                    continue;
                }
                Some(_) => changed += 1,
                None => added += 1,
            }
            // A task that moved to another team leaves its old files behind otherwise.
            if old.is_some_and(|old| old.team != spec.team) {
                edits.push(Edit::RemoveTask(spec.id.clone()));
            }
            let sharded = old.map_or_else(|| shards(plan, spec.team), |old| old.sharded);
            let spec = Box::new(spec.clone());
            edits.push(Edit::PutTask {
                spec,
                order,
                digest: *digest,
                sharded,
            });
        }
        let gone = self
            .teams
            .keys()
            .filter(|id| !plan.teams.iter().any(|team| team.id == **id));
        for team in gone {
            if !self
                .tasks
                .values()
                .any(|task| task.team == *team && !is_untouched(task))
            {
                edits.push(Edit::RemoveTeam(*team));
            }
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let mut event = Event::new(
            EventKind::Plan,
            format!(
                "{}: {added} tasks added, {changed} changed, {removed} removed",
                plan.run.name
            ),
        );
        event.teams = plan.teams.iter().map(|team| team.id).collect();
        if !left.is_empty() {
            let ids: Vec<String> = left.iter().map(ToString::to_string).collect();
            event.body = format!(
                "Kept as they are, since work on them began: {}",
                ids.join(", ")
            );
        }
        Ok(Some(Change { edits, event }))
    }

    fn settings_edits(&self, plan: &Plan) -> Vec<Edit> {
        let mut edits = Vec::new();
        let settings = Settings {
            base: plan
                .run
                .base
                .clone()
                .unwrap_or_else(|| self.settings.base.clone()),
            run: Some(plan.run.clone()),
            agents: plan.agents.clone(),
            ..self.settings.clone()
        };
        if settings != self.settings {
            edits.push(Edit::PutSettings(settings));
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

    pub(super) fn add_task(&self, spec: &TaskSpec) -> Decision {
        let id = &spec.id;
        if self.settings.run.is_none() {
            return Err(Refusal::denied("there is no run to add a task to")
                .hint("git orch plan apply plan.toml"));
        }
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
        Ok(Some(Change {
            edits: vec![put],
            event,
        }))
    }

    pub(super) fn dispatch(&self, intent: &Intent, gate: Gate) -> Decision {
        let states = self.phase_states(gate);
        let mut edits = Vec::new();
        let (mut tasks, mut teams) = (Vec::new(), BTreeSet::new());
        let mut count = [0usize; 3];
        for task in self.tasks.values() {
            let (state, kind) = match task.status.state {
                State::Pending
                    if self.waits_for(task).is_none() && self.may_start_phase(task, &states) =>
                {
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

/// Returns whether nobody has claimed the task yet, so that a plan may still change or drop it.
fn is_untouched(task: &Task) -> bool {
    task.status.attempt.0 == 0
        && matches!(
            task.status.state,
            State::Pending | State::Ready | State::Cancelled
        )
}

fn shards(plan: &Plan, team: TeamId) -> bool {
    plan.tasks.iter().filter(|task| task.team == team).count() > SHARD_BEYOND
}
