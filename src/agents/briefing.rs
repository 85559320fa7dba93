//! All that one attempt's agent is told.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::AttemptFiles;
use crate::config;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::{
    AgentId, Attempt, CommitId, Coupling, Handoff, Lock, Profile, State, TaskId, TaskSpec,
};
use crate::workspace;

/// Which attempt it is, and where it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The task.
    pub task: TaskId,
    /// Who works on it.
    pub agent: AgentId,
    /// The claim's fencing number.
    pub attempt: Attempt,
    /// The branch.
    pub branch: String,
    /// The worktree.
    pub worktree: PathBuf,
}

/// All that one attempt's agent is told.
#[derive(Debug, Clone)]
pub struct Briefing {
    /// Which attempt it is.
    pub work: Work,
    /// Where its files lie.
    pub files: AttemptFiles,
    /// The task's specification.
    pub spec: TaskSpec,
    /// Name of the run.
    pub run: String,
    /// What the run is for.
    pub goal: String,
    /// Name of the team.
    pub team_name: String,
    /// Model tier.
    pub model: String,
    /// Name of the profile.
    pub profile_name: String,
    /// The profile.
    pub profile: Profile,
    /// What the task builds on.
    pub dependencies: Vec<Built>,
    /// What went wrong before.
    pub findings: Option<String>,
    /// Whether the branch has commits of earlier attempts.
    pub has_commits: bool,
    /// What people have told whoever works on it, oldest first.
    pub messages: Vec<String>,
    /// Whether its agent is kept in a sandbox, and cannot write the ledger.
    pub is_sandboxed: bool,
    /// The program by its absolute path, for agents whose shells find no `git orch`.
    pub program: PathBuf,
    /// Paths to be decided, where the merge that went wrong is under way in the worktree.
    pub undecided: Option<Vec<String>>,
    /// Decisions about paths in its scope.
    pub locks: Vec<Lock>,
}

/// A task that this one builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The task.
    pub task: TaskId,
    /// Its title.
    pub title: String,
    /// How far it has come.
    pub state: State,
    /// Whether its commits are part of the base.
    pub merged_in: bool,
    /// What it handed on.
    pub handoff: Option<Handoff>,
}

impl Briefing {
    /// Reads what the ledger says about the work.
    ///
    /// # Errors
    ///
    /// The task is gone from the ledger, or a file of it is broken.
    pub fn load(ledger: &Ledger, work: Work) -> Result<Self> {
        let board = ledger.board();
        let spec = ledger.spec(&work.task)?;
        let row = board
            .require_task(&work.task)
            .map_err(crate::error::UserError::from)?;
        let mut dependencies = Vec::new();
        for dependency in &spec.after {
            let Some(before) = board.tasks.get(&dependency.task) else {
                continue;
            };
            dependencies.push(Built {
                task: before.id.clone(),
                title: before.title.clone(),
                state: before.status.state,
                merged_in: dependency.coupling != Coupling::Loose,
                handoff: ledger.handoff(&before.id)?,
            });
        }
        let (profile_name, profile) = board.profile_of(row);
        let team = board.teams.get(&work.agent.team);
        let run = board.run();
        Ok(Self {
            files: AttemptFiles::of_profile(
                ledger.repo(),
                &work.task,
                work.attempt,
                &run,
                &profile,
            ),
            run: board.run_name().to_owned(),
            is_sandboxed: !profile.sandbox_in(&run.sandbox).is_none(),
            program: config::program(),
            goal: run.goal,
            team_name: team.map(|team| team.name.clone()).unwrap_or_default(),
            model: board.model_of(row),
            profile_name,
            profile,
            dependencies,
            undecided: undecided(ledger.repo(), row.status.conflicts, &work.worktree)?,
            findings: row.status.findings.clone(),
            has_commits: has_commits(ledger, &work.branch, row.status.base.as_ref())?,
            messages: row.status.messages.clone(),
            locks: touched(&board.locks, &spec),
            spec,
            work,
        })
    }
}

/// Returns whether a branch has more than the commit that it was cut from.
fn has_commits(ledger: &Ledger, branch: &str, base: Option<&CommitId>) -> Result<bool> {
    let tip = ledger.repo().read_ref(&format!("refs/heads/{branch}"))?;
    let tip = tip.map(|tip| tip.to_string());
    Ok(tip.is_some_and(|tip| base.is_none_or(|base| base.0 != tip)))
}

/// Returns what is to be decided in a worktree, where work conflicted before.
fn undecided(repo: &Repo, conflicts: u32, worktree: &Path) -> Result<Option<Vec<String>>> {
    if conflicts == 0 || !worktree.is_dir() {
        return Ok(None);
    }
    workspace::undecided(repo, worktree)
}

fn touched(locks: &[Lock], spec: &TaskSpec) -> Vec<Lock> {
    let touched = locks.iter().filter(|lock| lock.touches(&spec.scope));
    touched.cloned().collect()
}
