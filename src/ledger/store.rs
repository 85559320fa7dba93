//! The ledger of one repository: opened, read, followed.

use anyhow::{Context as _, Result, bail};

use super::files;
use super::hold::Truth;
use super::layout::{Place, TaskPlace};
use super::pack::Upkeep;
use super::snapshot::Snapshot;
use crate::config;
use crate::error::UserError;
use crate::git::{Oid, Repo, objects};
use crate::model::board::LOCAL;
use crate::model::{Actor, Board, Handoff, MachineId, Op, Settings, Status, TaskId, TaskSpec};

/// The ledger of one repository, and whom this process speaks for.
#[derive(Debug)]
pub struct Ledger {
    pub(super) repo: Repo,
    pub(super) name: String,
    pub(super) actor: Actor,
    pub(super) machine: MachineId,
    pub(super) snapshot: Snapshot,
    pub(super) checked_out_nowhere: bool,
    pub(super) upkeep: Upkeep,
    /// Whether others wanted the ledger's lock at the same time as the last operation.
    pub(super) met_others: bool,
}

impl Ledger {
    /// Opens the ledger and reads its tip.
    ///
    /// # Errors
    ///
    /// There is no ledger, or a file of it is broken.
    pub fn open(repo: Repo, actor: Actor) -> Result<Self> {
        let mut ledger = Self::closed(repo, actor);
        let Some(tip) = ledger.repo.read_ref(&ledger.name)? else {
            return Err(no_ledger(ledger.branch()).into());
        };
        ledger.snapshot = Snapshot::load_cached(&ledger.repo);
        ledger.snapshot.follow(&ledger.repo, tip)?;
        ledger.snapshot.save_if_worth_it(&ledger.repo);
        Ok(ledger)
    }

    /// Begins a ledger: an orphan branch with `orch.toml`. Returns `None` where there is one already.
    ///
    /// # Errors
    ///
    /// The repository cannot be written.
    pub fn create(repo: Repo, settings: Settings) -> Result<Option<Oid>> {
        let mut ledger = Self::closed(repo, Actor::Human);
        // A board of another format stands for "nothing here yet".
        ledger.snapshot.board.settings.format = 0;
        if ledger.repo.read_ref(&ledger.name)?.is_some() {
            return Ok(None);
        }
        ledger
            .transact(Op::Init(Box::new(settings)))
            .map(|done| done.commit)
    }

    /// Returns the remote whose ledger is the truth; `None` where this one is.
    pub fn remote(&self) -> Option<String> {
        let authority = &self.board().settings.authority;
        (authority != LOCAL).then(|| config::remote(&self.repo).unwrap_or(authority.clone()))
    }

    /// Returns whose ledger is the truth, as last read.
    pub(super) fn truth(&self) -> Truth {
        match self.remote() {
            Some(_) => Truth::AtRemote,
            None => Truth::Here,
        }
    }

    pub(super) fn closed(repo: Repo, actor: Actor) -> Self {
        Self {
            name: config::ledger_ref(&repo),
            machine: config::machine(&repo),
            actor,
            snapshot: Snapshot::default(),
            checked_out_nowhere: false,
            upkeep: Upkeep::default(),
            met_others: false,
            repo,
        }
    }

    /// Returns the repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Returns whom this process speaks for.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Returns this machine's name.
    pub fn machine(&self) -> &MachineId {
        &self.machine
    }

    /// Returns the name of the ledger's branch.
    pub fn branch(&self) -> &str {
        self.name.strip_prefix("refs/heads/").unwrap_or(&self.name)
    }

    /// Returns the tree of the tip that the board was read from.
    pub(super) fn tree(&self) -> Option<Oid> {
        self.snapshot.tree
    }

    /// Returns the tip that the board was read from.
    pub fn tip(&self) -> Option<Oid> {
        self.snapshot.tip
    }

    /// Returns the board as last read.
    pub fn board(&self) -> &Board {
        &self.snapshot.board
    }

    /// Reads what others have written since.
    ///
    /// # Errors
    ///
    /// The ledger is gone, cannot be read, or is broken.
    pub fn refresh(&mut self) -> Result<()> {
        match self.repo.read_ref(&self.name)? {
            Some(tip) => self.snapshot.follow(&self.repo, tip),
            None if self.snapshot.tip.is_some() => {
                bail!(
                    UserError::new(format!("the ledger's branch {} is gone", self.branch())).hint(
                        format!(
                            "git branch {} {}",
                            self.branch(),
                            self.snapshot
                                .tip
                                .map(|tip| tip.to_string())
                                .unwrap_or_default()
                        )
                    )
                )
            }
            None => Ok(()),
        }
    }

    /// Returns a task's whole specification.
    ///
    /// # Errors
    ///
    /// There is no such task, or its file is broken.
    pub fn spec(&self, id: &TaskId) -> Result<TaskSpec> {
        let task = self.board().require_task(id).map_err(UserError::from)?;
        let place = TaskPlace {
            team: task.team,
            id: id.clone(),
            sharded: task.sharded,
        };
        let path = Place::Task(place).path();
        let bytes = self
            .read(&path)?
            .with_context(|| format!("{path} is missing"))?;
        let (spec, _) = files::parse_task(&bytes).map_err(|broken| {
            UserError::new(format!(
                "{path}:{}:{}: {}",
                broken.line, broken.column, broken.reason
            ))
        })?;
        Ok(spec)
    }

    /// Returns a task's handoff contract, if it has handed anything on.
    ///
    /// # Errors
    ///
    /// There is no such task, or its file is broken.
    pub fn handoff(&self, id: &TaskId) -> Result<Option<Handoff>> {
        let task = self.board().require_task(id).map_err(UserError::from)?;
        let place = TaskPlace {
            team: task.team,
            id: id.clone(),
            sharded: task.sharded,
        };
        let path = Place::Handoff(place).path();
        let Some(bytes) = self.read(&path)? else {
            return Ok(None);
        };
        let handoff = files::parse(&bytes).map_err(|broken| {
            UserError::new(format!(
                "{path}:{}:{}: {}",
                broken.line, broken.column, broken.reason
            ))
        })?;
        Ok(Some(handoff))
    }

    /// Returns a task's status as it was at a commit of the ledger.
    pub(super) fn status_at(&self, commit: Oid, id: &TaskId) -> Result<Option<Status>> {
        let Some(task) = self.board().tasks.get(id) else {
            return Ok(None);
        };
        let path = Place::Status(TaskPlace {
            team: task.team,
            id: id.clone(),
            sharded: task.sharded,
        })
        .path();
        let tree = self.repo.read_commit(commit)?.tree;
        let bytes = self.read_in(tree, &path)?;
        Ok(bytes.and_then(|bytes| files::parse_status(&bytes).ok()))
    }

    /// Reads a file of the ledger's tree; `None` where there is none.
    ///
    /// # Errors
    ///
    /// An object cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.snapshot.tree {
            Some(tree) => self.read_in(tree, path),
            None => Ok(None),
        }
    }

    pub(super) fn read_in(&self, tree: Oid, path: &str) -> Result<Option<Vec<u8>>> {
        let mut id = tree;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let tree = self.repo.read_tree(id)?;
            let Some(entry) = objects::find_entry(&tree, part.as_bytes()) else {
                return Ok(None);
            };
            id = entry.id;
            if entry.is_tree != parts.peek().is_some() {
                return Ok(None);
            }
        }
        self.repo.read_blob(id).map(Some)
    }
}

/// Returns the error for a ledger whose branch is missing.
pub(super) fn no_ledger(branch: &str) -> UserError {
    UserError::new(format!(
        "there is no ledger here: branch {branch} does not exist"
    ))
    .hint("git orch init")
}
