//! `git orch wrapup`: nothing stays local, and what was done, what is next and what is in the way is told.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::assembler::landing;
use crate::error::UserError;
use crate::git::files::Lock;
use crate::ledger::Ledger;
use crate::model::{Actor, AgentId, Op, Open, OpenKind, Summary, WrapUp, wrapup};
use crate::report::text::{clean, count};
use crate::ui::{Paint, Style};
use crate::workspace::wrapup::{look, settle};

/// The command that closes whatever needs no choice.
const FIX: &str = "git orch wrapup --fix";

/// Make sure that nothing stays on this machine only
///
/// Looks for work that is not committed, commits that no branch has, stashes, branches that were not pushed, tasks that
/// are still held or blocked, work that is not brought in, and the plan's `[[wrapup]]` checks that fail. Exits with 1
/// while anything is open. When all is closed, or with `--fix`, what was done, what is next and what is in the way is
/// written to the ledger as one transition. What is yours in the main worktree is told and never touched. In a
/// coder's worktree it looks at that coder's own work only.
#[derive(Debug, clap::Args)]
pub struct WrapupArgs {
    /// Commit what coders left on their branches, save what belongs on none, and push their branches
    #[arg(long)]
    fix: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Something is open, or the ledger cannot be read or written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: WrapupArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let agent = match ledger.actor() {
        Actor::Agent(agent) => Some(agent),
        Actor::Human | Actor::Executor | Actor::Assembler => None,
    };
    let mut looked = look(&ledger, agent)?;
    let mut done = Vec::new();
    if args.fix && !looked.open.is_empty() {
        done = fix(&ledger, agent, &looked.open)?;
        ledger.refresh()?;
        looked = look(&ledger, agent)?;
    }
    let mut open = looked.open;
    let mut recorded = None;
    let summary = ledger.board().summary();
    if agent.is_none() {
        open.extend(unfinished(&ledger));
        if args.fix || open.is_empty() {
            recorded = record(&mut ledger, &summary, &open)?;
        }
    }
    let ending = verdict(&open, args.fix);
    let reply = ctx.answer(&WrappedUp {
        open,
        told: looked.told,
        fixed: done,
        summary: agent.is_none().then_some(summary),
        recorded,
    })?;
    Ok(reply.failing(ending))
}

/// Returns all that is open, of everybody and of the run itself.
///
/// # Errors
///
/// Git cannot be read, or a declared check cannot be started.
pub(super) fn everything_open(ledger: &Ledger) -> Result<Vec<Open>> {
    let mut open = look(ledger, None)?.open;
    open.extend(unfinished(ledger));
    Ok(open)
}

fn unfinished(ledger: &Ledger) -> Vec<Open> {
    let mut open = ledger.board().unfinished();
    open.extend(landing::is_unfinished(ledger.repo()).then(wrapup::unfinished_landing));
    open
}

fn fix(ledger: &Ledger, agent: Option<AgentId>, open: &[Open]) -> Result<Vec<String>> {
    // Agents at work would have their files committed under their hands.
    let running = Lock::take(&ledger.repo().orch_dir().join("run.lock"))?;
    if agent.is_none() && running.is_none() {
        let error = "agents are at work: `git orch run` or `work` runs in this repository";
        return Err(UserError::new(error).hint("git orch status").into());
    }
    settle(ledger, agent, open)
}

fn record(ledger: &mut Ledger, summary: &Summary, open: &[Open]) -> Result<Option<String>> {
    let done = WrapUp {
        summary: summary.clone(),
        open: open.iter().map(|item| item.what.clone()).collect(),
    };
    let done = ledger.transact(Op::WrapUp(Box::new(done)))?;
    Ok(done.commit.map(|commit| commit.to_string()))
}

/// What is open, and what was done about it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WrappedUp {
    open: Vec<Open>,
    /// What is told and stands in nobody's way.
    told: Vec<String>,
    /// What was done about what was open.
    fixed: Vec<String>,
    /// What the run came to; null for a coder's own.
    summary: Option<Summary>,
    /// The ledger's commit that has it.
    recorded: Option<String>,
}

impl Answer for WrappedUp {
    fn text(&self, paint: Paint) -> String {
        let mut lines: Vec<String> = self.fixed.iter().map(|line| clean(line)).collect();
        for item in &self.open {
            let kind = paint.set(Style::Warning, &format!("{:<11}", item.kind));
            lines.push(format!("{kind} {}", clean(&item.what)));
            if let Some(command) = &item.command {
                lines.push(format!("            {}", clean(command)));
            }
        }
        lines.extend(
            self.told
                .iter()
                .map(|line| format!("note: {}", clean(line))),
        );
        if let Some(summary) = &self.summary {
            let parts = [
                ("done", &summary.done),
                ("next", &summary.next),
                ("in the way", &summary.blockers),
            ];
            for (head, rows) in parts.into_iter().filter(|(_, rows)| !rows.is_empty()) {
                lines.push(paint.set(Style::Strong, &format!("{head}:")));
                lines.extend(rows.iter().map(|row| format!("  {}", clean(row))));
            }
        }
        if self.open.is_empty() {
            lines.push(String::from("nothing stays behind"));
        }
        lines.join("\n")
    }
}

fn verdict(open: &[Open], fixed: bool) -> Result<()> {
    if open.is_empty() {
        return Ok(());
    }
    let is = if open.len() == 1 { "is" } else { "are" };
    let error = UserError::new(format!("{} {is} open", count(open.len(), "thing")));
    let needs_choice = |item: &Open| {
        let kinds = [OpenKind::Task, OpenKind::Assembly, OpenKind::Check];
        kinds.contains(&item.kind)
    };
    Err(match fixed || open.iter().all(needs_choice) {
        true => error,
        false => error.hint(FIX),
    }
    .into())
}
