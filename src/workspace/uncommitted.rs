//! What is uncommitted in a worktree: the one place that answers it, and fails where it cannot know.
//!
//! Git is asked about the files themselves. What an agent told its index not to look at (`--assume-unchanged`,
//! `--skip-worktree`, paths outside a sparse checkout, stat data that is not to be trusted) is looked at on a copy
//! of the index that was told nothing. No pathspec is used: variables that change their meaning change nothing here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::place::seen_from;
use super::view::VIEW;
use crate::config;
use crate::error::UserError;
use crate::git::files::open_regular;
use crate::git::{Git, Oid, Repo};

/// Settings that keep a configuration from changing, hiding or slowing what these commands do.
pub(super) const PLAIN: [&str; 18] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.ignoreStat=false",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.trustctime=true",
    "-c",
    "core.safecrlf=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "advice.addEmbeddedRepo=false",
];

/// One line of `git status --porcelain -z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// State in the index and in the worktree.
    pub(super) code: [u8; 2],
    /// Path from the top of the worktree.
    pub(super) path: Vec<u8>,
    /// How git was told not to look at it.
    pub(super) hidden: Option<Hiding>,
}

/// How an entry of an index is kept from being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hiding {
    AssumeUnchanged,
    SkipWorktree,
    Both,
}

impl Hiding {
    /// Reads the letter by which `git ls-files -v` marks an entry.
    fn of_tag(tag: u8) -> Option<Self> {
        let is_skipped = tag.eq_ignore_ascii_case(&b'S');
        match (tag.is_ascii_lowercase(), is_skipped) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::AssumeUnchanged),
            (false, true) => Some(Self::SkipWorktree),
            (false, false) => None,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::AssumeUnchanged => "git was told to assume it unchanged",
            Self::SkipWorktree | Self::Both => "git was told to skip it",
        }
    }
}

impl Change {
    pub(super) fn is_untracked(&self) -> bool {
        &self.code == b"??"
    }

    /// A repository within the worktree, or files in place of one, whose content no commit of ours can hold.
    pub(super) fn is_nested_repository(&self) -> bool {
        self.is_untracked() && self.path.ends_with(b"/")
    }

    pub(super) fn is_unmerged(&self) -> bool {
        matches!(
            &self.code,
            b"DD" | b"AU" | b"UD" | b"UA" | b"DU" | b"AA" | b"UU"
        )
    }

    pub(super) fn is_changed_by_both(&self) -> bool {
        matches!(&self.code, b"UU" | b"AA")
    }

    /// Whether the index holds a third version beside those of HEAD and of the worktree.
    pub(super) fn is_staged_and_changed(&self) -> bool {
        !self.is_untracked() && !self.is_unmerged() && !self.code.contains(&b' ')
    }

    /// Returns the path for people to read.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Returns it as `git status --porcelain` would, and how it is hidden.
    pub(super) fn line(&self) -> String {
        let code = String::from_utf8_lossy(&self.code);
        let path = self.shown();
        match self.hidden {
            Some(hiding) => format!("{code} {path} ({})", hiding.told()),
            None => format!("{code} {path}"),
        }
    }
}

/// Lists what is uncommitted in a worktree as `git status --porcelain` lines: untracked files included,
/// ignored ones and our own `.orchestration/` not. Of what git was told not to look at, a line says so.
///
/// # Errors
///
/// The directory is no worktree, or nobody can know what is in it: its index or a directory cannot be read.
pub fn uncommitted(repo: &Repo, dir: &Path) -> Result<Vec<String>> {
    Ok(changes(repo, dir)?.iter().map(Change::line).collect())
}

/// Lists what Git ignores in a worktree and no commit of ours takes in; directories as a whole, with a slash behind.
pub fn ignored(repo: &Repo, dir: &Path) -> Result<Vec<PathBuf>> {
    let tree = Tree::open(repo, dir)?;
    let status = tree
        .git()
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(["status", "--porcelain=v1", "-z", "--no-renames"])
        .args(["--ignored=traditional", "--untracked-files=normal"]);
    let bytes = tree.read_whole(status)?;
    let lines = bytes.split(|byte| *byte == 0);
    Ok(lines
        .filter_map(|line| line.strip_prefix(b"!! "))
        .filter(|path| !is_view(path))
        .map(|path| as_path(path).to_path_buf())
        .collect())
}

/// Looks without touching the index, which an agent may be using.
pub(super) fn changes(repo: &Repo, dir: &Path) -> Result<Vec<Change>> {
    let tree = Tree::open(repo, dir)?;
    tree.changes(tree.git().env("GIT_OPTIONAL_LOCKS", "0"))
}

/// Looks where nobody else works, so that git may note in the index what it found unchanged: after a checkout
/// it must read every file written in the index's own second, again and again until that is noted.
pub(super) fn changes_alone(repo: &Repo, dir: &Path) -> Result<Vec<Change>> {
    let tree = Tree::open(repo, dir)?;
    tree.changes(tree.git())
}

/// Ends whatever keeps git from looking at files of a worktree; returns whether anything did. The caller alone
/// works there.
pub(super) fn end_hiding(repo: &Repo, dir: &Path) -> Result<bool> {
    let tree = Tree::open(repo, dir)?;
    let hidden = tree.entries()?.hidden;
    unhide(|| tree.git(), &hidden)?;
    Ok(!hidden.is_empty())
}

/// A worktree by its two directories, whatever configuration says of either.
struct Tree {
    dir: PathBuf,
    admin: PathBuf,
    /// Where copies of its index are made.
    staging: PathBuf,
    /// Time that Git may take.
    most: Duration,
}

/// Paths that git was told not to look at, and how.
type Hidden = BTreeMap<Vec<u8>, Hiding>;

/// What of an index needs a closer look.
#[derive(Default)]
struct Entries {
    hidden: Hidden,
    /// Paths of submodules.
    links: Vec<Vec<u8>>,
}

impl Tree {
    fn open(repo: &Repo, dir: &Path) -> Result<Self> {
        let at = seen_from(repo, dir)?;
        Ok(Self {
            dir: at.work_dir().unwrap_or(dir).to_path_buf(),
            admin: at.git_dir().to_path_buf(),
            staging: repo.orch_dir().join("staging"),
            most: config::git_timeout(repo),
        })
    }

    fn git(&self) -> Git {
        Git::new(&self.dir)
            .env("GIT_DIR", &self.admin)
            .env("GIT_WORK_TREE", &self.dir)
            .within(self.most)
            .args(PLAIN)
    }

    /// Looks at everything. `git` is the command to look with where nothing is hidden.
    fn changes(&self, git: Git) -> Result<Vec<Change>> {
        let entries = self.entries()?;
        // What is skipped and not there is what a sparse checkout looks like, and holds nothing.
        let is_there = |path: &[u8]| match fs::symlink_metadata(self.dir.join(as_path(path))) {
            Ok(_) => true,
            Err(error) => !is_absence(&error),
        };
        let mut hidden = entries.hidden;
        hidden.retain(|path, hiding| *hiding == Hiding::AssumeUnchanged || is_there(path));
        let mut found = if hidden.is_empty() {
            self.status(git)?
        } else {
            let copy = IndexCopy::of(&self.staging, &self.dir, &self.admin, self.most)?;
            unhide(|| copy.git(), &hidden)?;
            self.status(copy.git())?
        };
        for change in &mut found {
            change.hidden = hidden.get(&change.path).copied();
        }
        for link in entries.links {
            if self.is_filled_by_hand(&link)? {
                found.push(Change {
                    code: *b"??",
                    path: [link.as_slice(), b"/"].concat(),
                    hidden: None,
                });
            }
        }
        Ok(found)
    }

    fn status(&self, git: Git) -> Result<Vec<Change>> {
        let bytes = self.read_whole(
            git.args(["status", "--porcelain=v1", "-z", "--no-renames"])
                .args(["--untracked-files=all", "--ignore-submodules=none"]),
        )?;
        let mut found = Vec::new();
        for line in bytes.split(|byte| *byte == 0) {
            match line {
                [] => {}
                [index, worktree, b' ', path @ ..] if !path.is_empty() => {
                    let change = Change {
                        code: [*index, *worktree],
                        path: path.to_vec(),
                        hidden: None,
                    };
                    // A project may have files of its own there.
                    if !(change.is_untracked() && is_view(path)) {
                        found.push(change);
                    }
                }
                _ => bail!(
                    "git says `{}` of a file in {}, which cannot be read",
                    String::from_utf8_lossy(line),
                    self.dir.display()
                ),
            }
        }
        Ok(found)
    }

    /// Runs a command that looks at all files. Git passes over a directory that it cannot read with a warning and
    /// goes on as if it were empty: then it is not known what is there.
    fn read_whole(&self, git: Git) -> Result<Vec<u8>> {
        let output = git.output()?;
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            bail!("git cannot look at {}: {complaint}", self.dir.display());
        }
        if complaint.is_empty() {
            return Ok(output.stdout);
        }
        match unreadable_below(&self.dir) {
            None => Ok(output.stdout),
            Some(dir) => Err(UserError::new(format!(
                "{} cannot be read, so nobody knows what is in it",
                dir.display()
            ))
            .hint(format!("chmod -R u+rwX '{}'", dir.display()))
            .into()),
        }
    }

    fn entries(&self) -> Result<Entries> {
        let listed = self
            .git()
            .args(["ls-files", "-v", "--stage", "-z"])
            .read_bytes()?;
        let mut found = Entries::default();
        for entry in listed.split(|byte| *byte == 0).filter(|e| !e.is_empty()) {
            let tab = entry.iter().position(|byte| *byte == b'\t');
            let (Some(tab), [tag, b' ', ..]) = (tab, entry) else {
                bail!(
                    "git says `{}` of an entry, which cannot be read",
                    String::from_utf8_lossy(entry)
                );
            };
            let path = || entry[tab + 1..].to_vec();
            if let Some(hiding) = Hiding::of_tag(*tag) {
                found.hidden.insert(path(), hiding);
            }
            if entry[2..].starts_with(b"160000 ") {
                found.links.push(path());
            }
        }
        Ok(found)
    }

    /// Whether there are files where a submodule would be and is not: git does not look there.
    fn is_filled_by_hand(&self, link: &[u8]) -> Result<bool> {
        let dir = self.dir.join(as_path(link));
        let is_dir = fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir());
        if !is_dir || fs::symlink_metadata(dir.join(".git")).is_ok() {
            return Ok(false);
        }
        let mut entries =
            fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        Ok(entries.next().is_some())
    }
}

/// A copy of a worktree's index, to be changed without anybody seeing it.
pub(super) struct IndexCopy {
    temp: TempDir,
    dir: PathBuf,
    admin: PathBuf,
    most: Duration,
}

impl IndexCopy {
    /// Copies the index of a worktree; where there is none, the copy is empty.
    pub(super) fn of(staging: &Path, dir: &Path, admin: &Path, most: Duration) -> Result<Self> {
        let copy = || -> std::io::Result<TempDir> {
            fs::create_dir_all(staging)?;
            let temp = tempfile::Builder::new()
                .prefix("index-")
                .tempdir_in(staging)?;
            let from = admin.join("index");
            if fs::symlink_metadata(&from).is_ok() {
                let mut from = open_regular(&from)?;
                let to = temp.path().join("index");
                let mut file = File::create_new(&to)?;
                std::io::copy(&mut from, &mut file)?;
                // Git tells by the index's time which files it must read to know whether they changed:
                // a younger copy would hide a change made in the second of the checkout.
                let found = from.metadata()?;
                file.set_permissions(found.permissions())?;
                file.set_modified(found.modified()?)?;
            }
            Ok(temp)
        };
        Ok(Self {
            temp: copy().context("cannot copy an index")?,
            dir: dir.to_path_buf(),
            admin: admin.to_path_buf(),
            most,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.path().exists()
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("index")
    }

    pub(super) fn git(&self) -> Git {
        Git::new(&self.dir)
            .env("GIT_DIR", &self.admin)
            .env("GIT_WORK_TREE", &self.dir)
            .env("GIT_INDEX_FILE", self.path())
            .within(self.most)
            .args(PLAIN)
    }

    pub(super) fn write_tree(&self) -> Result<Oid> {
        let hex = self.git().arg("write-tree").read()?;
        Oid::from_hex(hex.as_bytes()).context("git write-tree gave no id")
    }

    /// Takes in what was found, as it lies there; nested repositories stay outside.
    pub(super) fn take_in<'a>(
        &self,
        found: impl Iterator<Item = &'a Change> + Clone,
    ) -> Result<Oid> {
        let hidden = found
            .clone()
            .filter_map(|change| Some((change.path.clone(), change.hidden?)));
        unhide(|| self.git(), &hidden.collect())?;
        let paths = found.filter(|change| !change.is_nested_repository());
        let paths: Vec<&[u8]> = paths.map(|change| change.path.as_slice()).collect();
        self.git()
            .args(["update-index", "--add", "--remove", "--replace"])
            .args(["-z", "--stdin"])
            .stdin(terminated(&paths))
            .run()
            .context("cannot take in what is uncommitted")?;
        self.write_tree()
    }

    /// Makes this the worktree's index, at once.
    pub(super) fn put_in_place(&self) -> Result<()> {
        fs::rename(self.path(), self.admin.join("index")).context("cannot replace an index")
    }
}

/// Ends the hiding of entries in the index that a command works on. One command ends one kind.
fn unhide(git: impl Fn() -> Git, hidden: &Hidden) -> Result<()> {
    for (option, other) in [
        ("--no-assume-unchanged", Hiding::SkipWorktree),
        ("--no-skip-worktree", Hiding::AssumeUnchanged),
    ] {
        let of_kind = hidden.iter().filter(|(_, hiding)| **hiding != other);
        let paths: Vec<&[u8]> = of_kind.map(|(path, _)| path.as_slice()).collect();
        if !paths.is_empty() {
            git()
                .args(["update-index", option, "-z", "--stdin"])
                .stdin(terminated(&paths))
                .run()
                .context("cannot look at what git was told not to look at")?;
        }
    }
    Ok(())
}

/// Returns the first directory below one that cannot be listed; links are not followed.
fn unreadable_below(dir: &Path) -> Option<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Some(dir.to_path_buf());
    };
    for entry in entries {
        let Ok(entry) = entry else {
            return Some(dir.to_path_buf());
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(found) = unreadable_below(&entry.path())
        {
            return Some(found);
        }
    }
    None
}

fn is_absence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Whether a path is of what a coder is shown of its task.
fn is_view(path: &[u8]) -> bool {
    let rest = path.strip_prefix(VIEW.as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'/'))
}

fn terminated(paths: &[&[u8]]) -> Vec<u8> {
    let mut list = paths.join(&0);
    if !paths.is_empty() {
        list.push(0);
    }
    list
}

/// Returns a path of Git's as one of the system's.
pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
