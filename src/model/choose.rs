//! Choosing work: which task goes to which coder next.
//!
//! The choice is made where a claim is decided, on the board that it is decided on, so that many who ask
//! at once get different tasks instead of racing for the best one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::apply::Refusal;
use super::board::{Board, Task};
use super::ids::{AgentId, CommitId, TaskId, TeamId, Timestamp};
use super::state::State;

/// What a claim may be for; what is left open is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// This task and no other.
    pub task: Option<TaskId>,
    /// For this agent; otherwise for any coder that is free.
    pub agent: Option<AgentId>,
    /// Of these teams only; of all where empty.
    pub teams: Vec<TeamId>,
    /// Only tasks that need none but these skills; `None` where any will do.
    pub skills: Option<Vec<String>>,
}

impl Wish {
    /// Returns the wish of an agent for any task.
    pub fn of(agent: AgentId) -> Self {
        Self {
            agent: Some(agent),
            ..Self::default()
        }
    }
}

/// A claim as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// What it may be for.
    pub wish: Wish,
    /// Until when the claim holds without renewal, for people to read.
    pub lease_until: Timestamp,
    /// Commits that the branches of these tasks are cut from.
    pub bases: BTreeMap<TaskId, CommitId>,
    /// Commits that the branch of any other task of a team is cut from, if it builds on nothing that is
    /// not integrated yet.
    pub starts: BTreeMap<TeamId, CommitId>,
}

impl Ask {
    /// Asks for one task for one agent, with its branch cut from a commit.
    pub fn named(task: TaskId, agent: AgentId, base: Option<CommitId>) -> Self {
        Self {
            bases: base.map(|base| (task.clone(), base)).into_iter().collect(),
            wish: Wish {
                task: Some(task),
                ..Wish::of(agent)
            },
            ..Self::default()
        }
    }

    /// Returns the commit that a task's branch is cut from, if this tells it.
    pub(super) fn base_of(&self, board: &Board, task: &Task) -> Option<&CommitId> {
        self.bases.get(&task.id).or_else(|| {
            let fresh = task.status.base.is_none() && board.builds_on(task).is_empty();
            self.starts.get(&task.team).filter(|_| fresh)
        })
    }
}

/// A task and who gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice<'a> {
    /// The task.
    pub task: &'a Task,
    /// Its coder.
    pub agent: AgentId,
}

impl Board {
    /// Returns what a claim with this wish would get.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing for it.
    pub fn choose(&self, wish: &Wish) -> Result<Choice<'_>, Refusal> {
        self.choose_among(wish, |_| true)
    }

    /// Returns what a claim with this wish would get among some tasks.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing for it.
    pub fn choose_among(
        &self,
        wish: &Wish,
        among: impl Fn(&Task) -> bool,
    ) -> Result<Choice<'_>, Refusal> {
        if let Some(agent) = wish.agent {
            self.require_agent(agent)?;
        }
        let standing = Standing::of(self);
        if let Some(id) = &wish.task {
            let task = self.require_task(id)?;
            let agent = wish.agent.or_else(|| standing.free_coder(task));
            let agent = agent.ok_or_else(|| none_free(task.team))?;
            self.may_claim(task, agent)?;
            return Ok(Choice { task, agent });
        }
        if let Some(held) = wish.agent.and_then(|agent| self.held_by(agent)) {
            return Err(self.holds_already(held));
        }
        let mut best: Option<(Rank, Choice<'_>)> = None;
        let mut refused = None;
        for task in self.tasks.values() {
            if task.status.state != State::Ready || !wish.fits(task) {
                continue;
            }
            match standing.may_have(task, wish) {
                Ok(agent) if among(task) => {
                    let rank = standing.rank(task, agent);
                    if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                        best = Some((rank, Choice { task, agent }));
                    }
                }
                Ok(_) => {}
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        match (best, refused) {
            (Some((_, choice)), _) => Ok(choice),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(self.nothing_for(wish)),
        }
    }

    /// Returns every task that is ready for a wish, as [`Board::choose`] would take them one after another.
    pub fn candidates(&self, wish: &Wish) -> Vec<&Task> {
        let standing = Standing::of(self);
        let ready = |task: &&Task| task.status.state == State::Ready && wish.fits(task);
        let mut candidates: Vec<&Task> = self.tasks.values().filter(ready).collect();
        candidates.sort_by_cached_key(|task| {
            let agent = wish.agent.or_else(|| standing.free_coder(task));
            agent.map(|agent| standing.rank(task, agent))
        });
        candidates
    }

    fn nothing_for(&self, wish: &Wish) -> Refusal {
        let teams: Vec<String> = match wish.agent {
            Some(agent) => vec![agent.team.to_string()],
            None => wish.teams.iter().map(ToString::to_string).collect(),
        };
        let nothing = Refusal::nothing(match teams.as_slice() {
            [] => String::from("no task is ready"),
            [team] => format!("team {team} has no task that is ready"),
            teams => format!("teams {} have no task that is ready", teams.join(", ")),
        });
        let waits = |task: &Task| task.status.state == State::Pending;
        if self.tasks.values().any(waits) {
            nothing.hint("git orch dispatch")
        } else {
            nothing.hint("git orch status")
        }
    }
}

impl Wish {
    /// Returns whether the wish is for tasks like this one.
    fn fits(&self, task: &Task) -> bool {
        let team = match self.agent {
            Some(agent) => task.team == agent.team,
            None => self.teams.is_empty() || self.teams.contains(&task.team),
        };
        let skilled = self
            .skills
            .as_ref()
            .is_none_or(|skills| task.skills.iter().all(|skill| skills.contains(skill)));
        team && skilled
    }
}

/// Least goes first: priority, teams with the fewest at work, work its agent tried before, declared order.
type Rank = (i32, u32, bool, u32);

/// Who is at work, counted once for a whole choice.
struct Standing<'a> {
    board: &'a Board,
    busy: BTreeSet<AgentId>,
    per_team: BTreeMap<TeamId, u32>,
    per_model: BTreeMap<String, u32>,
}

impl<'a> Standing<'a> {
    fn of(board: &'a Board) -> Self {
        let held = || {
            let tasks = board.tasks.values();
            tasks.filter(|task| task.status.state.is_held())
        };
        let mut per_team = BTreeMap::new();
        for task in held() {
            *per_team.entry(task.team).or_insert(0) += 1;
        }
        Self {
            board,
            busy: held().filter_map(|task| task.status.agent).collect(),
            per_team,
            per_model: board.held_per_model(),
        }
    }

    /// Returns the coder that would get a task: the one that tried it before, or the first that is free.
    fn free_coder(&self, task: &Task) -> Option<AgentId> {
        let team = self.board.teams.get(&task.team)?;
        let numbered = |number| AgentId {
            team: team.id,
            number,
        };
        let free =
            |agent: &AgentId| !self.busy.contains(agent) && self.board.paused(*agent).is_none();
        let before = task
            .status
            .agent
            .filter(|agent| agent.team == team.id && (1..=team.coders).contains(&agent.number));
        before
            .filter(free)
            .or_else(|| (1..=team.coders).map(numbered).find(free))
    }

    /// Returns who gets a ready task, or why nobody does.
    fn may_have(&self, task: &Task, wish: &Wish) -> Result<AgentId, Refusal> {
        let agent = match wish.agent {
            Some(agent) => match self.board.paused(agent) {
                Some(why) => return Err(super::apply::is_paused(agent, why)),
                None => agent,
            },
            None => self.free_coder(task).ok_or_else(|| none_free(task.team))?,
        };
        let model = self.board.model_of(task);
        self.board
            .has_room(&model, self.per_model.get(&model).copied().unwrap_or(0))?;
        Ok(agent)
    }

    fn rank(&self, task: &Task, agent: AgentId) -> Rank {
        let at_work = self.per_team.get(&task.team).copied().unwrap_or(0);
        let anew = task.status.agent != Some(agent);
        (-task.priority, at_work, anew, task.order)
    }
}

fn none_free(team: TeamId) -> Refusal {
    Refusal::nothing(format!("every coder of team {team} is at work or paused"))
        .hint("git orch queue active")
}
