//! Deciding and committing: one lock, a compare-and-swap underneath it, and a retry around all of it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::files;
use super::layout::{Place, TaskPlace};
use super::snapshot::Snapshot;
use crate::error::{Exit, UserError};
use crate::git::files::Lock;
use crate::git::objects::{self, NewCommit};
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::{
    Actor, Board, Change, Edit, Event, Handoff, Intent, MachineId, Op, Refusal, RefusalKind,
    Settings, TaskId, TaskSpec,
};
use crate::{clock, config};

/// How often a lost race is decided again before giving up; each loss means that someone else won.
const MOST_TRIES: u32 = 50;

/// The ledger of one repository, and whom this process speaks for.
#[derive(Debug)]
pub struct Ledger {
    repo: Repo,
    name: String,
    actor: Actor,
    machine: MachineId,
    snapshot: Snapshot,
    checked_out_nowhere: bool,
}

/// What a transaction came to.
#[derive(Debug, Clone)]
pub struct Done {
    /// The ledger's commit; `None` where it already said so.
    pub commit: Option<Oid>,
    event: Option<Event>,
}

impl Done {
    /// Returns whether the ledger moved.
    pub fn changed(&self) -> bool {
        self.commit.is_some()
    }

    /// Returns the subject line of the commit; empty where nothing changed.
    pub fn subject(&self) -> String {
        self.event.as_ref().map(Event::subject).unwrap_or_default()
    }

    /// Returns the tasks that it concerns.
    pub fn tasks(&self) -> &[TaskId] {
        self.event
            .as_ref()
            .map(|event| event.tasks.as_slice())
            .unwrap_or_default()
    }
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind {
            RefusalKind::Denied => Exit::Failed,
            RefusalKind::Nothing => Exit::NothingToDo,
            RefusalKind::Lost => Exit::Lost,
        };
        Self {
            message: refusal.message,
            hints: refusal.hints,
            exit,
        }
    }
}

impl Ledger {
    /// Opens the ledger and reads its tip.
    ///
    /// # Errors
    ///
    /// There is no ledger, or a file of it is broken.
    pub fn open(repo: Repo, actor: Actor) -> Result<Self> {
        let mut ledger = Self::closed(repo, actor);
        if ledger.repo.read_ref(&ledger.name)?.is_none() {
            let branch = ledger.branch().to_owned();
            return Err(UserError::new(format!(
                "there is no ledger here: branch {branch} does not exist"
            ))
            .hint("git orch init")
            .into());
        }
        ledger.snapshot = Snapshot::load_cached(&ledger.repo);
        ledger.refresh()?;
        ledger.snapshot.save_after_reading(&ledger.repo);
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
        ledger.transact(Op::Init(settings)).map(|done| done.commit)
    }

    fn closed(repo: Repo, actor: Actor) -> Self {
        Self {
            name: config::ledger_ref(&repo),
            machine: config::machine(&repo),
            actor,
            snapshot: Snapshot::default(),
            checked_out_nowhere: false,
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

    /// Carries out an operation in the name of whom this process speaks for.
    ///
    /// # Errors
    ///
    /// The operation is refused ([`UserError`] with its exit code), or the ledger cannot be read or written.
    pub fn transact(&mut self, op: Op) -> Result<Done> {
        self.transact_as(self.actor, op)
    }

    /// Carries out an operation in the name of another actor.
    ///
    /// # Errors
    ///
    /// As [`Ledger::transact`].
    pub fn transact_as(&mut self, actor: Actor, op: Op) -> Result<Done> {
        self.try_transact(actor, op)?
            .map_err(|refusal| UserError::from(refusal).into())
    }

    /// Carries out an operation and returns a refusal as a value, for callers that go on after one.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read or written.
    pub fn try_transact(&mut self, actor: Actor, op: Op) -> Result<Result<Done, Refusal>> {
        let intent = Intent {
            id: clock::new_op_id(),
            time: clock::now(),
            actor,
            machine: self.machine.clone(),
            op,
        };
        // Catch up before taking the lock, so that it is held for as short as can be.
        self.refresh()?;
        let alone = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        for attempt in 0..MOST_TRIES {
            self.refresh()?;
            let change = match self.snapshot.board.decide(&intent) {
                Ok(Some(change)) => change,
                Ok(None) => {
                    return Ok(Ok(Done {
                        commit: None,
                        event: None,
                    }));
                }
                Err(refusal) => return Ok(Err(refusal)),
            };
            self.refuse_if_checked_out()?;
            let (commit, tree) = self.write_commit(&intent, &change)?;
            let message = change.event.subject();
            let old = self.snapshot.tip;
            match self
                .repo
                .swap_alone(&alone, &self.name, old, commit, &message)?
            {
                Swap::Won => {
                    for edit in &change.edits {
                        self.snapshot.board.absorb(edit);
                    }
                    self.snapshot.moved(commit, tree);
                    self.snapshot.count_written(change.edits.len());
                    self.snapshot.save_after_writing(&self.repo);
                    return Ok(Ok(Done {
                        commit: Some(commit),
                        event: Some(change.event),
                    }));
                }
                // Only writers that do not take our lock get here: plain git, or a lock it left behind.
                Swap::Lost => pause(attempt),
            }
        }
        Err(UserError::new(format!(
            "the ledger's branch {} is locked by someone else",
            self.branch()
        ))
        .hint(format!(
            "rm '{}' if no git process is running",
            self.repo
                .common_dir()
                .join(format!("{}.lock", self.name))
                .display()
        ))
        .into())
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

    /// Reads a file of the ledger's tree; `None` where there is none.
    ///
    /// # Errors
    ///
    /// An object cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut id) = self.snapshot.tree else {
            return Ok(None);
        };
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

    /// A worktree that has the ledger checked out would show every transition as a change of its own, and
    /// its next commit would take them all back.
    fn refuse_if_checked_out(&mut self) -> Result<()> {
        if self.checked_out_nowhere {
            return Ok(());
        }
        let common = self.repo.common_dir();
        let mut heads = vec![common.join("HEAD")];
        if let Ok(listing) = std::fs::read_dir(common.join("worktrees")) {
            heads.extend(listing.flatten().map(|entry| entry.path().join("HEAD")));
        }
        let line = format!("ref: {}", self.name);
        // Before the first commit an unborn ledger cannot be checked out by accident.
        let taken = heads
            .into_iter()
            .find(|head| std::fs::read_to_string(head).is_ok_and(|text| text.trim_end() == line));
        if let Some(head) = taken {
            let place = std::fs::read_to_string(head.with_file_name("gitdir")).map_or_else(
                |_| {
                    self.repo
                        .main_work_dir()
                        .unwrap_or_else(|| common.to_path_buf())
                },
                |text| std::path::PathBuf::from(text.trim_end()).with_file_name(""),
            );
            let place = place.display();
            return Err(UserError::new(format!(
                "the ledger's branch {} is checked out at {place}, so it must not move",
                self.branch()
            ))
            .hint(format!("git -C '{place}' switch --detach"))
            .into());
        }
        self.checked_out_nowhere = true;
        Ok(())
    }

    fn write_commit(&self, intent: &Intent, change: &Change) -> Result<(Oid, Oid)> {
        let tree = self.write_files(&change.edits)?;
        let run = match change.edits.iter().find_map(edited_run) {
            Some(run) => run,
            None => self.board().run_name().to_owned(),
        };
        let committer = self.repo.identity().unwrap_or_else(|| {
            (
                String::from("git-orch"),
                format!("git-orch@{}.invalid", self.machine),
            )
        });
        let author = match change.event.agent {
            Some(agent) => (
                format!("AGENT-{agent}"),
                format!("agent-{agent}@{}.invalid", self.machine),
            ),
            None => committer.clone(),
        };
        let parent_time = match self.snapshot.tip {
            Some(tip) => self.repo.read_commit(tip)?.time,
            None => 0,
        };
        let commit = self.repo.write_commit(&NewCommit {
            tree,
            parents: self.snapshot.tip.as_slice(),
            author: &author,
            committer: &committer,
            time: intent.time.0.max(parent_time),
            message: &change.event.message(intent, &run),
        })?;
        Ok((commit, tree))
    }
}

fn edited_run(edit: &Edit) -> Option<String> {
    match edit {
        Edit::PutSettings(settings) => settings.run.as_ref().map(|run| run.name.clone()),
        _ => None,
    }
}

/// Waits a little longer after each lost race; lengths differ between processes.
fn pause(attempt: u32) {
    let most = 1u64 << attempt.min(6);
    let part = u64::from(std::process::id() % 7 + 1);
    std::thread::sleep(Duration::from_millis(most * part / 7 + 1));
}
