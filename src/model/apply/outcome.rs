//! What happens to work that was handed in, and words that anyone may say: reject, merge, escalate, cancel.

use super::claims::{next_status, transition};
use super::{Board, Change, Decision, Event, EventKind, Refusal, Task};
use crate::model::ids::{CommitId, TaskId};
use crate::model::levels::Level;
use crate::model::op::{Actor, Intent};
use crate::model::state::State;

/// Conflicts in a row after which work still goes back to a coder; after the next one a person must look.
const MOST_CONFLICTS: u32 = 3;

impl Board {
    pub(super) fn reject(
        &self,
        intent: &Intent,
        id: &TaskId,
        head: &CommitId,
        reason: &str,
        findings: &str,
    ) -> Decision {
        let task = self.require_submitted(id, head)?;
        let retry = task.status.failures < self.retries_of(task);
        let state = if retry { State::Ready } else { State::Failed };
        let mut status = next_status(task, intent, state);
        status.failures += 1;
        status.reason = Some(reason.to_owned());
        status.findings = Some(findings.to_owned());
        let mut change = transition(task, status, EventKind::Reject, reason);
        change.event.head = Some(head.clone());
        change.event.body = findings.to_owned();
        Ok(Some(change))
    }

    /// Sends work back that does not merge, which is no failure of its coder: it tries twice to bring the two
    /// together, then another coder does, then a person must look (docs/decisions/merging.md).
    pub(super) fn conflict(
        &self,
        intent: &Intent,
        id: &TaskId,
        head: &CommitId,
        reason: &str,
        findings: &str,
    ) -> Decision {
        let task = self.require_submitted(id, head)?;
        let conflicts = task.status.conflicts + 1;
        let (state, kind) = if conflicts <= MOST_CONFLICTS {
            (State::Ready, EventKind::Reject)
        } else {
            (State::Blocked, EventKind::Escalate)
        };
        let mut status = next_status(task, intent, state);
        status.conflicts = conflicts;
        status.reason = Some(reason.to_owned());
        status.findings = Some(findings.to_owned());
        if state == State::Blocked {
            status.agent = None;
            status.machine = None;
            status.lease_until = None;
        }
        let mut change = transition(task, status, kind, reason);
        change.event.agent = task.status.agent;
        change.event.head = Some(head.clone());
        change.event.body = findings.to_owned();
        Ok(Some(change))
    }

    pub(super) fn merge(
        &self,
        intent: &Intent,
        id: &TaskId,
        head: &CommitId,
        commit: &CommitId,
    ) -> Decision {
        let task = self.require_task(id)?;
        if task.status.state == State::Merged && task.status.commit.as_ref() == Some(commit) {
            return Ok(None);
        }
        let task = self.require_submitted(id, head)?;
        let mut status = next_status(task, intent, State::Merged);
        status.commit = Some(commit.clone());
        status.conflicts = 0;
        status.reason = None;
        status.findings = None;
        status.messages.clear();
        let mut change = transition(task, status, EventKind::Merge, &task.title);
        change.event.head = Some(head.clone());
        change.event.commit = Some(commit.clone());
        change.event.more = self.settings.levels.trailers(Level::Integration);
        Ok(Some(change))
    }

    /// Records that work is on its team's branch: its leader has found it good, and it waits for the next step.
    pub(super) fn accept(
        &self,
        intent: &Intent,
        id: &TaskId,
        head: &CommitId,
        commit: &CommitId,
    ) -> Decision {
        let task = self.require_submitted(id, head)?;
        if task.status.state == State::Accepted {
            return Ok(None);
        }
        let mut status = next_status(task, intent, State::Accepted);
        status.conflicts = 0;
        status.reason = None;
        status.findings = None;
        let mut change = transition(task, status, EventKind::Accept, &task.title);
        change.event.head = Some(head.clone());
        change.event.commit = Some(commit.clone());
        change.event.more = self.settings.levels.trailers(Level::Team);
        Ok(Some(change))
    }

    pub(super) fn escalate(&self, intent: &Intent, id: &TaskId, message: &str) -> Decision {
        let task = self.require_task(id)?;
        let mut event = Event::new(EventKind::Escalate, message);
        event.teams = vec![task.team];
        event.tasks = vec![id.clone()];
        event.agent = match intent.actor {
            Actor::Agent(agent) => Some(agent),
            Actor::Human | Actor::Executor | Actor::Assembler => task.status.agent,
        };
        event.attempt = (task.status.attempt.0 > 0).then_some(task.status.attempt);
        event.body = message.to_owned();
        Ok(Some(Change {
            edits: Vec::new(),
            event,
        }))
    }

    pub(super) fn cancel(&self, intent: &Intent, id: &TaskId, reason: &str) -> Decision {
        let task = self.require_task(id)?;
        match task.status.state {
            State::Cancelled => Ok(None),
            State::Merged => Err(Refusal::denied(format!(
                "task {id} is merged and cannot be cancelled"
            ))
            .hint(format!("git orch status {id}"))),
            _ => {
                let mut status = next_status(task, intent, State::Cancelled);
                status.reason = Some(reason.to_owned());
                Ok(Some(transition(task, status, EventKind::Cancel, reason)))
            }
        }
    }

    /// Returns a task whose submitted head is the given one; the assembler and leaders decide on those.
    fn require_submitted(&self, id: &TaskId, head: &CommitId) -> Result<&Task, Refusal> {
        let task = self.require_task(id)?;
        let waits = matches!(task.status.state, State::Submitted | State::Accepted);
        if waits && task.status.head.as_ref() == Some(head) {
            return Ok(task);
        }
        Err(Refusal::lost(format!(
            "task {id} is {} and no longer waits with commit {}",
            task.status.state, head
        ))
        .hint(format!("git orch status {id}")))
    }
}
