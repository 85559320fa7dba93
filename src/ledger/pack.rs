//! Packing: a ledger's loose objects become packs, so that a long run costs a kilobyte a transition.
//!
//! Done by git's own commands. `git maintenance run --task=loose-objects` packs objects without their
//! paths, so that one status is no delta of the one before (2.0 KB a transition): the ledger's history is
//! listed with paths instead (1.1 KB). Everything here only adds packs and then removes what lies in one
//! twice, which git allows beside anything else; an unreachable object is never pruned. Once packs pile up they are
//! merged by `git repack --geometric`, not while `git gc` runs. A process killed at any moment leaves
//! temporary files that `git gc` removes, or that the next packing does.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{Done, Ledger};
use crate::clock;
use crate::git::files::{self, Lock};
use crate::git::{Git, Oid, Repo};

/// One of the 256 directories that loose objects are spread over evenly; `git gc --auto` looks at the same.
const SAMPLE: &str = "objects/17";

/// Loose objects in the sample that are too many: about 5,000 in all, before `git gc --auto` thinks so (27).
const TOO_MANY: usize = 20;

/// Packs that are too many, well before `git gc --auto` thinks so (50).
const TOO_MANY_PACKS: usize = 16;

/// Seconds after which a temporary file of `git repack` was left behind by one that was killed.
const LEFT_BEHIND: i64 = 24 * 60 * 60;

/// A transition in so many is followed by a look at the sample.
const LOOK_EVERY: u8 = 32;

/// Who packs when it is time, so that nobody waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Upkeep {
    begin: Option<fn(&Repo)>,
    due: bool,
}

impl Ledger {
    /// Has packing begun by a function when it is due, right after a transition; it must not wait for it.
    pub fn when_due(&mut self, begin: fn(&Repo)) {
        self.upkeep.begin = Some(begin);
    }

    /// Leaves packing to whoever asks [`Ledger::take_due`].
    pub fn pack_when_asked(&mut self) {
        self.upkeep.begin = None;
    }

    /// Returns whether transitions of this process have found that packing is due, once.
    pub fn take_due(&mut self) -> bool {
        std::mem::take(&mut self.upkeep.due)
    }

    /// Returns the full name of the ledger's ref.
    pub fn ref_name(&self) -> &str {
        &self.name
    }

    /// Looks now and then whether packing is due; which transitions look is as random as commit ids.
    pub(super) fn look_after(&mut self, done: &Done) {
        let looks = |commit: &Oid| commit.first_byte().is_multiple_of(LOOK_EVERY);
        if done.commit.as_ref().is_some_and(looks) && is_due(&self.repo) {
            match self.upkeep.begin {
                Some(begin) => begin(&self.repo),
                None => self.upkeep.due = true,
            }
        }
    }
}

/// What a packing has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// Loose objects before and after, estimated from a 256th of them.
    pub loose: (usize, usize),
    /// Packs before and after.
    pub packs: (usize, usize),
    /// Bytes of packs before and after, without their indices.
    pub bytes: (u64, u64),
    /// Whether packs were merged.
    pub merged: bool,
    /// Steps that failed, and why; each is tried again by the next packing.
    pub problems: Vec<String>,
}

/// Returns whether there are so many loose objects that packing pays; reads one directory.
pub fn is_due(repo: &Repo) -> bool {
    let left = Note::read(repo).map_or(0, |note| note.left);
    sample(repo) >= left + TOO_MANY
}

/// Packs the ledger's history. Returns `None` where another process is at it.
///
/// # Errors
///
/// The ledger cannot be read, or git cannot pack it; everything is then as it was.
pub fn pack(repo: &Repo, ledger: &str) -> Result<Option<Packing>> {
    let Some(_alone) = Lock::take(&repo.orch_dir().join("pack.lock"))? else {
        return Ok(None);
    };
    let Some(tip) = repo.read_ref(ledger)? else {
        return Ok(None);
    };
    let mut problems = Vec::new();
    let (loose, before) = (sample(repo) * 256, Packs::of(repo)?);
    sweep(repo)?;
    if before.promised {
        // Only git knows what such a repository may be asked for without going to its remote.
        git(repo)
            .args(["maintenance", "run", "--quiet", "--task=loose-objects"])
            .run()?;
    } else {
        pack_history(repo, tip)?;
    }
    git(repo).args(["prune-packed", "--quiet"]).run()?;
    let piled_up = Packs::of(repo)?.count >= TOO_MANY_PACKS && !before.promised;
    let merged = piled_up && !repo.common_dir().join("gc.pid").exists();
    if merged {
        note_problem(&mut problems, merge(repo));
    }
    note_problem(&mut problems, write_graph(repo, tip));
    let left = sample(repo);
    let note = Note { tip, left };
    note.write(repo)?;
    let after = Packs::of(repo)?;
    Ok(Some(Packing {
        loose: (loose, left * 256),
        packs: (before.count, after.count),
        bytes: (before.bytes, after.bytes),
        merged,
        problems,
    }))
}

fn note_problem(problems: &mut Vec<String>, step: Result<()>) {
    if let Err(error) = step {
        problems.push(format!("{error:#}"));
    }
}

/// Packing leaves the other processors to those who work.
fn git(repo: &Repo) -> Git {
    repo.git().args(["-c", "pack.threads=1"])
}

/// Packs what the ledger has gained since the last packing. Objects that lie in a pack or in another
/// repository are left there, so a note that is lost or stale costs time only.
fn pack_history(repo: &Repo, tip: Oid) -> Result<()> {
    let since = Note::read(repo).map(|note| format!("^{}", note.tip));
    let list = |since: Option<&String>| {
        git(repo)
            .args(["rev-list", "--objects", &tip.to_string()])
            .args(since)
            .read_bytes()
    };
    // The noted commit may be gone after a rewrite of history.
    let listed = list(since.as_ref()).or_else(|_| list(None))?;
    git(repo)
        .args(["pack-objects", "--quiet", "--incremental", "--local"])
        .arg("--non-empty")
        .arg(repo.common_dir().join("objects/pack/pack"))
        .stdin(listed)
        .run()
}

/// Merges small packs; each has at least twice as many objects as all smaller ones afterwards.
fn merge(repo: &Repo) -> Result<()> {
    git(repo)
        .args(["-c", "repack.writeBitmaps=false", "repack", "-q", "-d"])
        .args(["-l", "-n", "--geometric=2"])
        .run()
}

/// Writes what `git log` needs to skip commits that do not touch a path; for the ledger alone, since the
/// user's history is theirs to index.
fn write_graph(repo: &Repo, tip: Oid) -> Result<()> {
    git(repo)
        .args(["commit-graph", "write", "--split", "--changed-paths"])
        .args(["--no-progress", "--stdin-commits"])
        .stdin(format!("{tip}\n"))
        .run()
}

/// Removes what a `git repack` that was killed has left behind; all else that git leaves, its gc removes.
fn sweep(repo: &Repo) -> Result<()> {
    let now = clock::now().0;
    for entry in fs::read_dir(pack_dir(repo)).context("cannot list the packs")? {
        let entry = entry.context("cannot list the packs")?;
        let name = entry.file_name();
        let old = |meta: fs::Metadata| meta.mtime() + LEFT_BEHIND < now;
        if name.as_encoded_bytes().starts_with(b".tmp-") && entry.metadata().is_ok_and(old) {
            // Whoever else removes it has the same reason.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn pack_dir(repo: &Repo) -> PathBuf {
    repo.common_dir().join("objects/pack")
}

/// Counts the loose objects of the sample.
fn sample(repo: &Repo) -> usize {
    fs::read_dir(repo.common_dir().join(SAMPLE)).map_or(0, Iterator::count)
}

/// The packs that there are.
struct Packs {
    /// How many may be merged.
    count: usize,
    /// Their size in bytes.
    bytes: u64,
    /// Whether some objects are promised by a remote (partial clone).
    promised: bool,
}

impl Packs {
    fn of(repo: &Repo) -> Result<Self> {
        let mut found = Self {
            count: 0,
            bytes: 0,
            promised: false,
        };
        for entry in fs::read_dir(pack_dir(repo)).context("cannot list the packs")? {
            let path = entry.context("cannot list the packs")?.path();
            let has = |extension: &str| path.extension().is_some_and(|has| has == extension);
            found.promised |= has("promisor");
            if has("pack") && !path.with_extension("keep").exists() {
                found.count += 1;
                found.bytes += path.metadata().map_or(0, |meta| meta.len());
            }
        }
        Ok(found)
    }
}

/// What the last packing has left.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    /// The ledger's tip, packed.
    tip: Oid,
    /// Loose objects of the sample that were not the ledger's, or had come since.
    left: usize,
}

impl Note {
    /// Reads the note; `None` where there is none or it makes no sense: everything is looked at then.
    fn read(repo: &Repo) -> Option<Self> {
        Self::parse(&files::read_if_exists(&Self::path(repo)).ok()??)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (tip, left) = text.trim_end().split_once(' ')?;
        Some(Self {
            tip: Oid::from_hex(tip.as_bytes()).ok()?,
            left: left.parse().ok()?,
        })
    }

    fn write(&self, repo: &Repo) -> Result<()> {
        files::replace(&Self::path(repo), self.text().as_bytes())
    }

    fn text(&self) -> String {
        format!("{} {}\n", self.tip, self.left)
    }

    fn path(repo: &Repo) -> PathBuf {
        repo.orch_dir().join("packed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::objects::blob_id;

    proptest! {
        #[test]
        fn a_note_is_read_as_it_was_written_and_noise_is_none(
            tip in any::<Vec<u8>>(), left in any::<usize>(), at in any::<usize>(), byte in any::<u8>(), noise in any::<Vec<u8>>(),
        ) {
            let note = Note { tip: blob_id(&tip), left };
            let text = note.text();
            prop_assert_eq!(Note::parse(text.as_bytes()), Some(note));
            prop_assert_eq!(Note::parse(&noise), None);
            let mut bytes = text.into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let read = Note::parse(&bytes);
            prop_assert!(read.is_none_or(|read| Note::parse(read.text().as_bytes()) == Some(read)));
            prop_assert_eq!(Note::parse(&bytes[..at.min(40)]), None);
        }
    }
}
