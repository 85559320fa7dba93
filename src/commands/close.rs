//! `git orch close`: a run ends.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use super::wrapup::everything_open;
use crate::answer::{Answer, Reply};
use crate::error::{Exit, UserError};
use crate::ledger::Ledger;
use crate::model::train::INTEGRATION;
use crate::model::{Op, Timestamp, WrapUpAt};
use crate::ui::Paint;

/// End the run
///
/// Every task must have come to its end, and what is integrated must be approved. Where the plan says `wrapup = "close"`,
/// nothing that `git orch wrapup` looks for may be open. Its tasks go to `.orchestration/archive/<run>/` on the ledger, in
/// one commit, and the board is empty; branches stay. The next `git orch plan apply` begins a run of its own: a task whose id
/// was used before is a new task, on a branch that begins anew.
#[derive(Debug, clap::Args)]
pub struct CloseArgs {
    /// What to remember of it, in a line
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// Something is not done yet, the run is closed already, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: CloseArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let open = match ledger.board().wrap_up_at() {
        Some(WrapUpAt::Close) => everything_open(&ledger)?,
        Some(WrapUpAt::Submit) | None => Vec::new(),
    };
    if ledger.board().settings.closed.is_none() {
        require_approved(&ledger)?;
    }
    let open = open.into_iter().map(|item| item.what).collect();
    let done = ledger.transact(Op::Close(open, args.message))?;
    let board = ledger.board();
    if !done.changed() {
        let error = format!("run {} is closed already", board.run_name());
        return Err(UserError::new(error)
            .hint("git orch plan apply plan.toml")
            .exit(Exit::NothingToDo)
            .into());
    }
    ctx.answer(&Closed {
        run: board.run_name(),
        closed: board.settings.closed,
        archive: board.settings.archive.as_deref(),
        commit: done.commit.map(|commit| commit.to_string()),
        subject: done.subject,
    })
}

/// A run that is over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Closed<'a> {
    run: &'a str,
    /// When it was closed, in seconds since 1970.
    closed: Option<Timestamp>,
    /// Directory of the ledger that has its tasks.
    archive: Option<&'a str>,
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for Closed<'_> {
    fn text(&self, _: Paint) -> String {
        self.subject.clone()
    }
}

/// Work that is integrated and not on the base branch would be forgotten.
fn require_approved(ledger: &Ledger) -> Result<()> {
    let (repo, board) = (ledger.repo(), ledger.board());
    let Some(tip) = ledger.branch_tip(INTEGRATION)? else {
        return Ok(());
    };
    let base = &board.settings.base;
    let target = repo.read_ref(&format!("refs/heads/{base}"))?;
    if let Some(target) = target
        && repo.is_ancestor(tip, target)?
    {
        return Ok(());
    }
    Err(UserError::new(format!(
        "run {} cannot be closed: {base} has not all of {INTEGRATION}",
        board.run_name()
    ))
    .hint("git orch approve")
    .into())
}
