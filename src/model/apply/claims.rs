//! Claims and what their holders say: claim, start, block, unblock, release, fail, submit.

use super::{Board, Change, Decision, Edit, Event, EventKind, Refusal, Task};
use crate::model::choose::{Ask, Choice};
use crate::model::ids::{AgentId, Attempt, CommitId};
use crate::model::op::{Actor, Claim, EndedAttempt, Intent};
use crate::model::spec::Handoff;
use crate::model::state::{State, Status};

impl Board {
    pub(super) fn claim(&self, intent: &Intent, ask: &Ask) -> Decision {
        let based = |task: &Task| ask.base_of(self, task).is_some();
        let chosen = match &ask.wish.task {
            Some(_) => self.choose(&ask.wish),
            None => self.choose_among(&ask.wish, based),
        };
        let Choice { task, agent } = match chosen {
            // There is work, but not of the kind that was prepared for: whoever asked must look again.
            Err(refusal) if self.choose(&ask.wish).is_ok() => {
                return Err(Refusal::lost(format!(
                    "the board has changed meanwhile: {}",
                    refusal.message
                )));
            }
            chosen => chosen?,
        };
        let mut status = next_status(task, intent, State::Claimed);
        status.agent = Some(agent);
        let last = task.status.attempt.max(task.status.earlier_attempts);
        status.attempt = Attempt(last.0 + 1);
        status.machine = Some(intent.machine.clone());
        status.lease_until = Some(ask.lease_until);
        status.branch = Some(task.branch_name());
        status.base = ask
            .base_of(self, task)
            .or(task.status.base.as_ref())
            .cloned();
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
            if task.status.agent.is_none() {
                return Err(Refusal::denied(format!(
                    "task {} is blocked: {}",
                    task.id,
                    task.status.reason.as_deref().unwrap_or("nobody said why")
                ))
                .hint(format!("git orch release {} -m 'what was mended'", task.id)));
            }
            let holder = holder(&task.status);
            let refusal = Refusal::lost(format!("task {} is held by {holder}", task.id));
            return Err(match task.status.agent {
                Some(holder) if holder == agent => refusal.hint(format!(
                    "git orch claim {} --agent {agent} --attempt {}",
                    task.id, task.status.attempt
                )),
                _ => refusal.hint(format!("git orch status {}", task.id)),
            });
        }
        self.require_agent(agent)?;
        if task.team != agent.team {
            return Err(Refusal::denied(format!(
                "agent {agent} may not claim task {}: it belongs to team {}",
                task.id, task.team
            ))
            .hint(format!("git orch claim --agent {agent}")));
        }
        if let Some(why) = self.paused(agent) {
            return Err(is_paused(agent, why));
        }
        if let Some(held) = self.held_by(agent) {
            return Err(self.holds_already(held));
        }
        if state != State::Ready {
            return Err(self.not_ready(task));
        }
        let model = self.model_of(task);
        let held = self.held_per_model().get(&model).copied().unwrap_or(0);
        self.has_room(&model, held)
    }

    /// Checks that one more task of a model tier may be worked on (C2).
    pub(in crate::model) fn has_room(&self, model: &str, held: u32) -> Result<(), Refusal> {
        let limit = self.limits().get(model).copied();
        match limit {
            Some(limit) if held >= limit => Err(Refusal::nothing(format!(
                "the wave of {model} is full: {limit} of its tasks are being worked on"
            ))
            .hint("git orch queue active")),
            _ => Ok(()),
        }
    }

    pub(in crate::model) fn holds_already(&self, held: &Task) -> Refusal {
        let agent = held
            .status
            .agent
            .map_or_else(String::new, |agent| agent.to_string());
        Refusal::denied(format!(
            "agent {agent} already holds task {} (attempt {})",
            held.id, held.status.attempt
        ))
        .hint(format!("git orch status {}", held.id))
    }

    pub(super) fn not_ready(&self, task: &Task) -> Refusal {
        let id = &task.id;
        let state = task.status.state;
        let wait = self.wait_of(task);
        let why = task.status.reason.as_deref();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let refusal = Refusal::denied(match (state, &wait) {
            (State::Pending, Some(wait)) => format!("task {id} is pending: {wait}"),
            (State::Pending, None) => {
                format!("task {id} is pending: its phase is not open or nothing was dispatched")
            }
            (State::Gap, _) => format!(
                "task {id} was given up after {}{why}",
                attempts(
                    task.status
                        .attempt
                        .0
                        .saturating_sub(task.status.earlier_attempts.0)
                )
            ),
            _ => format!("task {id} is {state}, not ready"),
        });
        match state {
            State::Gap => refusal
                .hint(format!("git orch retry {id}"))
                .hint(format!("git orch retry {id} --resume")),
            State::Pending => refusal.hint(match wait {
                Some(wait) => wait
                    .hint()
                    .unwrap_or_else(|| format!("git orch status {id}")),
                None => String::from("git orch dispatch"),
            }),
            State::Failed if task.status.waits_for_setup() => {
                refusal.hint(format!("git orch retry {id}"))
            }
            State::Failed => refusal.hint("git orch dispatch"),
            _ => refusal.hint(format!("git orch status {id}")),
        }
    }

    pub(super) fn start(&self, intent: &Intent, claim: &Claim) -> Decision {
        let task = self.holds(claim)?;
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
        let task = self.holds(claim)?;
        let mut status = next_status(task, intent, State::Blocked);
        status.reason = Some(reason.to_owned());
        Ok(Some(transition(task, status, EventKind::Block, reason)))
    }

    pub(super) fn unblock(
        &self,
        intent: &Intent,
        claim: &Claim,
        message: Option<&str>,
    ) -> Decision {
        let task = self.holds(claim)?;
        if task.status.state != State::Blocked {
            return Err(wrong_state(task, "unblocked", "status"));
        }
        let mut status = next_status(task, intent, State::InProgress);
        pass_on(task, &mut status, message);
        status.reason = None;
        let summary = message.unwrap_or(&task.title);
        let mut change = transition(task, status, EventKind::Unblock, summary);
        change.event.body = message.unwrap_or_default().to_owned();
        Ok(Some(change))
    }

    pub(super) fn release(&self, intent: &Intent, claim: &Claim, reason: &str) -> Decision {
        let task = self.holds(claim)?;
        let mut status = next_status(task, intent, State::Ready);
        status.lease_until = None;
        // What an executor says of a claim that it gives back is about the machine, not about the work.
        if matches!(intent.actor, Actor::Human | Actor::Agent(_)) {
            pass_on(task, &mut status, Some(reason));
        }
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
        let task = self.holds(claim)?;
        let mut status = next_status(task, intent, State::Failed);
        status.failures += 1;
        status.lease_until = None;
        status.reason = Some(reason.to_owned());
        status.findings = Some(findings.unwrap_or(reason).to_owned());
        let mut change = transition(task, status, EventKind::Fail, reason);
        change.event.body = findings.unwrap_or_default().to_owned();
        Ok(Some(change))
    }

    /// Ends an attempt that brought nothing: as a failure, or given back where it costs nothing.
    pub(super) fn end(&self, intent: &Intent, ended: &EndedAttempt) -> Decision {
        let EndedAttempt { claim, reason, .. } = ended;
        // Where nobody could have done better the task waits for a person; otherwise for the next agent.
        let fails = ended.counts || !ended.class.counts();
        let decided = match fails {
            true => self.fail(intent, claim, reason, ended.findings.as_deref()),
            false => self.release(intent, claim, reason),
        };
        let Ok(Some(mut change)) = decided else {
            return decided;
        };
        for edit in &mut change.edits {
            if let Edit::PutStatus(_, status) = edit {
                status.class = Some(ended.class.clone());
                if fails && !ended.counts {
                    status.failures -= 1;
                }
            }
        }
        change.event.more.push(("Class", ended.class.to_string()));
        Ok(Some(change))
    }

    pub(super) fn submit(
        &self,
        intent: &Intent,
        claim: &Claim,
        head: &CommitId,
        handoff: &Handoff,
    ) -> Decision {
        let task = self.holds(claim)?;
        if task.status.state == State::Blocked {
            return Err(wrong_state(task, "submitted", "unblock"));
        }
        // A landing stays in the record of a task only where a commit of its own took it out.
        if let Some(landing) = &task.status.commit
            && task.status.head.as_ref() == Some(head)
        {
            return Err(Refusal::denied(format!(
                "commit {head} of task {} was brought in by {landing} and reverted: merged again it would bring \
                 nothing back",
                task.id
            ))
            .hint(format!("git log --grep 'Orch-Undoes: {landing}'")));
        }
        let mut status = next_status(task, intent, State::Submitted);
        status.head = Some(head.clone());
        status.lease_until = None;
        status.reason = None;
        status.takeovers = 0;
        let mut change = transition(task, status, EventKind::Submit, &handoff.summary);
        change.event.head = Some(head.clone());
        change
            .edits
            .push(Edit::PutHandoff(task.id.clone(), Box::new(handoff.clone())));
        Ok(Some(change))
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
        // The late work is nobody's loss: it stays where it was done.
        let kept = match &status.branch {
            Some(branch) if claim.attempt.0 > 0 => format!("; its commits stay on branch {branch}"),
            _ => String::new(),
        };
        Err(Refusal::lost(format!(
            "attempt {} of agent {} at task {} does not hold: it is {now}{kept}",
            claim.attempt, claim.agent, claim.task
        ))
        .hint(format!("git orch status {}", claim.task)))
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
        // Said of the last attempt only, as it ends.
        class: None,
        ..task.status.clone()
    }
}

/// Keeps what is told to whoever works on a task next, with the words that it was blocked with.
pub(super) fn pass_on(task: &Task, status: &mut Status, message: Option<&str>) {
    let Some(message) = message else { return };
    // A task that is blocked for good is held by nobody, and no agent has asked anything.
    let is_blocked = task.status.state == State::Blocked && task.status.agent.is_some();
    let words = task.status.reason.as_deref().filter(|_| is_blocked);
    status.add_message(words, message);
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

pub(super) fn holder(status: &Status) -> String {
    let agent = status
        .agent
        .map_or_else(|| String::from("nobody"), |agent| agent.to_string());
    match &status.machine {
        Some(machine) => format!("{agent} (attempt {}) on {machine}", status.attempt),
        None => format!("{agent} (attempt {})", status.attempt),
    }
}

fn attempts(number: u32) -> String {
    match number {
        1 => String::from("1 attempt"),
        number => format!("{number} attempts"),
    }
}

/// Returns the refusal of an agent that gets no work for now.
pub(in crate::model) fn is_paused(agent: AgentId, why: &str) -> Refusal {
    Refusal::denied(format!("agent {agent} is paused: {why}"))
        .hint(format!("git orch resume {agent}"))
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
