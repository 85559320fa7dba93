//! What is kept of one attempt on this machine, under `<common>/orch/attempts/<task>/<attempt>/`.

use std::path::PathBuf;

use anyhow::Result;

use super::Assignment;
use crate::clock;
use crate::git::{Oid, Repo, files};
use crate::model::{Attempt, TaskId};

/// Returns where the files of one attempt lie: its log, prompt and result.
pub fn attempt_dir(repo: &Repo, task: &TaskId, attempt: Attempt) -> PathBuf {
    repo.orch_dir()
        .join("attempts")
        .join(task.as_str())
        .join(attempt.to_string())
}

/// Notes where the branch is as an attempt begins; once, since an attempt may be taken up again.
pub(super) fn note_start(repo: &Repo, a: &Assignment) -> Result<()> {
    let path = start_file(repo, &a.task, a.attempt);
    let head = repo.read_ref(&format!("refs/heads/{}", a.branch))?;
    if let (Some(head), false) = (head, path.exists()) {
        files::replace(&path, format!("{head}\n").as_bytes())?;
    }
    Ok(())
}

/// Returns where the branch was as an attempt began, as far as that was noted: what it had is of earlier ones.
///
/// # Errors
///
/// The note cannot be read.
pub fn load_start(repo: &Repo, task: &TaskId, attempt: Attempt) -> Result<Option<Oid>> {
    let noted = files::read_if_exists(&start_file(repo, task, attempt))?;
    Ok(noted.and_then(|hex| Oid::from_hex(hex.trim_ascii()).ok()))
}

fn start_file(repo: &Repo, task: &TaskId, attempt: Attempt) -> PathBuf {
    attempt_dir(repo, task, attempt).join("start")
}

/// Returns a fresh mark for processes that check an attempt's work, below the mark of the attempt where its
/// executor has left one, so that the next executor finds them with the agent's own.
///
/// # Errors
///
/// There is one and it cannot be read.
pub fn check_mark(repo: &Repo, task: &TaskId, attempt: Attempt) -> Result<String> {
    let fresh = clock::new_op_id();
    let path = attempt_dir(repo, task, attempt).join("mark");
    Ok(match files::read_if_exists(&path)? {
        Some(bytes) => format!("{}.{fresh}", String::from_utf8_lossy(&bytes)),
        None => fresh.0,
    })
}
