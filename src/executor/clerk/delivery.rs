//! Words about held tasks: in order, many in one go, and kept until they are delivered.

use std::collections::VecDeque;

use anyhow::Result;

use super::{Clerk, Reply};
use crate::executor::step::Slot;
use crate::git::Oid;
use crate::ledger::{Done, Ledger};
use crate::model::{Actor, Intent, Op, Refusal, RefusalKind};

/// What is to be said, oldest first.
#[derive(Default)]
pub(super) struct Delivery {
    letters: VecDeque<Letter>,
}

struct Letter {
    /// The slot that it is about; none for what nobody waits for.
    slot: Option<Slot>,
    intent: Intent,
    /// Whether it is the last word about an attempt, which the slot waits for.
    ends: bool,
    /// The ledger's tip before it was first tried: it may have arrived since.
    tried: Option<Option<Oid>>,
}

impl Delivery {
    pub(super) fn enter(&mut self, slot: Option<Slot>, intent: Intent, ends: bool) {
        self.letters.push_back(Letter {
            slot,
            intent,
            ends,
            tried: None,
        });
    }

    /// Forgets everything, and returns the slots that wait.
    pub(super) fn give_up(&mut self) -> Vec<Slot> {
        let letters = self.letters.drain(..);
        letters
            .filter(|letter| letter.ends)
            .filter_map(|letter| letter.slot)
            .collect()
    }
}

impl Clerk {
    /// Says what is to be said, and makes ready what may start, in one go.
    pub(super) fn deliver(&mut self) -> Result<()> {
        self.ledger.refresh()?;
        self.find_delivered()?;
        let mut intents: Vec<Intent> = self
            .delivery
            .letters
            .iter()
            .map(|letter| letter.intent.clone())
            .collect();
        let letters = intents.len();
        if self.dispatches > 0
            && let Some(dispatch) = dispatch_after(&self.ledger, &intents)
        {
            intents.push(dispatch);
        }
        let mut outcomes = Vec::new();
        if !intents.is_empty() {
            let tip = self.ledger.tip();
            for letter in &mut self.delivery.letters {
                letter.tried.get_or_insert(tip);
            }
            outcomes = self.ledger.carry_out(intents)?;
            // From here on all of it is known, whatever reading the board anew may come to.
        }
        let dispatched = outcomes.split_off(letters.min(outcomes.len()));
        for (letter, outcome) in self
            .delivery
            .letters
            .drain(..)
            .zip(outcomes)
            .collect::<Vec<_>>()
        {
            self.answer(&letter, outcome);
        }
        for _ in 0..std::mem::take(&mut self.dispatches) {
            let subject = dispatched
                .iter()
                .flatten()
                .map(|done| done.subject.clone())
                .next();
            self.reply(Reply::Dispatched(subject));
        }
        self.ledger.refresh()
    }

    /// Answers what has arrived although its first try seemed to fail.
    fn find_delivered(&mut self) -> Result<()> {
        for position in (0..self.delivery.letters.len()).rev() {
            let letter = &self.delivery.letters[position];
            let Some(tip) = letter.tried else {
                continue;
            };
            if let Some(done) = self.ledger.find_done(&letter.intent.id, tip)?
                && let Some(letter) = self.delivery.letters.remove(position)
            {
                self.answer(&letter, Ok(done));
            }
        }
        Ok(())
    }

    fn answer(&self, letter: &Letter, outcome: Result<Done, Refusal>) {
        let Some(slot) = letter.slot else {
            return;
        };
        if letter.ends {
            self.reply(Reply::Settled(slot, outcome.map(drop)));
        } else if let Err(refusal) = outcome
            && refusal.kind == RefusalKind::Lost
        {
            self.reply(Reply::Lost(slot));
        }
    }
}

/// Returns a dispatch, if there will be something to make ready once some intents are carried out. Asking the
/// ledger in vain would cost a conversation with its remote.
fn dispatch_after(ledger: &Ledger, intents: &[Intent]) -> Option<Intent> {
    let dispatch = ledger.intent(Actor::Executor, Op::Dispatch(ledger.board().settings.gate));
    if intents.is_empty() {
        let decided = ledger.board().decide(&dispatch);
        return decided.is_ok().then_some(dispatch);
    }
    let mut board = ledger.board().clone();
    for intent in intents {
        if let Ok(Some(change)) = board.decide(intent) {
            for edit in &change.edits {
                board.absorb(edit);
            }
        }
    }
    board.decide(&dispatch).is_ok().then_some(dispatch)
}
