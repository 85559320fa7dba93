//! Many writers on one lock: whoever gets it carries out what waits in the spool together with its own, a commit
//! each, and moves the ledger once (flat combining): nobody is overtaken for long, and a hundred writers cost one move.

use anyhow::Result;

use super::Ledger;
use super::spool::{Answer, Letter, Spool, Waiter, Waiting};
use super::transact::{Done, Matter};
use crate::error::{Exit, UserError};
use crate::git::Oid;
use crate::git::files::Lock;
use crate::model::{Intent, Refusal};

impl Ledger {
    /// Carries out intents, or has them carried out by whoever holds the lock.
    pub(super) fn carry_out_together(
        &mut self,
        intents: Vec<Intent>,
    ) -> Result<Vec<Result<Done, Refusal>>> {
        let path = self.repo.orch_dir().join("lock");
        let seen = self.snapshot.tip.map(|tip| tip.to_string());
        let seen = seen.unwrap_or_default();
        let letter = |intent| Letter {
            seen: seen.clone(),
            intent,
        };
        let letters: Vec<Letter> = intents.into_iter().map(letter).collect();
        // Whoever met others at the lock goes to the end of the line; else it would take the lock again before those
        // that it has just let go had run.
        if !self.met_others
            && let Some(lock) = Lock::take(&path)?
        {
            return self.hold(lock, &letters);
        }
        let spool = Spool::of(&self.repo);
        let left: Result<Vec<Waiting>> = letters.iter().map(|letter| spool.leave(letter)).collect();
        // Where the spool cannot be written, the lock alone will do.
        let Ok(mut left) = left else {
            return self.hold(Lock::wait(&path)?, &letters);
        };
        let mut outcomes: Vec<Option<Result<Done, Refusal>>> = vec![None; left.len()];
        // Everybody takes a turn, whether it was served or not: whoever let those who were go on by themselves found a
        // few of them at the lock again and again before others had run.
        let lock = Lock::wait(&path)?;
        if !read_answers(&mut left, &mut outcomes)? {
            // Nobody has served us, so we serve everybody: ours lie in the spool with the others.
            self.hold(lock, &[])?;
        } else {
            self.met_others = true;
        }
        if !read_answers(&mut left, &mut outcomes)? {
            // Somebody has cleared the spool away, or it could not take the answer: the lock alone will do.
            let unserved = |outcome: &&mut Option<_>| outcome.is_none();
            let mine = letters.iter().zip(&outcomes);
            let mine: Vec<Letter> = mine
                .filter(|(_, outcome)| outcome.is_none())
                .map(|(letter, _)| letter.clone())
                .collect();
            let lock = Lock::wait(&path)?;
            for letter in &mine {
                spool.withdraw(letter)?;
            }
            let done = self.hold(lock, &mine)?;
            for (outcome, done) in outcomes.iter_mut().filter(unserved).zip(done) {
                *outcome = Some(done);
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Carries out own intents and all that wait, as the holder of the lock; returns the outcomes of its own.
    fn hold(&mut self, lock: Lock, own: &[Letter]) -> Result<Vec<Result<Done, Refusal>>> {
        let waiters = Spool::of(&self.repo).waiters();
        // Where none is given, one of those that wait is ours.
        self.met_others = waiters.len() > usize::from(own.is_empty());
        let hold = self.take_over(lock)?;
        if hold.was_interrupted() {
            if self.remote().is_some() {
                let remote = self.require_remote()?;
                self.fetch_ledger(&hold, &remote)?;
            }
            self.refresh()?;
        }
        let of_own = own.len();
        let mut matters = Vec::with_capacity(of_own + waiters.len());
        for letter in own
            .iter()
            .chain(waiters.iter().map(|waiter| &waiter.letter))
        {
            let outcome = match hold.was_interrupted() {
                // A holder before us did not come to its end: it may have carried this out already.
                true => {
                    let seen = Oid::from_hex(letter.seen.as_bytes()).ok();
                    self.find_done(&letter.intent.id, seen)?.map(Ok)
                }
                false => None,
            };
            matters.push(Matter {
                intent: letter.intent.clone(),
                outcome,
            });
        }
        let served = self.serve(&hold, &mut matters);
        if served.is_err() {
            // What was decided on in vain is forgotten; if that fails too, the next reading says why.
            let _ = self.refresh();
        }
        let theirs = matters.split_off(of_own);
        let told = self.answer(waiters, theirs, served.as_ref().err());
        // Whoever could not be told asks again, and what came of a failure is not known: then the note goes
        // on saying so, and the next holder looks for the operations' ids.
        served?;
        if told {
            // The ledger has moved; without the note the next holder looks for longer and nothing worse.
            let _ = match self.remote() {
                Some(_) => hold.end(&self.repo, &self.name),
                None => hold.end_at(self.snapshot.tip, &self.name),
            };
        }
        let unknown = || anyhow::anyhow!("an intent was left undecided");
        matters
            .into_iter()
            .map(|matter| matter.outcome.ok_or_else(unknown))
            .collect()
    }

    /// Tells those who waited; returns whether all were told. Whoever gets no answer tries by itself.
    fn answer(
        &self,
        waiters: Vec<Waiter>,
        matters: Vec<Matter>,
        error: Option<&anyhow::Error>,
    ) -> bool {
        let mut told = true;
        for (waiter, matter) in waiters.into_iter().zip(matters) {
            let answer = match (matter.outcome, error) {
                // What has an outcome is settled, whatever failed after it.
                (Some(Ok(done)), _) => Answer::Done(Box::new(done)),
                (Some(Err(refusal)), _) => Answer::Refused(refusal),
                // All of them would run into the same silence, one after another.
                (_, Some(error)) if error.is::<super::Unreachable>() => {
                    let user = error.downcast_ref::<UserError>();
                    Answer::Failed {
                        message: user
                            .map_or_else(|| format!("{error:#}"), |user| user.message.clone()),
                        hints: user.map(|user| user.hints.clone()).unwrap_or_default(),
                        unreachable: true,
                    }
                }
                _ => {
                    told = false;
                    continue;
                }
            };
            // Who cannot be told finds out by trying again: the ledger knows the operation's id.
            told &= waiter.answer(&answer).is_ok();
        }
        told
    }
}

/// Reads the answers that are there and were not before; returns whether all are.
fn read_answers(
    left: &mut [Waiting],
    outcomes: &mut [Option<Result<Done, Refusal>>],
) -> Result<bool> {
    for (waiting, outcome) in left.iter_mut().zip(&mut *outcomes) {
        if outcome.is_none() {
            *outcome = waiting.answer()?.map(read_answer).transpose()?;
        }
    }
    Ok(outcomes.iter().all(Option::is_some))
}

fn read_answer(answer: Answer) -> Result<Result<Done, Refusal>> {
    match answer {
        Answer::Done(done) => Ok(Ok(*done)),
        Answer::Refused(refusal) => Ok(Err(refusal)),
        Answer::Failed {
            message,
            hints,
            unreachable,
        } => {
            let error = UserError {
                message,
                hints,
                exit: Exit::Failed,
            };
            Err(if unreachable {
                anyhow::Error::new(super::Unreachable).context(error)
            } else {
                error.into()
            })
        }
    }
}
