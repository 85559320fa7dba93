//! `git orch task show`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::ledger::files::render;
use crate::model::{Handoff, TaskId, TaskSpec};
use crate::plan::render_task;
use crate::report::swarm::Row;
use crate::report::target::no_task;
use crate::report::text::{clean, clean_lines, style};
use crate::ui::{Paint, Style};

/// One task with what is to be done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WholeTask<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    /// The first task that this one waits for.
    waits_for: Option<&'a TaskId>,
    /// Attempts that failed or were rejected.
    failures: u32,
    /// What went wrong before.
    findings: Option<&'a str>,
    /// What is to be done.
    spec: TaskSpec,
    /// What was handed on.
    handoff: Option<Handoff>,
}

pub(super) fn run(ctx: &Ctx, id: &TaskId) -> Result<Reply> {
    let ledger = ctx.ledger()?;
    let board = ledger.board();
    let task = board.tasks.get(id).ok_or_else(|| no_task(&ledger, id))?;
    let view = WholeTask {
        row: Row::new(task, board.phase_of(task).map(|phase| &phase.name)),
        waits_for: board.waits_for(task).map(|(task, _)| task),
        failures: task.status.failures,
        findings: task.status.findings.as_deref(),
        spec: ledger.spec(id)?,
        handoff: ledger.handoff(id)?,
    };
    ctx.answer(&view)
}

impl Answer for WholeTask<'_> {
    fn text(&self, paint: Paint) -> String {
        text(self, paint)
    }
}

fn text(view: &WholeTask<'_>, paint: Paint) -> String {
    let row = &view.row;
    let heading = |text: &str| paint.set(Style::Strong, text);
    let mut out = vec![format!(
        "{}  {}",
        heading(row.id.as_str()),
        clean(row.title)
    )];
    let mut state = paint.set(style(row.status), row.status.as_str());
    if let Some(agent) = row.agent {
        state.push_str(&format!(", agent {agent}, attempt {}", row.attempt));
    }
    if let Some(waits_for) = view.waits_for.filter(|_| !row.status.is_done()) {
        state.push_str(&format!(", comes after {waits_for}"));
    }
    out.push(state);
    let commits = [("head", row.head), ("merged as", row.commit)];
    out.extend(row.branch.map(|branch| format!("branch {}", clean(branch))));
    for (what, commit) in commits {
        out.extend(commit.map(|commit| format!("{what} {commit}")));
    }
    out.extend(
        row.reason
            .map(|reason| format!("reason: {}", clean(reason))),
    );
    let mut section = |title: &str, text: &str| {
        out.push(format!("\n{}", heading(title)));
        out.extend(clean_lines(text).iter().map(|line| format!("  {line}")));
    };
    section("task", &render_task(&view.spec));
    if let Some(findings) = view.findings {
        section("findings", findings);
    }
    if let Some(handoff) = &view.handoff {
        section("handoff", &render(handoff));
    }
    out.join("\n")
}
