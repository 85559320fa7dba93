//! Deciding and committing: one lock, a compare-and-swap underneath it, and a retry around all of it.
//!
//! Who carries out whose operations under the lock is told in `combine`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::hold::Hold;
use crate::clock;
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::Oid;
use crate::git::files::read_whole;
use crate::git::objects::NewCommit;
use crate::git::refs::Swap;
use crate::model::identity::of_agent;
use crate::model::{
    Actor, Change, Edit, Intent, Op, OpId, Refusal, RefusalKind, Signing, Status, TaskId,
};

/// How often a lost race is decided again before giving up; each loss means that someone else won.
const MOST_TRIES: u32 = 50;

/// What an operation on the ledger has done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The ledger's commit; `None` where it already said so.
    #[serde(with = "hex")]
    pub commit: Option<Oid>,
    /// Subject line of the commit; empty where nothing changed.
    pub subject: String,
    /// Tasks that it concerns.
    pub tasks: Vec<TaskId>,
    /// The status that it has written, where that is one.
    pub status: Option<Status>,
}

impl Done {
    /// Returns whether the ledger moved.
    pub fn changed(&self) -> bool {
        self.commit.is_some()
    }
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind {
            RefusalKind::Denied => Exit::Failed,
            RefusalKind::Nothing => Exit::NothingToDo,
            RefusalKind::Lost => Exit::Lost,
        };
        Self {
            message: refusal.message,
            hints: refusal.hints,
            exit,
        }
    }
}

/// An intent that is being carried out, and what came of it.
pub(super) struct Matter {
    pub intent: Intent,
    pub outcome: Option<Result<Done, Refusal>>,
}

impl Ledger {
    /// Carries out an operation in the name of whom this process speaks for; the board shows it afterwards.
    ///
    /// # Errors
    ///
    /// The operation is refused ([`UserError`] with its exit code), or the ledger cannot be read or written.
    pub fn transact(&mut self, op: Op) -> Result<Done> {
        self.transact_as(self.actor, op)
    }

    /// Carries out an operation in the name of another actor; the board shows it afterwards.
    ///
    /// # Errors
    ///
    /// As [`Ledger::transact`].
    pub fn transact_as(&mut self, actor: Actor, op: Op) -> Result<Done> {
        let done = self.try_transact(actor, op)?.map_err(UserError::from)?;
        self.refresh()?;
        Ok(done)
    }

    /// Carries out an operation and returns a refusal as a value, for callers that go on after one.
    ///
    /// The board may be older than the answer: [`Ledger::refresh`] brings it up.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read or written.
    pub fn try_transact(&mut self, actor: Actor, op: Op) -> Result<Result<Done, Refusal>> {
        let intent = self.intent(actor, op);
        let mut outcomes = self.carry_out(vec![intent])?;
        Ok(outcomes.pop().unwrap_or_else(|| Ok(Done::default())))
    }

    /// Returns the intent to do something now, with an id of its own.
    pub fn intent(&self, actor: Actor, op: Op) -> Intent {
        Intent {
            id: clock::new_op_id(),
            time: clock::now(),
            actor,
            machine: self.machine.clone(),
            op,
        }
    }

    /// Carries out several operations, in order and in one go; with a remote they travel in one push.
    ///
    /// The board may be older than the answers: [`Ledger::refresh`] brings it up.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read or written, or its remote cannot be reached ([`super::Unreachable`]). Then the
    /// same intents may be tried again: what was carried out in spite of the error is found by its id.
    pub fn carry_out(&mut self, intents: Vec<Intent>) -> Result<Vec<Result<Done, Refusal>>> {
        let outcomes = self.carry_out_together(intents).map_err(in_sandbox)?;
        for done in outcomes.iter().flatten() {
            self.look_after(done);
        }
        Ok(outcomes)
    }

    /// Looks for an operation of unknown result in the ledger as last read, down to a commit that it cannot be
    /// in.
    ///
    /// # Errors
    ///
    /// A commit cannot be read.
    pub fn find_done(&self, id: &OpId, seen: Option<Oid>) -> Result<Option<Done>> {
        for entry in self.history() {
            let entry = entry?;
            if Some(entry.commit) == seen {
                return Ok(None);
            }
            if entry.told.get("Id") == Some(id.0.as_str()) {
                return self.done_by(&entry).map(Some);
            }
        }
        Ok(None)
    }

    /// Settles matters that are told in what has come in since a commit: the push of a holder that was killed
    /// may come to its end after it. Returns how many other machines it came from.
    pub(super) fn settle_told(&self, since: Oid, matters: &mut [Matter]) -> Result<u32> {
        let mut machines = BTreeSet::new();
        for entry in self.history() {
            let entry = entry?;
            if entry.commit == since {
                break;
            }
            let machine = entry.told.get("Machine");
            machines.extend(
                machine
                    .filter(|name| *name != self.machine.0)
                    .map(str::to_owned),
            );
            let id = entry.told.get("Id");
            let open = matters.iter_mut().filter(|matter| {
                matter.outcome.is_none() && id == Some(matter.intent.id.0.as_str())
            });
            for matter in open {
                matter.outcome = Some(Ok(self.done_by(&entry)?));
            }
        }
        Ok(u32::try_from(machines.len()).unwrap_or(u32::MAX))
    }

    /// Returns what a commit of the ledger has done, as its writer would have been told.
    fn done_by(&self, entry: &super::Entry) -> Result<Done> {
        let tasks: Vec<TaskId> = entry
            .told
            .all("Task")
            .filter_map(|id| id.parse().ok())
            .collect();
        let status = match tasks.as_slice() {
            [task] => self.status_at(entry.commit, task)?,
            _ => None,
        };
        Ok(Done {
            commit: Some(entry.commit),
            subject: entry.told.subject.clone(),
            tasks,
            status,
        })
    }

    /// Decides all matters that have no outcome yet, a commit each, and moves the ledger to the last.
    pub(super) fn serve(&mut self, hold: &Hold, matters: &mut [Matter]) -> Result<()> {
        self.refresh()?;
        if self.remote().is_some() {
            return self.serve_remote(hold, matters);
        }
        for attempt in 0..MOST_TRIES {
            if attempt > 0 {
                self.refresh()?;
            }
            let old = self.snapshot.tip;
            let decided = self.decide_all(matters)?;
            let Some(new) = self.snapshot.tip.filter(|new| Some(*new) != old) else {
                decided.settle(matters);
                return Ok(());
            };
            hold.enter_from(old, &self.name)?;
            let message = decided.message();
            match self
                .repo
                .swap_alone(hold.lock(), &self.name, old, new, &message)?
            {
                Swap::Won => {
                    self.snapshot.save_if_worth_it(&self.repo);
                    self.note_verified(new);
                    decided.settle(matters);
                    return Ok(());
                }
                // Only writers that do not take our lock get here: plain git, or a lock it left behind.
                Swap::Lost => pause(attempt),
            }
        }
        Err(self.locked(&self.name))
    }

    /// Decides matters on the board as read and writes their commits, one on the other; only the board in
    /// memory moves, and reading the ledger again takes that back.
    pub(super) fn decide_all(&mut self, matters: &[Matter]) -> Result<Decided> {
        let mut decided = Decided::default();
        self.verify()?;
        for matter in matters {
            if matter.outcome.is_some() {
                decided.outcomes.push(None);
                continue;
            }
            let intent = &matter.intent;
            let outcome = match self.snapshot.board.decide(intent) {
                Ok(Some(change)) => {
                    self.refuse_if_checked_out()?;
                    let (commit, tree, time) = self.write_commit(intent, &change)?;
                    self.snapshot.board.absorb_all(&change.edits);
                    self.snapshot.moved(commit, tree, time);
                    self.snapshot.count_written(change.edits.len());
                    let done = done(commit, &change);
                    decided.pushes.extend(self.pushes(intent, &done)?);
                    Ok(done)
                }
                Ok(None) => Ok(Done::default()),
                Err(refusal) => Err(refusal),
            };
            decided.outcomes.push(Some(outcome));
        }
        Ok(decided)
    }

    /// A worktree that has the ledger checked out would show every transition as a change of its own, and
    /// its next commit would take them all back.
    pub(super) fn refuse_if_checked_out(&mut self) -> Result<()> {
        if self.checked_out_nowhere {
            return Ok(());
        }
        let common = self.repo.common_dir();
        let mut heads = vec![common.join("HEAD")];
        if let Ok(listing) = std::fs::read_dir(common.join("worktrees")) {
            heads.extend(listing.flatten().map(|entry| entry.path().join("HEAD")));
        }
        let line = format!("ref: {}", self.name);
        // Before the first commit an unborn ledger cannot be checked out by accident.
        let taken = heads.into_iter().find(|head| {
            read_whole(head).is_ok_and(|text| text.trim_ascii_end() == line.as_bytes())
        });
        if let Some(head) = taken {
            let place = read_whole(&head.with_file_name("gitdir")).map_or_else(
                |_| {
                    self.repo
                        .main_work_dir()
                        .unwrap_or_else(|| common.to_path_buf())
                },
                |text| {
                    let path = String::from_utf8_lossy(text.trim_ascii_end()).into_owned();
                    std::path::PathBuf::from(path).with_file_name("")
                },
            );
            let place = place.display();
            return Err(UserError::new(format!(
                "the ledger's branch {} is checked out at {place}, so it must not move",
                self.branch()
            ))
            .hint(format!("git -C '{place}' switch --detach"))
            .into());
        }
        self.checked_out_nowhere = true;
        Ok(())
    }

    fn write_commit(&self, intent: &Intent, change: &Change) -> Result<(Oid, Oid, i64)> {
        let tree = self.write_files(&change.edits)?;
        let run = match change.edits.iter().find_map(edited_run) {
            Some(run) => run,
            None => self.board().run_name().to_owned(),
        };
        let committer = self.repo.person();
        let author = match change.event.agent {
            Some(agent) => of_agent(agent, &self.machine),
            None => committer.clone(),
        };
        let time = intent.time.0.max(self.snapshot.time());
        let commit = NewCommit {
            tree,
            parents: self.snapshot.tip.as_slice(),
            author: &author,
            committer: &committer,
            time,
            message: &change.event.message(intent, &run),
        };
        let switched = change.edits.iter().any(
            |edit| matches!(edit, Edit::PutSettings(settings) if settings.signing == Signing::Ssh),
        );
        let commit = self.write_transition(&commit, switched || self.board().is_signed())?;
        Ok((commit, tree, time))
    }
}

/// What was decided, before the ledger has moved.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Outcomes of the matters that had none, in their order.
    outcomes: Vec<Option<Result<Done, Refusal>>>,
    /// Branches that go up together with the ledger.
    pub pushes: Vec<super::transport::Push>,
}

impl Decided {
    /// Returns whether anything was refused.
    pub(super) fn has_refusals(&self) -> bool {
        self.outcomes
            .iter()
            .any(|outcome| matches!(outcome, Some(Err(_))))
    }

    /// Makes what was decided the outcome of the matters, now that the ledger has it.
    pub(super) fn settle(self, matters: &mut [Matter]) {
        for (matter, outcome) in matters.iter_mut().zip(self.outcomes) {
            if outcome.is_some() {
                matter.outcome = outcome;
            }
        }
    }

    /// Returns a line for the reflog.
    pub(super) fn message(&self) -> String {
        let mut subjects = self.outcomes.iter().flatten().flatten();
        let subjects = subjects.by_ref().map(|done| done.subject.as_str());
        let subjects: Vec<&str> = subjects.filter(|subject| !subject.is_empty()).collect();
        match subjects.as_slice() {
            [first] => (*first).to_owned(),
            [first, more @ ..] => format!("{first} (and {} more)", more.len()),
            [] => String::new(),
        }
    }
}

fn done(commit: Oid, change: &Change) -> Done {
    let mut written = change.edits.iter().filter_map(|edit| match edit {
        Edit::PutStatus(_, status) => Some(status),
        _ => None,
    });
    let status = written.next().filter(|_| written.next().is_none());
    Done {
        commit: Some(commit),
        subject: change.event.subject(),
        tasks: change.event.tasks.clone(),
        status: status.map(|status| (**status).clone()),
    }
}

fn edited_run(edit: &Edit) -> Option<String> {
    match edit {
        Edit::PutSettings(settings) => settings.run.as_ref().map(|run| run.name.clone()),
        _ => None,
    }
}

/// Waits a little longer after each lost race; lengths differ between processes.
fn pause(attempt: u32) {
    let most = 1u64 << attempt.min(6);
    std::thread::sleep(Duration::from_micros(
        clock::random_below(most * 1000) + 500,
    ));
}

mod hex {
    //! A commit's id as text.

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::git::Oid;

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(id: &Option<Oid>, to: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Oid>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|hex| Oid::from_hex(hex.as_bytes()).map_err(D::Error::custom))
            .transpose()
    }
}

/// Explains to an agent in a sandbox why it cannot write.
fn in_sandbox(error: anyhow::Error) -> anyhow::Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
    };
    let denied = error
        .chain()
        .filter_map(io)
        .any(|kind| matches!(kind, PermissionDenied | ReadOnlyFilesystem));
    if !denied || config::sandbox().is_none() {
        return error;
    }
    error.context(UserError::new(
        "an agent in a sandbox cannot write the ledger: its executor hands its work in when it ends",
    ))
}
