//! What an index lists: paths, what they are, and how the file system described them when they were written.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Result, anyhow};
use gix::index::entry::stat::Time;
use gix::index::entry::{Mode, Stat};

use crate::git::{HASH, Oid};

/// The entries of an index.
#[derive(Debug, Default)]
pub(super) struct Listing {
    files: BTreeMap<Vec<u8>, Entry>,
    dirs: HashSet<Vec<u8>>,
}

/// One path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    id: Oid,
    mode: Mode,
    stat: Stat,
}

impl Entry {
    /// Returns whether it is another repository's commit.
    pub(super) fn is_submodule(&self) -> bool {
        self.mode.is_submodule()
    }

    /// Returns whether a file is described as it was when it was written.
    pub(super) fn describes(&self, meta: &Metadata) -> bool {
        let mut stat = stat(meta);
        // Devices are numbered anew when a file system is mounted again.
        stat.dev = self.stat.dev;
        stat == self.stat
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.id, self.mode) == (other.id, other.mode)
    }
}

impl Listing {
    /// Reads an index.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let index = open(path)?;
        let mut listing = Self::default();
        for entry in index.entries() {
            let path: &[u8] = entry.path(&index);
            let known = Entry {
                id: entry.id,
                mode: entry.mode,
                stat: entry.stat,
            };
            for at in (0..path.len()).rev().filter(|at| path[*at] == b'/') {
                if !listing.dirs.insert(path[..at].to_vec()) {
                    break;
                }
            }
            listing.files.insert(path.to_vec(), known);
        }
        Ok(listing)
    }

    /// Returns an entry.
    pub(super) fn file(&self, path: &[u8]) -> Option<&Entry> {
        self.files.get(path)
    }

    /// Returns whether a directory has entries below it.
    pub(super) fn has_dir(&self, path: &[u8]) -> bool {
        self.dirs.contains(path)
    }

    /// Returns the number of entries that are files of this repository.
    pub(super) fn count(&self) -> usize {
        let files = self.files.values();
        files.filter(|entry| !entry.is_submodule()).count()
    }

    /// Returns where other repositories' commits are.
    pub(super) fn submodules(&self) -> impl Iterator<Item = &Path> {
        let files = self.files.iter().filter(|(_, entry)| entry.is_submodule());
        files.map(|(path, _)| to_path(path))
    }

    /// Returns the directories.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().map(|path| to_path(path))
    }

    /// Returns the latest time at which an entry was written, in seconds and nanoseconds.
    pub(super) fn newest(&self) -> (i64, i64) {
        let times = self.files.values().map(|entry| entry.stat.ctime);
        let times = times.map(|time| (i64::from(time.secs), i64::from(time.nsecs)));
        times.max().unwrap_or_default()
    }

    /// Returns the links that were not there, or led elsewhere.
    pub(super) fn changed_links(&self, before: &Self) -> impl Iterator<Item = &Path> {
        let links = self.files.iter();
        let links = links.filter(|(_, entry)| entry.mode == Mode::SYMLINK);
        let changed = links.filter(|(path, entry)| {
            let old = before.files.get(*path);
            old.is_none_or(|old| !old.is_same(entry))
        });
        changed.map(|(path, _)| to_path(path))
    }

    /// Returns the files of this repository at a path or below it.
    pub(super) fn at_or_below(&self, target: &Path) -> impl Iterator<Item = &Path> {
        let files = self.files.iter().filter(|(_, entry)| !entry.is_submodule());
        let paths = files.map(|(path, _)| to_path(path));
        paths.filter(move |path| path.starts_with(target))
    }

    /// Returns whether there is anything of a name.
    fn has(&self, path: &[u8]) -> bool {
        self.files.contains_key(path) || self.dirs.contains(path)
    }
}

/// Files that are written anew although they are what the commit has.
#[derive(Debug)]
pub(super) enum Stale {
    /// All: nothing is known of how they were written.
    All,
    Some {
        /// Everything at or below these directories: their attributes have changed.
        below: Vec<Vec<u8>>,
        /// What lies in these directories itself: something beside it came or went.
        beside: BTreeSet<Vec<u8>>,
    },
}

impl Stale {
    /// Returns what is stale of a listing, given the one that was written last. What is beside others matters only
    /// to what was made of the files, so only where something of that is kept.
    pub(super) fn between(known: Option<&Listing>, wanted: &Listing, keeps: bool) -> Self {
        let Some(known) = known else { return Self::All };
        let (mut below, mut beside) = (Vec::new(), BTreeSet::new());
        for (one, other) in [(known, wanted), (wanted, known)] {
            for (path, entry) in &one.files {
                let there = other.files.get(path);
                if there.is_some_and(|there| there.is_same(entry)) {
                    continue;
                }
                if let Some(dir) = attributes_of(path) {
                    below.push(dir.to_vec());
                }
                if keeps {
                    add_changed_dirs(path, other, &mut beside);
                }
            }
        }
        Self::Some { below, beside }
    }

    /// Returns whether a file is to be written anew.
    pub(super) fn is(&self, path: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some { below, beside } => {
                let within = |dir: &Vec<u8>| {
                    dir.is_empty()
                        || path
                            .strip_prefix(dir.as_slice())
                            .is_some_and(|rest| rest.starts_with(b"/"))
                };
                below.iter().any(within) || beside.contains(parent(path))
            }
        }
    }
}

/// Returns the directory whose files' attributes a file says; none where it says none.
fn attributes_of(path: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b".gitattributes";
    let dir = path.strip_suffix(NAME)?;
    match dir {
        [] => Some(dir),
        [dir @ .., b'/'] => Some(dir),
        _ => None,
    }
}

/// Adds the directories that list another name because of a path that the other side may not have.
fn add_changed_dirs(path: &[u8], other: &Listing, changed: &mut BTreeSet<Vec<u8>>) {
    let mut name = path;
    while !name.is_empty() && !other.has(name) {
        name = parent(name);
        changed.insert(name.to_vec());
    }
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    &path[..end.unwrap_or(0)]
}

/// Enters anew how the file system describes every file.
pub(super) fn refresh(index: &Path, mut look: impl FnMut(&Path) -> Result<Metadata>) -> Result<()> {
    let mut index = open(index)?;
    for (entry, path) in index.entries_mut_with_paths() {
        if !entry.mode.is_submodule() {
            entry.stat = stat(&look(to_path(path))?);
        }
    }
    index
        .write(gix::index::write::Options::default())
        .map_err(|error| anyhow!("cannot write an index: {error}"))
}

fn open(path: &Path) -> Result<gix::index::File> {
    gix::index::File::at(path, HASH, false, gix::index::decode::Options::default())
        .map_err(|error| anyhow!("cannot read {}: {error}", path.display()))
}

/// Returns how the file system describes a file, cut as an index has it.
fn stat(meta: &Metadata) -> Stat {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index has the low bits"
    )]
    let time = |seconds: i64, nanoseconds: i64| Time {
        secs: seconds as u32,
        nsecs: nanoseconds as u32,
    };
    #[expect(clippy::cast_possible_truncation, reason = "an index has the low bits")]
    Stat {
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        dev: meta.dev() as u32,
        ino: meta.ino() as u32,
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.size() as u32,
    }
}

/// Returns a path as the system takes it.
pub(super) fn to_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
