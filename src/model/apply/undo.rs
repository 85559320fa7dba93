//! Taking a landing back out: its task goes back to its coder.
//!
//! Not back to `submitted`: the next assembly would bring the same commit in again, or, where a commit of its
//! own took the work out, find it in the history and call it merged. So it is a rejection after the fact: the
//! same task, next attempt, findings attached. It costs no retry, since a person asked for it.

use super::claims::{next_status, transition};
use super::{Board, Decision};
use crate::model::event::{Event, EventKind};
use crate::model::op::{Change, Edit, Intent, Undone};
use crate::model::state::State;

impl Board {
    pub(super) fn undo(&self, intent: &Intent, undone: &Undone) -> Decision {
        let short: String = undone.landing.0.chars().take(12).collect();
        let how = if undone.reverted {
            "reverted"
        } else {
            "moved back"
        };
        let summary = match undone.reason.as_str() {
            "" => format!("{short} {how}"),
            reason => format!("{short} {how}: {reason}"),
        };
        let mut change = match &undone.task {
            // What is known of the tip tells that this was recorded.
            None if undone.tested.is_some() && undone.tested == self.tested => return Ok(None),
            None => Change {
                edits: Vec::new(),
                event: Event::new(EventKind::Undo, summary),
            },
            Some(id) => {
                let task = self.require_task(id)?;
                let is_in = task.status.state == State::Merged
                    && task.status.commit.as_ref() == Some(&undone.landing);
                if !is_in {
                    return Ok(None);
                }
                let mut status = next_status(task, intent, State::Pending);
                // The work stays in the history where it is reverted, and the same commit must not be handed in
                // once more: it would be found there and called merged.
                status.commit = undone.reverted.then(|| undone.landing.clone());
                status.reason = Some(format!("undone: {summary}"));
                status.findings = Some(findings(undone, &summary));
                let without = Edit::PutStatus(id.clone(), Box::new(status.clone()));
                let mut after = self.clone();
                after.absorb(&without);
                status.state = after.opening(id);
                let mut change = transition(task, status, EventKind::Undo, &summary);
                change.edits.extend(after.no_longer_ready(intent, undone));
                change
            }
        };
        change.edits.push(Edit::PutTested(undone.tested.clone()));
        change.event.commit = Some(undone.landing.clone());
        change.event.body = format!("The integration branch is at {}.", undone.tip);
        Ok(Some(change))
    }

    /// Returns whether a task that nobody holds may start.
    fn opening(&self, id: &crate::model::ids::TaskId) -> State {
        let states = self.phase_states(self.settings.gate);
        let may_start = self.tasks.get(id).is_some_and(|task| {
            self.waits_for(task).is_none() && self.may_start_phase(task, &states)
        });
        if may_start {
            State::Ready
        } else {
            State::Pending
        }
    }

    /// Tasks that were ready because of what is out again wait for it once more.
    fn no_longer_ready(&self, intent: &Intent, undone: &Undone) -> Vec<Edit> {
        let waits = |task: &&crate::model::board::Task| {
            let depends = task
                .after
                .iter()
                .any(|on| Some(&on.task) == undone.task.as_ref());
            task.status.state == State::Ready && depends && self.waits_for(task).is_some()
        };
        let waiting = self.tasks.values().filter(waits);
        waiting
            .map(|task| {
                let status = next_status(task, intent, State::Pending);
                Edit::PutStatus(task.id.clone(), Box::new(status))
            })
            .collect()
    }
}

/// What the next attempt is told.
fn findings(undone: &Undone, summary: &str) -> String {
    let what_now = if undone.reverted {
        format!(
            "The branch is as it was submitted: change what was wrong on it and submit it again; all of it comes in \
             then. Do not merge the integration branch into it, which takes the work out there too; where that is \
             done, `git revert {tip}` brings it back.",
            tip = undone.tip
        )
    } else {
        String::from(
            "The branch is as it was submitted: change what was wrong and submit it again.",
        )
    };
    format!("The landing of this task was undone: {summary}.\n\n{what_now}")
}

#[cfg(test)]
mod tests;
