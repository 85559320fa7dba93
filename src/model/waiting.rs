//! What a task waits for, down to what holds all of them up, and what would bring that on.

use std::collections::BTreeSet;
use std::fmt;

use super::board::{Board, Task};
use super::ids::TaskId;
use super::state::State;

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait<'a> {
    /// The first of those that come before it and are not far enough.
    pub on: (&'a TaskId, State),
    /// What that waits for itself in the end, where that is another task.
    pub root: Option<(&'a TaskId, State)>,
}

impl Board {
    /// Returns what a task waits for; `None` where it is for no other task.
    pub fn wait_of<'a>(&'a self, task: &'a Task) -> Option<Wait<'a>> {
        let on = self.waits_for(task)?;
        let mut seen = BTreeSet::from([&task.id, on.0]);
        let mut root = on;
        // Dependencies that were written by hand may run in a circle.
        while root.1 == State::Pending
            && let Some(next) = self.tasks.get(root.0).and_then(|task| self.waits_for(task))
            && seen.insert(next.0)
        {
            root = next;
        }
        Some(Wait {
            on,
            root: (root != on).then_some(root),
        })
    }

    /// Returns how many tasks wait for one, directly or through others.
    pub fn held_up_by(&self, id: &TaskId) -> usize {
        let mut held_up: BTreeSet<&TaskId> = BTreeSet::new();
        let waiting = self
            .tasks
            .like(|task| task.state == State::Pending && task.comes_after);
        let waiting: Vec<&Task> = waiting.collect();
        loop {
            let before = held_up.len();
            for task in &waiting {
                let on = |other: &TaskId| other == id || held_up.contains(other);
                if task.after.iter().any(|before| on(&before.task)) {
                    held_up.insert(&task.id);
                }
            }
            if held_up.len() == before {
                return held_up.len();
            }
        }
    }
}

impl Wait<'_> {
    /// Returns the command that brings on what everything waits for; `None` where that goes on by itself.
    pub fn hint(&self) -> Option<String> {
        let (id, state) = self.root.unwrap_or(self.on);
        match state {
            State::Gap | State::Failed => Some(format!("git orch retry {id}")),
            State::Blocked => Some(format!("git orch unblock {id}")),
            State::Cancelled => Some(String::from("git orch plan apply plan.toml")),
            _ => None,
        }
    }
}

impl fmt::Display for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (on, its) = self.on;
        write!(f, "it comes after {on}, which is {its}")?;
        if let Some((root, its)) = self.root {
            write!(f, " and waits for {root}, which is {its}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::TeamId;
    use crate::model::spec::{Coupling, Dependency, TaskSpec};

    fn id(text: &str) -> TaskId {
        text.parse().unwrap()
    }

    /// A board of tasks in states, each after the one before it.
    fn chain(states: &[(&str, State)]) -> Board {
        let mut board = Board::default();
        let mut before: Option<&str> = None;
        for (order, (name, state)) in (0..).zip(states) {
            let mut spec = TaskSpec::new(id(name), TeamId(1), *name);
            spec.after.extend(before.map(|name| Dependency {
                task: id(name),
                coupling: Coupling::Medium,
            }));
            let mut task = Task::from_spec(&spec, order, false, 0);
            task.status.state = *state;
            board.tasks.insert(task);
            before = Some(name);
        }
        board
    }

    #[test]
    fn what_holds_a_chain_up_is_told_with_the_command_that_helps() {
        let pending = State::Pending;
        for (state, hint) in [
            (State::Gap, Some("git orch retry a")),
            (State::Failed, Some("git orch retry a")),
            (State::Blocked, Some("git orch unblock a")),
            (State::Cancelled, Some("git orch plan apply plan.toml")),
            (State::InProgress, None),
            (State::Ready, None),
        ] {
            let board = chain(&[("a", state), ("b", pending), ("c", pending)]);
            let wait = board.wait_of(&board.tasks[&id("c")]).unwrap();
            assert_eq!(
                wait.to_string(),
                format!("it comes after b, which is pending and waits for a, which is {state}")
            );
            assert_eq!(wait.hint().as_deref(), hint);
            let near = board.wait_of(&board.tasks[&id("b")]).unwrap();
            assert_eq!(
                near.to_string(),
                format!("it comes after a, which is {state}")
            );
            assert_eq!(near.hint().as_deref(), hint);
            assert_eq!(board.held_up_by(&id("a")), 2);
        }
        let board = chain(&[("a", State::Merged), ("b", pending)]);
        assert_eq!(board.wait_of(&board.tasks[&id("b")]), None);
    }

    #[test]
    fn a_circle_is_walked_once() {
        let mut board = chain(&[("a", State::Pending), ("b", State::Pending)]);
        board
            .tasks
            .get_mut(&id("a"))
            .unwrap()
            .after
            .push(Dependency {
                task: id("b"),
                coupling: Coupling::Medium,
            });
        let wait = board.wait_of(&board.tasks[&id("b")]).unwrap();
        assert_eq!(wait.on, (&id("a"), State::Pending));
        assert_eq!(board.held_up_by(&id("a")), 2);
    }
}
