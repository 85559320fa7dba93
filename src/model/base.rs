//! What a task's branch is cut from: which other work must be in it.

use super::board::{Board, Task};
use super::ids::PhaseName;
use super::spec::{Coupling, PhaseSpec};
use super::state::State;

impl Board {
    /// Returns work that waits for the assembler and that a task builds on, in train order, and whether the
    /// task names it: its dependencies (loose ones left out), and everything of the phases before its own.
    pub fn builds_on(&self, task: &Task) -> Vec<(&Task, bool)> {
        let waits = |other: &&Task| {
            matches!(other.status.state, State::Submitted | State::Accepted) && other.id != task.id
        };
        let before = self.phases_before(task);
        let mut found: Vec<(&Task, bool)> = if before.is_empty() {
            let named = task.after.iter();
            named
                .filter(|dependency| dependency.coupling != Coupling::Loose)
                .filter_map(|dependency| self.tasks.get(&dependency.task))
                .filter(waits)
                .map(|other| (other, true))
                .collect()
        } else {
            let others = self.waiting().filter(waits);
            others
                .filter_map(|other| self.needs(task, other, &before))
                .collect()
        };
        if found.len() > 1 {
            let train = self.train_order();
            found.sort_by_cached_key(|(other, _)| train.iter().position(|t| t.id == other.id));
        }
        found
    }

    /// Returns whether [`Board::builds_on`] returns anything, without looking for all of it.
    pub(super) fn builds_on_any(&self, task: &Task) -> bool {
        let waits = |other: &&Task| {
            matches!(other.status.state, State::Submitted | State::Accepted) && other.id != task.id
        };
        let before = self.phases_before(task);
        if before.is_empty() {
            let named = task.after.iter();
            let mut built_on = named.filter(|dependency| dependency.coupling != Coupling::Loose);
            return built_on
                .any(|dependency| self.tasks.get(&dependency.task).is_some_and(|t| waits(&t)));
        }
        let mut others = self.waiting().filter(waits);
        others.any(|other| self.needs(task, other, &before).is_some())
    }

    /// Returns the work that waits for the assembler.
    fn waiting(&self) -> impl Iterator<Item = &Task> {
        self.tasks
            .like(|task| matches!(task.state, State::Submitted | State::Accepted))
    }

    fn needs<'a>(
        &'a self,
        task: &Task,
        other: &'a Task,
        before: &[&PhaseName],
    ) -> Option<(&'a Task, bool)> {
        let named = task.after.iter().find(|d| d.task == other.id);
        match named.map(|dependency| dependency.coupling) {
            Some(Coupling::Tight | Coupling::Medium) => Some((other, true)),
            Some(Coupling::Loose) => None,
            None => {
                let phase = self.phase_of(other)?;
                before.contains(&&phase.name).then_some((other, false))
            }
        }
    }

    /// Returns the phases that must close before a task's own opens.
    fn phases_before(&self, task: &Task) -> Vec<&PhaseName> {
        let mut before: Vec<&PhaseName> = Vec::new();
        let mut next: Vec<&PhaseSpec> = self.phase_of(task).into_iter().collect();
        while let Some(phase) = next.pop() {
            for name in &phase.after {
                if !before.contains(&name) {
                    before.push(name);
                    next.extend(self.phases.iter().filter(|phase| phase.name == *name));
                }
            }
        }
        before
    }
}
