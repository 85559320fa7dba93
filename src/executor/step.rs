//! Decides what the executor does next: events in, actions out.
//!
//! Pure, so that every order of events can be tried; which task a slot gets, and for which coder, the ledger
//! decides. Each slot goes through `Claim, Prepare, Start, Judge, Settle`, or leaves out the middle when
//! something goes wrong, and whatever was claimed is settled before [`Action::Finish`]. That the ledger may be
//! out of reach is no matter of this: an answer then comes later.

use std::collections::BTreeMap;

/// A place for one agent at a time, counted from 0.
pub(super) type Slot = usize;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The executor has begun.
    Begun,
    /// What may start was made ready; says whether waiting may bring further work.
    Dispatched(bool),
    /// The ledger gave the slot a task.
    Claimed(Slot),
    /// The ledger has no task for the slot.
    Refused(Slot),
    /// The worktree is ready, or could not be made.
    Prepared(Slot, bool),
    /// The agent ended, by itself or by a time limit.
    Exited(Slot),
    /// The attempt was broken off through no fault of its own.
    Stopped(Slot),
    /// The checks of its work passed, or something went wrong.
    Judged(Slot, bool),
    /// The ledger says how the attempt ended, and the slot is free.
    Settled(Slot),
    /// Someone else has ended the claim.
    Lost(Slot),
    /// The ledger has moved.
    Moved,
    /// Others have handed in work.
    HandedIn,
    /// An assembly came to its end, with or without having changed a task.
    Assembled(bool),
    /// A person, or whoever runs the machine, wants it to stop.
    Signalled,
    /// Something is wrong that no attempt is to blame for, and nothing can be done about here.
    Broken,
    /// The time that [`Action::Grace`] began is over.
    GraceOver(Grace),
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Make ready what may start.
    Dispatch,
    /// Ask the ledger for a task.
    Claim(Slot),
    /// Make the worktree ready.
    Prepare(Slot),
    /// Start the agent.
    Start(Slot),
    /// Ask it to stop.
    Stop(Slot),
    /// End it at once.
    Kill(Slot),
    /// Check what it has done.
    Judge(Slot),
    /// Tell the ledger how the attempt ended.
    Settle(Slot, Outcome),
    /// Bring together what was submitted.
    Assemble,
    /// Tell that others are waited for.
    Wait,
    /// Take back what was asked for and not given yet.
    Withdraw,
    /// Let pass the time that agents get to end by themselves, or to be ended in.
    Grace(Grace),
    /// Try no more to tell the ledger what cannot be told.
    GiveUp,
    /// Leave; nothing runs.
    Finish,
}

/// Which time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grace {
    /// In which agents may finish.
    Finish,
    /// In which agents that were asked to stop, and checks, may end.
    End,
    /// In which what was ended at once may be cleared up and told.
    Last,
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

/// When an executor ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// When it has nothing to do and nobody on another machine works either.
    #[default]
    Idle,
    /// When nothing is left that it could ever do.
    Over,
    /// When it has done what was there for its slots.
    Once,
}

/// How far a slot is with its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Claiming,
    Preparing,
    Running,
    Judging,
    Settling,
}

#[derive(Debug, Clone, Copy)]
struct Work {
    stage: Stage,
    lost: bool,
}

/// How urgently it is to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    #[default]
    No,
    /// Nothing new; agents may finish.
    Draining,
    Politely,
    Firmly,
}

/// How a fleet goes about its work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Most agents at once.
    pub slots: usize,
    /// Whether it brings together what was submitted.
    pub assembles: bool,
    /// When it ends.
    pub until: Until,
    /// Whether agents may finish after the first signal.
    pub drains: bool,
}

/// What the executor knows of its own doing.
#[derive(Debug)]
pub(super) struct Fleet {
    manner: Manner,
    busy: BTreeMap<Slot, Work>,
    /// Whether there was nothing for a slot since the ledger was last looked at.
    resting: bool,
    /// Whether the ledger has moved since the last dispatch, while there was nobody to look for.
    moved: bool,
    /// Dispatches that were not answered yet.
    dispatching: usize,
    /// Whether waiting may bring further work, and whether that was told.
    more: bool,
    waits: bool,
    /// Whether any slot has asked for work.
    asked: bool,
    /// Whether something may have been submitted since the last assembly began.
    due: bool,
    assembling: bool,
    stopping: Stopping,
}

impl Fleet {
    /// Returns a fleet in which nobody works yet.
    pub(super) fn new(manner: Manner) -> Self {
        Self {
            manner,
            busy: BTreeMap::new(),
            resting: false,
            moved: false,
            dispatching: 0,
            more: false,
            waits: false,
            asked: false,
            due: true,
            assembling: false,
            stopping: Stopping::No,
        }
    }

    /// Takes an event and returns what is to be done, in order.
    pub(super) fn step(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Begun if self.stops() => self.fill(),
            Event::Begun => self.dispatch(),
            Event::Dispatched(more) => {
                self.dispatching = self.dispatching.saturating_sub(1);
                self.more = more;
                self.resting = false;
                self.fill()
            }
            Event::Claimed(slot) => {
                self.waits = false;
                if let Some(work) = self.busy.get_mut(&slot) {
                    // What was lost before this was the slot's last claim.
                    work.lost = false;
                }
                if self.stops() {
                    return self.settle(slot, Outcome::Release);
                }
                self.advance(slot, Stage::Preparing, Action::Prepare(slot))
            }
            Event::Refused(slot) => {
                self.busy.remove(&slot);
                self.resting = true;
                // The refusal may be older than the last move.
                match self.moved && !self.stops() {
                    true => self.dispatch(),
                    false => self.fill(),
                }
            }
            Event::Moved if self.stops() || self.assembling || self.is_full() => {
                self.moved = true;
                Vec::new()
            }
            Event::Moved => self.dispatch(),
            Event::HandedIn => {
                self.due = true;
                Vec::new()
            }
            Event::Assembled(changed) => {
                self.assembling = false;
                if self.stops() {
                    return vec![Action::Finish];
                }
                match changed || self.more || self.moved {
                    true => self.dispatch(),
                    false => self.fill(),
                }
            }
            Event::Signalled => self.stop(match (self.stopping, self.manner.drains) {
                (Stopping::No, true) => Stopping::Draining,
                (Stopping::No, false) => Stopping::Politely,
                (_, _) => Stopping::Firmly,
            }),
            Event::Broken if self.stopping < Stopping::Politely => self.stop(Stopping::Politely),
            // It stops anyhow.
            Event::Broken => Vec::new(),
            Event::GraceOver(grace) => self.hurry(grace),
            Event::Prepared(..)
            | Event::Exited(_)
            | Event::Stopped(_)
            | Event::Judged(..)
            | Event::Settled(_)
            | Event::Lost(_) => self.step_attempt(event),
        }
    }

    /// Takes an event of an attempt.
    fn step_attempt(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Prepared(slot, _) if self.stops() => self.settle(slot, Outcome::Release),
            Event::Prepared(slot, _) | Event::Exited(slot) | Event::Stopped(slot)
                if self.is_lost(slot) =>
            {
                self.settle(slot, Outcome::Abandon)
            }
            Event::Prepared(slot, true) => self.advance(slot, Stage::Running, Action::Start(slot)),
            Event::Prepared(slot, false) => self.settle(slot, Outcome::Fail),
            Event::Exited(slot) => self.advance(slot, Stage::Judging, Action::Judge(slot)),
            Event::Stopped(slot) => self.settle(slot, Outcome::Release),
            Event::Judged(slot, passed) => {
                let outcome = match passed {
                    _ if self.is_lost(slot) => Outcome::Abandon,
                    true => Outcome::Submit,
                    // The checks themselves may have been killed, which says nothing about the work.
                    false if self.stopping == Stopping::Firmly => Outcome::Release,
                    false => Outcome::Fail,
                };
                self.settle(slot, outcome)
            }
            Event::Settled(slot) => {
                self.busy.remove(&slot);
                self.due = true;
                match self.stops() {
                    true => self.fill(),
                    false => self.dispatch(),
                }
            }
            Event::Lost(slot) => self.lose(slot),
            _ => Vec::new(),
        }
    }

    /// Returns whether it is to stop.
    pub(super) fn stops(&self) -> bool {
        self.stopping > Stopping::No
    }

    fn is_full(&self) -> bool {
        self.busy.len() >= self.manner.slots
    }

    fn dispatch(&mut self) -> Vec<Action> {
        self.moved = false;
        self.dispatching += 1;
        vec![Action::Dispatch]
    }

    /// Gives free slots work; where nobody works and there is none, goes on to what comes after.
    fn fill(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let has_had = self.asked && self.manner.until == Until::Once;
        if !self.stops() && !self.assembling && !self.resting && !has_had {
            self.asked = true;
            for slot in 0..self.manner.slots {
                self.busy.entry(slot).or_insert_with(|| {
                    actions.push(Action::Claim(slot));
                    Work {
                        stage: Stage::Claiming,
                        lost: false,
                    }
                });
            }
        }
        if !self.busy.is_empty() || self.assembling {
            return actions;
        }
        if self.stops() {
            return vec![Action::Finish];
        }
        if self.dispatching > 0 {
            return Vec::new();
        }
        if self.manner.assembles && self.due {
            (self.assembling, self.due) = (true, false);
            return vec![Action::Assemble];
        }
        if !self.more || self.manner.until == Until::Once {
            return vec![Action::Finish];
        }
        if std::mem::replace(&mut self.waits, true) {
            return Vec::new();
        }
        vec![Action::Wait]
    }

    fn advance(&mut self, slot: Slot, stage: Stage, action: Action) -> Vec<Action> {
        if let Some(work) = self.busy.get_mut(&slot) {
            work.stage = stage;
        }
        vec![action]
    }

    fn settle(&mut self, slot: Slot, outcome: Outcome) -> Vec<Action> {
        self.advance(slot, Stage::Settling, Action::Settle(slot, outcome))
    }

    fn is_lost(&self, slot: Slot) -> bool {
        self.busy.get(&slot).is_some_and(|work| work.lost)
    }

    fn lose(&mut self, slot: Slot) -> Vec<Action> {
        let Some(work) = self.busy.get_mut(&slot) else {
            return Vec::new();
        };
        let first = !work.lost;
        work.lost = true;
        if first && work.stage == Stage::Running {
            vec![Action::Stop(slot)]
        } else {
            Vec::new()
        }
    }

    fn stop(&mut self, how: Stopping) -> Vec<Action> {
        let (first, was) = (!self.stops(), self.stopping);
        self.stopping = how;
        // An assembly resumes by itself when it is begun again, so nothing is waited for; nor is what does not even
        // end firmly.
        if self.busy.is_empty() || was == Stopping::Firmly {
            return vec![Action::Finish];
        }
        let mut actions = match first {
            true => vec![Action::Withdraw],
            false => Vec::new(),
        };
        if how > was {
            actions.extend(self.press());
        }
        actions
    }

    /// Goes on to the next urgency once the time of one is over; not where something more urgent came meanwhile.
    fn hurry(&mut self, grace: Grace) -> Vec<Action> {
        match (grace, self.stopping) {
            (Grace::Finish, Stopping::Draining) => self.stopping = Stopping::Politely,
            (Grace::End, Stopping::Politely) => self.stopping = Stopping::Firmly,
            (Grace::Last, Stopping::Firmly) => return vec![Action::Finish],
            _ => return Vec::new(),
        }
        self.press()
    }

    /// Returns what brings the attempts to their end as urgently as it is.
    fn press(&self) -> Vec<Action> {
        let firmly = self.stopping == Stopping::Firmly;
        let told = self.busy.iter().filter_map(|(slot, work)| {
            let action = match firmly {
                true => Action::Kill(*slot),
                false => Action::Stop(*slot),
            };
            let hears = work.stage == Stage::Running || firmly && work.stage == Stage::Judging;
            hears.then_some(action)
        });
        match self.stopping {
            Stopping::No => Vec::new(),
            Stopping::Draining => vec![Action::Grace(Grace::Finish)],
            Stopping::Politely => told.chain([Action::Grace(Grace::End)]).collect(),
            Stopping::Firmly => told
                .chain([Action::GiveUp, Action::Grace(Grace::Last)])
                .collect(),
        }
    }

    /// Returns what each slot that is busy waits for.
    pub(super) fn waits(&self) -> Vec<(Slot, &'static str)> {
        let told = |work: &Work| match work.stage {
            Stage::Claiming => "the ledger",
            Stage::Preparing => "its worktree",
            Stage::Running => "its agent",
            Stage::Judging => "its checks",
            Stage::Settling => "its end to be told",
        };
        let busy = self.busy.iter();
        busy.map(|(slot, work)| (*slot, told(work))).collect()
    }
}

#[cfg(test)]
mod tests;
