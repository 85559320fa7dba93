//! The hooks of a commit: what is staged, and what its message says.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::locks;
use super::message::{self, Parts};
use super::seat::Seat;
use crate::config;
use crate::error::UserError;
use crate::git::{Git, Repo, files};
use crate::ledger::layout;
use crate::model::Actor;
use crate::model::event::commit_tags;
use crate::model::scope::covers;

/// The tree without entries, for a first commit.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// How many paths a refusal names.
const MOST_SHOWN: usize = 5;

/// `pre-commit`: what is staged must be within the task's scope.
///
/// # Errors
///
/// It is not, the agent works on no task, or the index cannot be read.
pub fn check_staged(seat: &Seat, dir: &Path) -> Result<()> {
    let task = seat.require_task()?;
    let staged = staged(seat, dir)?;
    let (ours, rest): (Vec<_>, Vec<_>) = staged.iter().partition(|path| is_ours(path));
    if let Some(first) = ours.first() {
        return Err(UserError::new(format!(
            "{} is what git orch shows this agent and belongs to no commit",
            show(first)
        ))
        .hint(format!("git restore --staged -- {}", layout::ROOT))
        .into());
    }
    let Some(spec) = seat.load_spec()? else {
        return Ok(());
    };
    locks::check_staged(seat, &spec, &rest)?;
    let outside: Vec<&Vec<u8>> = rest
        .into_iter()
        .filter(|path| !covers(&spec.scope, &show(path)))
        .collect();
    let Some(first) = outside.first() else {
        return Ok(());
    };
    let mut named: Vec<String> = outside
        .iter()
        .take(MOST_SHOWN)
        .map(|path| show(path))
        .collect();
    if outside.len() > MOST_SHOWN {
        named.push(format!("{} more", outside.len() - MOST_SHOWN));
    }
    Err(UserError::new(format!(
        "task {task} may change {} only, and this commit changes {}",
        spec.scope.join(", "),
        named.join(", ")
    ))
    .hint(format!("git restore --staged -- '{}'", show(first)))
    .hint(format!(
        "git orch escalate {task} -m 'needs to change {}'",
        show(first)
    ))
    .into())
}

/// Returns whether a path is below the directory that belongs to the ledger.
pub(super) fn is_ours(path: &[u8]) -> bool {
    path.strip_prefix(layout::ROOT.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Returns the paths that the commit changes: for a merge, those that none of its parents has like this.
fn staged(seat: &Seat, dir: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let merged = files::read_if_exists(&seat.place.git_dir.join("MERGE_HEAD"))?.unwrap_or_default();
    let merged = String::from_utf8_lossy(&merged).into_owned();
    let mut paths = match staged_against(seat, dir, "HEAD") {
        Err(_)
            if seat
                .place
                .git(dir)
                .args(["rev-parse", "-q", "--verify", "HEAD"])
                .read()
                .is_err() =>
        {
            staged_against(seat, dir, EMPTY_TREE)?
        }
        other => other?,
    };
    for parent in merged.lines() {
        let theirs = staged_against(seat, dir, parent)?;
        paths.retain(|path| theirs.contains(path));
    }
    Ok(paths)
}

fn staged_against(seat: &Seat, dir: &Path, tree: &str) -> Result<BTreeSet<Vec<u8>>> {
    let bytes = seat
        .place
        .git(dir)
        .args([
            "diff-index",
            "--cached",
            "--no-renames",
            "--ignore-submodules=none",
        ])
        .args(["--name-only", "-z", tree, "--"])
        .read_bytes()
        .context("cannot read what is staged")?;
    let paths = bytes
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty());
    Ok(paths.map(<[u8]>::to_vec).collect())
}

/// `prepare-commit-msg`: puts tags and trailers into a message.
///
/// # Errors
///
/// The agent works on no task, or the message cannot be written.
pub fn stamp_message(seat: &Seat, dir: &Path, file: &Path) -> Result<()> {
    let mut stamp = seat.stamp()?;
    if stamp.run.is_none() {
        stamp.run = load_run(dir);
    }
    let old = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let comments = comments(seat, dir, &old)?;
    let new = message::stamp(&old, &stamp, comments.as_deref());
    if new == old {
        return Ok(());
    }
    files::replace(file, &new)
}

/// Has a hook of the user's see the message as a person would write it, and puts back afterwards what is ours, with
/// whatever the hook has changed.
///
/// # Errors
///
/// The hook refuses, or the message cannot be read or written.
pub fn show_unstamped(
    seat: &Seat,
    dir: &Path,
    file: &Path,
    hook: impl FnOnce() -> Result<bool>,
) -> Result<()> {
    let read = || std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let before = read()?;
    let comments = comments(seat, dir, &before)?;
    let bare = message::unstamp(&before, comments.as_deref());
    if bare == before {
        return hook().map(drop);
    }
    files::replace(file, &bare)?;
    let outcome = hook();
    let after = read()?;
    let whole = if after == bare {
        before
    } else {
        message::stamp(&after, &stamp_as(seat, &before)?, comments.as_deref())
    };
    files::replace(file, &whole)?;
    outcome.map(drop)
}

/// Returns the stamp that a message has, or the seat's where it is not the task's own.
fn stamp_as(seat: &Seat, message: &[u8]) -> Result<message::Stamp> {
    let stamp = seat.stamp()?;
    let parts = message::Parts::read(message, None);
    if parts.trailer("Orch-Task") != Some(stamp.task.as_str()) {
        return Ok(stamp);
    }
    let attempt = parts.trailer("Orch-Attempt");
    Ok(message::Stamp {
        agent: parts.tags.map_or(stamp.agent, |(_, agent)| agent),
        attempt: attempt.and_then(|text| text.parse().ok()),
        run: parts.trailer("Orch-Run").map(str::to_owned),
        ..stamp
    })
}

/// Returns the name of the run; the ledger knows it where the worktree does not.
fn load_run(dir: &Path) -> Option<String> {
    let ledger = crate::ledger::Ledger::open(Repo::discover(dir).ok()?, Actor::Human).ok()?;
    Some(ledger.board().run_name().to_owned()).filter(|name| !name.is_empty())
}

/// Returns what begins a comment in a message; `None` where Git keeps such lines as text, since no editor
/// is opened.
fn comments(seat: &Seat, dir: &Path, message: &[u8]) -> Result<Option<String>> {
    // A rebase that squashes comments on the messages that it joins, and takes that out whatever the editor.
    let squashes = seat
        .place
        .git_dir
        .join("rebase-merge/message-squash")
        .exists();
    if !squashes && !config::hook_opens_editor() {
        return Ok(None);
    }
    // Asked in the environment of the hook: `git -c core.commentChar=…` counts.
    let output = Git::new(dir)
        .keep_env(config::environment())
        .args([
            "config",
            "-z",
            "--get-regexp",
            r"^core\.comment(char|string)$",
        ])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.split('\0').rfind(|entry| !entry.is_empty());
    let word = last.and_then(|entry| entry.split_once('\n'));
    let word = word.map(|(_, value)| value.to_owned());
    Ok(Some(match word.as_deref() {
        None | Some("") => String::from("#"),
        // Git has chosen one that begins no line of the text, and ends the message with comments.
        Some("auto") => {
            let last = message
                .split(|byte| *byte == b'\n')
                .rfind(|line| !line.is_empty());
            let first = last.and_then(|line| line.first()).copied().unwrap_or(b'#');
            let possible = b"#;@!$%^&|:".contains(&first);
            char::from(if possible { first } else { b'#' }).to_string()
        }
        Some(word) => word.to_owned(),
    }))
}

/// `commit-msg`: insists on what `prepare-commit-msg` put in.
///
/// # Errors
///
/// Tags, text or trailers are missing or name another task.
pub fn check_message(seat: &Seat, dir: &Path, file: &Path) -> Result<()> {
    let task = seat.require_task()?;
    let message = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parts = Parts::read(&message, comments(seat, dir, &message)?.as_deref());
    let refuse = |what: &str| {
        let tags = commit_tags(seat.agent);
        Err(UserError::new(format!("the message of this commit {what}"))
            .hint(format!("git commit -m '{tags}what and why'"))
            .into())
    };
    if parts.subject.is_empty() {
        // Git ends a commit without a message by itself, in its own words.
        return Ok(());
    }
    match parts.tags {
        Some((team, agent)) if team == seat.agent.team && agent.team == team => {}
        _ => {
            return refuse(&format!(
                "must begin with `{}`",
                commit_tags(seat.agent).trim_end()
            ));
        }
    }
    if parts.text.is_empty() {
        return refuse("says nothing behind its tags");
    }
    if parts.trailer("Orch-Task") != Some(task.as_str()) {
        return refuse(&format!("lacks the trailer `Orch-Task: {task}`"));
    }
    if parts.trailer("Orch-Agent").is_none() {
        return refuse(&format!("lacks the trailer `Orch-Agent: {}`", seat.agent));
    }
    Ok(())
}
