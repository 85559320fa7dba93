//! How fast the queue moves, counted from the ledger's history.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::ledger::Ledger;
use crate::model::event::Told;
use crate::model::{Board, EventKind, TaskId, TeamId, Timestamp};

/// Seconds of an hour.
const HOUR: i64 = 3600;

/// Seconds that a run must have gone on for before its pace is told.
const ENOUGH: i64 = 60;

/// How fast tasks are claimed and handed in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Throughput {
    /// Claims, also those of further attempts.
    pub claims: Rate,
    /// Work handed in.
    pub completions: Rate,
}

/// One kind of event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Rate {
    /// How many there were in the hour up to now.
    pub last_hour: u32,
    /// How many there were in the whole run.
    pub total: u32,
    /// How many there were per hour of the run, to a tenth; none in its first minute.
    pub run: Option<f64>,
}

impl Throughput {
    /// Counts the events of some teams, of all where none is named, back to the beginning of the run.
    ///
    /// # Errors
    ///
    /// A commit cannot be read.
    pub fn load(ledger: &Ledger, teams: &[TeamId], now: Timestamp) -> Result<Self> {
        let board = ledger.board();
        let mut counted = Self::default();
        let mut begun = now.0;
        for entry in ledger.history() {
            let entry = entry?;
            let run = entry.told.get("Run");
            // Commits by hand name no run and belong to whichever is going on.
            let is_earlier = run.is_some_and(|run| run != board.run_name());
            if is_earlier || entry.told.kind() == EventKind::Close.as_str() {
                break;
            }
            begun = entry.time;
            counted.count(board, teams, &entry.told, now.0 - entry.time);
        }
        counted.divide(now.0 - begun);
        Ok(counted)
    }

    fn count(&mut self, board: &Board, teams: &[TeamId], told: &Told, age: i64) {
        let rate = match told.get("Event") {
            Some("claim") => &mut self.claims,
            Some("submit") => &mut self.completions,
            _ => return,
        };
        let team = told
            .get("Task")
            .and_then(|id| id.parse::<TaskId>().ok())
            .and_then(|id| board.tasks.get(&id).map(|task| task.team));
        if !teams.is_empty() && !team.is_some_and(|team| teams.contains(&team)) {
            return;
        }
        rate.total += 1;
        rate.last_hour += u32::from(age <= HOUR);
    }

    fn divide(&mut self, seconds: i64) {
        if seconds < ENOUGH {
            return;
        }
        for rate in [&mut self.claims, &mut self.completions] {
            let tenths = i64::from(rate.total) * HOUR * 10 / seconds;
            rate.run = i32::try_from(tenths)
                .ok()
                .map(|tenths| f64::from(tenths) / 10.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Task, TaskSpec};

    fn told(event: &str, task: &str) -> Told {
        Told::parse(&format!("x\n\nOrch-Event: {event}\nOrch-Task: {task}\n"))
    }

    #[test]
    fn claims_and_work_handed_in_are_counted_by_age_and_team() {
        let mut board = Board::default();
        for (id, team) in [("a", 1), ("b", 2)] {
            let spec = TaskSpec::new(id.parse().unwrap(), TeamId(team), "x");
            let task = Task::from_spec(&spec, 0, false, 0);
            board.tasks.insert(task);
        }
        let of = |teams: &[TeamId]| {
            let mut counted = Throughput::default();
            counted.count(&board, teams, &told("claim", "a"), 10);
            counted.count(&board, teams, &told("claim", "b"), HOUR + 1);
            counted.count(&board, teams, &told("submit", "a"), HOUR);
            counted.count(&board, teams, &told("renew", "a"), 1);
            counted.divide(2 * HOUR);
            counted
        };
        let rate = |last_hour, total, run| Rate {
            last_hour,
            total,
            run: Some(run),
        };
        assert_eq!(of(&[]).claims, rate(1, 2, 1.0));
        assert_eq!(of(&[]).completions, rate(1, 1, 0.5));
        assert_eq!(of(&[TeamId(2)]).claims, rate(0, 1, 0.5));
        assert_eq!(of(&[TeamId(2)]).completions, rate(0, 0, 0.0));
    }

    #[test]
    fn the_first_minute_has_no_pace() {
        let mut counted = Throughput::default();
        counted.count(&Board::default(), &[], &told("claim", "a"), 3);
        counted.divide(59);
        assert_eq!(
            counted.claims,
            Rate {
                last_hour: 1,
                total: 1,
                run: None
            }
        );
    }
}
