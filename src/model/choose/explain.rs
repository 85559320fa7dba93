//! Why this task and not another: a choice in words.

use super::rank::{Affinity, Candidate, Rank, waits};
use super::standing::{Crew, Hurdle, Standing};
use super::{Choice, Wish};
use crate::model::apply::{Refusal, is_paused};
use crate::model::board::{Board, Gate, PhaseState, Task};
use crate::model::ids::{AgentId, TaskId};
use crate::model::state::State;

/// What a claim would get, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'a> {
    /// What it would get, or why there is nothing for it.
    pub chosen: Result<Choice<'a>, Refusal>,
    /// Why that.
    pub reasons: Vec<String>,
    /// Every other task that it might have had and that is not done: those that may be claimed as they
    /// would come next, then those that may not in the plan's order.
    pub others: Vec<Other<'a>>,
}

/// A task that a claim would not get.
#[derive(Debug, Clone, PartialEq)]
pub struct Other<'a> {
    /// The task.
    pub task: &'a Task,
    /// Why not.
    pub why: String,
}

impl Board {
    /// Explains what [`Board::choose_among`] chooses where the tasks in `apart` are left out, each for the
    /// reason that stands with it.
    ///
    /// # Errors
    ///
    /// There is no such agent or task.
    pub fn explain(
        &self,
        wish: &Wish,
        apart: &[(TaskId, Refusal)],
    ) -> Result<Explanation<'_>, Refusal> {
        if let Some(agent) = wish.agent {
            self.require_agent(agent)?;
        }
        let named = match &wish.task {
            Some(id) => Some(self.require_task(id)?),
            None => None,
        };
        let standing = Standing::of(self, &Wish::default());
        let open = Open {
            board: self,
            standing: &standing,
            wish,
            apart,
            phases: self.phase_states(Gate::default()),
        };
        let why_apart = |task: &Task| apart.iter().find(|(id, _)| *id == task.id);
        let chosen = match named.and_then(why_apart) {
            Some((_, refusal)) => Err(refusal.clone()),
            None => self.choose_among(wish, |task| why_apart(task).is_none()),
        };
        // What stands in the way of the best is the better answer.
        let chosen = chosen.map_err(|refusal| match apart.first() {
            Some((_, first)) if named.is_none() => first.clone(),
            _ => refusal,
        });
        Ok(match named {
            Some(task) => open.named(task, chosen),
            None => open.all(chosen),
        })
    }
}

/// A question that is being answered.
struct Open<'a, 'b> {
    board: &'a Board,
    standing: &'b Standing<'a>,
    wish: &'b Wish,
    apart: &'b [(TaskId, Refusal)],
    phases: Vec<PhaseState>,
}

impl<'a> Open<'a, '_> {
    fn named(&self, task: &'a Task, chosen: Result<Choice<'a>, Refusal>) -> Explanation<'a> {
        let (mut reasons, mut others) = (Vec::new(), Vec::new());
        match &chosen {
            Ok(choice) => {
                reasons.push(String::from("it is named"));
                let found = self.standing.matched(task, choice.agent);
                if let Some((found, seen)) = found.zip(self.board.tasks.see(&task.id)) {
                    let turn = super::Turn::of(self.standing.crew(task.team), &seen);
                    let candidate = Candidate::new(seen, found, turn);
                    let waits = waits(self.standing, &[candidate]);
                    reasons.extend(self.reasons(&candidate, waits[0]));
                }
            }
            Err(refusal) => others.push(Other {
                task,
                why: self.out(task).unwrap_or_else(|| refusal.message.clone()),
            }),
        }
        Explanation {
            chosen,
            reasons,
            others,
        }
    }

    fn all(&self, chosen: Result<Choice<'a>, Refusal>) -> Explanation<'a> {
        let ranked = self.standing.ranked(self.wish, |task| {
            let is_apart = self.apart.iter().any(|(id, _)| *id == task.id);
            let open = self.standing.coder_for(task, self.wish.agent);
            open.ok().filter(|_| !is_apart).ok_or(Hurdle::NoneFree)
        });
        let mut explanation = Explanation {
            reasons: Vec::new(),
            others: Vec::new(),
            chosen,
        };
        let Some((best, first)) = ranked.first() else {
            explanation.others = self.outs(&[]);
            return explanation;
        };
        if explanation.chosen.is_ok() {
            explanation.reasons = self.reasons(first, best.waits.0);
        }
        let held = self.wish.agent.and_then(|agent| self.board.held_by(agent));
        for (rank, candidate) in &ranked {
            let why = match (&explanation.chosen, held) {
                (Ok(choice), _) if choice.task.id == candidate.task().id => continue,
                (_, Some(held)) => self.board.holds_already(held).message,
                _ => self.behind(rank, candidate, best, first),
            };
            explanation.others.push(Other {
                task: candidate.task(),
                why,
            });
        }
        let placed: Vec<&TaskId> = ranked.iter().map(|(_, c)| &c.task().id).collect();
        explanation.others.extend(self.outs(&placed));
        explanation
    }

    /// Returns the tasks that nobody can get now, in the plan's order, those that are ready first.
    fn outs(&self, placed: &[&TaskId]) -> Vec<Other<'a>> {
        let placed: std::collections::HashSet<&TaskId> = placed.iter().copied().collect();
        let tasks = self.board.tasks.values();
        let mut tasks: Vec<&Task> = tasks
            .filter(|task| self.wish.is_of_team(task) && !placed.contains(&task.id))
            .filter(|task| !task.status.state.is_done() && !task.status.state.is_final())
            .collect();
        tasks.sort_by_key(|task| (task.status.state != State::Ready, task.order));
        let other = |task| {
            let why = self.out(task)?;
            Some(Other { task, why })
        };
        tasks.into_iter().filter_map(other).collect()
    }

    /// Returns why nobody, or not the agent that asks, can get a task now.
    fn out(&self, task: &Task) -> Option<String> {
        let status = &task.status;
        if let Some((_, refusal)) = self.apart.iter().find(|(id, _)| *id == task.id) {
            return Some(refusal.message.clone());
        }
        Some(match status.state {
            State::Ready => return self.ready_and_out(task),
            State::Pending => match self.board.wait_of(task) {
                Some(wait) => wait.to_string(),
                None => match self.closed_phase(task) {
                    Some(phase) => format!("its phase {phase} is not open"),
                    None => String::from("it may start, and nothing was dispatched since"),
                },
            },
            State::Failed => match &status.reason {
                Some(reason) => format!("its last attempt failed: {reason}"),
                None => String::from("its last attempt failed"),
            },
            State::Claimed | State::InProgress | State::Blocked => match status.agent {
                Some(agent) => format!("{agent} holds it"),
                None => String::from("it is blocked until a person has looked"),
            },
            state => format!("it is {state}"),
        })
    }

    fn closed_phase(&self, task: &Task) -> Option<&'a str> {
        let phase = self.board.phase_of(task)?;
        let open = self.board.may_start_phase(task, &self.phases);
        (!open).then_some(phase.name.0.as_str())
    }

    fn ready_and_out(&self, task: &Task) -> Option<String> {
        if let (Some(skills), true) = (&self.wish.skills, self.wish.is_of_team(task)) {
            let beyond = task.skills.iter().filter(|skill| !skills.contains(skill));
            let beyond: Vec<&str> = beyond.map(String::as_str).collect();
            if !beyond.is_empty() {
                return Some(format!("it needs {}", beyond.join(" and ")));
            }
        }
        if let Some(agent) = self.wish.agent {
            if let Some(why) = self.board.paused(agent) {
                return Some(is_paused(agent, why).message);
            }
            if let Some(held) = self.board.held_by(agent) {
                return Some(self.board.holds_already(held).message);
            }
        }
        let hurdle = self.standing.coder_for(task, self.wish.agent).err()?;
        let refusal = self.standing.refusal(task, self.wish, hurdle).message;
        Some(match (hurdle, self.standing.crew(task.team)) {
            (Hurdle::Role, Some(crew)) => format!("{refusal} ({})", whereabouts(crew, task)),
            _ => refusal,
        })
    }

    /// Returns what speaks for a candidate, in the order in which it counts.
    fn reasons(&self, candidate: &Candidate<'_>, waits: u32) -> Vec<String> {
        let (task, agent) = (candidate.task(), candidate.found.agent);
        let mut found = vec![format!("priority {}", task.priority)];
        let crew = self.standing.crew(task.team);
        if let Some(crew) = crew {
            let coders = crew.coders().len();
            found.push(format!(
                "team {} has {} of {coders} coders at work",
                task.team, crew.at_work
            ));
        }
        if waits > 0 {
            let dependents = self.dependents(task);
            let tasks = if dependents == 1 {
                "task waits"
            } else {
                "tasks wait"
            };
            found.push(format!("{dependents} {tasks} for it (weight {waits})"));
        }
        if let (Some(role), Some(crew)) = (&task.role, crew) {
            found.push(if crew.role_of(agent) == Some(role) {
                format!("{agent} has the role {role}")
            } else {
                format!("no coder of role {role} is there for it")
            });
        }
        if !task.skills.is_empty() {
            let had = candidate.found.suit.had.0;
            let all = task.skills.len();
            found.push(match self.lacks(task, agent).as_str() {
                "" => format!("{agent} has all of {}", task.skills.join(", ")),
                lacks => format!("{agent} has {had} of the {all} skills, not {lacks}"),
            });
        }
        if let Some(better) = candidate.found.better {
            found.push(format!(
                "{better}, which is free, suits it better, but there is nothing else for {agent}"
            ));
        }
        found.extend(match candidate.found.suit.affinity {
            Affinity::Warm => Some(format!("{agent} has worked on it")),
            Affinity::None => None,
            Affinity::Failed => Some(format!("its last attempt failed under {agent}")),
        });
        found.push(format!("number {} of the plan", task.order + 1));
        found
    }

    fn dependents(&self, task: &Task) -> usize {
        let others = self.standing.waiting.iter().map(|seen| seen.task());
        let after = |other: &&Task| other.after.iter().any(|d| d.task == task.id);
        others.filter(after).count()
    }

    fn lacks(&self, task: &Task, agent: AgentId) -> String {
        let crew = self.standing.crew(task.team);
        crew.map_or_else(String::new, |crew| crew.lacks(task, agent).join(", "))
    }

    /// Returns the first thing in which a candidate comes behind the best.
    fn behind(
        &self,
        rank: &Rank,
        candidate: &Candidate<'_>,
        best: &Rank,
        first: &Candidate<'_>,
    ) -> String {
        let (task, agent, chosen) = (candidate.task(), candidate.found.agent, &first.task().id);
        let (turn, suit) = (&rank.turn, &rank.suit);
        if turn.elsewhere != best.turn.elsewhere
            && let Some(better) = candidate.found.better
        {
            return format!("{better}, which is free, suits it better than {agent}");
        }
        if turn.priority != best.turn.priority {
            let (its, other) = (task.priority, first.task().priority);
            return format!("priority {its}, and {chosen} has {other}");
        }
        let (team, other) = (task.team, first.task().team);
        if turn.load != best.turn.load {
            return format!("team {team} has more of its coders at work than team {other}");
        }
        if turn.served != best.turn.served {
            return format!("team {team} was served later than team {other}");
        }
        if turn.turns != best.turn.turns {
            return format!("team {team} has had more claims for its coders than team {other}");
        }
        if rank.waits != best.waits {
            let (its, other) = (rank.waits.0, best.waits.0);
            return format!("less waits for it (weight {its}) than for {chosen} ({other})");
        }
        if suit.in_trouble != best.suit.in_trouble {
            let crew = self.standing.crew(team);
            let failures = crew.and_then(|crew| crew.coder(agent)).map(|c| c.failures);
            let failures = failures.unwrap_or(0);
            return format!("{agent} has failed at {failures} tasks in a row");
        }
        if suit.missing != best.suit.missing {
            return format!("{agent} lacks {}", self.lacks(task, agent));
        }
        if suit.had != best.suit.had {
            return format!("{chosen} makes more of the skills of {}", first.found.agent);
        }
        if suit.affinity != best.suit.affinity {
            return match suit.affinity {
                Affinity::Failed => format!("its last attempt failed under {agent}"),
                _ => format!("{} has worked on {chosen} before", first.found.agent),
            };
        }
        format!("it comes after {chosen} in the plan")
    }
}

/// Says what keeps the coders of a task's role.
fn whereabouts(crew: &Crew<'_>, task: &Task) -> String {
    let of_role = crew
        .coders()
        .iter()
        .filter(|coder| crew.role_of(coder.agent) == task.role.as_deref());
    let each = of_role.map(|coder| match (coder.paused, coder.holds) {
        (Some(_), _) => format!("{} is paused", coder.agent),
        (None, Some(task)) => format!("{} holds {}", coder.agent, task.id),
        (None, None) => format!("{} is free", coder.agent),
    });
    each.collect::<Vec<String>>().join(", ")
}
