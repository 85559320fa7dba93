//! What takes a claim from its holder, and who gets no work: expire, free, pause, resume.

use super::claims::{holder, next_status, pass_on, transition};
use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal};
use crate::model::board::AgentRecord;
use crate::model::ids::{AgentId, TaskId};
use crate::model::op::{Claim, Intent};
use crate::model::state::State;

/// Claims in a row that may be taken over before a person must look (B4).
const MOST_TAKEOVERS: u32 = 3;

impl Board {
    /// Takes a claim from a machine that has not renewed its lease; with the third in a row nobody gets the
    /// task any more until a person has looked.
    pub(super) fn expire(&self, intent: &Intent, claim: &Claim, reason: &str) -> Decision {
        let task = self.holds(claim)?;
        let takeovers = task.status.takeovers + 1;
        if takeovers < MOST_TAKEOVERS {
            let mut status = next_status(task, intent, State::Ready);
            status.lease_until = None;
            status.takeovers = takeovers;
            status.reason = Some(reason.to_owned());
            return Ok(Some(transition(task, status, EventKind::Expire, reason)));
        }
        let mut status = next_status(task, intent, State::Blocked);
        let last = holder(&task.status);
        status.agent = None;
        status.machine = None;
        status.lease_until = None;
        status.takeovers = takeovers;
        let reason =
            format!("{takeovers} holders in a row were lost, the last was {last}: {reason}");
        status.reason = Some(reason.clone());
        let mut change = transition(task, status, EventKind::Escalate, &reason);
        change.event.agent = Some(claim.agent);
        change.event.body = reason;
        Ok(Some(change))
    }

    /// Makes a task ready again that somebody holds, or that is blocked without anybody holding it.
    pub(super) fn free(
        &self,
        intent: &Intent,
        id: &TaskId,
        reason: &str,
        message: Option<&str>,
    ) -> Decision {
        let task = self.require_task(id)?;
        if !task.status.state.is_held() {
            let state = task.status.state;
            let refusal = if state == State::Ready {
                Refusal::nothing(format!("task {id} is ready already"))
            } else if state == State::Gap || state == State::Pending {
                return Err(self.not_ready(task));
            } else {
                Refusal::denied(format!(
                    "task {id} is {} and nobody holds it",
                    task.status.state
                ))
            };
            return Err(refusal.hint(format!("git orch status {id}")));
        }
        let mut status = next_status(task, intent, State::Ready);
        status.lease_until = None;
        status.takeovers = 0;
        status.conflicts = 0;
        pass_on(task, &mut status, message);
        status.reason = Some(reason.to_owned());
        Ok(Some(transition(task, status, EventKind::Release, reason)))
    }

    pub(super) fn pause(&self, agent: AgentId, reason: &str) -> Decision {
        self.require_agent(agent)?;
        let record = AgentRecord {
            paused: Some(reason.to_owned()),
        };
        self.put_agent(agent, record, EventKind::Pause, reason)
    }

    pub(super) fn resume(&self, agent: AgentId) -> Decision {
        self.require_agent(agent)?;
        self.put_agent(agent, AgentRecord::default(), EventKind::Resume, "")
    }

    fn put_agent(
        &self,
        agent: AgentId,
        record: AgentRecord,
        kind: EventKind,
        summary: &str,
    ) -> Decision {
        let now = self.agents.get(&agent).cloned().unwrap_or_default();
        if now == record {
            return Ok(None);
        }
        let mut event = Event::new(kind, summary);
        event.teams = vec![agent.team];
        event.agent = Some(agent);
        Ok(Some(Change {
            edits: vec![Edit::PutAgent(agent, record)],
            event,
        }))
    }
}
