//! A merge by syntax where lines conflict: a second try, never the first, and tested like any other.
//!
//! It is mergiraf's, which resolves about one in seven conflicting merges and changes about one in a thousand
//! of those that are clean: so it sees conflicting files only. It runs when it is installed;
//! `git config orch.mergiraf false` turns it off.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::conflict::{Resolvable, Sides, resolvable, with_files};
use crate::clock;
use crate::config;
use crate::git::files::{read_if_exists, replace};
use crate::git::{Conflicted, Oid, Repo};
use crate::model::Command;
use crate::process::{self, Ending, Spec};

/// Time that one file may take.
const MOST_TIME: Duration = Duration::from_secs(10);

/// Files beyond which nobody waits for it.
const MOST_FILES: usize = 20;

/// Size of a file beyond which it is not tried.
const MOST_BYTES: usize = 1 << 20;

/// Returns the tree of a merge whose conflicts all resolve by syntax; `None` where one does not, or where there
/// is no program for it.
///
/// # Errors
///
/// The repository cannot be read or written, or the program cannot be started.
pub fn attempt(repo: &Repo, sides: &Sides<'_>) -> Result<Option<Oid>> {
    match repo.conflicted(sides.tip, sides.head)? {
        Some(conflicted) => attempt_for(repo, &conflicted),
        None => Ok(None),
    }
}

/// Returns the tree of a conflict whose files all resolve by syntax.
pub(super) fn attempt_for(repo: &Repo, conflicted: &Conflicted) -> Result<Option<Oid>> {
    let Some(program) = config::mergiraf(repo) else {
        return Ok(None);
    };
    let files = resolvable(conflicted).filter(|files| files.len() <= MOST_FILES);
    let Some(files) = files else {
        return Ok(None);
    };
    let dir = tempfile::Builder::new()
        .prefix("git-orch-merge-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let mut resolved = Vec::new();
    for file in &files {
        let Some(text) = merge(repo, &program, dir.path(), file)? else {
            return Ok(None);
        };
        resolved.push((file.path.as_str(), text));
    }
    with_files(repo, conflicted, &resolved).map(Some)
}

/// Returns a file as the program merges it; `None` where it cannot.
fn merge(repo: &Repo, program: &Path, dir: &Path, file: &Resolvable) -> Result<Option<Vec<u8>>> {
    let base = file.base.map(|base| repo.read_blob(base.id)).transpose()?;
    let sides = [
        ("base", base.unwrap_or_default()),
        ("left", repo.read_blob(file.ours.id)?),
        ("right", repo.read_blob(file.theirs.id)?),
    ];
    let fits = |text: &[u8]| text.len() <= MOST_BYTES && std::str::from_utf8(text).is_ok();
    if !sides.iter().all(|(_, text)| fits(text)) {
        return Ok(None);
    }
    let output = dir.join("output");
    for (name, text) in &sides {
        replace(&dir.join(name), text)?;
    }
    replace(&output, b"")?;
    let place = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let command = vec![
        program.to_string_lossy().into_owned(),
        String::from("merge"),
        place("base"),
        place("left"),
        place("right"),
        // By its ending the language is known.
        format!("--path-name={}", file.path),
        format!("--output={}", place("output")),
        format!("--timeout={}", MOST_TIME.as_millis() / 2),
    ];
    let ended = process::run(&Spec {
        jobserver: None,
        command: Command::Argv(command),
        dir: dir.to_owned(),
        // It keeps what it has merged for a report by its user, which nobody here will write.
        env: vec![("XDG_CACHE_HOME".into(), dir.join("cache").into())],
        stdin: None,
        log: dir.join("log"),
        wall: MOST_TIME,
        idle: None,
        mark: format!("merge-{}", clock::new_op_id()),
    })?;
    if ended.ending != Ending::Exited(0) {
        return Ok(None);
    }
    let text = read_if_exists(&output)?.unwrap_or_default();
    // An empty file of two that are not, or one with markers, is no merge whatever the program says.
    let marked = text
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "));
    Ok((!text.is_empty() && !marked).then_some(text))
}
