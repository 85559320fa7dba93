//! Questions about history, and the commits that merges become.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Git, GitFailure, Oid, Repo};

/// A path that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPath {
    /// The path, as bytes.
    pub path: Vec<u8>,
    /// Mode and object before; mode 0 where there was nothing.
    pub old: (u32, Oid),
    /// Mode and object after; mode 0 where there is nothing.
    pub new: (u32, Oid),
}

/// Pairs of commits whose common ancestors are remembered.
const MOST_BASES: usize = 4096;

/// A merge to be written as a commit; the same values always give the same id.
#[derive(Debug, Clone, Copy)]
pub struct MergeCommit<'a> {
    /// Its tree.
    pub tree: Oid,
    /// Its parents; the first is the branch that it moves.
    pub parents: &'a [Oid],
    /// Its message.
    pub message: &'a str,
    /// Name and address of author and committer.
    pub who: &'a (String, String),
    /// The key to sign it with, where it is signed.
    pub key: Option<&'a Path>,
}

/// A commit of a range, with the tasks that its trailers name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeCommit {
    /// The commit.
    pub id: Oid,
    /// Values of its `Orch-Task` trailers.
    pub tasks: Vec<String>,
}

/// A commit that touched certain paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchingCommit {
    /// The commit.
    pub id: Oid,
    /// Its subject.
    pub subject: String,
    /// Values of its `Orch-Task` trailers.
    pub tasks: Vec<String>,
    /// Value of its `Orch-Agent` trailer; empty where it has none.
    pub agent: String,
    /// Which of the paths it touched.
    pub paths: Vec<String>,
}

impl Repo {
    /// Returns a `git` command that sees objects as they are: replacement objects and grafts, by which an
    /// agent could show other commits than there are, do not count.
    pub(super) fn true_git(&self) -> Git {
        self.git()
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
    }

    /// Returns whether a commit is another's ancestor, or the same.
    ///
    /// # Errors
    ///
    /// One of them is missing.
    pub fn is_ancestor(&self, ancestor: Oid, of: Oid) -> Result<bool> {
        if ancestor == of {
            return Ok(true);
        }
        let (ancestor, of) = (ancestor.to_string(), of.to_string());
        self.true_git()
            .args(["merge-base", "--is-ancestor", &ancestor, &of])
            .test()
    }

    /// Returns the best common ancestors of two commits: none where they are unrelated, more than one where
    /// their history is criss-cross.
    ///
    /// # Errors
    ///
    /// One of them is missing.
    pub fn merge_bases(&self, one: Oid, other: Oid) -> Result<Vec<Oid>> {
        let pair = (one, other);
        if let Some(known) = self.bases.borrow().get(&pair) {
            return Ok(known.clone());
        }
        let (one, other) = (one.to_string(), other.to_string());
        let output = self
            .true_git()
            .args(["merge-base", "--all", &one, &other])
            .output()?;
        let bases = match output.status.code() {
            Some(0) => ids(&output.stdout)?,
            Some(1) => Vec::new(),
            _ => {
                let words = ["git", "merge-base", "--all", &one, &other];
                return Err(GitFailure::of(&words, &output))
                    .with_context(|| format!("cannot compare {one} and {other}"));
            }
        };
        // What two commits have in common never changes; a merge asks for it several times.
        let mut known = self.bases.borrow_mut();
        if known.len() >= MOST_BASES {
            known.clear();
        }
        known.insert(pair, bases.clone());
        Ok(bases)
    }

    /// Returns whether a commit has another in its history, by what the two have in common: for those whose
    /// common ancestors are wanted as well.
    ///
    /// # Errors
    ///
    /// As [`Repo::merge_bases`].
    pub fn has(&self, tip: Oid, head: Oid) -> Result<bool> {
        Ok(tip == head || self.merge_bases(tip, head)? == [head])
    }

    /// Returns the paths that differ between two commits or trees, renames shown as removed and added.
    ///
    /// # Errors
    ///
    /// One of them is missing.
    pub fn changed_paths(&self, base: Oid, head: Oid) -> Result<Vec<ChangedPath>> {
        let tree = |id: Oid| self.read_commit(id).map_or(id, |commit| commit.tree);
        if let Ok(changed) = self.tree_difference(tree(base), tree(head)) {
            return Ok(changed);
        }
        // In a partial clone git fetches what is missing.
        let (base, head) = (base.to_string(), head.to_string());
        let bytes = self
            .true_git()
            .args(["diff-tree", "-r", "-z", "--raw", "--no-renames"])
            .args(["--ignore-submodules=none", &base, &head])
            .read_bytes()?;
        let mut fields = bytes.split(|byte| *byte == 0);
        let mut changed = Vec::new();
        while let Some(meta) = fields.next().filter(|field| !field.is_empty()) {
            let path = fields.next().context("git's list of changes is cut off")?;
            changed.push(parse_change(meta, path).context("git's list of changes is malformed")?);
        }
        Ok(changed)
    }

    /// Writes a merge as a commit, durably. Its date is that of its youngest parent, so that a rerun after a
    /// crash makes the same commit again.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_merge(&self, merge: &MergeCommit<'_>) -> Result<Oid> {
        let mut time = 0;
        for parent in merge.parents {
            time = time.max(self.read_commit(*parent)?.time);
        }
        let date = format!("@{time} +0000");
        let mut git = self
            .true_git()
            .args([
                "-c",
                "core.fsync=committed",
                "-c",
                "i18n.commitEncoding=UTF-8",
            ])
            .args(["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen"])
            .args(["commit-tree", "-F", "-"]);
        if let Some(key) = merge.key {
            git = git.arg(OsString::from_iter(["-S".as_ref(), key.as_os_str()]));
        }
        git = git.arg(merge.tree.to_string());
        for parent in merge.parents {
            git = git.args(["-p", &parent.to_string()]);
        }
        let (name, email) = merge.who;
        let id = git
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email)
            .env("GIT_COMMITTER_DATE", &date)
            .stdin(merge.message)
            .read()?;
        Oid::from_hex(id.as_bytes()).with_context(|| format!("git named no commit but `{id}`"))
    }

    /// Returns the first-parent history of a commit, newest first, down to a commit that is left out.
    ///
    /// # Errors
    ///
    /// A commit is missing.
    pub fn first_parents(&self, tip: Oid, until: Option<Oid>) -> Result<Vec<Oid>> {
        let mut git = self
            .true_git()
            .args(["rev-list", "--first-parent", &tip.to_string()]);
        if let Some(until) = until {
            git = git.arg(format!("^{until}"));
        }
        ids(&git.read_bytes()?)
    }

    /// Returns the commits that `head` has and `without` has not, newest first.
    ///
    /// # Errors
    ///
    /// A commit is missing.
    pub fn range(&self, without: Oid, head: Oid) -> Result<Vec<RangeCommit>> {
        let text = self
            .true_git()
            .args(["log", "-z", "--no-show-signature", "--no-notes"])
            .arg("--format=%H%x09%(trailers:key=Orch-Task,valueonly,unfold,separator=%x09)")
            .args([&head.to_string(), &format!("^{without}")])
            .read_bytes()?;
        let text = String::from_utf8_lossy(&text);
        let commits = text.split('\0').filter(|entry| !entry.trim().is_empty());
        commits
            .map(|entry| {
                let mut parts = entry.trim().split('\t');
                let id = parts.next().unwrap_or_default();
                Ok(RangeCommit {
                    id: Oid::from_hex(id.as_bytes())?,
                    tasks: parts.map(|task| task.trim().to_owned()).collect(),
                })
            })
            .collect()
    }
}

impl Repo {
    /// Returns the first-parent commits of `tip` since it parted from `other`, which touched some paths, newest
    /// first.
    ///
    /// # Errors
    ///
    /// A commit is missing.
    pub fn touching(
        &self,
        other: Oid,
        tip: Oid,
        paths: &[&str],
        most: usize,
    ) -> Result<Vec<TouchingCommit>> {
        // `^other` instead of the merge bases makes git leave out merges whose first parent is a base.
        let bases = self.merge_bases(other, tip)?;
        let bases = bases.iter().map(|base| format!("^{base}"));
        let text = self
            .true_git()
            .env("GIT_LITERAL_PATHSPECS", "1")
            .args(["log", "-z", "--first-parent", "--no-show-signature", "--no-notes"])
            .args(["--name-only", "--no-renames", "-m", &format!("-{most}")])
            .arg(concat!(
                "--format=%x01%H%x09%s%x09%(trailers:key=Orch-Agent,valueonly,unfold,separator=%x20)",
                "%x09%(trailers:key=Orch-Task,valueonly,unfold,separator=%x09)%x02"
            ))
            .arg(tip.to_string())
            .args(bases)
            .arg("--")
            .args(paths)
            .read_bytes()?;
        let text = String::from_utf8_lossy(&text);
        let commits = text.split('\u{1}').skip(1);
        commits
            .map(|entry| {
                let (head, names) = entry.split_once('\u{2}').unwrap_or((entry, ""));
                let mut parts = head.split('\t');
                let id = parts.next().unwrap_or_default();
                let names = names
                    .split('\0')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                Ok(TouchingCommit {
                    id: Oid::from_hex(id.as_bytes())?,
                    subject: parts.next().unwrap_or_default().to_owned(),
                    agent: parts.next().unwrap_or_default().trim().to_owned(),
                    tasks: parts
                        .filter(|task| !task.is_empty())
                        .map(ToOwned::to_owned)
                        .collect(),
                    paths: names.map(ToOwned::to_owned).collect(),
                })
            })
            .collect()
    }
}

pub(super) fn parse_change(meta: &[u8], path: &[u8]) -> Option<ChangedPath> {
    let meta = std::str::from_utf8(meta).ok()?.strip_prefix(':')?;
    let parts: Vec<&str> = meta.split(' ').collect();
    let &[old_mode, new_mode, old, new, _status] = parts.as_slice() else {
        return None;
    };
    let mode = |text: &str| u32::from_str_radix(text, 8).ok();
    let id = |text: &str| Oid::from_hex(text.as_bytes()).ok();
    Some(ChangedPath {
        path: path.to_vec(),
        old: (mode(old_mode)?, id(old)?),
        new: (mode(new_mode)?, id(new)?),
    })
}

fn ids(text: &[u8]) -> Result<Vec<Oid>> {
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| Oid::from_hex(line).context("git printed no object id"))
        .collect()
}
