//! What may still come: whether waiting for others is worth it.

use std::collections::BTreeSet;

use super::board::{Board, Task};
use super::choose::Wish;
use super::ids::{PhaseName, TaskId};
use super::spec::{Coupling, Dependency};
use super::state::State;
use super::tasks::Glance;

impl Board {
    /// Returns the tasks of a wish's kind that are ready, at work or may become ready without a person doing
    /// anything about what is blocked or given up.
    ///
    /// Work that is handed in may always be merged, by whoever assembles.
    pub fn prospects(&self, wish: &Wish) -> Vec<&Task> {
        let stuck = self.stuck(&wish.not);
        let may_live = |task: &Glance| {
            let state = task.state;
            state.is_held() && state != State::Blocked
                || matches!(state, State::Ready | State::Failed | State::Pending)
        };
        let lives = |task: &&Task| task.status.state != State::Pending || !stuck.contains(&task.id);
        let tasks = self.tasks.like(may_live).filter(|task| wish.fits(task));
        tasks.filter(lives).collect()
    }

    /// Returns the tasks that wait for a person: blocked, not wanted here, or pending behind something that never
    /// comes.
    fn stuck<'a>(&'a self, not: &'a BTreeSet<TaskId>) -> BTreeSet<&'a TaskId> {
        let in_state = |state| self.tasks.like(move |task| task.state == state);
        let mut stuck: BTreeSet<&TaskId> = in_state(State::Blocked).map(|task| &task.id).collect();
        stuck.extend(not);
        loop {
            let before = stuck.len();
            let closed_for_good = self.phases_behind(&stuck);
            let waits = |task: &&Task| {
                let mut after = task.after.iter();
                let phase = self.phase_of(task).map(|phase| &phase.name);
                after.any(|dependency| self.never_comes(dependency, &stuck))
                    || phase.is_some_and(|phase| closed_for_good.contains(phase))
            };
            let more: Vec<&TaskId> = in_state(State::Pending)
                .filter(waits)
                .map(|task| &task.id)
                .collect();
            stuck.extend(more);
            if stuck.len() == before {
                return stuck;
            }
        }
    }

    fn never_comes(&self, dependency: &Dependency, stuck: &BTreeSet<&TaskId>) -> bool {
        let Some(task) = self.tasks.get(&dependency.task) else {
            return true;
        };
        let state = task.status.state;
        let enough = match dependency.coupling {
            Coupling::Tight => state == State::Merged,
            Coupling::Medium | Coupling::Loose => state.is_done(),
        };
        !enough && (state.is_final() || stuck.contains(&task.id))
    }

    /// Returns the phases that do not open while some tasks stay where they are.
    fn phases_behind(&self, stuck: &BTreeSet<&TaskId>) -> BTreeSet<&PhaseName> {
        let held_up: BTreeSet<&PhaseName> = stuck
            .iter()
            .filter_map(|id| self.phase_of(self.tasks.get(id)?))
            .map(|phase| &phase.name)
            .collect();
        let mut behind: BTreeSet<&PhaseName> = BTreeSet::new();
        loop {
            let before = behind.len();
            for phase in &self.phases {
                let mut after = phase.after.iter();
                if after.any(|name| held_up.contains(name) || behind.contains(name)) {
                    behind.insert(&phase.name);
                }
            }
            if behind.len() == before {
                return behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{PhaseSpec, TaskSpec};
    use crate::model::{TaskId, TeamId};

    fn id(text: &str) -> TaskId {
        text.parse().unwrap()
    }

    fn board(tasks: &[(&str, State, &[&str])]) -> Board {
        let mut board = Board::default();
        for (order, (name, state, after)) in tasks.iter().enumerate() {
            let mut spec = TaskSpec::new(id(name), TeamId(1), "title");
            for before in *after {
                spec.after.push(Dependency {
                    task: id(before),
                    coupling: Coupling::Medium,
                });
            }
            let order = u32::try_from(order).unwrap();
            let mut task = Task::from_spec(&spec, order, false, 0);
            task.status.state = *state;
            board.tasks.insert(task);
        }
        board
    }

    fn prospects(board: &Board) -> Vec<&str> {
        let tasks = board.prospects(&Wish::default());
        tasks.into_iter().map(|task| task.id.as_str()).collect()
    }

    #[test]
    fn what_is_handed_in_given_up_or_blocked_is_not_waited_for() {
        let board = board(&[
            ("a", State::Submitted, &[]),
            ("b", State::Gap, &[]),
            ("c", State::Blocked, &[]),
            ("d", State::Merged, &[]),
            ("e", State::Cancelled, &[]),
            ("after-a", State::Pending, &["a"]),
            ("after-b", State::Pending, &["b"]),
            ("after-c", State::Pending, &["c"]),
            ("after-after-c", State::Pending, &["after-c"]),
        ]);
        assert_eq!(prospects(&board), ["after-a"]);
    }

    #[test]
    fn what_is_not_wanted_is_not_waited_for_nor_what_comes_after_it() {
        let board = board(&[
            ("a", State::Ready, &[]),
            ("b", State::Ready, &[]),
            ("after-a", State::Pending, &["a"]),
            ("after-b", State::Pending, &["b"]),
        ]);
        let wish = Wish {
            not: [id("a")].into(),
            ..Wish::default()
        };
        let tasks = board.prospects(&wish);
        let found: Vec<&str> = tasks.into_iter().map(|task| task.id.as_str()).collect();
        assert_eq!(found, ["after-b", "b"]);
    }

    #[test]
    fn others_work_is_waited_for_and_what_comes_after_it() {
        let board = board(&[
            ("a", State::InProgress, &[]),
            ("b", State::Failed, &[]),
            ("c", State::Pending, &["a"]),
        ]);
        assert_eq!(prospects(&board), ["a", "b", "c"]);
    }

    #[test]
    fn a_phase_behind_a_blocked_task_does_not_open() {
        let mut board = board(&[
            ("one", State::Blocked, &[]),
            ("two", State::Pending, &[]),
            ("three", State::Pending, &[]),
        ]);
        let name = |text: &str| PhaseName(text.to_owned());
        for (phase, after) in [("p1", None), ("p2", Some("p1")), ("p3", Some("p2"))] {
            board.phases.push(PhaseSpec {
                name: name(phase),
                teams: Vec::new(),
                after: after.map(name).into_iter().collect(),
            });
        }
        for (task, phase) in [("one", "p1"), ("two", "p2"), ("three", "p3")] {
            board.tasks.get_mut(&id(task)).unwrap().phase = Some(name(phase));
        }
        assert!(prospects(&board).is_empty());
        board.tasks.get_mut(&id("one")).unwrap().status.state = State::InProgress;
        assert_eq!(prospects(&board), ["one", "three", "two"]);
    }

    #[test]
    fn a_wish_for_skills_waits_for_its_kind_only() {
        let mut board = board(&[("a", State::Ready, &[])]);
        board.tasks.get_mut(&id("a")).unwrap().skills = vec![String::from("sql")];
        let wish = |skills: &[&str]| Wish {
            skills: Some(skills.iter().map(|skill| (*skill).to_owned()).collect()),
            ..Wish::default()
        };
        assert!(board.prospects(&wish(&["css"])).is_empty());
        assert_eq!(board.prospects(&wish(&["sql", "css"])).len(), 1);
    }
}
