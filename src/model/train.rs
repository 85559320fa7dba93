//! The train: which branch the assembler tries next, and what a verdict on one means for those behind it.
//!
//! `Gate::Each` tries one after the other. A batch is a trial on a copy of the train whose outcomes hold
//! only when the test of the whole passes; otherwise the copy is dropped and each is tried alone.

pub mod batch;
pub mod obtained;
pub mod quantile;
pub mod risk;
pub mod slots;
pub mod speculate;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::board::{Board, Task};
use super::event::one_line;
use super::ids::{CommitId, TaskId, TeamId};
use super::spec::Coupling;
use super::state::State;

/// What became of one branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is in.
    Merged,
    /// It cannot be merged without a decision.
    Conflict,
    /// Merged, it fails the test.
    TestFailed,
    /// It breaks a rule that every branch must keep.
    GateFailed,
    /// It was not tried.
    Skipped,
}

impl Verdict {
    /// All verdicts, in the order of a summary.
    pub const ALL: [Self; 5] = [
        Self::Merged,
        Self::Conflict,
        Self::TestFailed,
        Self::GateFailed,
        Self::Skipped,
    ];

    /// Returns the word used in reports and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Conflict => "conflict",
            Self::TestFailed => "test_failed",
            Self::GateFailed => "gate_failed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How tests are spent on a train.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gating {
    /// Each branch is tested as it is merged.
    #[default]
    Each,
    /// The whole train is tested at once, and one by one only where that fails.
    Batch,
}

/// One branch that waits to be brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Car {
    /// The branch.
    pub branch: String,
    /// The task whose work it is, if any.
    pub task: Option<TaskId>,
    /// Positions of the cars that must be in before.
    pub after: Vec<usize>,
    /// Why it cannot be brought in whatever the others come to.
    pub blocked: Option<String>,
}

impl Car {
    /// Returns a branch that depends on nothing.
    pub fn new(branch: impl Into<String>) -> Self {
        Self {
            branch: branch.into(),
            task: None,
            after: Vec::new(),
            blocked: None,
        }
    }

    /// Returns a task's branch.
    fn of(task: &Task) -> Self {
        let mut car = Self::new(task.branch_name());
        car.task = Some(task.id.clone());
        car
    }

    /// Puts the car behind the cars of the tasks that its own depends on; a dependency that is neither among
    /// them nor in already blocks it.
    fn follow(&mut self, board: &Board, task: &Task, cars: &[Self], is_in: impl Fn(&Task) -> bool) {
        for dependency in &task.after {
            let is_its = |car: &Self| car.task.as_ref() == Some(&dependency.task);
            let known = board.tasks.get(&dependency.task);
            match (cars.iter().position(is_its), known) {
                (Some(position), _) => self.after.push(position),
                (None, Some(known)) if is_in(known) => {}
                // What was given up cannot be waited for; of a loose dependency only the contract counts.
                (None, known)
                    if dependency.coupling == Coupling::Loose
                        && known.is_none_or(|known| {
                            matches!(known.status.state, State::Gap | State::Cancelled)
                        }) => {}
                (None, known) => {
                    let state = known.map_or("unknown", |known| known.status.state.as_str());
                    let reason = format!("comes after {}, which is {state}", dependency.task);
                    self.blocked.get_or_insert(reason);
                }
            }
        }
    }

    /// Returns the name that reports use: the task's, or the branch's.
    pub fn name(&self) -> &str {
        self.task.as_ref().map_or(&self.branch, TaskId::as_str)
    }
}

/// What one branch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The commit that brought it in.
    pub commit: Option<CommitId>,
    /// Why, in one line.
    pub reason: Option<String>,
    /// Whether nothing is left to be done about it.
    pub settled: bool,
}

impl Outcome {
    /// Returns the outcome of a branch that is in.
    pub fn merged(commit: CommitId) -> Self {
        Self {
            verdict: Verdict::Merged,
            commit: Some(commit),
            reason: None,
            settled: true,
        }
    }

    /// Returns the outcome of a branch that was in already, or has nothing to bring.
    pub fn nothing(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            commit: None,
            reason: Some(reason.into()),
            settled: true,
        }
    }

    /// Returns the outcome of a branch that is not in.
    pub fn out(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            commit: None,
            reason: Some(reason.into()),
            settled: false,
        }
    }
}

/// A team's branch that has something which the integration branch has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strayed {
    /// The team.
    pub team: TeamId,
    /// Whether it is nothing but what tasks have handed in, merged; otherwise somebody has committed to it.
    pub is_made_of_tasks: bool,
}

/// An ordered list of branches and what became of them so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Train {
    cars: Vec<Car>,
    outcomes: Vec<Option<Outcome>>,
}

impl Train {
    /// Returns a train with nothing decided.
    pub fn new(cars: Vec<Car>) -> Self {
        Self {
            outcomes: vec![None; cars.len()],
            cars,
        }
    }

    /// Returns the train of everything that was handed in: work that lies on team branches themselves first,
    /// then tasks with dependencies before dependents.
    pub fn of(board: &Board, strayed: &[Strayed]) -> Self {
        let cars = strayed
            .iter()
            .map(|strayed| Car::new(team_branch(strayed.team)));
        let mut cars: Vec<Car> = cars.collect();
        let waiting =
            |task: &&Task| matches!(task.status.state, State::Submitted | State::Accepted);
        for task in board.train_order().into_iter().filter(waiting) {
            let mut car = Car::of(task);
            // What holds nothing but tasks' work may fail as a whole: each task is then tried by itself.
            let holds = |strayed: &Strayed| strayed.team == task.team && !strayed.is_made_of_tasks;
            car.after.extend(strayed.iter().position(holds));
            car.follow(board, task, &cars, |dependency| {
                dependency.status.state == State::Merged
            });
            cars.push(car);
        }
        Self::new(cars)
    }

    /// Returns the train of what one team has handed in and its branch has not, onto that branch: what the
    /// integration branch has more goes first, where there is such.
    pub fn of_team(
        board: &Board,
        team: TeamId,
        is_behind: bool,
        has: impl Fn(&Task) -> bool,
    ) -> Self {
        let mut cars = Vec::new();
        let waiting = |task: &&Task| match task.status.state {
            State::Submitted => task.team == team,
            State::Accepted => task.team == team && !has(task),
            _ => false,
        };
        let tasks: Vec<&Task> = board.train_order().into_iter().filter(waiting).collect();
        if is_behind && !tasks.is_empty() {
            cars.push(Car::new(INTEGRATION));
        }
        for task in tasks {
            let mut car = Car::of(task);
            // Cut from it, a branch would bring its commits along, and answer for conflicts that are not its own.
            if is_behind {
                car.after.push(0);
            }
            car.follow(board, task, &cars, |dependency| {
                dependency.status.state == State::Merged
                    || (dependency.team == team
                        && dependency.status.state == State::Accepted
                        && has(dependency))
            });
            cars.push(car);
        }
        Self::new(cars)
    }

    /// Returns an order of the cars near to a given one in which each stands behind those it comes after.
    pub fn with_dependencies_first(&self, order: &[usize]) -> Vec<usize> {
        fn put(cars: &[Car], car: usize, placed: &mut Vec<usize>, open: &mut Vec<usize>) {
            if placed.contains(&car) || open.contains(&car) {
                return;
            }
            open.push(car);
            for before in &cars[car].after {
                put(cars, *before, placed, open);
            }
            open.pop();
            placed.push(car);
        }
        let mut placed = Vec::with_capacity(self.cars.len());
        for car in order {
            put(&self.cars, *car, &mut placed, &mut Vec::new());
        }
        placed
    }

    /// Returns the train with its cars in another order, which has each position once. To be called before
    /// anything is decided.
    pub fn in_order(self, order: &[usize]) -> Self {
        let place = |car: &usize| order.iter().position(|other| other == car);
        let cars = order.iter().filter_map(|car| {
            let mut car = self.cars.get(*car)?.clone();
            car.after = car.after.iter().filter_map(place).collect();
            Some(car)
        });
        Self::new(cars.collect())
    }

    /// Returns the cars in order.
    pub fn cars(&self) -> &[Car] {
        &self.cars
    }

    /// Returns whether there is nothing to bring in.
    pub fn is_empty(&self) -> bool {
        self.cars.is_empty()
    }

    /// Returns the number of cars that wait for a verdict.
    pub fn open(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.is_none())
            .count()
    }

    /// Returns what a car came to.
    pub fn outcome(&self, position: usize) -> Option<&Outcome> {
        self.outcomes.get(position)?.as_ref()
    }

    /// Records what a car came to.
    pub fn decide(&mut self, position: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(position) {
            *place = Some(outcome);
        }
    }

    /// Returns what keeps a car from being tried, given cars that are taken to come in before it; `None` where
    /// nothing does.
    pub fn hindrance(&self, position: usize, accepted: &[usize]) -> Option<String> {
        let car = self.cars.get(position)?;
        if car.blocked.is_some() {
            return car.blocked.clone();
        }
        // A dependency that was in already is skipped and settled: nothing is missing of it.
        let is_in = |before: &usize| {
            accepted.contains(before)
                || self.outcome(*before).is_some_and(|outcome| outcome.settled)
        };
        let missing = car.after.iter().find(|before| !is_in(before))?;
        let name = self.cars[*missing].name();
        Some(format!("comes after {name}, which is not in"))
    }

    /// Tells the verdicts in one line, for example `2 merged, 1 conflict`.
    pub fn summary(&self) -> String {
        let count = |verdict| {
            let has = |outcome: &&Outcome| outcome.verdict == verdict;
            self.outcomes.iter().flatten().filter(has).count()
        };
        let parts: Vec<String> = Verdict::ALL
            .into_iter()
            .filter(|verdict| count(*verdict) > 0)
            .map(|verdict| format!("{} {}", count(verdict), verdict.as_str().replace('_', " ")))
            .collect();
        if parts.is_empty() {
            String::from("nothing to bring in")
        } else {
            parts.join(", ")
        }
    }
}

/// The branch that all teams' work comes together on.
pub const INTEGRATION: &str = "orch/integration";

/// Returns the branch that a team's work comes together on.
pub fn team_branch(team: TeamId) -> String {
    format!("orch/team-{team}/integration")
}

/// Returns the task, not in itself, whose work a branch would bring in with its own: one whose submitted
/// commit is among the branch's, or whose name the branch's commits carry.
pub fn carried<'a>(
    board: &'a Board,
    task: &TaskId,
    commits: &[(CommitId, Vec<String>)],
) -> Option<&'a Task> {
    let is_out = |other: &&Task| other.id != *task && other.status.state != State::Merged;
    let is_named = |other: &Task| {
        commits.iter().any(|(id, tasks)| {
            other.status.head.as_ref() == Some(id)
                || tasks.iter().any(|name| name == other.id.as_str())
        })
    };
    board
        .tasks
        .values()
        .filter(is_out)
        .find(|other| is_named(other))
}

/// Returns the message of the commit that brings a task in.
pub fn merge_message(run: &str, task: &Task) -> String {
    let mut text = format!("[TEAM-{}] ", task.team);
    if let Some(agent) = task.status.agent {
        text.push_str(&format!("[AGENT-{agent}] "));
    }
    text.push_str(&format!("merge {}: {}", task.id, one_line(&task.title)));
    text.push_str(&format!("\n\nOrch-Task: {}\n", task.id));
    if let Some(agent) = task.status.agent {
        text.push_str(&format!("Orch-Agent: {agent}\n"));
    }
    text.push_str(&format!("Orch-Attempt: {}\n", task.status.attempt));
    text.push_str(&format!("Orch-Run: {}\n", one_line(run)));
    text
}

#[cfg(test)]
mod tests;
