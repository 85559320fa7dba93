//! Landings that were cut short: branches in the middle of a move, and work that is in and not recorded.

use anyhow::Result;

use super::finding::Finding;
use super::queue::status_path;
use crate::assembler::landing;
use crate::assembler::lock::Alone;
use crate::assembler::undo;
use crate::ledger::Ledger;
use crate::model::{State, train};

/// What finishes them.
const FINISH: &str = "git orch assemble";

pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let repo = ledger.repo();
    // Whoever is at work with them is in the middle of it by right.
    let Ok(_alone) = Alone::take(repo) else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    if landing::is_unfinished(repo) || undo::is_unfinished(repo) {
        let what = "an assembly, an approval or an undo was killed while it moved branches";
        let place = repo.orch_dir().display().to_string();
        findings.push(Finding::new("landing-unfinished", place, what).command(FINISH));
    }
    let Some(tip) = ledger.branch_tip(train::INTEGRATION)? else {
        return Ok(findings);
    };
    for task in ledger.board().tasks.values() {
        let waits = matches!(task.status.state, State::Submitted | State::Accepted);
        let head = task.status.head.as_ref().filter(|_| waits);
        let Some(head) = head.and_then(|head| repo.resolve_commit(&head.0).ok()) else {
            continue;
        };
        if repo.is_ancestor(head, tip)? {
            let what = format!(
                "the work of task {} is in {}, and the ledger does not say so",
                task.id,
                train::INTEGRATION
            );
            let finding = Finding::new("landing-unrecorded", status_path(task), what);
            findings.push(finding.command(FINISH));
        }
    }
    Ok(findings)
}
