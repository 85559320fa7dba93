//! Two ledgers of which a person must choose one: the branch was set back, or a remote's has gone another way.
//!
//! What is not chosen is kept under `refs/orch/recovery/ledger/`.

use anyhow::Result;

use super::Ledger;
use super::damage::Damage;
use super::files;
use super::hold::{SEEN, Truth, descends, lost_tip, note_chosen, note_tip};
use super::layout::Place;
use super::transport::Lease;
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::files::Lock;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::{Actor, Timestamp};

/// Owner of the recovery refs that hold ledgers.
const OWNER: &str = "ledger";

/// Returns what is said of a ledger that is not chosen.
fn saving(reason: &str) -> Saving<'_> {
    Saving::new(OWNER, reason)
}

/// One of two ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its tip.
    pub tip: Oid,
    /// When that was made; `None` where it is gone from the repository.
    pub time: Option<Timestamp>,
    /// Transitions that it has and the other has not; `None` where that cannot be told.
    pub own: Option<usize>,
}

impl Side {
    fn new(repo: &Repo, tip: Oid, other: Option<Oid>) -> Self {
        let mut git = repo
            .git()
            .args(["rev-list", "--count", "--first-parent", &tip.to_string()]);
        if let Some(other) = other {
            git = git.arg(format!("^{other}"));
        }
        Self {
            tip,
            time: repo
                .read_commit(tip)
                .ok()
                .map(|commit| Timestamp(commit.time)),
            own: git.read().ok().and_then(|count| count.parse().ok()),
        }
    }
}

/// A ledger that does not build on what git-orch left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBack {
    /// Where git-orch left it.
    pub noted: Side,
    /// Where it is.
    pub current: Side,
}

/// How a remote's ledger does not go with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parted {
    /// The remote has none any more.
    Gone,
    /// The remote's does not build on what we have seen of it.
    Rewritten,
    /// Each has transitions that the other has not.
    Diverged,
}

/// How ours and the remote's ledger stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divide {
    /// The remote.
    pub remote: String,
    /// What is the matter.
    pub parted: Parted,
    /// Ours.
    pub ours: Side,
    /// The remote's, where it has one.
    pub theirs: Option<Side>,
}

impl Ledger {
    /// Returns how the ledger was set back, if it was.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn set_back(repo: &Repo) -> Result<Option<SetBack>> {
        let name = config::ledger_ref(repo);
        let truth = Self::with_settings(repo).map_or(Truth::Here, |ledger| ledger.truth());
        let lost = lost_tip(repo, &name, truth)?;
        let (Some(noted), Some(current)) = (lost, repo.read_ref(&name)?) else {
            return Ok(None);
        };
        Ok(Some(SetBack {
            noted: Side::new(repo, noted, Some(current)),
            current: Side::new(repo, current, Some(noted)),
        }))
    }

    /// Brings the branch back to where git-orch left it; returns the ref that keeps where it was.
    ///
    /// # Errors
    ///
    /// It was not set back, the noted commit is gone, or the branch cannot be moved.
    pub fn keep_noted(repo: &Repo) -> Result<String> {
        Self::refuse_checked_out(repo)?;
        let name = config::ledger_ref(repo);
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        let back = Self::set_back(repo)?.ok_or_else(|| not_asked("the ledger was not set back"))?;
        if back.noted.time.is_none() {
            return Err(UserError::new(format!(
                "commit {}, where git-orch left the ledger, is gone from the repository",
                back.noted.tip
            ))
            .hint("git orch doctor --keep current")
            .into());
        }
        let kept = repo.keep(
            &saving("where it was before the noted one was chosen"),
            back.current.tip,
        )?;
        let (old, new) = (back.current.tip, back.noted.tip);
        moved(repo.swap_alone(&lock, &name, Some(old), new, "orch: keep noted")?)?;
        Ok(kept)
    }

    /// Takes the branch as it stands; returns the ref that keeps where git-orch left it, where that is not gone.
    ///
    /// # Errors
    ///
    /// It was not set back, or the lock cannot be taken.
    pub fn keep_current(repo: &Repo) -> Result<Option<String>> {
        let back = Self::set_back(repo)?.ok_or_else(|| not_asked("the ledger was not set back"))?;
        let kept = match back.noted.time {
            Some(_) => Some(repo.keep(
                &saving("where git-orch left it before the current one was chosen"),
                back.noted.tip,
            )?),
            None => None,
        };
        Self::accept(repo)?;
        Ok(kept)
    }

    /// Asks the remote, where one is the truth, and returns how its ledger does not go with ours.
    ///
    /// # Errors
    ///
    /// The remote is not known here or cannot be reached ([`super::Unreachable`]).
    pub fn divide(repo: &Repo) -> Result<Option<Divide>> {
        let ledger = Self::with_settings(repo)?;
        let (Some(_), Some(ours)) = (ledger.remote(), repo.read_ref(&ledger.name)?) else {
            return Ok(None);
        };
        let remote = ledger.require_remote()?;
        let theirs = ledger.fetch_only(&remote)?;
        let seen = repo.read_ref(SEEN)?;
        let parted = match theirs {
            None => Parted::Gone,
            Some(theirs) if !seen.map_or(Ok(true), |seen| ledger.goes_on(seen, theirs))? => {
                Parted::Rewritten
            }
            Some(theirs) if !descends(repo, ours, theirs) && !descends(repo, theirs, ours) => {
                Parted::Diverged
            }
            Some(_) => return Ok(None),
        };
        Ok(Some(Divide {
            remote,
            parted,
            ours: Side::new(repo, ours, theirs),
            theirs: theirs.map(|theirs| Side::new(repo, theirs, Some(ours))),
        }))
    }

    /// Takes the remote's ledger for ours; returns the ref that keeps ours.
    ///
    /// # Errors
    ///
    /// The two go together, the remote has none, or ours cannot be moved.
    pub fn keep_remote(repo: &Repo) -> Result<String> {
        Self::refuse_checked_out(repo)?;
        let ledger = Self::with_settings(repo)?;
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        let divide = require_divide(repo)?;
        let Some(theirs) = divide.theirs else {
            return Err(UserError::new(format!(
                "remote {} has no ledger that could be kept",
                divide.remote
            ))
            .hint("git orch doctor --keep ours")
            .into());
        };
        let kept = repo.keep(
            &saving("ours, before the remote's was chosen"),
            divide.ours.tip,
        )?;
        let (old, new) = (divide.ours.tip, theirs.tip);
        let message = "orch: keep remote";
        let branch = || match old == new {
            true => Ok(()),
            false => moved(repo.swap_alone(&lock, &ledger.name, Some(old), new, message)?),
        };
        let seen = || {
            let seen = repo.read_ref(SEEN)?;
            moved(repo.swap_alone(&lock, SEEN, seen, new, message)?)
        };
        // Killed in between, it is still to be chosen: ours must not pass for commits that are to go up.
        if descends(repo, new, old) {
            note_chosen(&lock, &ledger.name, new)?;
            branch()?;
            seen()?;
        } else {
            seen()?;
            note_chosen(&lock, &ledger.name, new)?;
            branch()?;
        }
        note_tip(repo, &lock, &ledger.name, false)?;
        Ok(kept)
    }

    /// Pushes our ledger over the remote's, if that still is what was fetched; returns the ref that keeps the
    /// remote's, where it had one.
    ///
    /// # Errors
    ///
    /// The two go together, ours cannot be read, or the remote does not take it.
    pub fn keep_ours(repo: &Repo) -> Result<Option<String>> {
        let ledger = Self::with_settings(repo)?;
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        let divide = require_divide(repo)?;
        let ours = divide.ours.tip;
        if let Some(damage) = Damage::at(repo, ours)?
            && let Some(file) = damage.files.first()
        {
            // Everybody else would stop.
            return Err(UserError::new(format!(
                "ours cannot be read: {}: {}",
                file.path, file.broken.reason
            ))
            .hint(format!("git orch doctor --restore {}", file.path))
            .into());
        }
        let theirs = divide.theirs.map(|side| side.tip);
        let kept = theirs
            .map(|theirs| repo.keep(&saving("the remote's, before ours was chosen"), theirs))
            .transpose()?;
        if let Some(complaint) = ledger.push(&divide.remote, Lease::Replaces(theirs), ours, &[])? {
            return Err(UserError::new(format!(
                "remote {} does not take the ledger: {complaint}",
                divide.remote
            ))
            .hint("git orch doctor")
            .into());
        }
        let seen = repo.read_ref(SEEN)?;
        moved(repo.swap_alone(&lock, SEEN, seen, ours, "orch: keep ours")?)?;
        Ok(kept)
    }

    /// Returns a ledger of which only the settings are read, as far as that is possible: enough to know the
    /// remote where the rest cannot be read.
    pub(super) fn with_settings(repo: &Repo) -> Result<Self> {
        let mut ledger = Self::closed(repo.reopen()?, Actor::Human);
        if let Some(tip) = repo.read_ref(&ledger.name)? {
            let tree = repo.read_commit(tip)?.tree;
            let bytes = ledger.read_in(tree, &Place::Settings.path())?;
            let settings = bytes.and_then(|bytes| files::parse_settings(&bytes).ok());
            ledger.snapshot.board.settings = settings.unwrap_or_default();
        }
        Ok(ledger)
    }
}

fn require_divide(repo: &Repo) -> Result<Divide> {
    let divide = Ledger::divide(repo)?;
    divide.ok_or_else(|| not_asked("the remote's ledger and ours go together").into())
}

fn not_asked(what: &str) -> UserError {
    UserError::new(format!("{what}, so there is nothing to choose"))
        .hint("git orch doctor")
        .exit(Exit::NothingToDo)
}

fn moved(swap: Swap) -> Result<()> {
    match swap {
        Swap::Won => Ok(()),
        Swap::Lost => Err(
            UserError::new("somebody else moved the ledger in this moment")
                .hint("git orch doctor")
                .into(),
        ),
    }
}
