//! What only the history tells: how fast tasks get done, who called for help, what was approved.
//!
//! One bounded walk from the tip backwards. `status --json` does without it, since its cost grows with the
//! history.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::ledger::Ledger;
use crate::model::{Board, EventKind, State, TaskId, Timestamp};

/// Commits that are looked at, at most.
const MOST_COMMITS: usize = 2000;

/// Tasks that must have been done before a pace is told.
const ENOUGH: usize = 4;

/// How many times the mean gap between two finished tasks the last one may be ago; beyond it the work has
/// stalled and the old pace says nothing about what comes.
const STALLED: i64 = 10;

/// What the newest part of the run's history says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    /// When tasks that are done were submitted, newest first.
    done: Vec<i64>,
    /// Open calls for help: task, time and words, newest first.
    pub escalations: Vec<Escalation>,
    /// Whether the base branch moved after the last assembly.
    pub approved: bool,
}

/// A call for help about a task that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// The task.
    pub task: TaskId,
    /// When it was made.
    pub time: Timestamp,
    /// The words.
    pub words: String,
}

impl Recent {
    /// Walks the newest part of the history, back to the plan at most.
    ///
    /// # Errors
    ///
    /// A commit cannot be read.
    pub fn load(ledger: &Ledger) -> Result<Self> {
        let board = ledger.board();
        let mut recent = Self::default();
        let mut counted = BTreeSet::new();
        let mut assembled = false;
        for entry in ledger.history().take(MOST_COMMITS) {
            let entry = entry?;
            let told = &entry.told;
            let is_earlier = told.get("Run").is_some_and(|run| run != board.run_name());
            if is_earlier || told.kind() == EventKind::Close.as_str() {
                break;
            }
            let task = || told.get("Task")?.parse::<TaskId>().ok();
            match told.get("Event") {
                Some("submit") => {
                    if let Some(task) = task()
                        && is(board, &task, State::is_done)
                        && counted.insert(task)
                    {
                        recent.done.push(entry.time);
                    }
                }
                Some("escalate") => {
                    if let Some(task) = task()
                        && !is(board, &task, |state| state.is_done() || state.is_final())
                    {
                        recent.escalations.push(Escalation {
                            task,
                            time: Timestamp(entry.time),
                            words: told.body.clone(),
                        });
                    }
                }
                Some("assemble") => assembled = true,
                Some("approve") if !assembled => recent.approved = true,
                _ => {}
            }
        }
        Ok(recent)
    }

    /// Returns how many seconds the rest will take at the pace so far; `None` where the history does not say.
    pub fn eta(&self, remaining: usize, now: Timestamp) -> Option<i64> {
        let (newest, oldest) = (*self.done.first()?, *self.done.last()?);
        let gaps = i64::try_from(self.done.len()).ok()? - 1;
        let took = newest - oldest;
        let told = remaining > 0 && self.done.len() >= ENOUGH && took > 0;
        let stalled = (now.0 - newest) * gaps > STALLED * took;
        (told && !stalled).then(|| took * i64::try_from(remaining).unwrap_or(i64::MAX) / gaps)
    }
}

fn is(board: &Board, task: &TaskId, what: impl Fn(State) -> bool) -> bool {
    board
        .tasks
        .get(task)
        .is_some_and(|task| what(task.status.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(times: &[i64]) -> Recent {
        Recent {
            done: times.to_vec(),
            ..Recent::default()
        }
    }

    #[test]
    fn a_pace_is_told_only_when_the_history_has_one() {
        let now = Timestamp(1000);
        assert_eq!(done(&[]).eta(5, now), None);
        assert_eq!(done(&[990, 980, 970]).eta(5, now), None, "too few");
        assert_eq!(done(&[990; 9]).eta(5, now), None, "all at once");
        assert_eq!(done(&[990, 980, 970, 960]).eta(0, now), None, "no rest");
        assert_eq!(done(&[990, 980, 970, 960]).eta(5, now), Some(50));
        assert_eq!(
            done(&[990, 980, 970, 960]).eta(5, Timestamp(1091)),
            None,
            "stalled"
        );
    }
}
