//! Keeps work from what locks cover: at the commit as a hint, at the gate for good.

use anyhow::Result;

use super::gate::{Branch, Finding, Rule, commits_of};
use super::message::Parts;
use super::seat::Seat;
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::model::locks::{Holder, in_the_way};
use crate::model::{Lock, LockId, TaskSpec};

/// `pre-commit`: what is staged must be under no lock that the task does not hold.
///
/// # Errors
///
/// It is, or the copy of the locks cannot be read.
pub(super) fn check_staged(seat: &Seat, spec: &TaskSpec, paths: &[&Vec<u8>]) -> Result<()> {
    let locks = seat.load_locks()?;
    let holder = Holder {
        task: &spec.id,
        locks: &spec.locks,
        agent: Some(seat.agent),
    };
    for path in paths {
        let path = String::from_utf8_lossy(path);
        if let Some(lock) = in_the_way(&locks, &holder, &path) {
            return Err(UserError::new(format!(
                "{path} is under the {} lock {}, which task {} does not hold: {}",
                lock.trust, lock.id, spec.id, lock.assertion
            ))
            .hint(format!("git restore --staged -- '{path}'"))
            .hint(format!(
                "git orch escalate {} -m 'needs to change {path}, which lock {} covers'",
                spec.id, lock.id
            ))
            .into());
        }
    }
    Ok(())
}

/// The gate: the commits that a branch adds must change nothing under a lock that the task does not hold. A commit of
/// the team's leader may change what a `locked` one covers.
///
/// # Errors
///
/// A commit cannot be read.
pub fn check(
    repo: &Repo,
    branch: &Branch<'_>,
    locks: &[Lock],
    held: &[LockId],
) -> Result<Vec<Finding>> {
    if locks.is_empty() {
        return Ok(Vec::new());
    }
    let commits = commits_of(repo, branch)?;
    let paths = repo.paths_by_commit(&commits)?;
    let mut findings = Vec::new();
    for commit in &commits {
        let changed = paths.get(commit).map(Vec::as_slice).unwrap_or_default();
        findings.extend(judge(repo, branch, (locks, held), (*commit, changed))?);
    }
    Ok(findings)
}

fn judge(
    repo: &Repo,
    branch: &Branch<'_>,
    (locks, held): (&[Lock], &[LockId]),
    (commit, changed): (Oid, &[Vec<u8>]),
) -> Result<Option<Finding>> {
    let data = repo.read_commit(commit)?;
    let tags = Parts::read(data.message.as_bytes(), None).tags;
    let holder = Holder {
        task: branch.task,
        locks: held,
        agent: tags
            .map(|(_, agent)| agent)
            .filter(|agent| agent.team == branch.team),
    };
    let found = changed.iter().find_map(|raw| {
        let path = String::from_utf8_lossy(raw);
        let lock = in_the_way(locks, &holder, &path)?;
        Some(Finding {
            commit,
            rule: Rule::Lock,
            what: format!(
                "changes {}, which is under the {} lock {} ({})",
                path.escape_debug(),
                lock.trust,
                lock.id,
                lock.assertion
            ),
            help: format!("take the change out; {}", lock.way(branch.task)),
            paths: vec![raw.clone()],
        })
    });
    Ok(found)
}
