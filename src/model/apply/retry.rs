//! Bringing work back that was given up: by a person who says so, or by a plan that says otherwise of it.

use super::claims::{next_status, pass_on, transition};
use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal, Task};
use crate::model::ids::TaskId;
use crate::model::op::{Intent, Retry};
use crate::model::spec::RunSpec;
use crate::model::state::{State, Status};
use crate::model::tasks::Glance;

impl Board {
    /// Makes tasks ready again that are gaps, failed or blocked, with all their retries; all of them or none.
    pub(super) fn retry(&self, intent: &Intent, retry: &Retry) -> Decision {
        self.require_open()?;
        let tasks = self.to_retry(retry)?;
        let mut edits = Vec::with_capacity(tasks.len());
        for task in &tasks {
            let mut status = next_status(task, intent, State::Pending);
            pass_on(task, &mut status, retry.message.as_deref());
            begin_again(&mut status);
            if !retry.resume && task.has_own_branch() {
                status.fresh_since = Some(intent.id.clone());
                status.base = None;
                status.head = None;
                status.commit = None;
            }
            status.reason.clone_from(&retry.message);
            edits.push(Edit::PutStatus(task.id.clone(), Box::new(status)));
        }
        self.open_again(&mut edits);
        let mut event = match (tasks.as_slice(), edits.as_slice()) {
            ([task], [Edit::PutStatus(_, status)]) => {
                let summary = retry.message.as_deref().unwrap_or(&task.title);
                transition(task, (**status).clone(), EventKind::Retry, summary).event
            }
            _ => told(&tasks, retry),
        };
        event.body = retry.message.clone().unwrap_or_default();
        Ok(Some(Change { edits, event }))
    }

    /// Returns the tasks that are meant, each once.
    fn to_retry(&self, retry: &Retry) -> Result<Vec<&Task>, Refusal> {
        let mut tasks: Vec<&Task> = Vec::new();
        if retry.all_gaps {
            tasks.extend(self.tasks.like(|task| task.state == State::Gap));
        }
        for id in &retry.tasks {
            let task = self.require_task(id)?;
            self.may_retry(task)?;
            if tasks.iter().all(|other| other.id != task.id) {
                tasks.push(task);
            }
        }
        if tasks.is_empty() {
            return Err(Refusal::nothing("there are no gaps to try again").hint("git orch status"));
        }
        tasks.sort_by_key(|task| task.order);
        Ok(tasks)
    }

    fn may_retry(&self, task: &Task) -> Result<(), Refusal> {
        let (id, state) = (&task.id, task.status.state);
        let refusal = match state {
            State::Gap | State::Failed | State::Blocked => return Ok(()),
            State::Ready => Refusal::nothing(format!("task {id} is ready already")),
            State::Pending => return Err(self.not_ready(task)),
            State::Claimed | State::InProgress => {
                let refusal = Refusal::denied(format!(
                    "task {id} is being worked on by {}",
                    super::claims::holder(&task.status)
                ));
                return Err(refusal.hint(format!("git orch release {id} -m 'begin again'")));
            }
            State::Submitted | State::Accepted => {
                Refusal::denied(format!("task {id} is {state}: it waits to be merged"))
            }
            State::Merged => {
                let refusal = Refusal::denied(format!("task {id} is merged"));
                return Err(refusal.hint(format!("git orch undo {id}")));
            }
            State::Cancelled => Refusal::denied(format!("task {id} was cancelled")),
        };
        Err(refusal.hint(format!("git orch status {id}")))
    }

    /// Returns gaps, and failed tasks that would become gaps, of which a plan says otherwise: their own text, how they
    /// are worked on, or that they may be tried more often.
    pub(super) fn brought_back(&self, next: &Self, changed: &[TaskId]) -> Vec<TaskId> {
        let given_up = |task: &Glance| matches!(task.state, State::Gap | State::Failed);
        let same_run = same_for_attempts(&self.run(), &next.run());
        let back = next.tasks.like(given_up).filter(|task| {
            let Some(old) = self.tasks.get(&task.id) else {
                return false;
            };
            let more = old.status.state == State::Gap
                && task.status.failures <= next.retries_of(task)
                && next.retries_of(task) > self.retries_of(old);
            more || !same_run || self.is_worked_on_otherwise(next, old, task, changed)
        });
        back.map(|task| task.id.clone()).collect()
    }

    fn is_worked_on_otherwise(
        &self,
        next: &Self,
        old: &Task,
        new: &Task,
        changed: &[TaskId],
    ) -> bool {
        changed.contains(&new.id)
            || self.profile_of(old) != next.profile_of(new)
            || self.tier_of(old) != next.tier_of(new)
    }

    /// Returns the edits that make such tasks ready again, on the board with the plan's edits.
    pub(super) fn bring_back(&self, intent: &Intent, edits: &[Edit], back: &[TaskId]) -> Vec<Edit> {
        if back.is_empty() {
            return Vec::new();
        }
        let mut next = self.clone();
        next.absorb_all(edits);
        let again = |task: &Task| {
            let mut status = next_status(task, intent, State::Pending);
            begin_again(&mut status);
            Edit::PutStatus(task.id.clone(), Box::new(status))
        };
        let tasks = back.iter().filter_map(|id| next.tasks.get(id));
        let mut again: Vec<Edit> = tasks.map(again).collect();
        next.open_again(&mut again);
        again
    }

    /// Makes ready what may start of the tasks that these edits make pending.
    fn open_again(&self, edits: &mut [Edit]) {
        let mut next = self.clone();
        next.absorb_all(edits);
        let states = next.phase_states(next.settings.gate);
        for edit in edits {
            let Edit::PutStatus(id, status) = edit else {
                continue;
            };
            let may_start = next.tasks.get(id).is_some_and(|task| {
                next.waits_for(task).is_none() && next.may_start_phase(task, &states)
            });
            if may_start {
                status.state = State::Ready;
            }
        }
    }
}

/// Forgets what counts against a task.
fn begin_again(status: &mut Status) {
    status.failures = 0;
    status.conflicts = 0;
    status.takeovers = 0;
    status.lease_until = None;
}

/// Returns whether two runs' settings are the same as far as an attempt can tell.
fn same_for_attempts(old: &RunSpec, new: &RunSpec) -> bool {
    let core = |run: &RunSpec| RunSpec {
        name: String::new(),
        base: None,
        retries: 0,
        lease: std::time::Duration::ZERO,
        jobs: None,
        test_jobs: None,
        limits: crate::model::spec::Limits::default(),
        signing: None,
        wrapup: None,
        ..run.clone()
    };
    core(old) == core(new)
}

/// Tells of several tasks at once.
fn told(tasks: &[&Task], retry: &Retry) -> Event {
    let how = if retry.resume {
        "go on from their branches"
    } else {
        "begin anew"
    };
    let mut event = Event::new(EventKind::Retry, format!("{} tasks {how}", tasks.len()));
    event.teams = tasks.iter().map(|task| task.team).collect();
    event.teams.sort_unstable();
    event.teams.dedup();
    event.tasks = tasks.iter().map(|task| task.id.clone()).collect();
    event
}

#[cfg(test)]
mod tests;
