//! What `status` and `log` are asked about: a team, an agent or a task, told apart by their form.

use std::str::FromStr;

use crate::error::UserError;
use crate::ledger::Ledger;
use crate::model::{AgentId, Board, Task, TaskId, TeamId, TeamSpec};

/// A team (`1`, `TEAM-1`), an agent (`1.2`, `AGENT-1.2`) or a task (anything else).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A team.
    Team(TeamId),
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Tags may be pasted from a log, brackets included.
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(team) = bare.parse() {
            return Ok(Self::Team(team));
        }
        if let Ok(agent) = bare.parse() {
            return Ok(Self::Agent(agent));
        }
        bare.parse().map(Self::Task)
    }
}

/// Returns a task.
///
/// # Errors
///
/// There is none of that id; the nearest is suggested.
pub fn require_task<'a>(board: &'a Board, id: &TaskId) -> Result<&'a Task, UserError> {
    if let Some(task) = board.tasks.get(id) {
        return Ok(task);
    }
    let mut error = UserError::new(format!("there is no task {id}"));
    let nearest = board
        .tasks
        .keys()
        .map(|known| (strsim::jaro_winkler(known.as_str(), id.as_str()), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    // Below this, names that share no more than a letter or two are suggested.
    error = match nearest.filter(|(likeness, _)| *likeness > 0.75) {
        Some((_, known)) => error.hint(format!("git orch status {known}")),
        None => error.hint("git orch status"),
    };
    Err(error)
}

/// Returns the error for a task that is not on the board: a closed run may have had it, or the nearest name is meant.
pub fn no_task(ledger: &Ledger, id: &TaskId) -> UserError {
    // What cannot be read says nothing of it.
    let archived = ledger.archived(id).unwrap_or_default();
    let Some(last) = archived.last() else {
        return match require_task(ledger.board(), id) {
            Ok(_) => UserError::new(format!("task {id} has come in at this moment")),
            Err(error) => error,
        };
    };
    UserError::new(format!(
        "there is no task {id} in this run; closed run {} had one, which is {}",
        last.archive, last.status.state
    ))
    .hint(format!("git orch log {id}"))
    .hint(format!("git show {}:{}", ledger.branch(), last.path))
}

/// Returns a team.
///
/// # Errors
///
/// There is none of that number; the message says which there are.
pub fn require_team(board: &Board, id: TeamId) -> Result<&TeamSpec, UserError> {
    board.teams.get(&id).ok_or_else(|| {
        let known: Vec<String> = board.teams.keys().map(ToString::to_string).collect();
        let known = if known.is_empty() {
            String::from("there are none yet")
        } else {
            format!("there are {}", known.join(", "))
        };
        UserError::new(format!("there is no team {id}: {known}")).hint("git orch status")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskSpec;

    #[test]
    fn the_form_tells_teams_agents_and_tasks_apart() {
        for text in ["11", "TEAM-11", "[TEAM-11]"] {
            assert_eq!(text.parse(), Ok(Target::Team(TeamId(11))), "{text}");
        }
        for text in ["1.2", "AGENT-1.2", "[AGENT-1.2]"] {
            let agent = "1.2".parse().unwrap();
            assert_eq!(text.parse(), Ok(Target::Agent(agent)), "{text}");
        }
        for text in ["auth-schema", "T-0007", "1a", "1.2.3", "0", "TEAM-x"] {
            let task = text.parse().unwrap();
            assert_eq!(text.parse(), Ok(Target::Task(task)), "{text}");
        }
        assert!("a b".parse::<Target>().is_err());
    }

    #[test]
    fn an_unknown_task_suggests_the_nearest() {
        let mut board = Board::default();
        for id in ["auth-schema", "billing-api"] {
            let spec = TaskSpec::new(id.parse().unwrap(), TeamId(1), "x");
            board.tasks.insert(Task::from_spec(&spec, 0, false, 0));
        }
        let asked = |id: &str| {
            require_task(&board, &id.parse().unwrap())
                .unwrap_err()
                .hints
        };
        assert_eq!(asked("auth-shcema"), ["git orch status auth-schema"]);
        assert_eq!(asked("zzz"), ["git orch status"]);
    }
}
