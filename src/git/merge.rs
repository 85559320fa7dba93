//! Merging two commits in memory: git's own engine, pinned so that no user's configuration changes a result.
//!
//! The landing path uses git and not gix (docs/decisions/merging.md). Attributes come from our side of the merge, so a
//! branch cannot bring a merge driver along.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::objects::find_entry;
use super::{GitFailure, Oid, Repo};

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// The tree of the merge.
    Clean(Oid),
    /// The files that a person or agent must decide on.
    Conflict(Vec<ConflictFile>),
    /// The two have no common history, so there is nothing to compare them by.
    Unrelated,
}

/// One file that two sides changed in ways that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictFile {
    /// Path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Git's stable name of the kind, for example `CONFLICT (contents)`.
    pub kind: String,
    /// Git's words about it.
    pub message: String,
    /// The regions between conflict markers, markers included, cut to a bounded length.
    pub hunks: Vec<String>,
    /// The file in the base, in ours and in theirs, as far as it is there.
    pub stages: Stages,
}

/// Base, ours and theirs of one path, in that order.
pub type Stages = [Option<Stage>; 3];

/// One side of a conflicting path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Its mode, for example 0o100644.
    pub mode: u32,
    /// Its object.
    pub id: Oid,
}

/// A merge that did not go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicted {
    /// The tree with what could be merged, and files with conflict markers for the rest.
    pub tree: Oid,
    /// The files that a person or agent must decide on, as many as are looked at.
    pub files: Vec<ConflictFile>,
    /// How many there are.
    pub total: usize,
}

/// Configuration that could change a merge (docs/decisions/merging.md).
pub(super) const PINNED: [&str; 7] = [
    "merge.default=text",
    "merge.renames=true",
    "merge.renameLimit=7000",
    "merge.directoryRenames=conflict",
    "merge.conflictStyle=zdiff3",
    "merge.renormalize=false",
    "diff.algorithm=histogram",
];

/// Bounds of what is quoted of a conflict: it goes into ledger, prompt and terminal.
const MOST_FILES: usize = 50;
const MOST_HUNKS: usize = 5;
const MOST_HUNK_LINES: usize = 60;
const MOST_LINE_CHARS: usize = 300;
const MOST_BLOB_BYTES: usize = 4 * 1024 * 1024;

impl Repo {
    /// Merges `theirs` into `ours` without touching a ref, an index or a working tree.
    ///
    /// # Errors
    ///
    /// Git cannot merge at all, for example because an object is missing.
    pub fn merge_tree(&self, ours: Oid, theirs: Oid) -> Result<Merge> {
        self.merge_in_full(None, ours, theirs)
            .map(Self::without_details)
    }

    /// Merges as [`Repo::merge_tree`], over a base of the caller's.
    ///
    /// # Errors
    ///
    /// As [`Repo::merge_tree`].
    pub fn merge_tree_over(&self, base: Oid, ours: Oid, theirs: Oid) -> Result<Merge> {
        self.merge_in_full(Some(base), ours, theirs)
            .map(Self::without_details)
    }

    /// Takes a commit's change against its first parent out of what a tip holds, without touching anything.
    ///
    /// # Errors
    ///
    /// Git cannot merge at all, for example because an object is missing.
    pub fn revert_tree(&self, commit: Oid, before: Oid, tip: Oid) -> Result<Merge> {
        self.merge_in_full(Some(commit), tip, before)
            .map(Self::without_details)
    }

    fn without_details(merged: Result<Merge, Conflicted>) -> Merge {
        match merged {
            Ok(merge) => merge,
            Err(conflicted) => Merge::Conflict(conflicted.files),
        }
    }

    /// Merges as [`Repo::merge_tree`], and returns all that there is to know of a conflict.
    ///
    /// # Errors
    ///
    /// As [`Repo::merge_tree`].
    pub fn conflicted(&self, ours: Oid, theirs: Oid) -> Result<Option<Conflicted>> {
        self.merge_in_full(None, ours, theirs).map(Result::err)
    }

    /// Merges two commits, over a base of the caller's or over what they have in common.
    fn merge_in_full(
        &self,
        base: Option<Oid>,
        ours: Oid,
        theirs: Oid,
    ) -> Result<Result<Merge, Conflicted>> {
        let mut git = self
            .true_git()
            .arg(format!("--attr-source={ours}"))
            // What lands must be on the disk (docs/decisions/merging.md).
            .args(["-c", "core.fsync=committed"]);
        for setting in PINNED {
            git = git.args(["-c", setting]);
        }
        let (ours_text, theirs_text) = (ours.to_string(), theirs.to_string());
        let output = git
            .args(["merge-tree", "--write-tree", "--messages", "-z"])
            .args(base.map(|base| format!("--merge-base={base}")))
            .args([&ours_text, &theirs_text])
            .output()?;
        let parsed = || {
            Parsed::new(&output.stdout)
                .with_context(|| format!("cannot read git's merge of {ours} and {theirs}"))
        };
        match output.status.code() {
            Some(0) => Ok(Ok(Merge::Clean(parsed()?.tree))),
            Some(1) => self.read_conflict(parsed()?).map(Err),
            _ if self.merge_bases(ours, theirs)?.is_empty() => Ok(Ok(Merge::Unrelated)),
            _ => {
                let words = ["git", "merge-tree", &ours_text, &theirs_text];
                Err(GitFailure::of(&words, &output))
                    .with_context(|| format!("git cannot merge {theirs} into {ours}"))
            }
        }
    }

    fn read_conflict(&self, parsed: Parsed<'_>) -> Result<Conflicted> {
        let total = parsed.files.len();
        let mut files = Vec::new();
        for (path, told) in parsed.files.into_iter().take(MOST_FILES) {
            let hunks = match self.find_path(parsed.tree, path)? {
                Some(blob) => self
                    .read_blob(blob)
                    .map_or_else(|_| Vec::new(), |b| hunks(&b)),
                None => Vec::new(),
            };
            files.push(ConflictFile {
                path: String::from_utf8_lossy(path).into_owned(),
                kind: String::from_utf8_lossy(told.kind).into_owned(),
                message: String::from_utf8_lossy(told.message).trim_end().to_owned(),
                hunks,
                stages: told.stages,
            });
        }
        Ok(Conflicted {
            tree: parsed.tree,
            files,
            total,
        })
    }

    /// Returns the object at a path of a tree; `None` where there is none or it is a directory.
    ///
    /// # Errors
    ///
    /// A tree cannot be read.
    pub fn find_path(&self, tree: Oid, path: &[u8]) -> Result<Option<Oid>> {
        let mut id = tree;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let bytes = self.read_tree(id)?;
            match find_entry(&bytes, part) {
                Some(entry) if entry.is_tree == parts.peek().is_some() => id = entry.id,
                _ => return Ok(None),
            }
        }
        Ok(Some(id))
    }
}

/// What `git merge-tree -z` printed of one merge.
pub(super) struct Parsed<'a> {
    pub(super) tree: Oid,
    /// What was told of each path.
    pub(super) files: BTreeMap<&'a [u8], Told<'a>>,
}

/// What was told of one path.
pub(super) struct Told<'a> {
    pub(super) kind: &'a [u8],
    pub(super) message: &'a [u8],
    pub(super) stages: Stages,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            kind: b"CONFLICT",
            message: b"",
            stages: Stages::default(),
        }
    }
}

impl<'a> Parsed<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::read(&mut bytes.split(|byte| *byte == 0))
    }

    /// Reads: tree, then `<mode> <object> <stage>\t<path>` until an empty field, then messages of
    /// `<count>`, that many paths, kind, text, until an empty field.
    pub(super) fn read(fields: &mut impl Iterator<Item = &'a [u8]>) -> Result<Self> {
        let tree = fields.next().context("it is empty")?;
        let tree = Oid::from_hex(tree).context("it does not begin with a tree")?;
        let mut files: BTreeMap<&[u8], Told<'_>> = BTreeMap::new();
        for field in fields.by_ref().take_while(|field| !field.is_empty()) {
            let tab = field.iter().position(|byte| *byte == b'\t');
            let tab = tab.context("a path is missing")?;
            let (number, stage) = read_stage(&field[..tab]).context("a stage is malformed")?;
            let told = files.entry(&field[tab + 1..]).or_default();
            told.stages[number] = Some(stage);
        }
        while let Some(count) = fields.next().filter(|field| !field.is_empty()) {
            let count: usize = std::str::from_utf8(count)?.parse()?;
            let paths: Vec<&[u8]> = fields.by_ref().take(count).collect();
            let kind = fields.next().context("a message has no kind")?;
            let message = fields.next().context("a message has no text")?;
            if !kind.starts_with(b"CONFLICT") {
                // "Auto-merging" and the like: told, but nothing to decide.
                continue;
            }
            for path in paths {
                let told = files.entry(path).or_default();
                (told.kind, told.message) = (kind, message);
            }
        }
        Ok(Self { tree, files })
    }
}

/// Reads `<mode> <object> <stage>`; stage 1 is the first place.
fn read_stage(text: &[u8]) -> Option<(usize, Stage)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let (mode, id, stage) = (words.next()?, words.next()?, words.next()?);
    let stage: usize = stage.parse().ok()?;
    let place = stage.checked_sub(1).filter(|place| *place < 3)?;
    Some((
        place,
        Stage {
            mode: u32::from_str_radix(mode, 8).ok()?,
            id: Oid::from_hex(id.as_bytes()).ok()?,
        },
    ))
}

/// Returns the regions between conflict markers of a file, cut to a bounded length.
fn hunks(blob: &[u8]) -> Vec<String> {
    if blob.len() > MOST_BLOB_BYTES || blob.contains(&0) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(blob);
    let (mut found, mut open, mut more) = (Vec::new(), None::<Vec<String>>, 0);
    for line in text.lines() {
        if open.is_none() && line.starts_with("<<<<<<< ") {
            open = Some(Vec::new());
        }
        let Some(lines) = &mut open else { continue };
        let end = line.starts_with(">>>>>>> ");
        let cut: String = line.chars().take(MOST_LINE_CHARS).collect();
        if lines.len() < MOST_HUNK_LINES || end {
            lines.push(cut);
        } else if lines.len() == MOST_HUNK_LINES {
            lines.push(String::from("…"));
        }
        if end && let Some(lines) = open.take() {
            if found.len() < MOST_HUNKS {
                found.push(lines.join("\n"));
            } else {
                more += 1;
            }
        }
    }
    if more > 0 {
        found.push(format!("… and {more} more"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_the_marked_regions_and_bounded() {
        let one = "a\n<<<<<<< x\n1\n||||||| b\n0\n=======\n2\n>>>>>>> y\nz\n";
        assert_eq!(hunks(one.as_bytes()).len(), 1);
        assert!(hunks(one.as_bytes())[0].ends_with(">>>>>>> y"));
        let many = one.repeat(9);
        assert_eq!(hunks(many.as_bytes()).len(), MOST_HUNKS + 1);
        let long = format!("<<<<<<< x\n{}>>>>>>> y\n", "line\n".repeat(500));
        assert!(hunks(long.as_bytes())[0].lines().count() <= MOST_HUNK_LINES + 2);
        assert!(hunks(b"<<<<<<< x\n\0").is_empty());
    }

    #[test]
    fn output_of_merge_tree_is_parsed() {
        let id = "1".repeat(40);
        let text = format!(
            "{id}\0100644 {id} 1\ta b\0100644 {id} 2\ta b\0\0\
             1\0a b\0Auto-merging\0Auto-merging a b\n\0\
             1\0a b\0CONFLICT (contents)\0CONFLICT (content): Merge conflict in a b\n\0"
        );
        let parsed = Parsed::new(text.as_bytes()).unwrap();
        assert_eq!(parsed.tree.to_string(), id);
        let told = &parsed.files[&b"a b"[..]];
        assert_eq!(told.kind, b"CONFLICT (contents)");
        assert_eq!(
            told.stages.map(|stage| stage.map(|stage| stage.mode)),
            [Some(0o100_644), Some(0o100_644), None]
        );
        let clean = format!("{id}\0");
        assert!(Parsed::new(clean.as_bytes()).unwrap().files.is_empty());
        assert!(Parsed::new(b"fatal").is_err());
    }
}
