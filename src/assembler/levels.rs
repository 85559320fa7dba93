//! The step onto the base branch as the plan declares it: whose it is, what to look at, what must pass.

use anyhow::Result;

use super::lock::Alone;
use super::method;
use super::report::{Options, Progress, Watch};
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::RunSpec;
use crate::model::event::one_line;
use crate::model::train::obtained::Goal;

/// Refuses whoever may not move the base branch.
///
/// # Errors
///
/// It is no person who asks, or the ledger says that the step is somebody else's.
pub(super) fn require_approver(ledger: &Ledger) -> Result<()> {
    let may = ledger.board().may_approve(ledger.actor());
    may.map_err(UserError::from)?;
    // What is approved rests on what the ledger says was tested.
    ledger.verify()
}

/// Tells of commits on the ledger that claim a power which their actor lacks: what is assembled rests on them.
pub(super) fn tell_doubts(ledger: &Ledger, watch: &mut dyn Watch) -> Result<()> {
    ledger.verify()?;
    for doubt in ledger.audit()? {
        let text = format!(
            "the ledger's commit {:.12} is doubtful: {} (`git orch doctor`)",
            doubt.commit.to_string(),
            one_line(&doubt.why)
        );
        watch.progress(Progress::Note(&text));
    }
    Ok(())
}

/// Tells what to look at before the base branch moves.
pub(super) fn tell_criteria(ledger: &Ledger, watch: &mut dyn Watch) {
    let approval = &ledger.board().settings.levels.approval;
    for criterion in approval.iter().flat_map(|spec| &spec.criteria) {
        let text = format!("look at: {}", one_line(criterion));
        watch.progress(Progress::Note(&text));
    }
}

/// Runs the checks of the approval on a commit unless its tree is known to pass them.
///
/// # Errors
///
/// One fails, or cannot be run.
pub(super) fn check_approval(
    ledger: &Ledger,
    (repo, alone): (&Repo, &Alone),
    commit: Oid,
    watch: &mut dyn Watch,
) -> Result<()> {
    let board = ledger.board();
    let checks = board.settings.levels.approval_checks();
    if checks.is_empty() {
        return Ok(());
    }
    // The run's own test has passed already.
    let run = RunSpec {
        test: None,
        ..board.run()
    };
    let options = Options::default();
    let mut tester = method::checked_tester(repo, alone, (&run, Goal::Base), &checks, &options)?;
    let tree = repo.read_commit(commit)?.tree;
    let name = format!("the approval onto {}", board.settings.base);
    let said = tester.settle((tree, commit), &name, watch)?;
    said.map_err(|red| {
        UserError::new(format!(
            "{} stays: a check of the approval fails: {}\n{}",
            board.settings.base, red.why, red.output
        ))
        .hint("git orch plan show")
        .into()
    })
}
