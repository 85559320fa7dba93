//! Who may move integrated branches: one assembly of everything alone, or one for each team beside each other.
//!
//! Whoever assembles everything, approves or undoes holds the main lock alone. An assembly of one team shares it
//! with those of other teams and holds its team's lock besides. Both wait at a turnstile, so that teams that come
//! one after another never keep the one that waits for all of them waiting for ever.

use std::path::PathBuf;

use anyhow::Result;

use super::report::{Options, Progress, Watch};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::Lock;
use crate::model::TeamId;

/// Proof that this process alone moves what it moves: all integrated branches, or one team's.
#[derive(Debug)]
pub struct Alone {
    lock: Lock,
    path: PathBuf,
    /// The team whose branch alone it is about, and its lock.
    team: Option<(TeamId, Lock)>,
}

impl Alone {
    /// Takes the lock over everything.
    ///
    /// # Errors
    ///
    /// Another process assembles or approves.
    pub fn take(repo: &Repo) -> Result<Self> {
        let path = main_path(repo);
        match Lock::take(&path)? {
            Some(lock) => Ok(Self {
                lock,
                path,
                team: None,
            }),
            None => Err(at_work()),
        }
    }

    /// Takes the lock over everything as soon as whoever has it is done, and says so where that takes a while.
    ///
    /// # Errors
    ///
    /// Another process assembles or approves, and waiting is not wanted.
    pub(super) fn wait(repo: &Repo, options: &Options, watch: &mut dyn Watch) -> Result<Self> {
        if options.no_wait {
            return Self::take(repo);
        }
        let path = main_path(repo);
        let lock = match Lock::take(&path)? {
            Some(lock) => lock,
            None => {
                watch.progress(Progress::Note(WAITING));
                let _turn = Lock::wait(&turn_path(repo))?;
                Lock::wait(&path)?
            }
        };
        Ok(Self {
            lock,
            path,
            team: None,
        })
    }

    /// Takes the lock over one team's branch, beside other teams.
    ///
    /// # Errors
    ///
    /// Another process assembles everything or this team, or approves, and waiting is not wanted.
    pub(super) fn wait_for_team(
        repo: &Repo,
        team: TeamId,
        options: &Options,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let path = main_path(repo);
        let team_path = repo.orch_dir().join(format!("assemble-team-{team}.lock"));
        let turn = Lock::take_shared(&turn_path(repo))?;
        let shared = match turn {
            Some(_) => Lock::take_shared(&path)?,
            None => None,
        };
        drop(turn);
        if let Some(lock) = shared
            && let Some(of_team) = Lock::take(&team_path)?
        {
            return Ok(Self::of(lock, path, team, of_team));
        }
        if options.no_wait {
            return Err(at_work());
        }
        watch.progress(Progress::Note(WAITING));
        // The team's first: whoever waits for it must not keep the main lock from whoever assembles everything.
        let of_team = Lock::wait(&team_path)?;
        let turn = Lock::wait_shared(&turn_path(repo))?;
        let lock = Lock::wait_shared(&path)?;
        drop(turn);
        Ok(Self::of(lock, path, team, of_team))
    }

    fn of(lock: Lock, path: PathBuf, team: TeamId, of_team: Lock) -> Self {
        Self {
            lock,
            path,
            team: Some((team, of_team)),
        }
    }

    /// Returns the team whose branch alone it is about; `None` for everything.
    pub(super) fn team(&self) -> Option<TeamId> {
        self.team.as_ref().map(|(team, _)| *team)
    }

    /// Lets go of the lock and removes its file, where nothing of ours is to be left behind.
    pub(super) fn leave_nothing(self, repo: &Repo) {
        if let Ok(Some(turn)) = Lock::take(&turn_path(repo)) {
            turn.remove(&turn_path(repo));
        }
        self.lock.remove(&self.path);
    }
}

const WAITING: &str =
    "another `git orch assemble` or `approve` is at work here: this one waits for its turn";

fn main_path(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("assemble.lock")
}

fn turn_path(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("assemble-turn.lock")
}

fn at_work() -> anyhow::Error {
    UserError::new("another `git orch assemble` or `approve` is at work in this repository")
        .hint("git orch status")
        .into()
}
