//! A task's branch as the ledger knows it, for the gate.

use anyhow::Result;

use super::super::{locks, signatures};
use super::{Branch, Finding, Rule, check};
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::model::train::INTEGRATION;
use crate::model::{CommitId, State, Task, TaskId};

/// Findings that a coder is told at once.
const MOST_FINDINGS: usize = 20;

/// Checks the branch of a task that is to go into another branch, whose tip is given. `more` are heads of other
/// tasks that have handed nothing in.
///
/// # Errors
///
/// The ledger or the repository cannot be read.
pub fn check_task(
    ledger: &Ledger,
    repo: &Repo,
    task: &Task,
    (head, tip): (Oid, Oid),
    more: &[(TaskId, Oid)],
) -> Result<Vec<Finding>> {
    let board = ledger.board();
    let base_branch = repo.read_ref(&format!("refs/heads/{}", board.settings.base))?;
    let allowed: Vec<Oid> = base_branch.into_iter().collect();
    let oid = |commit: &CommitId| Oid::from_hex(commit.0.as_bytes()).ok();
    let others: Vec<(TaskId, Oid)> = board
        .tasks
        .values()
        .filter(|other| other.id != task.id && other.status.state != State::Merged)
        .filter_map(|other| Some((other.id.clone(), oid(other.status.head.as_ref()?)?)))
        .chain(more.iter().cloned())
        .collect();
    let spec = ledger.spec(&task.id)?;
    let run = board.run();
    let branch = Branch {
        task: &task.id,
        team: task.team,
        scope: &spec.scope,
        deliverables: &spec.deliverables,
        gate: &run.gate,
        base: task.status.base.as_ref().and_then(oid).unwrap_or(tip),
        head,
        tip,
        allowed: &allowed,
        others: &others,
    };
    let mut findings = check(repo, &branch)?;
    let is_readable = |found: &Finding| !matches!(found.rule, Rule::Objects | Rule::Sizes);
    if findings.iter().all(is_readable) {
        findings.extend(locks::check(repo, &branch, &board.locks, &spec.locks)?);
        if board.is_signed() {
            ledger.verify()?;
            let signers = ledger.signers_file()?;
            findings.extend(signatures::check(repo, &branch, &signers)?);
        }
    }
    Ok(findings)
}

/// Checks the branch of a task before it is handed in, against what is integrated here by now; returns what is
/// wrong in a line, and as what a coder is told to mend.
///
/// # Errors
///
/// As [`check_task`].
pub fn check_before_submit(
    ledger: &Ledger,
    id: &TaskId,
    head: Oid,
) -> Result<Option<(String, String)>> {
    let repo = ledger.repo();
    let Some(task) = ledger.board().tasks.get(id) else {
        return Ok(None);
    };
    let task = task.clone();
    let base = format!("refs/heads/{}", ledger.board().settings.base);
    let tip = match ledger.branch_tip(INTEGRATION)? {
        Some(tip) => Some(tip),
        None => repo.read_ref(&base)?,
    };
    // Without a branch to go into there is nothing to compare with; the assembler will have one.
    let Some(tip) = tip else {
        return Ok(None);
    };
    let findings = check_task(ledger, repo, &task, (head, tip), &[])?;
    Ok(told(&task.branch_name(), &findings))
}

/// Returns findings in a line, and as what a coder is told to mend; `None` where there are none.
pub fn told(branch: &str, findings: &[Finding]) -> Option<(String, String)> {
    let first = findings.first()?;
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let commit = first.commit.to_hex_with_len(10);
    let reason = one_line(&format!("commit {commit} {}{more}", first.what));
    let lines = findings.iter().take(MOST_FINDINGS);
    let lines: Vec<String> = lines.map(|finding| format!("- {finding}")).collect();
    let text = format!(
        "{branch} breaks a rule of the gate:\n\n{}",
        lines.join("\n")
    );
    Some((reason, text))
}
