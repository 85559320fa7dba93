//! What an agent left uncommitted: committed in its name, or saved under `refs/orch/recovery/`.
//!
//! Both work on a copy of the worktree's index, so that a process killed at any moment leaves the worktree
//! as it was. No hooks run: nothing of the user's may block, and the gate checks the commits anyway.

mod commit;

pub use commit::{
    Bounds, Refused, Taken, commit_leftovers, commit_within, message, uncommitted_within,
};

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::place::seen_from;
use super::recovery::{OPERATION_COMMITS, is_reachable, operation_commits};
use super::settings::identity;
use super::uncommitted::{Change, IndexCopy, PLAIN, changes};
use crate::clock;
use crate::config;
use crate::git::objects::NewCommit;
use crate::git::recovery::Saving;
use crate::git::worktree::{Head, read_head};
use crate::git::{Git, Oid, Repo};
use crate::model::AgentId;
use crate::model::event::{commit_tags, one_line};

/// Saves everything uncommitted in a worktree, untracked files included, ignored ones not, as a commit on
/// top of its HEAD; also a HEAD that no ref reaches and what an unfinished merge or rebase holds.
///
/// Returns the ref that keeps it; `None` where there is nothing. The worktree stays as it is.
///
/// # Errors
///
/// A file cannot be read, or the object store cannot be written.
pub fn save_leftovers(repo: &Repo, dir: &Path, reason: &str) -> Result<Option<String>> {
    save_changes(repo, dir, &changes(repo, dir)?, reason)
}

/// As [`save_leftovers`], where the caller has looked already.
pub(super) fn save_changes(
    repo: &Repo,
    dir: &Path,
    found: &[Change],
    reason: &str,
) -> Result<Option<String>> {
    let work = Work::open(repo, dir)?;
    let state = work.state(repo, found, reason)?;
    state
        .map(|commit| repo.keep(&work.saving(reason), commit))
        .transpose()
}

/// Returns the ref that keeps what is in a worktree just now, nothing of it missing; `None` where none does, or
/// where there is nothing.
///
/// # Errors
///
/// A file cannot be read, or the object store cannot be written.
pub fn saved_as(repo: &Repo, dir: &Path) -> Result<Option<String>> {
    let work = Work::open(repo, dir)?;
    match work.state(repo, &changes(repo, dir)?, "")? {
        Some(commit) => repo.find_kept(&work.owner, commit),
        None => Ok(None),
    }
}

impl Work {
    /// Writes a commit of what no branch holds; `None` where there is nothing.
    fn state(&self, repo: &Repo, found: &[Change], reason: &str) -> Result<Option<Oid>> {
        let work = self;
        let others = operation_commits(repo, &work.admin, &OPERATION_COMMITS);
        let savable = found.iter().any(|change| !change.is_nested_repository());
        if !savable && others.is_empty() {
            return Ok(match work.head {
                Head::Detached(commit) if !is_reachable(repo, commit)? => Some(commit),
                _ => None,
            });
        }
        let index = work.copy_of_index(repo)?;
        let mut parents: Vec<Oid> = work.commit.into_iter().collect();
        let staged = found.iter().any(Change::is_staged_and_changed);
        if staged && !found.iter().any(Change::is_unmerged) {
            let tree = index.write_tree()?;
            parents.push(work.commit_staged(repo, tree, &parents.clone())?);
        }
        let tree = index.take_in(found.iter())?;
        for other in others {
            if !parents.contains(&other) {
                parents.push(other);
            }
        }
        work.commit_tree(repo, tree, &parents, reason).map(Some)
    }
}

/// A worktree with work in it.
struct Work {
    dir: PathBuf,
    admin: PathBuf,
    /// Whose it is, as part of ref names.
    owner: String,
    /// The task that it is work of.
    task: Option<String>,
    head: Head,
    /// The commit of HEAD; `None` before the first.
    commit: Option<Oid>,
}

impl Work {
    fn open(repo: &Repo, dir: &Path) -> Result<Self> {
        let at = seen_from(repo, dir)?;
        let admin = at.git_dir().to_path_buf();
        let name = if at.is_linked() { &admin } else { dir };
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        let head = read_head(&admin);
        let commit = match &head {
            Head::Branch(branch) => repo.read_ref(&format!("refs/heads/{branch}"))?,
            Head::Detached(commit) => Some(*commit),
            Head::Broken => bail!("HEAD of {} cannot be read", dir.display()),
        };
        Ok(Self {
            dir: at.work_dir().unwrap_or(dir).to_path_buf(),
            task: at.config("orch.task"),
            owner: name.strip_prefix("orch-").unwrap_or(&name).to_owned(),
            admin,
            head,
            commit,
        })
    }

    /// Returns what is said of a commit that is saved from here.
    fn saving<'a>(&'a self, reason: &'a str) -> Saving<'a> {
        Saving {
            owner: &self.owner,
            reason,
            task: self.task.as_deref(),
            branch: match &self.head {
                Head::Branch(branch) => Some(branch),
                Head::Detached(_) | Head::Broken => None,
            },
        }
    }

    /// Returns a `git` that sees this worktree's HEAD and runs no hooks.
    fn git(&self, repo: &Repo) -> Git {
        Git::new(repo.common_dir())
            .env("GIT_DIR", &self.admin)
            .args(PLAIN)
    }

    fn copy_of_index(&self, repo: &Repo) -> Result<IndexCopy> {
        let staging = repo.orch_dir().join("staging");
        let index = IndexCopy::of(&staging, &self.dir, &self.admin, config::git_timeout(repo))?;
        if let (true, Some(commit)) = (index.is_empty(), self.commit) {
            index.git().args(["read-tree", &commit.to_string()]).run()?;
        }
        Ok(index)
    }

    fn commit_tree(&self, repo: &Repo, tree: Oid, parents: &[Oid], why: &str) -> Result<Oid> {
        self.commit_at(clock::now().0, repo, (tree, parents), why)
    }

    /// Has the time of HEAD, so that the same is found again as the same.
    fn commit_staged(&self, repo: &Repo, tree: Oid, parents: &[Oid]) -> Result<Oid> {
        let time = match self.commit {
            Some(commit) => repo.read_commit(commit)?.time,
            None => 0,
        };
        self.commit_at(time, repo, (tree, parents), "what was staged")
    }

    fn commit_at(
        &self,
        time: i64,
        repo: &Repo,
        (tree, parents): (Oid, &[Oid]),
        why: &str,
    ) -> Result<Oid> {
        let agent = self.owner.parse::<AgentId>().ok();
        let person = match agent {
            Some(agent) => identity(repo, agent),
            None => repo.person(),
        };
        let (tags, trailer) = match agent {
            Some(agent) => (commit_tags(agent), format!("\n\nOrch-Agent: {agent}\n")),
            None => (String::from("[ORCH] "), String::new()),
        };
        repo.write_commit(&NewCommit {
            tree,
            parents,
            author: &person,
            committer: &person,
            time,
            message: &format!("{tags}saved: {}{trailer}", one_line(why)),
        })
    }
}
