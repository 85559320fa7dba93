//! `git orch task add`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;
use toml_edit::{Array, DocumentMut, value};

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::UserError;
use crate::git::files::read_named;
use crate::ledger::Ledger;
use crate::model::bounds::{MOST_TASK, told};
use crate::model::{Board, Op, RefusalKind, TaskId, TaskSpec, TeamId};
use crate::plan::{self, Finding, Severity};
use crate::ui::{Paint, Style};

/// How often an id is made anew because somebody else took it meanwhile.
const MOST_TRIES: usize = 20;

/// Add a task to the run
///
/// The task is checked as in a plan: its dependencies are there, and its scope has no path in common with an
/// unfinished task that may run at the same time.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The task as a file of TOML, with the keys of `[[tasks]]`
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "team", "title", "id", "phase", "after", "scope", "success", "deliverable", "run", "model", "agent",
        "priority", "context",
    ])]
    file: Option<PathBuf>,
    /// Team that does it [default: the only one]
    #[arg(long, value_name = "N")]
    team: Option<TeamId>,
    /// What is to be done, in one line
    #[arg(long, required_unless_present = "file")]
    title: Option<String>,
    /// Its id [default: T- and the next number]
    #[arg(long)]
    id: Option<String>,
    /// Phase, where the team works in more than one
    #[arg(long)]
    phase: Option<String>,
    /// Task that comes before; may be given several times
    #[arg(long, value_name = "TASK")]
    after: Vec<String>,
    /// Paths that it may change, as a glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    scope: Vec<String>,
    /// Command that must pass afterwards; may be given several times
    #[arg(long, value_name = "COMMAND")]
    success: Vec<String>,
    /// File that must exist afterwards; may be given several times
    #[arg(long, value_name = "PATH")]
    deliverable: Vec<String>,
    /// Script for agents that take one
    #[arg(long, value_name = "SCRIPT")]
    run: Option<String>,
    /// Model tier
    #[arg(long)]
    model: Option<String>,
    /// Agent profile
    #[arg(long)]
    agent: Option<String>,
    /// Higher goes first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// What the coder needs to know
    #[arg(long)]
    context: Option<String>,
}

pub(super) fn run(ctx: &Ctx, args: &AddArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let text = match &args.file {
        Some(file) => {
            let name = file.display();
            let bytes = read_named(&ctx.dir.join(file), MOST_TASK)
                .with_context(|| format!("cannot read {name}"))?;
            if bytes.len() > MOST_TASK {
                let error = format!("{name} is larger than {}", told(MOST_TASK));
                return Err(UserError::new(error).into());
            }
            String::from_utf8(bytes).with_context(|| format!("{name} is no UTF-8"))?
        }
        None => as_toml(args),
    };
    ledger.board().require_open().map_err(UserError::from)?;
    for _ in 0..MOST_TRIES {
        let made = next_id(ledger.board());
        let only_team = match ledger.board().teams.keys().collect::<Vec<_>>().as_slice() {
            [team] => Some(**team),
            _ => None,
        };
        let spec = plan::read_task(&text, &made, only_team)
            .map_err(|findings| refuse(ctx, args.file.as_deref(), &text, &findings))?;
        check(ctx, &ledger, &spec)?;
        let earlier = ledger.earlier([&spec.id])?;
        let op = Op::AddTask(Box::new(spec.clone()), earlier);
        let added = ledger.try_transact(ledger.actor(), op)?;
        match added {
            Ok(done) => {
                return ctx.answer(&Added {
                    task: spec.id,
                    team: spec.team,
                    title: spec.title,
                    commit: done.commit.map(|commit| commit.to_string()),
                    subject: done.subject,
                });
            }
            Err(refusal) => {
                // Whoever else wrote for us has not told our board.
                ledger.refresh()?;
                let is_made = refusal.kind == RefusalKind::Denied && spec.id == made;
                if !(is_made && ledger.board().tasks.contains_key(&made)) {
                    return Err(UserError::from(refusal).into());
                }
                // Somebody else made the same id between our reading and our writing.
            }
        }
    }
    Err(
        UserError::new("others keep adding tasks; no number could be had")
            .hint("git orch task list")
            .into(),
    )
}

/// A task that was added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Added {
    task: TaskId,
    team: TeamId,
    title: String,
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for Added {
    fn text(&self, _: Paint) -> String {
        self.subject.clone()
    }
}

/// Returns the id behind the highest number that is taken.
fn next_id(board: &Board) -> TaskId {
    let taken = board.tasks.keys().filter_map(|id| {
        let digits = id.as_str().strip_prefix("T-")?;
        digits.parse::<u32>().ok()
    });
    let next = taken.max().unwrap_or(0).saturating_add(1);
    let text = format!("T-{next:04}");
    text.parse().expect("a letter, a dash and digits are an id")
}

/// Writes the options as the file that they stand for, so that both are read by the same rules.
fn as_toml(args: &AddArgs) -> String {
    let mut document = DocumentMut::new();
    let mut put = |key: &str, text: &Option<String>| {
        if let Some(text) = text {
            document[key] = value(text);
        }
    };
    put("id", &args.id);
    put("title", &args.title);
    put("phase", &args.phase);
    put("run", &args.run);
    put("model", &args.model);
    put("agent", &args.agent);
    put("context", &args.context);
    if let Some(team) = args.team {
        document["team"] = value(i64::from(team.0));
    }
    if let Some(priority) = args.priority {
        document["priority"] = value(i64::from(priority));
    }
    let lists = [
        ("after", &args.after),
        ("scope", &args.scope),
        ("success", &args.success),
        ("deliverables", &args.deliverable),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        document[key] = value(list.iter().collect::<Array>());
    }
    document.to_string()
}

/// Refuses a task that cannot be read: with its lines where it is a file.
fn refuse(ctx: &Ctx, file: Option<&Path>, text: &str, findings: &[Finding]) -> anyhow::Error {
    let Some(file) = file else {
        return refusal(findings).into();
    };
    let name = file.display().to_string();
    let paint = |severity: Severity, label: &str| {
        let style = match severity {
            Severity::Error => Style::Bad,
            Severity::Warning => Style::Warning,
        };
        ctx.ui.paint_err(style, label)
    };
    ctx.ui
        .note(&plan::render_findings(findings, &name, text, paint));
    let errors = findings.iter();
    let errors = errors.filter(|found| found.severity == Severity::Error);
    UserError::new(format!(
        "{name} has {}",
        crate::report::text::count(errors.count(), "error")
    ))
    .into()
}

fn refusal(findings: &[Finding]) -> UserError {
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .collect();
    let messages: Vec<&str> = errors.iter().map(|found| found.message.as_str()).collect();
    let hints = errors.iter().map(|found| found.help.clone());
    let mut error = UserError::new(messages.join("; "));
    error.hints.extend(hints);
    error
}

/// Checks the task beside all that are not finished.
fn check(ctx: &Ctx, ledger: &Ledger, spec: &TaskSpec) -> Result<()> {
    let board = ledger.board();
    // What the ledger refuses by itself is told in its words.
    if board.settings.run.is_none() || board.tasks.contains_key(&spec.id) {
        return Ok(());
    }
    let settled: BTreeSet<TaskId> = board
        .tasks
        .values()
        .filter(|task| task.status.state.is_final())
        .map(|task| task.id.clone())
        .collect();
    let findings = plan::check_added(&plan::standing_plan(ledger)?, spec, &settled);
    if findings
        .iter()
        .any(|found| found.severity == Severity::Error)
    {
        return Err(refusal(&findings).into());
    }
    for found in &findings {
        ctx.ui.warn(&found.message);
    }
    let lost = spec.after.iter().filter_map(|on| board.tasks.get(&on.task));
    for task in lost {
        use crate::model::State::{Cancelled, Gap};
        let state = task.status.state;
        if matches!(state, Cancelled | Gap) {
            ctx.ui.warn(&format!(
                "task {} comes after {}, which is {state}: it can never start",
                spec.id, task.id
            ));
        }
    }
    Ok(())
}
