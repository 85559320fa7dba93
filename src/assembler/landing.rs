//! Moving branches, with the files of worktrees that have them checked out.
//!
//! Order: check that nothing of the user's is in the way, note what is about to happen, move the refs (all
//! or none, each from its old value), bring the files along, strike the note. A process killed in between is
//! found out by the note, and [`finish_interrupted`] does the rest; refs are never ahead of a commit that
//! passed, and files never ahead of refs.

mod back;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::lock::Alone;
use super::moved;
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{Checkout, Oid, Repo};
use crate::model::{TeamId, branch};
use crate::seal;

/// What begins the name of the file in which moves are noted.
const NOTE: &str = "moving";

/// What a note's seal says that it is.
const SEALED: &str = "moves";

/// One branch's move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Full name of the branch.
    pub branch: String,
    /// Where it must be; `None` where it must not exist.
    pub old: Option<Oid>,
    /// Where it goes.
    pub new: Oid,
}

/// Whether a move is recorded as an approval when it is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Work was brought in.
    Assembly,
    /// The base branch was moved, which the ledger records.
    Approval,
}

/// What is noted before refs move.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    kind: Kind,
    moves: Vec<NotedMove>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NotedMove {
    branch: String,
    old: Option<String>,
    new: String,
}

/// Moves branches together.
///
/// # Errors
///
/// A worktree that has one of them checked out has changes, an operation under way or a file in the way:
/// then nothing has moved. Or its files could not follow: then what to do is told.
pub fn land(repo: &Repo, alone: &Alone, moves: &[Move], kind: Kind, message: &str) -> Result<Swap> {
    let moves: Vec<&Move> = moves.iter().filter(|m| m.old != Some(m.new)).collect();
    if moves.is_empty() {
        return Ok(Swap::Won);
    }
    let branches: Vec<String> = moves.iter().map(|m| m.branch.clone()).collect();
    let concerned = repo.require_movable(&branches)?;
    for (checkout, old, new) in followers(&concerned, &moves) {
        checkout.require_free(repo, old, new)?;
    }
    write_note(repo, alone, kind, &moves)?;
    let edits: Vec<(&str, Option<Oid>, Option<Oid>)> = moves
        .iter()
        .map(|m| (m.branch.as_str(), m.old, Some(m.new)))
        .collect();
    let swap = repo.swap_refs(&edits, message);
    if !matches!(swap, Ok(Swap::Won)) {
        strike_note(repo, alone);
        return swap;
    }
    moved::note(repo, &moves)?;
    for (checkout, old, new) in followers(&concerned, &moves) {
        let followed = checkout.follow(old, new);
        if let Err(error) = followed.or_else(|_| checkout.resume(repo, old, new)) {
            return match back::go(repo, alone, &concerned, &moves)? {
                Swap::Won => Err(stays(checkout, error)),
                // Whoever was quicker has the branch as it is; the note stays, and the next command goes on.
                Swap::Lost => Err(left_behind(checkout, old, new, error)),
            };
        }
    }
    // An approval's note stays until the ledger has it.
    if kind == Kind::Assembly {
        strike_note(repo, alone);
    }
    Ok(Swap::Won)
}

/// Finishes what a killed process began; returns the approval that the ledger may not have yet. The caller
/// records it and then calls [`strike_note`].
///
/// # Errors
///
/// A worktree's files cannot follow its branch: what to do is told.
pub fn finish_interrupted(repo: &Repo, alone: &Alone) -> Result<Option<Move>> {
    let mut approved = None;
    for path in note_paths(repo, alone) {
        let finished = finish(repo, &path)?;
        approved = approved.or(finished);
    }
    Ok(approved)
}

/// Finishes what one note tells of.
fn finish(repo: &Repo, path: &Path) -> Result<Option<Move>> {
    if !path.exists() {
        return Ok(None);
    }
    let note = seal::read(repo, path, SEALED)?;
    // One that is not ours, or is of another version, says nothing that could be acted on.
    let Some((kind, moves)) = note.and_then(|note| read_note(&note)) else {
        strike(path);
        return Ok(None);
    };
    let mut approved = None;
    for planned in moves {
        repo.break_dead_lock(&planned.branch)?;
        let now = repo.read_ref(&planned.branch)?;
        let moved = match now {
            // A branch that goes back has had the new commit all the time.
            Some(now) if Some(now) == planned.old => {
                back::tidy(repo, &planned)?;
                false
            }
            Some(now) => repo.is_ancestor(planned.new, now)?,
            None => false,
        };
        if !moved {
            continue;
        }
        // Where somebody has moved it on since, that is looked at from here.
        super::moved::note(repo, &[&planned])?;
        let Some(old) = planned.old else { continue };
        for checkout in repo.checkouts_of(&planned.branch)? {
            if checkout.is_at(old)? && !checkout.is_at(planned.new)? {
                let resumed = checkout.resume(repo, old, planned.new);
                resumed.map_err(|error| left_behind(&checkout, old, planned.new, error))?;
            }
        }
        // The base branch stands first in an approval's moves.
        if kind == Kind::Approval && approved.is_none() {
            approved = Some(planned);
        }
    }
    if approved.is_none() {
        strike(path);
    }
    Ok(approved)
}

/// Removes the note of a move that is finished.
pub fn strike_note(repo: &Repo, alone: &Alone) {
    strike(&note_path(repo, alone.team()));
}

fn strike(path: &Path) {
    // One that stays is found finished by the next run.
    let _ = std::fs::remove_file(path);
}

/// Returns whether somebody who held the lock over everything was killed while branches moved.
pub(super) fn is_interrupted(repo: &Repo) -> bool {
    note_path(repo, None).exists()
}

/// Returns whether anybody was killed while it moved branches, whose moves nobody has finished.
pub fn is_unfinished(repo: &Repo) -> bool {
    let names = std::fs::read_dir(repo.orch_dir()).into_iter().flatten();
    names.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(NOTE) && name.ends_with(".json")
    })
}

/// Tells that a branch is where it was, because files could not follow it.
fn stays(checkout: &Checkout, error: anyhow::Error) -> anyhow::Error {
    let (dir, branch) = (checkout.dir.display(), checkout.branch.as_deref());
    let branch = short(branch.unwrap_or("HEAD"));
    error.context(UserError::new(format!(
        "{branch} stays where it was, since the files at {dir} could not follow it"
    )))
}

/// Tells what to do about files that could not follow their branch.
fn left_behind(checkout: &Checkout, old: Oid, new: Oid, error: anyhow::Error) -> anyhow::Error {
    // Whatever says itself what to do is heard.
    if error.downcast_ref::<UserError>().is_some() {
        return error;
    }
    let (dir, branch) = (checkout.dir.display(), checkout.branch.as_deref());
    error.context(
        UserError::new(format!(
            "{} has moved, but its files at {dir} could not follow",
            short(branch.unwrap_or("HEAD"))
        ))
        .hint(format!("git -C '{dir}' read-tree -m -u {old} {new}")),
    )
}

/// Returns each worktree with the move that its files follow.
fn followers<'a>(
    checkouts: &'a [Checkout],
    moves: &'a [&'a Move],
) -> impl Iterator<Item = (&'a Checkout, Oid, Oid)> {
    checkouts.iter().filter_map(|checkout| {
        let branch = checkout.branch.as_ref()?;
        let of = moves.iter().find(|m| m.branch == *branch)?;
        Some((checkout, of.old?, of.new))
    })
}

fn note_path(repo: &Repo, team: Option<TeamId>) -> PathBuf {
    repo.orch_dir().join(match team {
        None => format!("{NOTE}.json"),
        Some(team) => format!("{NOTE}-team-{team}.json"),
    })
}

/// Returns the notes that a lock's holder may finish: its own, and each team's where it holds everything.
fn note_paths(repo: &Repo, alone: &Alone) -> Vec<PathBuf> {
    let mut paths = vec![note_path(repo, alone.team())];
    if alone.team().is_none() {
        let names = std::fs::read_dir(repo.orch_dir()).into_iter().flatten();
        let of_team = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{NOTE}-team-")) && name.ends_with(".json")
        };
        paths.extend(names.flatten().map(|entry| entry.path()).filter(of_team));
    }
    paths
}

fn write_note(repo: &Repo, alone: &Alone, kind: Kind, moves: &[&Move]) -> Result<()> {
    let moves = moves.iter().map(|m| NotedMove {
        branch: m.branch.clone(),
        old: m.old.map(|old| old.to_string()),
        new: m.new.to_string(),
    });
    let note = Note {
        kind,
        moves: moves.collect(),
    };
    let text = serde_json::to_vec(&note).context("cannot write a note")?;
    seal::replace(repo, &note_path(repo, alone.team()), SEALED, text)
}

/// Reads a note; `None` where it says nothing that could be acted on.
fn read_note(bytes: &[u8]) -> Option<(Kind, Vec<Move>)> {
    let note: Note = serde_json::from_slice(bytes).ok()?;
    let moves = note.moves.into_iter().map(NotedMove::read);
    Some((note.kind, moves.collect::<Option<_>>()?))
}

impl NotedMove {
    fn read(self) -> Option<Move> {
        branch::check(self.branch.strip_prefix("refs/heads/")?).ok()?;
        let id = |hex: String| Oid::from_hex(hex.as_bytes()).ok();
        let old = match self.old {
            Some(old) => Some(id(old)?),
            None => None,
        };
        Some(Move {
            branch: self.branch,
            old,
            new: id(self.new)?,
        })
    }
}

#[cfg(test)]
mod tests;
