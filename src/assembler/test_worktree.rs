//! A worktree that tests run in: detached, reused, and exactly the commit's when a test begins.
//!
//! What it keeps of the runs before is what the plan says, of what Git ignores, and nothing else. While a test runs
//! a mark stands beside it: a worktree whose mark is still there was left by a test that was killed, with whoever
//! watched it or by it, and is made anew, what it kept included. Only the holder of the assembler's lock uses it, so
//! whatever lock file or process a killed run left in it is dead and taken away. Each slot has one of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::fault::{Fault, Tried, reason};
use super::lock::Alone;
use super::reports::Reports;
use super::submodules::Submodules;
use crate::git::checkout;
use crate::git::disk::is_of_system;
use crate::git::exact::{Exact, Owner, remove_all};
use crate::git::files::{self, Lock};
use crate::git::{Oid, Repo};
use crate::model::keep::Keep;
use crate::model::train::obtained::Obtained;
use crate::model::{AgentId, TeamId};
use crate::process;

/// Name under `<common>/worktrees/` of the first slot's worktree; the others have a number behind it.
const ADMIN: &str = checkout::TEST_WORKTREE;

/// Directory of the first slot's worktree, beside those of coders.
const DIR: &str = "assembler";

/// Directory below ours in which each has its notes.
const NOTES: &str = "test-worktrees";

/// A worktree that tests of one slot run in.
#[derive(Debug)]
pub(super) struct TestWorktree {
    exact: Exact,
    worktrees_lock: PathBuf,
    modules: Submodules,
    /// What is kept of what Git ignores.
    keep: Keep,
}

/// What a worktree is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The commit.
    pub(super) commit: Oid,
    /// Whether nothing may be left of any run before.
    pub(super) clean: bool,
    /// A commit that can be checked out unless nothing can.
    pub(super) ground: Option<Oid>,
    /// Files that only the test to come may write.
    pub(super) reports: &'a Reports,
}

impl TestWorktree {
    /// Returns the worktree of a slot, or of one of a team's slots.
    pub(super) fn of_slot(repo: &Repo, team: Option<TeamId>, slot: usize, keep: &Keep) -> Self {
        let of_team = team.map_or_else(String::new, |team| format!("-team-{team}"));
        let number = match slot {
            0 => String::new(),
            slot => format!("-{}", slot + 1),
        };
        Self::called(repo, &format!("{of_team}{number}"), keep)
    }

    /// Returns the worktree that one coder's work is checked in; for who holds the lock of that.
    pub(super) fn of_coder(repo: &Repo, agent: AgentId, keep: &Keep) -> Self {
        Self::called(repo, &format!("-coder-{agent}"), keep)
    }

    /// Returns the file of the lock that whoever uses a coder's check worktree holds.
    pub(super) fn lock_of_coder(repo: &Repo, agent: AgentId) -> PathBuf {
        repo.orch_dir()
            .join(format!("worktrees/{agent}.check.lock"))
    }

    /// Returns the worktree whose directories' names end so.
    fn called(repo: &Repo, end: &str, keep: &Keep) -> Self {
        let numbered = |name: &str| format!("{name}{end}");
        Self {
            exact: Exact {
                dir: repo.worktrees_dir().join(numbered(DIR)),
                git_dir: repo.common_dir().join("worktrees").join(numbered(ADMIN)),
                notes: repo.orch_dir().join(NOTES).join(numbered(DIR)),
                owner: Owner::Worktree,
            },
            worktrees_lock: repo.orch_dir().join("worktrees.lock"),
            modules: Submodules::new(repo),
            keep: keep.clone(),
        }
    }

    /// Returns its top directory.
    pub(super) fn dir(&self) -> &Path {
        &self.exact.dir
    }

    /// Returns the mark that stands while a test runs, written when it began.
    pub(super) fn running_mark(&self) -> PathBuf {
        self.exact.notes.join("running")
    }

    /// Brings it to a commit and marks it as in use; returns how what is found out there is obtained.
    pub(super) fn prepare(&self, wanted: &Wanted<'_>) -> Tried<Obtained> {
        if wanted.clean || self.running_mark().exists() || !self.exact.is_known() {
            self.discard()?;
        }
        let brought = self.bring(wanted.commit, wanted.reports).or_else(|error| {
            // Whatever a test, or anyone, did to the worktree's own files, a new one has none of it.
            self.discard().context(error)?;
            self.bring(wanted.commit, wanted.reports)
        });
        let has_kept = match brought {
            Ok(has_kept) => has_kept,
            Err(error) => return Err(self.whose_fault(wanted, error)),
        };
        self.exact.settle()?;
        files::replace(&self.running_mark(), b"")?;
        Ok(match has_kept {
            true => Obtained::Warm,
            false => Obtained::Clean,
        })
    }

    /// Takes note that a test has ended, and whether everything that it had started came to its own end: what was
    /// killed in the middle of writing has left what nobody can use.
    pub(super) fn end(&self, commit: Oid, by_itself: bool) -> Result<()> {
        self.exact.note_end();
        if by_itself {
            fs::remove_file(self.running_mark()).context("cannot remove a mark")?;
        }
        // A test that was on a branch must not keep others from it; what is broken here is mended before the next.
        self.register(commit)
    }

    /// Returns whose fault it is that a commit cannot be checked out, where another one can be.
    fn whose_fault(&self, wanted: &Wanted<'_>, error: anyhow::Error) -> Fault {
        let Some(ground) = wanted.ground.filter(|ground| *ground != wanted.commit) else {
            return Fault::Everything(error);
        };
        if is_of_system(&error) {
            return Fault::Everything(error);
        }
        let tried = self
            .discard()
            .and_then(|()| self.bring(ground, wanted.reports));
        match tried {
            Ok(_) => Fault::Branch(format!(
                "its files cannot be checked out: {}",
                reason(&error)
            )),
            Err(_) => Fault::Everything(error),
        }
    }

    /// Brings everything to a commit; returns whether anything was kept that it does not have.
    fn bring(&self, commit: Oid, reports: &Reports) -> Result<bool> {
        self.register(commit)?;
        let is_report = |path: &Path| reports.has(path);
        let brought = self.exact.bring(commit, &self.keep, &is_report)?;
        self.modules.bring(&self.exact, &brought.submodules)?;
        Ok(brought.has_kept)
    }

    /// Writes what makes a directory a worktree; doing so again does no harm.
    ///
    /// `git worktree add` would name its administrative directory after the last part of the path.
    fn register(&self, commit: Oid) -> Result<()> {
        let Exact { dir, git_dir, .. } = &self.exact;
        // Nobody may take a half-made one for one that is gone.
        let _alone = Lock::wait(&self.worktrees_lock)?;
        for dir in [dir, git_dir] {
            // Nothing is written through a link that somebody put there: what it leads to is not ours.
            if fs::symlink_metadata(dir).is_ok_and(|meta| !meta.is_dir()) {
                fs::remove_file(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
            }
        }
        let link = dir.join(".git");
        let head = format!("{commit}\n");
        files::replace(&link, format!("gitdir: {}\n", git_dir.display()).as_bytes())?;
        files::replace(
            &git_dir.join("gitdir"),
            format!("{}\n", link.display()).as_bytes(),
        )?;
        files::replace(&git_dir.join("commondir"), b"../..\n")?;
        files::replace(&git_dir.join("HEAD"), head.as_bytes())
    }

    /// Removes the worktree, and what is known of it.
    fn discard(&self) -> Result<()> {
        let Exact {
            dir,
            git_dir,
            notes,
            ..
        } = &self.exact;
        let _alone = Lock::wait(&self.worktrees_lock)?;
        // The mark goes last: until then the worktree is one that was broken off.
        [dir, git_dir, notes]
            .into_iter()
            .try_for_each(|dir| remove_all(dir))
    }

    /// Removes the worktree and every directory that only it needed.
    fn leave_nothing(&self) -> Result<()> {
        self.discard()?;
        let _ = fs::remove_file(&self.worktrees_lock);
        let Exact {
            dir,
            git_dir,
            notes,
            ..
        } = &self.exact;
        for parent in [dir, git_dir, notes]
            .into_iter()
            .filter_map(|dir| dir.parent())
        {
            // Only empty directories go; others are somebody's.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }
}

/// Removes the worktrees that tests run in, if there are any, with what a killed run left running in them;
/// they hold nothing that could not be made again.
///
/// # Errors
///
/// Something cannot be removed.
pub fn remove_worktrees(repo: &Repo, alone: &Alone) -> Result<()> {
    end_left_behind(repo, alone)?;
    let mut ends = BTreeSet::from([String::new()]);
    for (dir, start) in [
        (repo.worktrees_dir(), DIR),
        (repo.common_dir().join("worktrees"), ADMIN),
        (repo.orch_dir().join(NOTES), DIR),
    ] {
        // Mostly there is no such directory.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let end = name.strip_prefix(start).filter(|end| is_end(end));
            ends.extend(end.map(str::to_owned));
        }
    }
    for end in ends {
        let coder = end.strip_prefix("-coder-").and_then(|id| id.parse().ok());
        let lock = coder.map(|agent| Lock::take(&TestWorktree::lock_of_coder(repo, agent)));
        // One that a coder's work is checked in just now is in use.
        let _own = match lock.transpose()? {
            Some(None) => continue,
            held => held,
        };
        TestWorktree::called(repo, &end, &Keep::default()).leave_nothing()?;
    }
    let logs = super::bench::logs(repo);
    let _ = fs::remove_dir_all(&logs);
    // Goes only if it is empty.
    let _ = logs.parent().map(fs::remove_dir);
    Ok(())
}

/// Returns whether it is what ends the name of one of ours: nothing, a number, a team and a number, or a coder.
fn is_end(end: &str) -> bool {
    let words: Vec<&str> = end.split('-').skip(1).collect();
    let number = |word: &str| word.parse::<u32>().is_ok();
    match words[..] {
        [] => end.is_empty(),
        [slot] => number(slot),
        ["coder", agent] => agent.parse::<AgentId>().is_ok(),
        ["team", team] => number(team),
        ["team", team, slot] => number(team) && number(slot),
        _ => false,
    }
}

/// Ends whatever tests of a killed run, in any slot, have left running.
///
/// # Errors
///
/// There are no resources for the wait.
pub(super) fn end_left_behind(repo: &Repo, alone: &Alone) -> Result<()> {
    process::sweep(&mark(repo, alone.team())).map(drop)
}

/// Returns the mark of a repository's tests, or of one team's. A mark's parts are below it: one sweep finds the
/// processes of every slot, and of every team's.
pub(super) fn mark(repo: &Repo, team: Option<TeamId>) -> String {
    let name = repo.common_dir().to_string_lossy().into_owned();
    let id = crate::git::objects::blob_id(name.as_bytes());
    match team {
        None => format!("assembler-{id}"),
        Some(team) => format!("assembler-{id}.team-{team}"),
    }
}
