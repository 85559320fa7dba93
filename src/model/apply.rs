//! Deciding an operation: a pure function from board and intent to a change, or a refusal.
//!
//! A retry after a lost race calls [`Board::decide`] again on the new board, so nothing here may depend
//! on anything but its arguments.

mod claims;
mod close;
mod leases;
mod outcome;
mod plan;
mod retry;
mod undo;

pub(super) use claims::is_paused;
pub use plan::PlanDifference;

use serde::{Deserialize, Serialize};

use super::board::{Board, FORMAT, Settings, Task};
use super::event::{Event, EventKind};
use super::ids::TaskId;
use super::levels::Level;
use super::op::{AssemblyRecord, Change, Edit, Intent, Op};
use super::tasks::Tasks;

/// Why an operation is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of no.
    pub kind: RefusalKind,
    /// The reason: lower case, no full stop, names the object.
    pub message: String,
    /// Commands that help.
    pub hints: Vec<String>,
}

/// What kind of no (docs/decisions/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// The request cannot be met.
    Denied,
    /// There is nothing to do.
    Nothing,
    /// Someone else holds it, or the attempt is stale.
    Lost,
}

impl Refusal {
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Denied,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn nothing(message: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Nothing,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Lost,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// What [`Board::decide`] returns: a change, `None` where the ledger already says so, or a refusal.
pub type Decision = Result<Option<Change>, Refusal>;

impl Board {
    /// Decides what an operation changes.
    ///
    /// # Errors
    ///
    /// Returns the rule that forbids it.
    pub fn decide(&self, intent: &Intent) -> Decision {
        self.permit(intent)?;
        match &intent.op {
            Op::Init(settings) => Ok((self.settings.format != FORMAT).then(|| Change {
                edits: vec![Edit::PutSettings(settings.clone())],
                event: Event::new(EventKind::Init, format!("ledger on base {}", settings.base)),
            })),
            Op::ApplyPlan(change) => self.apply_plan(intent, change),
            Op::AddTask(spec, earlier) => self.add_task(intent, spec, earlier),
            Op::Dispatch(gate) => self.dispatch(intent, *gate),
            Op::Begin => Ok(self.begin(intent)),
            Op::Gate(gate) => self.set_gate(*gate),
            Op::Authority(name) => self.set_authority(name),
            Op::Claim(ask) => self.claim(intent, ask),
            Op::Start(claim) => self.start(intent, claim),
            Op::Block(claim, reason) => self.block(intent, claim, reason),
            Op::Unblock(claim, message) => self.unblock(intent, claim, message.as_deref()),
            Op::Release(claim, reason) => self.release(intent, claim, reason),
            Op::End(ended) => self.end(intent, ended),
            Op::Expire(claim, reason) => self.expire(intent, claim, reason),
            Op::Free {
                task,
                reason,
                message,
            } => self.free(intent, task, reason, message.as_deref()),
            Op::Retry(retry) => self.retry(intent, retry),
            Op::Pause(agent, reason) => self.pause(*agent, reason),
            Op::Resume(agent) => self.resume(*agent),
            Op::Fail(claim, reason, findings) => {
                self.fail(intent, claim, reason, findings.as_deref())
            }
            Op::Submit(claim, head, handoff) => self.submit(intent, claim, head, handoff),
            Op::Escalate(task, message) => self.escalate(intent, task, message),
            Op::Cancel(task, reason) => self.cancel(intent, task, reason),
            Op::Reject(task, head, reason, findings) => {
                self.reject(intent, task, head, reason, findings)
            }
            Op::Conflict(task, head, reason, findings) => {
                self.conflict(intent, task, head, reason, findings)
            }
            Op::Merge(task, head, commit) => self.merge(intent, task, head, commit),
            Op::Accept(task, head, commit) => self.accept(intent, task, head, commit),
            Op::Assembled(record) => Ok(Some(self.assembled(record))),
            Op::Undo(undone) => self.undo(intent, undone),
            Op::SetLock(lock) => self.set_lock(lock),
            Op::RemoveLock(id) => self.remove_lock(id),
            Op::Signing(signing, signers) => self.set_signing(*signing, signers),
            Op::Enroll(signers) => self.enroll(signers),
            Op::Dismiss(principal) => self.dismiss(principal),
            Op::WrapUp(done) => self.wrap_up(intent, done),
            Op::Close(open, reason) => self.close(intent, open, reason.as_deref()),
            Op::Approve(branch, from, to) => {
                // The branch has moved by now: whose step the plan says it is was asked before.
                let short = |commit: &str| commit.chars().take(12).collect::<String>();
                let mut event = Event::new(
                    EventKind::Approve,
                    format!("{branch} from {} to {}", short(&from.0), short(&to.0)),
                );
                event.commit = Some(to.clone());
                event.more = self.settings.levels.trailers(Level::Approval);
                Ok(Some(Change {
                    edits: Vec::new(),
                    event,
                }))
            }
        }
    }

    /// Brings the board to what a change has written.
    pub fn absorb_all(&mut self, edits: &[Edit]) {
        // A new plan's tasks come in at once; in its turn each takes the place of itself.
        let new = edits.iter().filter_map(|edit| match edit {
            Edit::PutTask {
                spec,
                order,
                digest,
                sharded,
            } if !self.tasks.contains_key(&spec.id) => {
                Some(Task::from_spec(spec, *order, *sharded, *digest))
            }
            _ => None,
        });
        let new: Vec<Task> = new.collect();
        if new.len() > 1 {
            self.tasks.extend(new);
        }
        for edit in edits {
            self.absorb(edit);
        }
    }

    /// Brings the board to what one edit has written.
    pub fn absorb(&mut self, edit: &Edit) {
        match edit {
            Edit::PutSettings(settings) => self.settings = (**settings).clone(),
            Edit::Archive(name) => {
                self.tasks = Tasks::default();
                self.teams.clear();
                self.agents.clear();
                self.phases.clear();
                self.archives.insert(name.clone());
            }
            Edit::PutPhases(phases) => self.phases.clone_from(phases),
            Edit::PutTeam(team) => {
                self.teams.insert(team.id, team.clone());
            }
            Edit::RemoveTeam(team) => {
                self.teams.remove(team);
                self.tasks.retain(|task| task.team != *team);
                self.agents.retain(|agent, _| agent.team != *team);
            }
            Edit::PutTask {
                spec,
                order,
                digest,
                sharded,
            } => {
                let mut row = Task::from_spec(spec, *order, *sharded, *digest);
                if let Some(old) = self.tasks.get(&spec.id) {
                    row.status = old.status.clone();
                }
                self.tasks.insert(row);
            }
            Edit::PutOrder(task, order) => {
                if let Some(mut task) = self.tasks.get_mut(task) {
                    task.order = *order;
                }
            }
            Edit::RemoveTask(task) => {
                self.tasks.remove(task);
            }
            Edit::PutAgent(agent, record) => {
                self.agents.insert(*agent, record.clone());
            }
            Edit::PutStatus(task, status) => {
                if let Some(mut task) = self.tasks.get_mut(task) {
                    task.status = (**status).clone();
                }
            }
            // Read from the ledger when asked for; the board does not hold contracts.
            Edit::PutHandoff(..) | Edit::PutWrapUp(..) => {}
            Edit::PutAssembly(number, _) => self.assemblies = *number,
            Edit::PutTested(tested) => self.tested.clone_from(tested),
            Edit::PutLocks(locks) => self.locks.clone_from(locks),
            Edit::PutSigners(signers) => self.signers.clone_from(signers),
        }
    }

    /// Returns a task, or a refusal that suggests the nearest name.
    ///
    /// # Errors
    ///
    /// There is no such task.
    pub fn require_task(&self, id: &TaskId) -> Result<&Task, Refusal> {
        self.tasks.get(id).ok_or_else(|| {
            Refusal::denied(format!("there is no task {id}")).hint("git orch task list")
        })
    }

    fn set_authority(&self, name: &str) -> Decision {
        if self.settings.authority == name {
            return Ok(None);
        }
        let settings = Settings {
            authority: name.to_owned(),
            ..self.settings.clone()
        };
        let summary = format!("the ledger's truth is {name}");
        Ok(Some(Change {
            edits: vec![Edit::PutSettings(Box::new(settings))],
            event: Event::new(EventKind::Remote, summary),
        }))
    }

    fn assembled(&self, record: &AssemblyRecord) -> Change {
        let number = self.assemblies + 1;
        let mut event = Event::new(
            EventKind::Assemble,
            format!("#{number}: {}", record.summary),
        );
        event.teams.extend(record.team);
        event.commit = record.tested.as_ref().map(|tested| tested.commit.clone());
        let mut edits = vec![Edit::PutAssembly(number, record.report.clone())];
        if record.tested.is_some() {
            edits.push(Edit::PutTested(record.tested.clone()));
        }
        Change { edits, event }
    }
}

#[cfg(test)]
mod tests;
