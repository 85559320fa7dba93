//! Claims and what their holders say: claim, start, block, unblock, release, fail, submit.

use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal, Task};
use crate::model::ids::{AgentId, Attempt, CommitId, TaskId, Timestamp};
use crate::model::op::{Actor, Claim, Intent};
use crate::model::spec::Handoff;
use crate::model::state::{State, Status};

impl Board {
    pub(super) fn claim(
        &self,
        intent: &Intent,
        id: &TaskId,
        agent: AgentId,
        lease_until: Timestamp,
        base: Option<&CommitId>,
    ) -> Decision {
        self.speaks_for(intent, agent)?;
        let task = self.require_task(id)?;
        self.may_claim(task, agent)?;
        let mut status = next_status(task, intent, State::Claimed);
        status.agent = Some(agent);
        status.attempt = Attempt(task.status.attempt.0 + 1);
        status.machine = Some(intent.machine.clone());
        status.lease_until = Some(lease_until);
        status.branch = Some(task.branch_name());
        status.base = task.status.base.clone().or_else(|| base.cloned());
        status.reason = None;
        Ok(Some(transition(
            task,
            status,
            EventKind::Claim,
            &task.title,
        )))
    }

    /// Checks that an agent may claim a task.
    ///
    /// # Errors
    ///
    /// Returns who holds it, what it waits for, or which rule forbids it.
    pub fn may_claim(&self, task: &Task, agent: AgentId) -> Result<(), Refusal> {
        let state = task.status.state;
        if state.is_held() {
            let holder = holder(&task.status);
            return Err(
                Refusal::lost(format!("task {} is held by {holder}", task.id))
                    .hint(format!("git orch status {}", task.id)),
            );
        }
        self.require_agent(agent)?;
        if task.team != agent.team {
            return Err(Refusal::denied(format!(
                "agent {agent} may not claim task {}: it belongs to team {}",
                task.id, task.team
            ))
            .hint(format!("git orch claim --agent {agent}")));
        }
        if let Some(held) = self.held_by(agent) {
            return Err(Refusal::denied(format!(
                "agent {agent} already holds task {} (attempt {})",
                held.id, held.status.attempt
            ))
            .hint(format!("git orch status {}", held.id)));
        }
        if state != State::Ready {
            return Err(self.not_ready(task));
        }
        let model = self.model_of(task);
        if let Some(limit) = self.run().limits.0.get(&model)
            && self.held_per_model().get(&model).copied().unwrap_or(0) >= *limit
        {
            return Err(Refusal::nothing(format!(
                "the wave of {model} is full: {limit} of its tasks are being worked on"
            ))
            .hint("git orch status"));
        }
        Ok(())
    }

    fn not_ready(&self, task: &Task) -> Refusal {
        let id = &task.id;
        let state = task.status.state;
        let refusal = Refusal::denied(match (state, self.waits_for(task)) {
            (State::Pending, Some((other, its))) => {
                format!("task {id} is pending: it comes after {other}, which is {its}")
            }
            (State::Pending, None) => {
                format!("task {id} is pending: its phase is not open or nothing was dispatched")
            }
            _ => format!("task {id} is {state}, not ready"),
        });
        match state {
            State::Pending | State::Failed => refusal.hint("git orch dispatch"),
            _ => refusal.hint(format!("git orch status {id}")),
        }
    }

    pub(super) fn start(&self, intent: &Intent, claim: &Claim) -> Decision {
        let task = self.require_claim(intent, claim)?;
        match task.status.state {
            State::InProgress => Ok(None),
            State::Claimed => {
                let status = next_status(task, intent, State::InProgress);
                Ok(Some(transition(
                    task,
                    status,
                    EventKind::Start,
                    &task.title,
                )))
            }
            _ => Err(wrong_state(task, "started", "unblock")),
        }
    }

    pub(super) fn block(&self, intent: &Intent, claim: &Claim, reason: &str) -> Decision {
        let task = self.require_claim(intent, claim)?;
        let mut status = next_status(task, intent, State::Blocked);
        status.reason = Some(reason.to_owned());
        Ok(Some(transition(task, status, EventKind::Block, reason)))
    }

    pub(super) fn unblock(&self, intent: &Intent, claim: &Claim) -> Decision {
        let task = self.require_claim(intent, claim)?;
        if task.status.state != State::Blocked {
            return Err(wrong_state(task, "unblocked", "status"));
        }
        let mut status = next_status(task, intent, State::InProgress);
        status.reason = None;
        Ok(Some(transition(
            task,
            status,
            EventKind::Unblock,
            &task.title,
        )))
    }

    pub(super) fn release(&self, intent: &Intent, claim: &Claim, reason: &str) -> Decision {
        let task = self.require_claim(intent, claim)?;
        let mut status = next_status(task, intent, State::Ready);
        status.lease_until = None;
        status.reason = Some(reason.to_owned());
        Ok(Some(transition(task, status, EventKind::Release, reason)))
    }

    pub(super) fn fail(
        &self,
        intent: &Intent,
        claim: &Claim,
        reason: &str,
        findings: Option<&str>,
    ) -> Decision {
        let task = self.require_claim(intent, claim)?;
        let mut status = next_status(task, intent, State::Failed);
        status.failures += 1;
        status.lease_until = None;
        status.reason = Some(reason.to_owned());
        status.findings = Some(findings.unwrap_or(reason).to_owned());
        let mut change = transition(task, status, EventKind::Fail, reason);
        change.event.body = findings.unwrap_or_default().to_owned();
        Ok(Some(change))
    }

    pub(super) fn submit(
        &self,
        intent: &Intent,
        claim: &Claim,
        head: &CommitId,
        handoff: &Handoff,
    ) -> Decision {
        let task = self.require_claim(intent, claim)?;
        if task.status.state == State::Blocked {
            return Err(wrong_state(task, "submitted", "unblock"));
        }
        let mut status = next_status(task, intent, State::Submitted);
        status.head = Some(head.clone());
        status.lease_until = None;
        status.reason = None;
        let mut change = transition(task, status, EventKind::Submit, &handoff.summary);
        change.event.head = Some(head.clone());
        change
            .edits
            .push(Edit::PutHandoff(task.id.clone(), Box::new(handoff.clone())));
        Ok(Some(change))
    }

    fn require_claim(&self, intent: &Intent, claim: &Claim) -> Result<&Task, Refusal> {
        self.speaks_for(intent, claim.agent)?;
        self.holds(claim)
    }

    /// Returns the task of a claim that still holds.
    ///
    /// # Errors
    ///
    /// It does not; says who holds the task instead.
    pub fn holds(&self, claim: &Claim) -> Result<&Task, Refusal> {
        let task = self.require_task(&claim.task)?;
        let status = &task.status;
        let ours = status.agent == Some(claim.agent) && status.attempt == claim.attempt;
        if ours && status.state.is_held() {
            return Ok(task);
        }
        let now = match (status.state.is_held(), status.state) {
            (true, _) => format!("taken over by {}", holder(status)),
            (false, State::Pending) => String::from("not claimed"),
            (false, state) => format!("{state} (attempt {})", status.attempt),
        };
        Err(Refusal::lost(format!(
            "attempt {} of agent {} at task {} does not hold: it is {now}",
            claim.attempt, claim.agent, claim.task
        ))
        .hint(format!("git orch status {}", claim.task)))
    }

    /// Checks that the actor may speak for an agent (A2: a coder speaks for itself, its leader for it).
    pub(super) fn speaks_for(&self, intent: &Intent, agent: AgentId) -> Result<(), Refusal> {
        match intent.actor {
            Actor::Agent(actor) if actor == agent => Ok(()),
            Actor::Agent(actor) if actor.is_leader() && actor.team == agent.team => Ok(()),
            Actor::Human | Actor::Executor => Ok(()),
            Actor::Agent(actor) => Err(Refusal::denied(format!(
                "agent {actor} may not speak for agent {agent}: only {agent}, its leader {}.0 or a \
                 person may",
                agent.team
            ))),
            Actor::Assembler => Err(Refusal::denied(format!(
                "the assembler may not speak for agent {agent}"
            ))),
        }
    }

    /// Checks that an agent exists.
    ///
    /// # Errors
    ///
    /// Its team is unknown or has fewer coders.
    pub fn require_agent(&self, agent: AgentId) -> Result<(), Refusal> {
        let Some(team) = self.teams.get(&agent.team) else {
            return Err(Refusal::denied(format!(
                "there is no agent {agent}: there is no team {}",
                agent.team
            ))
            .hint("git orch status"));
        };
        if agent.number > team.coders {
            return Err(Refusal::denied(format!(
                "there is no agent {agent}: team {} has coders {}.1 to {}.{}",
                team.id, team.id, team.id, team.coders
            ))
            .hint("git orch status"));
        }
        Ok(())
    }
}

/// Returns the status that follows, in a new state, everything else kept.
pub(super) fn next_status(task: &Task, intent: &Intent, state: State) -> Status {
    Status {
        state,
        since: intent.time,
        op: Some(intent.id.clone()),
        ..task.status.clone()
    }
}

/// Returns the change of one task's status, told.
pub(super) fn transition(task: &Task, status: Status, kind: EventKind, summary: &str) -> Change {
    let mut event = Event::new(kind, summary);
    event.teams = vec![task.team];
    event.agent = status.agent;
    event.tasks = vec![task.id.clone()];
    event.attempt = (status.attempt.0 > 0).then_some(status.attempt);
    event.states = Some((task.status.state, status.state));
    Change {
        edits: vec![Edit::PutStatus(task.id.clone(), Box::new(status))],
        event,
    }
}

fn holder(status: &Status) -> String {
    let agent = status
        .agent
        .map_or_else(|| String::from("nobody"), |agent| agent.to_string());
    format!("{agent} (attempt {})", status.attempt)
}

fn wrong_state(task: &Task, verb: &str, instead: &str) -> Refusal {
    let refusal = Refusal::denied(format!(
        "task {} is {} and cannot be {verb}",
        task.id, task.status.state
    ));
    let agent = task
        .status
        .agent
        .map_or_else(String::new, |agent| agent.to_string());
    match instead {
        "unblock" => refusal.hint(format!(
            "git orch unblock {} --agent {agent} --attempt {}",
            task.id, task.status.attempt
        )),
        _ => refusal.hint(format!("git orch {instead} {}", task.id)),
    }
}
