//! Attempts that brought nothing: whether that costs the task a try, and what is taken no more of for it.

use super::Drive;
use crate::executor::News;
use crate::executor::apart::Obstacle;
use crate::executor::attempt::Held;
use crate::executor::clerk::Request;
use crate::executor::judge::Failing;
use crate::executor::report::Problem;
use crate::model::ending::without_particulars;
use crate::model::{AttemptEnd, EndedAttempt, EndingClass, Op};

impl Drive<'_> {
    /// Weighs how an attempt ended; returns what the ledger is told of it.
    pub(super) fn weigh(&mut self, held: &Held, failing: &Failing) -> EndedAttempt {
        let class = failing.facts.class();
        let mut counts = class.counts();
        match &class {
            EndingClass::Environment => self.hold_up(held, failing),
            EndingClass::Setup => self.set_up_wrong(held, failing),
            _ if failing.facts.is_instant() && !held.is_script => {
                counts = !self.failed_at_once(held, failing);
            }
            _ => self.breaker.went_on(&held.profile),
        }
        EndedAttempt {
            claim: held.claim(),
            class,
            counts,
            reason: failing.reason.clone(),
            findings: Some(failing.findings.clone()),
        }
    }

    /// The machine is to blame: the task waits, and everything does where it is not this task's matter alone.
    fn hold_up(&mut self, held: &Held, failing: &Failing) {
        let task = &held.assignment.task;
        if failing.facts.disk_is_full {
            let text = format!("the disk is full: {}", failing.reason);
            self.fail(anyhow::anyhow!("{text}"));
            return;
        }
        let key = without_particulars(&failing.reason, task);
        let again = self.held_up.insert(key, task.clone());
        if again.is_some_and(|other| other != *task) {
            self.fail(anyhow::anyhow!("{}", failing.reason));
            return;
        }
        self.set_apart(Obstacle::Task(task.clone()), failing.reason.clone());
    }

    /// Something is set up so that it cannot work: whoever needs it waits.
    fn set_up_wrong(&mut self, held: &Held, failing: &Failing) {
        let task = &held.assignment.task;
        let (obstacle, why) = match (&failing.missing, failing.facts.end) {
            (Some(name), AttemptEnd::CheckMissing) => (
                Obstacle::Program(name.clone()),
                format!(
                    "{}: there is no program `{name}` on this machine",
                    failing.reason
                ),
            ),
            _ if held.is_script => (Obstacle::Task(task.clone()), failing.reason.clone()),
            _ => (
                Obstacle::Profile(held.profile.clone()),
                format!("its agents cannot be started: {}", failing.reason),
            ),
        };
        self.set_apart(obstacle, why);
    }

    /// An agent failed before it can have begun; returns whether its profile is to blame and not the work.
    fn failed_at_once(&mut self, held: &Held, failing: &Failing) -> bool {
        let (profile, task) = (&held.profile, &held.assignment.task);
        if !self.breaker.failed(profile, task, &failing.reason) {
            return false;
        }
        if !self.apart.has_profile(profile) {
            let why = format!(
                "every agent of it fails at once, and in the same way: {}",
                failing.reason
            );
            let op = Op::Escalate(task.clone(), format!("profile {profile}: {why}"));
            self.clerk.ask(Request::Say(Box::new(op)));
            self.set_apart(Obstacle::Profile(profile.clone()), why);
        }
        true
    }

    /// Takes no more of something until the next run, and tells so once.
    fn set_apart(&mut self, obstacle: Obstacle, why: String) {
        self.clerk
            .ask(Request::Apart(obstacle.clone(), why.clone()));
        let text = match &obstacle {
            Obstacle::Profile(_) => format!("{obstacle} gets no more tasks in this run: {why}"),
            Obstacle::Task(_) => format!("{obstacle} is not tried again in this run: {why}"),
            Obstacle::Program(_) => {
                format!("no more tasks are begun in this run that need {obstacle}: {why}")
            }
        };
        if self.apart.add(obstacle, why) {
            self.watch.tell(&News::Warning(text));
        }
    }

    /// Returns what kept this executor from tasks.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let listed = self.apart.listed().into_iter();
        listed
            .map(|(what, reason)| Problem { what, reason })
            .collect()
    }
}
