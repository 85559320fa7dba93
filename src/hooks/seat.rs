//! Whose worktree a hook runs in, from raw files: no repository is opened for it (docs/decisions/hooks.md).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::message::Stamp;
use crate::config;
use crate::error::UserError;
use crate::git::config_file::ConfigFile;
use crate::git::{Git, files};
use crate::ledger::files::{LocksFile, parse, parse_task};
use crate::model::{AgentId, Attempt, Lock, TaskId, TaskSpec};

/// What begins the name of a coder's worktree below `<common>/worktrees/`.
pub const PREFIX: &str = "orch-";

/// The directories that a hook was started with.
#[derive(Debug, Clone)]
pub struct Place {
    /// Git directory of the worktree.
    pub git_dir: PathBuf,
    /// Git directory that all worktrees share.
    pub common_dir: PathBuf,
}

impl Place {
    /// Finds out where a hook was started.
    ///
    /// # Errors
    ///
    /// It was not started in a repository.
    pub fn find(dir: &Path) -> Result<Self> {
        let git_dir = match config::given_git_dir() {
            Some(git_dir) => dir.join(git_dir),
            None => above(dir)?,
        };
        let link = files::read_if_exists(&git_dir.join("commondir"))?;
        let common_dir = match link {
            Some(text) => git_dir.join(String::from_utf8_lossy(&text).trim_end()),
            None => git_dir.clone(),
        };
        let absolute = |path: PathBuf| {
            path.canonicalize()
                .with_context(|| format!("cannot resolve {}", path.display()))
        };
        Ok(Self {
            git_dir: absolute(git_dir)?,
            common_dir: absolute(common_dir)?,
        })
    }

    /// Returns a `git` command that sees the worktree as the hook does.
    pub fn git(&self, dir: &Path) -> Git {
        let git = Git::new(dir).env("GIT_DIR", &self.git_dir);
        match config::hook_index() {
            Some(index) => git.env("GIT_INDEX_FILE", index),
            None => git,
        }
    }
}

/// Returns the Git directory of the nearest worktree at or above a directory.
fn above(dir: &Path) -> Result<PathBuf> {
    let dir = dir.canonicalize().context("cannot resolve the directory")?;
    for top in dir.ancestors() {
        let git = top.join(".git");
        if git.is_dir() {
            return Ok(git);
        }
        if let Some(text) = files::read_pointer(&git)
            && let Some(path) = String::from_utf8_lossy(&text).strip_prefix("gitdir:")
        {
            return Ok(top.join(path.trim()));
        }
        if top.join("HEAD").is_file() && top.join("objects").is_dir() {
            return Ok(top.to_path_buf());
        }
    }
    Err(UserError::new("hooks run in a repository only").into())
}

/// A coder in its worktree, with the task it works on.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Where.
    pub place: Place,
    /// Who.
    pub agent: AgentId,
    /// What for; `None` between tasks.
    pub task: Option<TaskId>,
    /// In which attempt.
    pub attempt: Option<Attempt>,
    /// In which run, where the worktree's configuration says.
    pub run: Option<String>,
    /// On which branch, where the worktree's configuration says.
    branch: Option<String>,
}

impl Seat {
    /// A coder at work on the branch that its task has by itself.
    #[cfg(test)]
    pub(super) fn at_work(agent: AgentId, task: TaskId) -> Self {
        Self {
            place: Place {
                git_dir: PathBuf::from("/nowhere"),
                common_dir: PathBuf::from("/nowhere"),
            },
            agent,
            branch: Some(format!("orch/team-{}/{task}", agent.team)),
            task: Some(task),
            attempt: None,
            run: None,
        }
    }

    /// Returns whose worktree it is; `None` where it is no coder's.
    ///
    /// # Errors
    ///
    /// The worktree's configuration cannot be read.
    pub fn find(place: Place) -> Result<Option<Self>> {
        let name = place.git_dir.file_name().unwrap_or_default();
        let named = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(agent) = named.and_then(|name| name.parse::<AgentId>().ok()) else {
            return Ok(None);
        };
        let path = worktree_file(&place.common_dir, agent, "gitconfig");
        let Some(file) = ConfigFile::read(&path)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            agent,
            task: file.value("orch.task").and_then(|text| text.parse().ok()),
            attempt: file
                .value("orch.attempt")
                .and_then(|text| text.parse().ok()),
            run: file.value("orch.run"),
            branch: file.value("orch.branch"),
            place,
        }))
    }

    /// Returns the task.
    ///
    /// # Errors
    ///
    /// There is none: the agent has nothing to commit for.
    pub fn require_task(&self) -> Result<&TaskId> {
        self.task.as_ref().ok_or_else(|| {
            UserError::new(format!(
                "agent {} works on no task in this worktree, so there is nothing to commit for",
                self.agent
            ))
            .hint(format!("git orch claim --agent {}", self.agent))
            .into()
        })
    }

    /// Returns what the task's specification says; `None` where nobody has put a copy of it in place, and
    /// the gate alone decides.
    ///
    /// # Errors
    ///
    /// The copy cannot be read.
    pub fn load_spec(&self) -> Result<Option<TaskSpec>> {
        let path = worktree_file(&self.place.common_dir, self.agent, "task.toml");
        let Some(bytes) = files::read_if_exists(&path)? else {
            return Ok(None);
        };
        let (spec, _) = parse_task(&bytes).map_err(|broken| {
            let path = path.display();
            UserError::new(format!("{path}:{}: {}", broken.line, broken.reason))
        })?;
        // A copy of an earlier task's says nothing about this one.
        Ok(Some(spec).filter(|spec| Some(&spec.id) == self.task.as_ref()))
    }

    /// Returns the ledger's locks as they were when the task was claimed; the gate has them as they are.
    ///
    /// # Errors
    ///
    /// The copy cannot be read.
    pub fn load_locks(&self) -> Result<Vec<Lock>> {
        let path = worktree_file(&self.place.common_dir, self.agent, "locks.toml");
        let Some(bytes) = files::read_if_exists(&path)? else {
            return Ok(Vec::new());
        };
        let file: LocksFile = parse(&bytes).map_err(|broken| {
            let path = path.display();
            UserError::new(format!("{path}:{}: {}", broken.line, broken.reason))
        })?;
        Ok(file.locks)
    }

    /// Returns the full name of the one branch that the agent may move; `None` between tasks.
    ///
    /// # Errors
    ///
    /// The copy of the task's specification cannot be read.
    pub fn load_branch(&self) -> Result<Option<String>> {
        let Some(task) = &self.task else {
            return Ok(None);
        };
        let named = match &self.branch {
            Some(branch) => Some(branch.clone()),
            None => self.load_spec()?.and_then(|spec| spec.branch),
        };
        let branch = named.unwrap_or_else(|| format!("orch/team-{}/{task}", self.agent.team));
        Ok(Some(format!("refs/heads/{branch}")))
    }

    /// Returns what every commit of the agent says about where it comes from.
    ///
    /// # Errors
    ///
    /// The agent works on no task.
    pub fn stamp(&self) -> Result<Stamp> {
        Ok(Stamp {
            agent: self.agent,
            task: self.require_task()?.clone(),
            attempt: self.attempt,
            run: self.run.clone(),
        })
    }
}

/// Returns the path of a file about one coder's worktree.
fn worktree_file(common_dir: &Path, agent: AgentId, kind: &str) -> PathBuf {
    common_dir.join(format!("orch/worktrees/{agent}.{kind}"))
}
