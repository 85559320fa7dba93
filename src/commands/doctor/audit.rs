//! Does the ledger hold commits that claim a power which their actor lacks?

use anyhow::Result;

use super::finding::Finding;
use crate::commands::Ctx;
use crate::error::{Exit, UserError};
use crate::ledger::Ledger;

/// Looks at the transitions since the last look. Only a person can say whether one stands.
pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let finding = |doubt: crate::ledger::audit::Doubt| {
        let commit = doubt.commit;
        let what = format!("`{}` should not be there: {}", doubt.subject, doubt.why);
        Finding::new("ledger-power", commit.to_string(), what)
            .command(format!("git show {commit}"))
            .command(format!("git orch doctor --accept {commit}"))
    };
    let mut findings: Vec<Finding> = ledger.audit()?.into_iter().map(finding).collect();
    if let Err(error) = ledger.verify() {
        findings.push(Finding::of_error(
            "ledger-signature",
            ledger.branch(),
            &error,
        ));
    }
    Ok(findings)
}

/// Lets a doubtful commit stand.
pub(super) fn accept(ctx: &Ctx, name: &str) -> Result<()> {
    let ledger = ctx.ledger()?;
    let commit = ledger.repo().resolve_commit(name)?;
    if !ledger.let_stand(commit)? {
        return Err(
            UserError::new(format!("nothing speaks against commit {commit}"))
                .hint("git orch doctor")
                .exit(Exit::NothingToDo)
                .into(),
        );
    }
    if ctx.ui.is_json() {
        ctx.ui
            .json(&serde_json::json!({ "accepted": commit.to_string() }));
    } else {
        ctx.ui.answer(&format!("commit {commit} stands"));
    }
    Ok(())
}
