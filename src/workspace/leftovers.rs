//! What an agent left uncommitted: found, committed in its name, or saved under `refs/orch/recovery/`.
//!
//! Both work on a copy of the worktree's index, so that a process killed at any moment leaves the worktree
//! as it was. No hooks run: nothing of the user's may block, and the gate checks the commits anyway.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::Assignment;
use super::merging::is_decided;
use super::place::half_made;
use super::recovery::{
    OPERATION_COMMITS, end_operations, is_reachable, keep_loose, operation_commits,
};
use super::settings::identity;
use crate::clock;
use crate::error::UserError;
use crate::git::objects::NewCommit;
use crate::git::recovery::Saving;
use crate::git::worktree::{Head, read_head};
use crate::git::{Git, Oid, Repo};
use crate::ledger::signatures::{agent_key, write_signed};
use crate::model::AgentId;
use crate::model::event::{commit_tags, one_line};

/// Settings that keep a user's configuration from changing or slowing what these commands do.
pub(super) const PLAIN: [&str; 10] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.safecrlf=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "advice.addEmbeddedRepo=false",
];

/// Leaves `.orchestration/` out even where it is not ignored; written so that `git add` does not take it for
/// a request to add an ignored path.
const WITHOUT_VIEW: &str = ":(top,exclude,glob)[.]orchestration/**";

/// One line of `git status --porcelain -z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// State in the index and in the worktree.
    pub(super) code: [u8; 2],
    /// Path from the top of the worktree.
    pub(super) path: Vec<u8>,
}

impl Change {
    pub(super) fn is_untracked(&self) -> bool {
        &self.code == b"??"
    }

    /// A repository within the worktree, whose content no commit of ours can hold.
    fn is_nested_repository(&self) -> bool {
        self.is_untracked() && self.path.ends_with(b"/")
    }

    fn is_unmerged(&self) -> bool {
        matches!(
            &self.code,
            b"DD" | b"AU" | b"UD" | b"UA" | b"DU" | b"AA" | b"UU"
        )
    }

    fn is_changed_by_both(&self) -> bool {
        matches!(&self.code, b"UU" | b"AA")
    }

    /// Whether the index holds a third version beside those of HEAD and of the worktree.
    fn is_staged_and_changed(&self) -> bool {
        !self.is_untracked() && !self.is_unmerged() && !self.code.contains(&b' ')
    }
}

/// Lists what is uncommitted in a worktree as `git status --porcelain` lines: untracked files included,
/// ignored ones and our own `.orchestration/` not.
///
/// # Errors
///
/// The directory is no worktree, or its index cannot be read.
pub fn uncommitted(dir: &Path) -> Result<Vec<String>> {
    let line = |change: Change| {
        let code = String::from_utf8_lossy(&change.code).into_owned();
        format!("{code} {}", String::from_utf8_lossy(&change.path))
    };
    Ok(changes(dir)?.into_iter().map(line).collect())
}

/// Lists what Git ignores in a worktree and no commit of ours takes in, directories as a whole.
///
/// # Errors
///
/// The directory is no worktree.
pub fn ignored(dir: &Path) -> Result<Vec<String>> {
    let bytes = Git::new(dir)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(PLAIN)
        .args(["status", "--porcelain=v1", "-z", "--no-renames"])
        .args(["--ignored=traditional", "--untracked-files=normal", "--"])
        .args([":/", WITHOUT_VIEW])
        .read_bytes()?;
    let lines = bytes.split(|byte| *byte == 0);
    let ignored = lines.filter_map(|line| line.strip_prefix(b"!! "));
    Ok(ignored
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .filter(|path| path != ".orchestration/")
        .collect())
}

/// Looks without touching the index, which an agent may be using.
pub(super) fn changes(dir: &Path) -> Result<Vec<Change>> {
    read_changes(Git::new(dir).env("GIT_OPTIONAL_LOCKS", "0"))
}

/// Looks where nobody else works, so that git may note in the index what it found unchanged: after a checkout
/// it must read every file written in the index's own second, again and again until that is noted.
pub(super) fn changes_alone(dir: &Path) -> Result<Vec<Change>> {
    read_changes(Git::new(dir))
}

fn read_changes(git: Git) -> Result<Vec<Change>> {
    let bytes = git
        .args(PLAIN)
        .args(["status", "--porcelain=v1", "-z", "--no-renames"])
        .args(["--untracked-files=all", "--ignore-submodules=none", "--"])
        .args([":/", WITHOUT_VIEW])
        .read_bytes()?;
    let parse = |line: &[u8]| {
        Some(Change {
            code: [*line.first()?, *line.get(1)?],
            path: line.get(3..)?.to_vec(),
        })
    };
    Ok(bytes.split(|byte| *byte == 0).filter_map(parse).collect())
}

/// Commits everything uncommitted on the task's branch in the coder's name, with its tags and trailers.
///
/// Returns the commit; `None` where there is nothing.
///
/// # Errors
///
/// HEAD is not on the task's branch, or conflicts are unresolved: then everything is saved first and the
/// error says where.
pub fn commit_leftovers(
    repo: &Repo,
    dir: &Path,
    assignment: &Assignment,
    subject: &str,
) -> Result<Option<Oid>> {
    let found: Vec<Change> = changes(dir)?;
    let work = Work::open(repo, dir)?;
    if half_made(repo, &work.owner).exists() {
        // Whoever made the worktree ready was killed at it: no agent has begun there.
        save_changes(repo, dir, &found, "found in a worktree that was not ready")?;
        return Ok(None);
    }
    let on_branch = matches!(&work.head, Head::Branch(name) if *name == assignment.branch);
    let undecided = |change: &Change| {
        change.is_unmerged()
            && !(change.is_changed_by_both() && is_decided(&dir.join(as_path(&change.path))))
    };
    let unmerged = found.iter().any(undecided);
    if !on_branch || unmerged {
        let why = if on_branch {
            format!("conflicts are unresolved in {}", dir.display())
        } else {
            format!("HEAD of {} is not on {}", dir.display(), assignment.branch)
        };
        let Some(saved) = save_leftovers(repo, dir, &why)? else {
            return Ok(None);
        };
        return Err(
            UserError::new(format!("{why}; what is there was saved as {saved}"))
                .hint(format!("git show --stat {saved}"))
                .into(),
        );
    }
    if !found.iter().any(|change| !change.is_nested_repository()) {
        return Ok(None);
    }
    let index = work.copy_of_index(repo)?;
    let tree = index.add_all(&found)?;
    let head = work
        .commit
        .with_context(|| format!("branch {} has no commit", assignment.branch))?;
    let merged = operation_commits(repo, &work.admin, &["MERGE_HEAD"]);
    if tree == repo.read_commit(head)?.tree && merged.is_empty() {
        index.put_in_place(&work)?;
        return Ok(None);
    }
    let mut parents = vec![head];
    parents.extend(merged);
    let person = identity(repo, assignment.agent);
    let commit = NewCommit {
        tree,
        parents: &parents,
        author: &person,
        committer: &person,
        time: clock::now().0,
        message: &message(assignment, subject),
    };
    let key = agent_key(repo, assignment.agent);
    let commit = match key.exists() {
        true => write_signed(repo, &commit, &key)?,
        false => repo.write_commit(&commit)?,
    };
    let name = format!("refs/heads/{}", assignment.branch);
    work.git(repo)
        .args(["update-ref", "-m"])
        .arg(format!("commit: {}", one_line(subject)))
        .args([name, commit.to_string(), head.to_string()])
        .run()
        .with_context(|| format!("cannot move branch {}", assignment.branch))?;
    index.put_in_place(&work)?;
    keep_loose(repo, &work.owner, &work.admin)?;
    end_operations(&work.admin)?;
    Ok(Some(commit))
}

/// Saves everything uncommitted in a worktree, untracked files included, ignored ones not, as a commit on
/// top of its HEAD; also a HEAD that no ref reaches and what an unfinished merge or rebase holds.
///
/// Returns the ref that keeps it; `None` where there is nothing. The worktree stays as it is.
///
/// # Errors
///
/// A file cannot be read, or the object store cannot be written.
pub fn save_leftovers(repo: &Repo, dir: &Path, reason: &str) -> Result<Option<String>> {
    save_changes(repo, dir, &changes(dir)?, reason)
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
    match work.state(repo, &changes(dir)?, "")? {
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
        let tree = index.add_all(found)?;
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
        let at = Repo::discover(dir)?;
        if at.common_dir() != repo.common_dir() {
            bail!("{} is a worktree of another repository", dir.display());
        }
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

    fn copy_of_index(&self, repo: &Repo) -> Result<Index> {
        let place = repo.orch_dir().join("staging");
        let copy = || -> std::io::Result<(TempDir, bool)> {
            fs::create_dir_all(&place)?;
            let temp = tempfile::Builder::new()
                .prefix("index-")
                .tempdir_in(&place)?;
            let from = self.admin.join("index");
            let exists = from.exists();
            if exists {
                let to = temp.path().join("index");
                fs::copy(&from, &to)?;
                // Git tells by the index's time which files it must read to know whether they changed:
                // a younger copy would hide a change made in the second of the checkout.
                let written = fs::metadata(&from)?.modified()?;
                File::options()
                    .write(true)
                    .open(&to)?
                    .set_modified(written)?;
            }
            Ok((temp, exists))
        };
        let (temp, exists) = copy().context("cannot copy an index")?;
        let index = Index {
            temp,
            dir: self.dir.clone(),
        };
        if let (false, Some(commit)) = (exists, self.commit) {
            let commit = commit.to_string();
            index.git().args(["read-tree", &commit]).run()?;
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
            None => repo.identity().unwrap_or_default(),
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

/// A copy of a worktree's index.
struct Index {
    temp: TempDir,
    dir: PathBuf,
}

impl Index {
    fn git(&self) -> Git {
        Git::new(&self.dir)
            .env("GIT_INDEX_FILE", self.temp.path().join("index"))
            .args(PLAIN)
    }

    fn write_tree(&self) -> Result<Oid> {
        let hex = self.git().arg("write-tree").read()?;
        Oid::from_hex(hex.as_bytes()).context("git write-tree gave no id")
    }

    /// Takes in everything that is not ignored; nested repositories stay outside.
    fn add_all(&self, found: &[Change]) -> Result<Oid> {
        let nested = found.iter().filter(|change| change.is_nested_repository());
        let mut paths = vec![b":/".to_vec(), WITHOUT_VIEW.as_bytes().to_vec()];
        paths.extend(nested.map(|change| {
            let path = change.path.strip_suffix(b"/").unwrap_or(&change.path);
            [b":(top,exclude,literal)", path].concat()
        }));
        self.git()
            .args(["add", "--all", "--sparse", "--pathspec-file-nul"])
            .arg("--pathspec-from-file=-")
            .stdin(paths.join(&0))
            .run()
            .context("cannot take in what is uncommitted")?;
        self.write_tree()
    }

    /// Makes this the worktree's index, at once.
    fn put_in_place(&self, work: &Work) -> Result<()> {
        fs::rename(self.temp.path().join("index"), work.admin.join("index"))
            .context("cannot replace an index")
    }
}

fn message(assignment: &Assignment, subject: &str) -> String {
    let subject = one_line(subject);
    let tags = commit_tags(assignment.agent);
    let subject = subject.strip_prefix(&tags).unwrap_or(&subject);
    let mut text = format!(
        "{tags}{subject}\n\nOrch-Task: {}\nOrch-Agent: {}\nOrch-Attempt: {}\n",
        assignment.task, assignment.agent, assignment.attempt
    );
    let run = one_line(&assignment.run);
    if !run.is_empty() {
        text.push_str(&format!("Orch-Run: {run}\n"));
    }
    text
}

/// Returns a path of Git's as one of the system's.
pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
