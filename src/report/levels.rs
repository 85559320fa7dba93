//! The steps that work goes up by: what waits at each, and whose it is.
//!
//! What waits is read off the branches: a team's branch may have work that the integration branch has not,
//! where its leader brought it in.

use std::collections::HashSet;

use anyhow::Result;
use serde::Serialize;

use super::text::count;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::train::{INTEGRATION, team_branch};
use crate::model::{Board, CommitId, Level, State, TaskId};

/// Whether anything waits at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nothing waits.
    Clear,
    /// Something may be taken up.
    Waiting,
    /// Something waits for more than its owner: the integration branch is not tested as it is.
    Held,
}

/// One step as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which one.
    pub level: Level,
    /// Whose it is: `person`, `assembler`, `leader` (of the team concerned), or one leader's id.
    pub owner: String,
    /// Whether the plan says anything of it.
    pub declared: bool,
    /// Whether anything waits.
    pub state: Standing,
    /// Tasks that wait, in the plan's order.
    pub waiting: Vec<TaskId>,
    /// Branches that have something to take up.
    pub branches: Vec<String>,
    /// What the owner looks at.
    pub criteria: Vec<String>,
    /// Commands that must pass besides the test.
    pub checks: Vec<String>,
    /// How to take it back.
    pub rollback: String,
    /// What comes next.
    pub next: Option<String>,
}

/// Returns the steps from below.
///
/// # Errors
///
/// A branch cannot be read.
pub fn steps(ledger: &Ledger) -> Result<Vec<Step>> {
    let (board, repo) = (ledger.board(), ledger.repo());
    let mut steps: Vec<Step> = Level::ALL.map(|level| Step::new(board, level)).into();
    let base = head(repo, &board.settings.base)?;
    let tip = head(repo, INTEGRATION)?;
    // Where the integration branch is not there yet, everything goes up from the base branch.
    let Some(below) = tip.or(base) else {
        return Ok(steps);
    };
    let mut on_teams = HashSet::new();
    for team in board.teams.keys() {
        let branch = team_branch(*team);
        let new = beyond(repo, below, head(repo, &branch)?)?;
        // A branch that only lags behind the base branch has nothing of its own.
        if !new.is_empty() && !is_in(repo, head(repo, &branch)?, base)? {
            steps[1].branches.push(branch);
            on_teams.extend(new);
        }
    }
    let mut unapproved = HashSet::new();
    if let Some(base) = base {
        unapproved = beyond(repo, base, tip)?;
    }
    if !unapproved.is_empty() {
        steps[2].branches.push(INTEGRATION.to_owned());
    }
    let mut tasks: Vec<_> = board.tasks.values().collect();
    tasks.sort_by_key(|task| task.order);
    for task in tasks {
        let status = &task.status;
        let at = match status.state {
            State::Submitted | State::Accepted => {
                let is_on_team = has(&on_teams, status.head.as_ref());
                Some(usize::from(is_on_team))
            }
            State::Merged if has(&unapproved, status.commit.as_ref()) => Some(2),
            _ => None,
        };
        if let Some(at) = at {
            steps[at].waiting.push(task.id.clone());
        }
    }
    let is_tested = board
        .tested
        .as_ref()
        .is_some_and(|tested| tip.is_some_and(|tip| is(tip, &tested.commit)));
    for step in &mut steps {
        step.state = match step.level {
            _ if step.waiting.is_empty() && step.branches.is_empty() => Standing::Clear,
            Level::Approval if !is_tested => Standing::Held,
            _ => Standing::Waiting,
        };
    }
    Ok(steps)
}

/// Returns one line for people; `None` where the plan says nothing of steps or nothing waits.
pub fn line(board: &Board, steps: &[Step]) -> Option<String> {
    let busy = steps.iter().filter(|step| step.state != Standing::Clear);
    let parts: Vec<String> = busy
        .map(|step| {
            let what = match step.waiting.len() {
                0 if step.branches.len() == 1 => String::from("1 branch"),
                0 => format!("{} branches", step.branches.len()),
                tasks => count(tasks, "task"),
            };
            let held = match step.state {
                Standing::Held => ", not tested",
                Standing::Clear | Standing::Waiting => "",
            };
            format!("{what} for {} ({}{held})", step.level.as_str(), step.owner)
        })
        .collect();
    let said = !board.settings.levels.is_empty() && !parts.is_empty();
    said.then(|| format!("waiting: {}", parts.join(", ")))
}

impl Step {
    fn new(board: &Board, level: Level) -> Self {
        let levels = &board.settings.levels;
        let spec = levels.get(level).cloned().unwrap_or_default();
        Self {
            level,
            owner: levels.owner(level).to_string(),
            declared: levels.get(level).is_some(),
            state: Standing::Clear,
            waiting: Vec::new(),
            branches: Vec::new(),
            criteria: spec.criteria,
            checks: spec.checks,
            rollback: levels.rollback(level).to_owned(),
            next: spec.next,
        }
    }
}

fn head(repo: &Repo, branch: &str) -> Result<Option<Oid>> {
    repo.read_ref(&format!("refs/heads/{branch}"))
}

fn is_in(repo: &Repo, commit: Option<Oid>, branch: Option<Oid>) -> Result<bool> {
    match (commit, branch) {
        (Some(commit), Some(branch)) => repo.is_ancestor(commit, branch),
        _ => Ok(false),
    }
}

/// Returns the commits that one branch has and another has not.
fn beyond(repo: &Repo, without: Oid, head: Option<Oid>) -> Result<HashSet<String>> {
    let Some(head) = head.filter(|head| *head != without) else {
        return Ok(HashSet::new());
    };
    let commits = repo.range(without, head)?;
    Ok(commits.iter().map(|commit| commit.id.to_string()).collect())
}

fn is(commit: Oid, other: &CommitId) -> bool {
    Oid::from_hex(other.0.as_bytes()).is_ok_and(|other| other == commit)
}

fn has(commits: &HashSet<String>, commit: Option<&CommitId>) -> bool {
    commit.is_some_and(|commit| commits.contains(&commit.0))
}
