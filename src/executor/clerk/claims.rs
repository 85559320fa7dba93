//! Claims: one for every slot that asks, in one go.

use anyhow::Result;

use super::{Clerk, Reply};
use crate::executor::step::Slot;
use crate::executor::{News, attempt, marks};
use crate::git::Oid;
use crate::ledger::Done;
use crate::model::{Actor, Intent, Op, RefusalKind};
use crate::workspace::{assign, keys};

/// Rounds of claims that are lost before the slots rest until the board has moved.
const MOST_RACES: usize = 20;

/// Slots that ask for a task.
#[derive(Default)]
pub(super) struct Claims {
    slots: Vec<Slot>,
    /// Claims of unknown result, with the ledger's tip before them.
    unknown: Vec<(Intent, Option<Oid>)>,
    /// Whether there was nothing for a slot that asked last.
    is_hungry: bool,
}

impl Claims {
    pub(super) fn ask(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    pub(super) fn is_hungry(&self) -> bool {
        self.is_hungry || !self.slots.is_empty()
    }

    /// Takes back what was asked for, but for claims that may have been made.
    pub(super) fn withdraw(&mut self) -> Vec<Slot> {
        let keep = self.unknown.len().min(self.slots.len());
        self.slots.split_off(keep)
    }

    /// Takes back everything; a claim that was made all the same is found by the next executor here.
    pub(super) fn give_up(&mut self) -> Vec<Slot> {
        self.unknown.clear();
        std::mem::take(&mut self.slots)
    }
}

impl Clerk {
    /// Claims a task for every slot that asks.
    pub(super) fn claim(&mut self) -> Result<()> {
        self.find_claimed()?;
        for _ in 0..MOST_RACES {
            let wanted = self.claims.slots.len();
            if wanted == 0 {
                return Ok(());
            }
            self.ledger.refresh()?;
            let wish = self.apart.without(&self.ledger, &self.duties.wish);
            let ask = match assign::ask_for(&self.ledger, &wish, wanted)? {
                Ok(ask) => ask,
                Err(none) => {
                    self.claims.is_hungry = true;
                    for slot in std::mem::take(&mut self.claims.slots) {
                        self.reply(Reply::Refused(slot, none.tasks.clone()));
                    }
                    return Ok(());
                }
            };
            self.claims.is_hungry = ask.bases.len() < wanted;
            for slot in self.claims.slots.split_off(ask.bases.len()) {
                self.reply(Reply::Refused(slot, Vec::new()));
            }
            self.claim_once(&Op::Claim(Box::new(ask)))?;
        }
        for slot in std::mem::take(&mut self.claims.slots) {
            self.reply(Reply::Refused(slot, Vec::new()));
        }
        Ok(())
    }

    /// Asks once for every slot; those that lost a race go on asking.
    fn claim_once(&mut self, op: &Op) -> Result<()> {
        let tip = self.ledger.tip();
        let repo = self.ledger.repo();
        let mut intents = Vec::new();
        for _ in &self.claims.slots {
            let intent = self.ledger.intent(Actor::Executor, op.clone());
            marks::announce(repo, &intent.id)?;
            self.claims.unknown.push((intent.clone(), tip));
            intents.push(intent);
        }
        let outcomes = self.ledger.carry_out(intents.clone())?;
        self.claims.unknown.clear();
        self.ledger.refresh()?;
        let statuses = outcomes
            .iter()
            .flatten()
            .filter_map(|done| done.status.as_ref());
        let agents: Vec<_> = statuses.filter_map(|status| status.agent).collect();
        keys::keep(&mut self.ledger, &agents)?;
        let slots = std::mem::take(&mut self.claims.slots);
        for ((slot, intent), outcome) in slots.into_iter().zip(intents).zip(outcomes) {
            match outcome {
                Ok(done) => self.tell_claimed(slot, &intent, &done),
                Err(refusal) => {
                    marks::forget(self.ledger.repo(), &intent.id);
                    if refusal.kind == RefusalKind::Lost {
                        self.claims.slots.push(slot);
                    } else {
                        self.claims.is_hungry = true;
                        self.reply(Reply::Refused(slot, Vec::new()));
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_claimed(&self, slot: Slot, intent: &Intent, done: &Done) {
        let held = assign::claimed(&self.ledger, done)
            .and_then(|assignment| attempt::held(&self.ledger, assignment, intent.id.0.clone()));
        match held {
            Ok(held) => {
                marks::forget(self.ledger.repo(), &intent.id);
                self.reply(Reply::Claimed(slot, Box::new(held)));
            }
            Err(error) => {
                // Its mark stays: the next executor here gives it back.
                let text = format!("a claim cannot be worked on: {error:#}");
                self.reply(Reply::Tell(News::Warning(text)));
                self.reply(Reply::Refused(slot, Vec::new()));
            }
        }
    }

    /// Finds the claims that were made although it seemed to fail.
    fn find_claimed(&mut self) -> Result<()> {
        let unknown = self.claims.unknown.clone();
        for (intent, tip) in unknown {
            match self.ledger.find_done(&intent.id, tip)? {
                Some(done) => {
                    if let Some(slot) = self.claims.slots.pop() {
                        self.tell_claimed(slot, &intent, &done);
                    }
                }
                None => marks::forget(self.ledger.repo(), &intent.id),
            }
            self.claims
                .unknown
                .retain(|(other, _)| other.id != intent.id);
        }
        Ok(())
    }
}
