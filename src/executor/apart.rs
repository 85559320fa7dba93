//! What an executor takes no more of until it is run again: profiles whose agents cannot be started, tasks whose
//! worktree cannot be made, checks whose program is missing. A person must look, so nothing is tried in vain.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ledger::Ledger;
use crate::model::{State, Task, TaskId, TaskSpec, Wish};

/// Something that this executor cannot do anything about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Obstacle {
    /// No agent of the profile gets a task.
    Profile(String),
    /// The task is not begun.
    Task(TaskId),
    /// No task is begun whose success commands begin with the program.
    Program(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Task(task) => write!(f, "task {task}"),
            Self::Program(name) => write!(f, "the program `{name}`"),
        }
    }
}

/// Obstacles, each with why it is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Apart {
    obstacles: BTreeMap<Obstacle, String>,
}

impl Apart {
    /// Sets something apart; returns whether that is new.
    pub(super) fn add(&mut self, obstacle: Obstacle, why: String) -> bool {
        self.obstacles.insert(obstacle, why).is_none()
    }

    /// Returns whether a profile gets no tasks.
    pub(super) fn has_profile(&self, name: &str) -> bool {
        self.obstacles
            .contains_key(&Obstacle::Profile(name.to_owned()))
    }

    /// Lists all of it with why.
    pub(super) fn listed(&self) -> Vec<(String, String)> {
        let obstacles = self.obstacles.iter();
        obstacles
            .map(|(obstacle, why)| (obstacle.to_string(), why.clone()))
            .collect()
    }

    /// Returns a wish without what is set apart.
    pub(super) fn without(&self, ledger: &Ledger, wish: &Wish) -> Wish {
        let mut wish = wish.clone();
        wish.not = match self.obstacles.is_empty() {
            true => BTreeSet::new(),
            false => self.tasks(ledger).into_keys().collect(),
        };
        wish
    }

    /// Returns the tasks that are set apart and not begun, with why.
    pub(super) fn tasks(&self, ledger: &Ledger) -> BTreeMap<TaskId, String> {
        let board = ledger.board();
        let may_begin = |state| matches!(state, State::Ready | State::Failed | State::Pending);
        let tasks = board.tasks.like(|task| may_begin(task.state));
        let found = tasks.filter_map(|task| Some((task.id.clone(), self.why(ledger, task)?)));
        found.collect()
    }

    fn why(&self, ledger: &Ledger, task: &Task) -> Option<String> {
        let named = [
            Obstacle::Task(task.id.clone()),
            Obstacle::Profile(ledger.board().profile_of(task).0),
        ];
        let found = named.iter().find_map(|one| self.obstacles.get(one));
        if found.is_some() {
            return found.cloned();
        }
        let mut programs = self.obstacles.iter().filter_map(|(one, why)| match one {
            Obstacle::Program(name) => Some((name, why)),
            Obstacle::Profile(_) | Obstacle::Task(_) => None,
        });
        let mut first = programs.next();
        // A specification that cannot be read says so when it is needed.
        let spec = first.and_then(|_| ledger.spec(&task.id).ok())?;
        while let Some((name, why)) = first {
            if begins_with(&spec, name) {
                return Some(why.clone());
            }
            first = programs.next();
        }
        None
    }
}

/// Whether a success command of a task begins with a program.
fn begins_with(spec: &TaskSpec, program: &str) -> bool {
    let runs = spec.success.iter().filter_map(|one| one.run.as_deref());
    let mut words = runs.filter_map(|run| run.split_whitespace().next());
    words.any(|word| word == program)
}
