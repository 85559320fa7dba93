//! What a run came to.

use std::path::PathBuf;

use serde::Serialize;

use crate::git::Repo;
use crate::model::{Board, EndingClass, State, Task, TaskId, Wish};

/// What a run came to; the tasks of the teams that it was for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Tasks that are handed in and wait for the assembler.
    pub submitted: Vec<TaskId>,
    /// Tasks that are in the integration branch.
    pub merged: Vec<TaskId>,
    /// Tasks that were given up.
    pub gaps: Vec<Gap>,
    /// Tasks that are neither done nor given up.
    pub waiting: Vec<Waiting>,
    /// What kept it from tasks, and a person must mend.
    pub problems: Vec<Problem>,
    /// Wall time.
    pub seconds: f64,
    /// Attempts that this run began.
    #[serde(skip)]
    pub begun: usize,
    /// Whether it has waited for others.
    #[serde(skip)]
    pub waited: bool,
    /// Whether this run changed anything besides.
    #[serde(skip)]
    pub assembled: bool,
    /// The signal that stopped it.
    #[serde(skip)]
    pub signal: Option<i32>,
}

/// Something that is no task's fault, and keeps tasks from being done.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// What it is about: a profile, a task, a program.
    pub what: String,
    /// What is wrong.
    pub reason: String,
}

/// A task that was given up.
#[derive(Debug, Clone, Serialize)]
pub struct Gap {
    /// The task.
    pub task: TaskId,
    /// Why its last attempt failed.
    pub reason: String,
    /// Whose fault that was, where it is known.
    pub class: Option<EndingClass>,
    /// The log of its last attempt.
    pub log: PathBuf,
}

/// A task that is neither done nor given up.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// The task.
    pub task: TaskId,
    /// Its state.
    pub state: State,
    /// What it waits for.
    pub reason: String,
}

impl Report {
    /// Sorts the tasks that an executor was for by what became of them.
    pub fn of(repo: &Repo, board: &Board, wish: &Wish) -> Self {
        let mut report = Self::default();
        let mut tasks: Vec<&Task> = board
            .tasks
            .values()
            .filter(|task| wish.fits(task))
            .collect();
        tasks.sort_by_key(|task| task.order);
        for task in tasks {
            let id = task.id.clone();
            match task.status.state {
                State::Submitted | State::Accepted => report.submitted.push(id),
                State::Merged => report.merged.push(id),
                State::Cancelled => {}
                State::Gap => report.gaps.push(Gap {
                    reason: task.status.reason.clone().unwrap_or_default(),
                    class: task.status.class.clone(),
                    log: log_of(repo, task),
                    task: id,
                }),
                state => report.waiting.push(Waiting {
                    task: id,
                    state,
                    reason: why_waiting(board, task),
                }),
            }
        }
        report
    }

    /// Returns whether every task is handed in or merged.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty() && self.waiting.is_empty()
    }
}

/// Returns the log of a task's last attempt.
fn log_of(repo: &Repo, task: &Task) -> PathBuf {
    crate::agents::AttemptFiles::new(repo, &task.id, task.status.attempt).log()
}

fn why_waiting(board: &Board, task: &Task) -> String {
    if let Some(wait) = board.wait_of(task) {
        return wait.to_string();
    }
    let status = &task.status;
    let holder = status
        .agent
        .map_or_else(String::new, |agent| format!("{agent}: "));
    match (status.state, &status.reason) {
        (State::Pending, _) => String::from("its phase is not open"),
        (State::Blocked, Some(reason)) => format!("{holder}{reason}"),
        (state, _) if state.is_held() => format!("{holder}works on it"),
        (_, Some(reason)) => reason.clone(),
        (_, None) => String::from("no coder is free for it"),
    }
}
