//! Does the ledger hold commits that claim a power which their actor lacks?

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;
use crate::answer::{Answer, Reply};
use crate::commands::Ctx;
use crate::error::{Exit, UserError};
use crate::ledger::Ledger;
use crate::ui::Paint;

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
pub(super) fn accept(ctx: &Ctx, name: &str) -> Result<Reply> {
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
    ctx.answer(&Accepted {
        accepted: commit.to_string(),
    })
}

/// A doubtful commit of the ledger that stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    accepted: String,
}

impl Answer for Accepted {
    fn text(&self, _: Paint) -> String {
        format!("commit {} stands", self.accepted)
    }
}
