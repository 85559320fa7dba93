//! Choosing the next task for an agent.

use super::apply::Refusal;
use super::board::{Board, Task};
use super::ids::AgentId;
use super::state::State;

impl Board {
    /// Returns the ready tasks of an agent's team, best first: by priority, then work it tried before,
    /// then declared order.
    pub fn candidates(&self, agent: AgentId) -> Vec<&Task> {
        let ready = self
            .tasks
            .values()
            .filter(|task| task.team == agent.team && task.status.state == State::Ready);
        let mut candidates: Vec<&Task> = ready.collect();
        candidates
            .sort_by_key(|task| (-task.priority, task.status.agent != Some(agent), task.order));
        candidates
    }

    /// Returns the task that an agent should claim next: the first candidate that it may have.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing for it.
    pub fn choose(&self, agent: AgentId) -> Result<&Task, Refusal> {
        let mut refused = None;
        for task in self.candidates(agent) {
            match self.may_claim(task, agent) {
                Ok(()) => return Ok(task),
                Err(refusal) => refused = Some(refusal),
            }
        }
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        self.require_agent(agent)?;
        let waiting = self
            .tasks
            .values()
            .filter(|task| task.status.state == State::Pending)
            .count();
        let nothing = Refusal::nothing(format!("team {} has no task that is ready", agent.team));
        Err(if waiting > 0 {
            nothing.hint("git orch dispatch")
        } else {
            nothing.hint("git orch status")
        })
    }
}
