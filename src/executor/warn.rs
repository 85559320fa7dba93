//! What coders here should know of each other while they work: whose branch will conflict with theirs.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::assembler::radar::{self, Branch, File, Radar, Reach, Target};
use crate::git::Repo;
use crate::git::files::read_if_exists;
use crate::ledger::Ledger;
use crate::model::TaskId;
use crate::workspace::show_task;
use crate::workspace::view::VIEW;

/// File of a coder's view that tells of conflicts to come.
const NOTE: &str = "conflicts.md";

/// Most files that a note names of one conflict.
const MOST_FILES: usize = 20;

/// A conflict that a coder should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    /// The coder's task.
    pub(super) task: TaskId,
    /// What its work conflicts with: a task, or the branch that it goes onto.
    pub(super) with: String,
    /// The branch of that.
    branch: String,
    /// Where.
    files: Vec<File>,
}

impl Warning {
    /// Returns it in a line.
    pub(super) fn line(&self) -> String {
        let files: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let shown = files[..files.len().min(3)].join(", ");
        format!("{} will conflict with {} in {shown}", self.task, self.with)
    }
}

/// Returns the conflicts that coders should hear of, of all tasks in flight.
pub(super) fn look(ledger: &Ledger) -> Result<Vec<Warning>> {
    let repo = ledger.repo();
    let branches = radar::in_flight(ledger, repo)?;
    if branches.is_empty() {
        return Ok(Vec::new());
    }
    let target = Target::of_plan(ledger, repo)?;
    let radar = radar::scan(repo, target.tip, &branches)?;
    Ok(warnings(&target, &radar))
}

fn warnings(target: &Target, radar: &Radar) -> Vec<Warning> {
    let mut found = Vec::new();
    let working = |branch: &Branch| branch.standing.working;
    for (branch, seen) in radar.branches.iter().zip(&radar.seen) {
        let (Some(work), Reach::Conflict(files)) = (&branch.work, &seen.reach) else {
            continue;
        };
        if working(branch) {
            found.push(Warning {
                task: work.task.clone(),
                with: target.name.clone(),
                branch: target.name.clone(),
                files: files.clone(),
            });
        }
    }
    for clash in &radar.clashes {
        let other = clash.one + clash.other - clash.warn;
        let (warned, other) = (&radar.branches[clash.warn], &radar.branches[other]);
        let (Some(work), Some(with)) = (&warned.work, &other.work) else {
            continue;
        };
        if working(warned) {
            found.push(Warning {
                task: work.task.clone(),
                with: with.task.to_string(),
                branch: other.name.clone(),
                files: clash.files.clone(),
            });
        }
    }
    found
}

/// Shows a coder the conflicts of its task, or takes the note away where there is none any more.
pub(super) fn show(repo: &Repo, worktree: &Path, warnings: &[&Warning]) -> Result<()> {
    let path = worktree.join(VIEW).join(NOTE);
    if warnings.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        };
    }
    let text = note(warnings);
    if read_if_exists(&path)?.is_some_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    show_task(repo, worktree, &[(NOTE, text)])
}

fn note(warnings: &[&Warning]) -> String {
    let mut text = String::from(
        "# Conflicts to come\n\nAs it stands, your work does not merge after that of others. Change less of the same \
         lines if you can, and\nleave your branch where it is: whoever comes second is told what to merge.\n",
    );
    for warning in warnings {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n## {}, on branch `{}`\n\n",
            warning.with, warning.branch
        );
        for file in warning.files.iter().take(MOST_FILES) {
            let _ = writeln!(text, "- `{}`: {}", file.path, file.kind);
        }
        let more = warning.files.len().saturating_sub(MOST_FILES);
        if more > 0 {
            let _ = writeln!(text, "- and {more} more");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_whom_and_where_and_is_bounded() {
        let file = |number: usize| File {
            path: format!("src/{number}.rs"),
            kind: String::from("CONFLICT (contents)"),
        };
        let warning = Warning {
            task: "second".parse().unwrap(),
            with: String::from("first"),
            branch: String::from("orch/team-1/first"),
            files: (0..25).map(file).collect(),
        };
        let text = note(&[&warning]);
        assert!(text.contains("## first, on branch `orch/team-1/first`\n"));
        assert!(text.contains("- `src/0.rs`: CONFLICT (contents)\n"));
        assert!(text.ends_with("- and 5 more\n"));
        assert_eq!(
            warning.line(),
            "second will conflict with first in src/0.rs, src/1.rs, src/2.rs"
        );
    }
}
