//! Decides what the executor does next: events in, actions out.
//!
//! Pure, so that every order of events can be tried; which task an agent gets, and whether it may, the
//! ledger decides. Each coder goes through `Claim, Prepare, Start, Judge, Settle`, or leaves out the middle
//! when something goes wrong, and whatever was claimed is settled before [`Action::Finish`].

use std::collections::{BTreeMap, BTreeSet};

use crate::model::AgentId;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The executor has begun.
    Begun,
    /// What may start was made ready.
    Dispatched,
    /// The ledger gave the agent a task.
    Claimed(AgentId),
    /// The ledger has no task for the agent.
    Refused(AgentId),
    /// Its worktree is ready, or could not be made.
    Prepared(AgentId, bool),
    /// The agent ended, by itself or by a time limit.
    Exited(AgentId),
    /// The agent ended because it was asked to, or could not be started because everything stops.
    Stopped(AgentId),
    /// The checks of its work passed, or something went wrong.
    Judged(AgentId, bool),
    /// The ledger says how the attempt ended, and the coder is free.
    Settled(AgentId),
    /// Someone else has ended the agent's claim.
    Lost(AgentId),
    /// Someone else has moved the ledger.
    Moved,
    /// An assembly came to its end, with or without having changed a task.
    Assembled(bool),
    /// A person wants it to stop.
    Signalled,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Make ready what may start.
    Dispatch,
    /// Ask the ledger for a task for the agent.
    Claim(AgentId),
    /// Make its worktree ready.
    Prepare(AgentId),
    /// Start it.
    Start(AgentId),
    /// Ask it to stop.
    Stop(AgentId),
    /// End it at once.
    Kill(AgentId),
    /// Check what it has done.
    Judge(AgentId),
    /// Tell the ledger how its attempt ended.
    Settle(AgentId, Outcome),
    /// Bring together what was submitted.
    Assemble,
    /// Leave; nothing runs.
    Finish,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its work is handed in.
    Submit,
    /// It counts as a failure.
    Fail,
    /// It does not count; the task is ready again.
    Release,
    /// The claim is someone else's matter; its work is kept.
    Abandon,
}

/// How far an agent is with its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Claiming,
    Preparing,
    Running,
    Judging,
    Settling,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    stage: Stage,
    lost: bool,
}

/// How urgently a person wants it to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    #[default]
    No,
    Politely,
    Firmly,
}

/// What the executor knows of its own doing.
#[derive(Debug)]
pub(super) struct Fleet {
    coders: Vec<AgentId>,
    jobs: usize,
    busy: BTreeMap<AgentId, Slot>,
    /// Coders that there was nothing for since the last dispatch.
    resting: BTreeSet<AgentId>,
    assembles: bool,
    /// Whether something may have been submitted since the last assembly.
    due: bool,
    assembling: bool,
    stopping: Stopping,
}

impl Fleet {
    /// Returns a fleet in which nobody works yet; coders are asked in the given order.
    pub(super) fn new(coders: Vec<AgentId>, jobs: usize, assembles: bool) -> Self {
        Self {
            coders,
            jobs,
            busy: BTreeMap::new(),
            resting: BTreeSet::new(),
            assembles,
            due: true,
            assembling: false,
            stopping: Stopping::No,
        }
    }

    /// Takes an event and returns what is to be done, in order.
    pub(super) fn step(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Begun => vec![Action::Dispatch],
            Event::Dispatched => {
                self.resting.clear();
                self.fill()
            }
            Event::Claimed(agent) if self.stops() => self.settle(agent, Outcome::Release),
            Event::Claimed(agent) => self.advance(agent, Stage::Preparing, Action::Prepare(agent)),
            Event::Refused(agent) => {
                self.busy.remove(&agent);
                self.resting.insert(agent);
                self.fill()
            }
            Event::Prepared(agent, _) if self.stops() => self.settle(agent, Outcome::Release),
            Event::Prepared(agent, _) if self.is_lost(agent) => {
                self.settle(agent, Outcome::Abandon)
            }
            Event::Prepared(agent, true) => {
                self.advance(agent, Stage::Running, Action::Start(agent))
            }
            Event::Prepared(agent, false) => self.settle(agent, Outcome::Fail),
            Event::Exited(agent) if self.is_lost(agent) => self.settle(agent, Outcome::Abandon),
            Event::Exited(agent) => self.advance(agent, Stage::Judging, Action::Judge(agent)),
            Event::Stopped(agent) if self.is_lost(agent) => self.settle(agent, Outcome::Abandon),
            Event::Stopped(agent) => self.settle(agent, Outcome::Release),
            Event::Judged(agent, passed) => {
                let outcome = match passed {
                    _ if self.is_lost(agent) => Outcome::Abandon,
                    true => Outcome::Submit,
                    // The checks themselves may have been killed, which says nothing about the work.
                    false if self.stopping == Stopping::Firmly => Outcome::Release,
                    false => Outcome::Fail,
                };
                self.settle(agent, outcome)
            }
            Event::Settled(agent) => {
                self.busy.remove(&agent);
                self.due = true;
                if self.stops() {
                    self.fill()
                } else {
                    vec![Action::Dispatch]
                }
            }
            Event::Lost(agent) => self.lose(agent),
            Event::Moved if self.stops() || self.assembling || self.busy.len() >= self.jobs => {
                Vec::new()
            }
            Event::Moved => vec![Action::Dispatch],
            Event::Assembled(changed) => {
                self.assembling = false;
                self.due = false;
                if changed && !self.stops() {
                    vec![Action::Dispatch]
                } else {
                    vec![Action::Finish]
                }
            }
            Event::Signalled => self.stop(),
        }
    }

    /// Returns whether a person wants it to stop.
    pub(super) fn stops(&self) -> bool {
        self.stopping > Stopping::No
    }

    /// Gives free coders work; where nobody works and there is none, goes on to what comes after.
    fn fill(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.stops() && !self.assembling {
            for agent in &self.coders {
                if self.busy.len() >= self.jobs {
                    break;
                }
                if !self.busy.contains_key(agent) && !self.resting.contains(agent) {
                    let slot = Slot {
                        stage: Stage::Claiming,
                        lost: false,
                    };
                    self.busy.insert(*agent, slot);
                    actions.push(Action::Claim(*agent));
                }
            }
        }
        if !self.busy.is_empty() || self.assembling {
            return actions;
        }
        if self.assembles && self.due && !self.stops() {
            self.assembling = true;
            return vec![Action::Assemble];
        }
        vec![Action::Finish]
    }

    fn advance(&mut self, agent: AgentId, stage: Stage, action: Action) -> Vec<Action> {
        if let Some(slot) = self.busy.get_mut(&agent) {
            slot.stage = stage;
        }
        vec![action]
    }

    fn settle(&mut self, agent: AgentId, outcome: Outcome) -> Vec<Action> {
        self.advance(agent, Stage::Settling, Action::Settle(agent, outcome))
    }

    fn is_lost(&self, agent: AgentId) -> bool {
        self.busy.get(&agent).is_some_and(|slot| slot.lost)
    }

    fn lose(&mut self, agent: AgentId) -> Vec<Action> {
        let Some(slot) = self.busy.get_mut(&agent) else {
            return Vec::new();
        };
        let first = !slot.lost;
        slot.lost = true;
        if first && slot.stage == Stage::Running {
            vec![Action::Stop(agent)]
        } else {
            Vec::new()
        }
    }

    fn stop(&mut self) -> Vec<Action> {
        self.stopping = match self.stopping {
            Stopping::No => Stopping::Politely,
            Stopping::Politely | Stopping::Firmly => Stopping::Firmly,
        };
        if self.busy.is_empty() {
            // An assembly resumes by itself when it is begun again, so nothing is waited for.
            return vec![Action::Finish];
        }
        let firmly = self.stopping == Stopping::Firmly;
        let told = self.busy.iter().filter_map(|(agent, slot)| {
            let action = if firmly {
                Action::Kill(*agent)
            } else {
                Action::Stop(*agent)
            };
            let hears = slot.stage == Stage::Running || firmly && slot.stage == Stage::Judging;
            hears.then_some(action)
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests;
