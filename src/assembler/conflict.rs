//! All that is known of a merge that did not go through, in one bundle.
//!
//! A bundle is kept as a tree under `refs/orch/conflict/<task or branch>`: `bundle.json`, the tree with conflict
//! markers, the sides of each file, and the tree of a second try where there is one. So it stays whole whatever
//! becomes of the branch, and plain Git reads it: `git show refs/orch/conflict/<task>:bundle.json`.

mod kept;
mod marked;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::{resolutions, structured};
use crate::git::{ConflictFile, Conflicted, Oid, Repo, Stage};
use crate::model::{AgentId, TaskId};

pub use super::resolutions::learn;
pub use kept::{drop, keep, list, load, load_ours};
pub(super) use marked::{Part, parts};

/// Version of the form that bundles have.
const FORMAT: u32 = 1;

/// Most commits of the target that a bundle names.
const MOST_LANDED: usize = 20;

/// Bounds of what is rendered of one side of a file.
const MOST_BYTES: usize = 1 << 20;
const MOST_LINES: usize = 200;
const MOST_LINE_CHARS: usize = 300;

/// The two sides of a merge, by name.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// Branch that moves.
    pub target: &'a str,
    /// Its commit.
    pub tip: Oid,
    /// Branch that comes in.
    pub branch: &'a str,
    /// Its commit.
    pub head: Oid,
}

/// Whose branch it is.
#[derive(Debug, Clone, Default)]
pub struct Whose {
    /// The task, if any.
    pub task: Option<TaskId>,
    /// Its coder.
    pub agent: Option<AgentId>,
}

/// What is known of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of this form.
    pub format: u32,
    /// The task, if the branch is a task's.
    pub task: Option<TaskId>,
    /// Its coder.
    pub agent: Option<AgentId>,
    /// Branch that was to come in.
    pub branch: String,
    /// Its commit.
    pub head: String,
    /// Branch that it was merged into.
    pub target: String,
    /// Its commit.
    pub tip: String,
    /// Where the two parted; more than one in a criss-cross history.
    pub bases: Vec<String>,
    /// The tree with what merges, and conflict markers for the rest.
    pub conflicted: String,
    /// How many files are in conflict.
    pub total: usize,
    /// The files, at most fifty.
    pub files: Vec<BundleFile>,
    /// Commits of the target that touched them since the branch parted from it, newest first.
    pub landed: Vec<Landed>,
    /// A tree without conflicts that may be right, to be tested like any other.
    pub proposal: Option<Proposal>,
}

/// One file in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFile {
    /// Its path.
    pub path: String,
    /// Git's stable name of the kind.
    pub kind: String,
    /// Git's words about it.
    pub message: String,
    /// The file where the two parted.
    pub base: Option<Side>,
    /// The target's.
    pub ours: Option<Side>,
    /// The branch's.
    pub theirs: Option<Side>,
    /// What the target changed, as a unified difference; empty where it is no text.
    pub ours_changed: String,
    /// What the branch changed.
    pub theirs_changed: String,
    /// The regions between conflict markers.
    pub hunks: Vec<String>,
}

/// One side of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its mode, in octal.
    pub mode: String,
    /// Its blob.
    pub id: String,
}

/// A commit on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// The commit.
    pub commit: String,
    /// Its subject.
    pub subject: String,
    /// Tasks that it brought in.
    pub tasks: Vec<String>,
    /// The coder of those; empty where it names none.
    pub agent: String,
    /// Which of the files it touched.
    pub paths: Vec<String>,
}

/// A tree without conflicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Where it comes from.
    pub how: How,
    /// The tree.
    pub tree: String,
}

/// Where a second try comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// From what people or agents decided about the same hunks before.
    Remembered,
    /// From a merge by syntax.
    Structured,
}

impl How {
    /// Returns the word used in JSON and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remembered => "remembered",
            Self::Structured => "structured",
        }
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Bundle {
    /// Returns the name that it is kept under: the task's, or the branch's.
    pub fn name(&self) -> &str {
        self.task.as_ref().map_or(&self.branch, TaskId::as_str)
    }
}

/// Merges once more and returns all that is known of the conflict; `None` where it merges, or where the two
/// have no history in common.
///
/// # Errors
///
/// The repository cannot be read or written.
pub fn bundle(repo: &Repo, sides: &Sides<'_>, whose: &Whose) -> Result<Option<Bundle>> {
    let Some(conflicted) = repo.conflicted(sides.tip, sides.head)? else {
        return Ok(None);
    };
    let paths: Vec<&str> = conflicted
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    let landed = repo
        .touching(sides.head, sides.tip, &paths, MOST_LANDED)?
        .into_iter()
        .map(|commit| Landed {
            commit: commit.id.to_string(),
            subject: commit.subject,
            tasks: commit.tasks,
            agent: commit.agent,
            paths: commit.paths,
        });
    let bases = repo.merge_bases(sides.tip, sides.head)?;
    Ok(Some(Bundle {
        format: FORMAT,
        task: whose.task.clone(),
        agent: whose.agent,
        branch: sides.branch.to_owned(),
        head: sides.head.to_string(),
        target: sides.target.to_owned(),
        tip: sides.tip.to_string(),
        bases: bases.iter().map(ToString::to_string).collect(),
        conflicted: conflicted.tree.to_string(),
        total: conflicted.total,
        files: conflicted
            .files
            .iter()
            .map(|file| render(repo, sides, file))
            .collect(),
        landed: landed.collect(),
        proposal: propose(repo, &conflicted)?.map(|(how, tree)| Proposal {
            how,
            tree: tree.to_string(),
        }),
    }))
}

/// Returns a tree without conflicts that may be right, and where it comes from: what was decided about the same
/// hunks before, else a merge by syntax. It must be tested like any other.
///
/// # Errors
///
/// The repository cannot be read or written.
pub fn second_try(repo: &Repo, sides: &Sides<'_>) -> Result<Option<(How, Oid)>> {
    match repo.conflicted(sides.tip, sides.head)? {
        Some(conflicted) => propose(repo, &conflicted),
        None => Ok(None),
    }
}

fn propose(repo: &Repo, conflicted: &Conflicted) -> Result<Option<(How, Oid)>> {
    if let Some(tree) = resolutions::propose_for(repo, conflicted)? {
        return Ok(Some((How::Remembered, tree)));
    }
    let tree = structured::attempt_for(repo, conflicted)?;
    Ok(tree.map(|tree| (How::Structured, tree)))
}

/// A file in conflict that a program may resolve by its text: both sides have it, and it is an ordinary file.
pub(super) struct Resolvable {
    pub(super) path: String,
    pub(super) base: Option<Stage>,
    pub(super) ours: Stage,
    pub(super) theirs: Stage,
}

/// Returns the files of a conflict if each of them can be resolved by its text; nothing else is a matter for
/// programs.
pub(super) fn resolvable(conflicted: &Conflicted) -> Option<Vec<Resolvable>> {
    if conflicted.files.len() != conflicted.total {
        return None;
    }
    let is_file = |stage: &Stage| matches!(stage.mode, 0o100_644 | 0o100_755);
    let one = |file: &ConflictFile| {
        let [base, Some(ours), Some(theirs)] = file.stages else {
            return None;
        };
        let by_text = file.kind == "CONFLICT (contents)"
            && ours.mode == theirs.mode
            && is_file(&ours)
            && base.is_none_or(|base| is_file(&base));
        by_text.then(|| Resolvable {
            path: file.path.clone(),
            base,
            ours,
            theirs,
        })
    };
    conflicted.files.iter().map(one).collect()
}

/// Writes the tree of a conflict with resolved files in place of those with markers.
pub(super) fn with_files(
    repo: &Repo,
    conflicted: &Conflicted,
    resolved: &[(&str, Vec<u8>)],
) -> Result<Oid> {
    resolved
        .iter()
        .try_fold(conflicted.tree, |tree, (path, text)| {
            repo.with_content(tree, path.as_bytes(), repo.write_blob(text)?)
        })
}

fn render(repo: &Repo, sides: &Sides<'_>, file: &ConflictFile) -> BundleFile {
    let text = |stage: Option<Stage>| match stage {
        Some(stage) => repo.read_blob(stage.id).ok().and_then(as_text),
        None => Some(String::new()),
    };
    let side = |stage: Option<Stage>| {
        stage.map(|Stage { mode, id }| Side {
            mode: format!("{mode:06o}"),
            id: id.to_string(),
        })
    };
    let [base, ours, theirs] = file.stages;
    let old = text(base);
    let changed = |new: Option<String>| match (&old, new) {
        (Some(old), Some(new)) => difference(old, &new),
        _ => String::new(),
    };
    let named = |hunk: &String| {
        hunk.replace(&sides.tip.to_string(), sides.target)
            .replace(&sides.head.to_string(), sides.branch)
    };
    BundleFile {
        path: file.path.clone(),
        kind: file.kind.clone(),
        message: file.message.clone(),
        base: side(base),
        ours: side(ours),
        theirs: side(theirs),
        ours_changed: changed(text(ours)),
        theirs_changed: changed(text(theirs)),
        hunks: file.hunks.iter().map(named).collect(),
    }
}

fn as_text(bytes: Vec<u8>) -> Option<String> {
    if bytes.len() > MOST_BYTES || bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

/// Returns the difference of two texts, bounded.
fn difference(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(3).to_string();
    let mut lines: Vec<String> = text
        .lines()
        .take(MOST_LINES)
        .map(|line| line.chars().take(MOST_LINE_CHARS).collect())
        .collect();
    if text.lines().nth(MOST_LINES).is_some() {
        lines.push(String::from("…"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_readable_and_bounded() {
        assert_eq!(
            difference("a\nb\n", "a\nc\n"),
            "@@ -1,2 +1,2 @@\n a\n-b\n+c"
        );
        assert_eq!(difference("a\n", "a\n"), "");
        let long: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let text = difference("", &long);
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(as_text(b"a\0b".to_vec()).is_none());
        assert!(as_text(vec![0xff]).is_none());
    }
}
