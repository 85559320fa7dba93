//! A task's branch as the ledger knows it, for the gate.

use anyhow::Result;

use super::super::{locks, signatures};
use super::{Branch, Finding, Rule, check};
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::model::train::INTEGRATION;
use crate::model::{CommitId, GateSpec, State, Task, TaskId, TaskSpec};

/// Findings that a coder is told at once.
const MOST_FINDINGS: usize = 20;

/// A task's branch as the ledger sees it, whatever its head is.
#[derive(Debug, Clone)]
pub struct Surroundings {
    task: Task,
    spec: TaskSpec,
    gate: GateSpec,
    tip: Oid,
    base: Oid,
    allowed: Vec<Oid>,
    others: Vec<(TaskId, Oid)>,
}

impl Surroundings {
    /// Reads what the ledger says about a task whose branch is to go into another one, whose tip is given. `more` are
    /// heads of other tasks that have handed nothing in.
    ///
    /// # Errors
    ///
    /// The ledger or the repository cannot be read.
    pub fn load(
        ledger: &Ledger,
        repo: &Repo,
        task: &Task,
        tip: Oid,
        more: &[(TaskId, Oid)],
    ) -> Result<Self> {
        let board = ledger.board();
        let base_branch = repo.read_ref(&format!("refs/heads/{}", board.settings.base))?;
        let oid = |commit: &CommitId| Oid::from_hex(commit.0.as_bytes()).ok();
        let others = board
            .tasks
            .values()
            .filter(|other| other.id != task.id && other.status.state != State::Merged)
            .filter_map(|other| Some((other.id.clone(), oid(other.status.head.as_ref()?)?)))
            .chain(more.iter().cloned())
            .collect();
        Ok(Self {
            spec: ledger.spec(&task.id)?,
            gate: board.run().gate,
            tip,
            base: task.status.base.as_ref().and_then(oid).unwrap_or(tip),
            allowed: base_branch.into_iter().collect(),
            others,
            task: task.clone(),
        })
    }

    /// As [`Surroundings::load`], for a branch that goes into what is integrated here by now; `None` where there is no
    /// branch to go into: the assembler will have one.
    ///
    /// # Errors
    ///
    /// As [`Surroundings::load`], or there is no such task.
    pub fn here(ledger: &Ledger, id: &TaskId) -> Result<Option<Self>> {
        let repo = ledger.repo();
        let task = ledger.board().require_task(id).map_err(UserError::from)?;
        let base = format!("refs/heads/{}", ledger.board().settings.base);
        let tip = match ledger.branch_tip(INTEGRATION)? {
            Some(tip) => Some(tip),
            None => repo.read_ref(&base)?,
        };
        match tip {
            Some(tip) => Self::load(ledger, repo, task, tip, &[]).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the branch with a head.
    pub fn branch(&self, head: Oid) -> Branch<'_> {
        Branch {
            task: &self.task.id,
            team: self.task.team,
            scope: &self.spec.scope,
            deliverables: &self.spec.deliverables,
            gate: &self.gate,
            base: self.base,
            head,
            tip: self.tip,
            allowed: &self.allowed,
            others: &self.others,
        }
    }

    /// Checks the commits that the branch adds.
    ///
    /// # Errors
    ///
    /// The ledger or the repository cannot be read.
    pub fn check(&self, ledger: &Ledger, repo: &Repo, head: Oid) -> Result<Vec<Finding>> {
        let (board, branch) = (ledger.board(), self.branch(head));
        let mut findings = check(repo, &branch)?;
        let is_readable = |found: &Finding| !matches!(found.rule, Rule::Objects | Rule::Sizes);
        if findings.iter().all(is_readable) {
            findings.extend(locks::check(repo, &branch, &board.locks, &self.spec.locks)?);
            if board.is_signed() {
                ledger.verify()?;
                let signers = ledger.signers_file()?;
                findings.extend(signatures::check(repo, &branch, &signers)?);
            }
        }
        Ok(findings)
    }

    /// Returns findings in a line, and as what a coder is told to mend; `None` where there are none.
    pub fn told(&self, findings: &[Finding]) -> Option<(String, String)> {
        told(&self.task.branch_name(), findings)
    }
}

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
    Surroundings::load(ledger, repo, task, tip, more)?.check(ledger, repo, head)
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
    Ok(match Surroundings::here(ledger, id)? {
        Some(around) => around.told(&around.check(ledger, ledger.repo(), head)?),
        None => None,
    })
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
