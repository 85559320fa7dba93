//! What was saved before anything of ours went away: listed, found, brought back, given up.
//!
//! Two places hold it. What fits in a commit is under `refs/orch/recovery/<owner>/<number>`
//! ([`crate::git::recovery`]), files that do not are in [`super::trash`]. Nothing is brought back over what is
//! there, and bringing a commit back leaves its ref, until it expires (`orch.recoveryExpiry`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::trash::{self, Trashed};
use crate::config;
use crate::error::UserError;
use crate::git::recovery::{Kept, RECOVERY};
use crate::git::refs::Swap;
use crate::git::{Git, Oid, Repo};

/// How the names of things in the trash begin.
const TRASH: &str = "trash/";

/// Where branches are made that nobody named.
const RECOVERED: &str = "recovered";

/// Commits that only one saved state reaches, at most so many are told.
const MOST_COMMITS: usize = 100;

/// One saved state.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Saved {
    /// Its place in the list, from 1 for the oldest.
    pub number: usize,
    /// What it is called: `1.2/3`, or `trash/1.2-1`.
    pub id: String,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The ref that holds it.
    #[serde(rename = "ref")]
    pub name: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The directory in the trash.
    pub path: Option<PathBuf>,
    /// Whose it is: a coder, or the part of git-orch that was at it.
    pub owner: String,
    /// The task that it is work of.
    pub task: Option<String>,
    /// The branch that it was on.
    pub branch: Option<String>,
    /// Why it was saved.
    pub reason: String,
    /// When, in seconds since 1970; `None` where nothing tells.
    pub saved_at: Option<i64>,
    /// Files that the commit changes against its first parent.
    pub files: Option<u64>,
    /// Lines that it adds.
    pub insertions: Option<u64>,
    /// Lines that it takes out.
    pub deletions: Option<u64>,
    /// Size of what lies in the trash.
    pub bytes: Option<u64>,
    #[serde(skip)]
    source: Source,
}

/// What kind of thing is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A commit under a ref.
    Commit,
    /// Files in the trash.
    Files,
}

#[derive(Debug, Clone)]
enum Source {
    Ref(Kept),
    Trash(Trashed),
}

/// Where a saved state was brought back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The branch that holds it.
    pub branch: Option<String>,
    /// The directory that holds its files.
    pub dir: Option<PathBuf>,
}

/// Lists what is saved, the oldest first; sizes are left out unless they are asked for.
///
/// # Errors
///
/// A ref or an object cannot be read.
pub fn list(repo: &Repo, sized: bool) -> Result<Vec<Saved>> {
    let kept = repo.kept()?;
    let changes = if sized {
        changes(repo, &kept)?
    } else {
        Vec::new()
    };
    let mut found: Vec<Saved> = kept.into_iter().map(of_ref).collect();
    for (saved, (files, insertions, deletions)) in found.iter_mut().zip(changes) {
        saved.files = Some(files);
        saved.insertions = Some(insertions);
        saved.deletions = Some(deletions);
    }
    let trashed = trash::list(repo).into_iter();
    found.extend(trashed.filter(|thing| !thing.is_gone).map(of_trash));
    // Stable, so that what is of one second stays in the order of its numbers.
    found.sort_by_key(|saved| saved.saved_at);
    for (i, saved) in found.iter_mut().enumerate() {
        saved.number = i + 1;
    }
    Ok(found)
}

fn of_ref(kept: Kept) -> Saved {
    Saved {
        number: 0,
        id: kept.id().to_owned(),
        kind: Kind::Commit,
        name: Some(kept.name.clone()),
        commit: Some(kept.commit.to_string()),
        path: None,
        owner: kept.owner().to_owned(),
        task: kept.task.clone(),
        branch: kept.branch.clone(),
        reason: kept.reason.clone(),
        saved_at: kept.saved_at,
        files: None,
        insertions: None,
        deletions: None,
        bytes: None,
        source: Source::Ref(kept),
    }
}

fn of_trash(thing: Trashed) -> Saved {
    let owner = thing.name.rsplit_once('-').map_or("", |(owner, _)| owner);
    Saved {
        number: 0,
        id: format!("{TRASH}{}", thing.name),
        kind: Kind::Files,
        name: None,
        commit: None,
        path: Some(thing.path.clone()),
        owner: owner.to_owned(),
        task: None,
        branch: None,
        reason: thing.reason.clone(),
        saved_at: thing.saved_at,
        files: None,
        insertions: None,
        deletions: None,
        bytes: Some(thing.bytes),
        source: Source::Trash(thing),
    }
}

/// Counts files, added and removed lines of each commit against its first parent, in one process.
fn changes(repo: &Repo, kept: &[Kept]) -> Result<Vec<(u64, u64, u64)>> {
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let commits: Vec<String> = kept.iter().map(|kept| kept.commit.to_string()).collect();
    let text = git(repo)
        .args(["log", "--no-walk=unsorted", "--stdin", "--shortstat"])
        .args(["--diff-merges=first-parent", "--no-ext-diff"])
        .arg("--format=%x00%H")
        .stdin(commits.join("\n"))
        .read()?;
    let number = |text: &str, noun: &str| -> u64 {
        let mut parts = text.split(", ").filter(|part| part.contains(noun));
        let part = parts.next().unwrap_or_default();
        let digits = part.trim().split(' ').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    };
    let counts = text.split('\0').filter_map(|record| {
        let (commit, rest) = record.split_once('\n').unwrap_or((record, ""));
        let rest = rest.trim();
        let lines = [
            number(rest, "file"),
            number(rest, "insertion"),
            number(rest, "deletion"),
        ];
        (!commit.is_empty()).then(|| (commit.trim().to_owned(), lines))
    });
    // Two refs may hold one commit, which git tells once.
    let counts: std::collections::BTreeMap<String, [u64; 3]> = counts.collect();
    let of = |commit: &String| counts.get(commit).copied().unwrap_or_default();
    Ok(commits
        .iter()
        .map(of)
        .map(|[files, added, removed]| (files, added, removed))
        .collect())
}

/// Returns what a person names: by id, by its whole ref, by its path, or by its number in the list.
///
/// # Errors
///
/// There is no such thing.
pub fn find<'a>(all: &'a [Saved], word: &str) -> Result<&'a Saved> {
    let named = |saved: &&Saved| {
        saved.id == word
            || saved.name.as_deref() == Some(word)
            || saved
                .name
                .as_deref()
                .and_then(|name| name.strip_prefix("refs/"))
                == Some(word)
            || saved.path.as_deref() == Some(Path::new(word))
            || word.parse() == Ok(saved.number)
    };
    all.iter().find(named).ok_or_else(|| {
        UserError::new(format!("nothing is saved as `{word}`"))
            .hint("git orch recover list")
            .into()
    })
}

impl Saved {
    /// Returns what the commit changes against its first parent, or what lies in the trash.
    ///
    /// # Errors
    ///
    /// Git or the directory cannot be read.
    pub fn content(&self, repo: &Repo, patch: bool) -> Result<String> {
        match &self.source {
            Source::Ref(kept) => git(repo)
                .args(["show", "--format=", "--diff-merges=first-parent"])
                .args(["--no-ext-diff", "--no-color"])
                .arg(if patch { "--patch" } else { "--stat=100" })
                .arg(kept.commit.to_string())
                .read(),
            Source::Trash(thing) => {
                let mut lines = Vec::new();
                walk(&thing.path, Path::new(""), &mut lines)
                    .with_context(|| format!("cannot read {}", thing.path.display()))?;
                Ok(lines.join("\n"))
            }
        }
    }

    /// Returns the commits that nothing but saved states reaches, newest first.
    ///
    /// # Errors
    ///
    /// Git cannot be read.
    pub fn commits(&self, repo: &Repo) -> Result<Vec<String>> {
        let Source::Ref(kept) = &self.source else {
            return Ok(Vec::new());
        };
        let text = git(repo)
            .args([
                "log",
                "--format=%h %s",
                &format!("--max-count={MOST_COMMITS}"),
            ])
            .args([&kept.commit.to_string(), "--not"])
            .args([&format!("--exclude={RECOVERY}/*"), "--all"])
            .read()?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Brings it back to a new branch, and with a directory to a worktree that has that branch checked out;
    /// files out of the trash go to a directory.
    ///
    /// # Errors
    ///
    /// There is something where it should go.
    pub fn restore(
        &self,
        repo: &Repo,
        branch: Option<&str>,
        to: Option<&Path>,
    ) -> Result<Restored> {
        if let Some(dir) = to {
            require_free(dir)?;
        }
        match (&self.source, to) {
            (Source::Ref(kept), to) => {
                let branch = self.make_branch(repo, branch, kept.commit)?;
                if let Some(dir) = to {
                    check_out(repo, dir, &branch)?;
                }
                Ok(Restored {
                    branch: Some(branch),
                    dir: to.map(Path::to_path_buf),
                })
            }
            (Source::Trash(_), None) => Err(UserError::new(format!(
                "{} are files and no commit: they need a directory to go to",
                self.id
            ))
            .hint(format!("git orch recover restore {} --to <dir>", self.id))
            .into()),
            (Source::Trash(thing), Some(dir)) => {
                if let Some(parent) = dir.parent().filter(|parent| *parent != Path::new("")) {
                    fs::create_dir_all(parent)
                        .with_context(|| format!("cannot create {}", parent.display()))?;
                }
                trash::take_out(&thing.path, dir)?;
                Ok(Restored {
                    branch: None,
                    dir: Some(dir.to_path_buf()),
                })
            }
        }
    }

    /// Makes a branch at the commit; one that is there already, at that commit, will do.
    fn make_branch(&self, repo: &Repo, named: Option<&str>, commit: Oid) -> Result<String> {
        let made = format!("{RECOVERED}/{}", self.id.replace('/', "-"));
        for attempt in 1.. {
            let branch = match (named, attempt) {
                (Some(branch), _) => branch.to_owned(),
                (None, 1) => made.clone(),
                (None, n) => format!("{made}-{n}"),
            };
            let name = format!("refs/heads/{branch}");
            match repo.read_ref(&name)? {
                Some(there) if there == commit => return Ok(branch),
                Some(_) if named.is_some() => {
                    return Err(
                        UserError::new(format!("there is a branch {branch} already"))
                            .hint(format!("git orch recover restore {}", self.id))
                            .into(),
                    );
                }
                Some(_) => continue,
                None => {}
            }
            let message = format!("orch recover: {}", self.id);
            if repo.swap_refs(&[(&name, None, Some(commit))], &message)? == Swap::Won {
                return Ok(branch);
            }
        }
        anyhow::bail!("no name is free for a branch")
    }
}

/// Makes a worktree; no hooks run in it, and nothing of anyone's configuration moves submodules.
fn check_out(repo: &Repo, dir: &Path, branch: &str) -> Result<()> {
    // Where nothing of git-orch's is set up, no worktree of its own can be in the making, and nothing is left behind.
    let is_set_up = repo.orch_dir().is_dir();
    let _alone = is_set_up.then(|| repo.lock_worktrees()).transpose()?;
    repo.git()
        .args(super::uncommitted::PLAIN)
        .args(["worktree", "add", "--quiet"])
        .arg(dir)
        .arg(branch)
        .run()
        .with_context(|| format!("cannot make a worktree in {}", dir.display()))
}

fn require_free(dir: &Path) -> Result<()> {
    let taken = match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => fs::read_dir(dir).is_ok_and(|mut all| all.next().is_some()),
        Ok(_) => true,
        Err(_) => false,
    };
    if taken {
        let error = format!("there is something in {} already", dir.display());
        return Err(UserError::new(error).into());
    }
    Ok(())
}

/// What a prune gives up or has given up.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What is gone.
    pub gone: Vec<Saved>,
    /// What stays.
    pub stays: usize,
}

/// Returns what is older than a time; what nobody knows the age of is not.
///
/// # Errors
///
/// What is saved cannot be listed.
pub fn expired(repo: &Repo, older_than: Duration, now: i64) -> Result<Vec<Saved>> {
    let before = now.saturating_sub_unsigned(older_than.as_secs());
    let old = |saved: &Saved| saved.saved_at.is_some_and(|at| at < before);
    Ok(list(repo, false)?.into_iter().filter(old).collect())
}

/// Gives up saved states for good.
///
/// # Errors
///
/// A ref cannot be deleted, since somebody changed it meanwhile; or files cannot be.
pub fn give_up(repo: &Repo, all: &[Saved]) -> Result<()> {
    let refs: Vec<&Kept> = all
        .iter()
        .filter_map(|saved| match &saved.source {
            Source::Ref(kept) => Some(kept),
            Source::Trash(_) => None,
        })
        .collect();
    if repo.give_up(&refs)? == Swap::Lost {
        return Err(
            UserError::new("what is saved was changed by somebody in this moment")
                .hint("git orch recover list")
                .into(),
        );
    }
    for saved in all {
        if let Source::Trash(thing) = &saved.source {
            trash::delete(&thing.path)?;
        }
    }
    Ok(())
}

/// Gives up what is older than `orch.recoveryExpiry`, for a person's process at the end of its work; returns
/// how many.
///
/// # Errors
///
/// The setting cannot be read, or something cannot be deleted.
pub fn expire(repo: &Repo) -> Result<usize> {
    let Some(older_than) = config::recovery_expiry(repo)? else {
        return Ok(0);
    };
    if config::agent(repo).is_some() {
        return Ok(0);
    }
    let old = expired(repo, older_than, crate::clock::now().0)?;
    give_up(repo, &old)?;
    Ok(old.len())
}

fn walk(top: &Path, below: &Path, lines: &mut Vec<String>) -> std::io::Result<()> {
    let path = top.join(below);
    if !fs::symlink_metadata(&path)?.is_dir() {
        lines.push(below.display().to_string());
        return Ok(());
    }
    let mut names: Vec<_> = fs::read_dir(&path)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    for name in names {
        walk(top, &below.join(name), lines)?;
    }
    Ok(())
}

/// Returns a `git` whose answers a user's configuration does not change.
fn git(repo: &Repo) -> Git {
    let plain = ["-c", "log.showSignature=false", "-c", "log.showRoot=true"];
    repo.git().args(plain).args(["-c", "core.quotePath=false"])
}
