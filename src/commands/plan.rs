//! `git orch plan`: checks a plan, brings it onto the ledger, shows what stands there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::UserError;
use crate::git::files::read_named;
use crate::ledger::Ledger;
use crate::model::bounds::MOST_PLAN;
use crate::model::{Op, Plan, PlanChange, TaskId};
use crate::plan::{self, Checked, Comparison, Finding, Severity, standing_plan};
use crate::ui::{Paint, Style};

/// Check a plan, apply it to the ledger, or show it
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Find everything that is wrong with a plan
    ///
    /// Needs no repository. Exits with 1 where there are errors; warnings alone are no failure.
    Check {
        /// The plan
        file: PathBuf,
    },
    /// Make the ledger say what a plan says
    ///
    /// One commit, or none where nothing changes. Tasks that nobody has claimed change or go; those that
    /// were begun are kept as they are, and told. Tasks that failed or were given up are tried again where the plan
    /// says otherwise of them, of how they are worked on, or allows more retries.
    Apply {
        /// The plan
        file: PathBuf,
        /// Show what would change and change nothing
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// Print the plan as it stands on the ledger
    Show,
}

/// Runs the command.
///
/// # Errors
///
/// The plan has errors, or the ledger cannot be read or written.
pub fn run(ctx: &Ctx, args: PlanArgs) -> Result<Reply> {
    match args.verb {
        Verb::Check { file } => check(ctx, &file),
        Verb::Apply { file, dry_run } => apply(ctx, &file, dry_run),
        Verb::Show => show(ctx),
    }
}

/// A plan's file, read and checked.
struct Read {
    name: String,
    text: String,
    checked: Checked,
}

impl Read {
    fn new(ctx: &Ctx, file: &Path) -> Result<Self> {
        let path = ctx.dir.join(file);
        let bytes = read_named(&path, MOST_PLAN)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: file.display().to_string(),
            checked: plan::check_text(&bytes, &stem),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn render(&self, paint: Paint) -> String {
        let findings = &self.checked.findings;
        plan::render_findings(findings, &self.name, &self.text, |severity, label| {
            let style = match severity {
                Severity::Error => Style::Bad,
                Severity::Warning => Style::Warning,
            };
            paint.set(style, label)
        })
    }

    /// Says how large a plan is.
    fn told(&self, plan: &Plan) -> String {
        let warned = match self.checked.counts().1 {
            0 => String::new(),
            n => format!(", {}", count(n, "warning")),
        };
        format!(
            "{}: {} in {} and {}{warned}",
            self.name,
            count(plan.tasks.len(), "task"),
            count(plan.teams.len(), "team"),
            count(plan.phases.len(), "phase"),
        )
    }

    fn refuse_errors(&self) -> Result<()> {
        let (errors, warnings) = self.checked.counts();
        if errors == 0 {
            return Ok(());
        }
        let mut message = format!("{} has {}", self.name, count(errors, "error"));
        if warnings > 0 {
            message.push_str(&format!(" and {}", count(warnings, "warning")));
        }
        Err(UserError::new(message).into())
    }
}

fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn check(ctx: &Ctx, file: &Path) -> Result<Reply> {
    let read = Read::new(ctx, file)?;
    let reply = ctx.answer(&PlanChecked {
        findings: &read.checked.findings,
        read: &read,
    })?;
    let ending = read.refuse_errors();
    Ok(match (&ending, &read.checked.plan) {
        (Ok(()), Some(plan)) => reply.note(read.told(plan)),
        _ => reply.failing(ending),
    })
}

/// What is wrong with a plan.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PlanChecked<'a> {
    findings: &'a [Finding],
    #[serde(skip)]
    read: &'a Read,
}

impl Answer for PlanChecked<'_> {
    fn text(&self, paint: Paint) -> String {
        match self.findings {
            [] => String::new(),
            _ => self.read.render(paint),
        }
    }
}

fn apply(ctx: &Ctx, file: &Path, dry_run: bool) -> Result<Reply> {
    let read = Read::new(ctx, file)?;
    if !read.checked.findings.is_empty() {
        ctx.ui.note(&read.render(ctx.ui.for_notes()));
    }
    read.refuse_errors()?;
    let plan = read
        .checked
        .plan
        .context("a plan without errors is there")?;
    let mut ledger = ctx.ledger()?;
    require_base(&ledger, &plan)?;
    let change = PlanChange {
        earlier: ledger.earlier(plan.tasks.iter().map(|task| &task.id))?,
        ..PlanChange::new(plan)
    };
    let comparison = Comparison::new(&ledger, &change)?;
    let before = ledger.tip();
    let commit = if dry_run {
        None
    } else {
        let signing = change.plan.run.signing;
        let commit = ledger.transact(Op::ApplyPlan(Box::new(change)))?.commit;
        super::init::sign(&mut ledger, signing)?;
        commit
    };
    if let Some(commit) = commit
        && ledger.repo().read_commit(commit)?.parents.first().copied() != before
    {
        ctx.ui.warn(
            "the ledger moved at the same moment; what is told here compares with the state before that",
        );
    }
    let commit = commit.map(|commit| commit.to_string());
    let note = match (&commit, dry_run, comparison.is_empty()) {
        (_, true, false) => String::from("nothing was changed (--dry-run)"),
        (Some(commit), ..) => format!("applied as {commit}"),
        (None, ..) => String::from("nothing changes"),
    };
    let difference = &comparison.difference;
    let reply = ctx.answer(&PlanApplied {
        added: &difference.added,
        changed: &difference.changed,
        removed: &difference.removed,
        brought_back: &difference.brought_back,
        kept: &difference.kept,
        settings: &comparison.settings,
        commit,
        comparison: &comparison,
    })?;
    Ok(reply.note(note))
}

/// What a plan has changed on the ledger, or would.
#[derive(Serialize, JsonSchema)]
pub struct PlanApplied<'a> {
    added: &'a [TaskId],
    changed: &'a [TaskId],
    removed: &'a [TaskId],
    /// Tasks that had failed or were given up, and are tried again.
    brought_back: &'a [TaskId],
    /// Tasks that stay as they are, since they were begun.
    kept: &'a [TaskId],
    /// Changes of everything but tasks, as a unified diff; empty where there are none.
    settings: &'a str,
    /// The ledger's new commit; null where nothing changed.
    commit: Option<String>,
    #[serde(skip)]
    comparison: &'a Comparison,
}

impl Answer for PlanApplied<'_> {
    fn text(&self, paint: Paint) -> String {
        self.comparison.render(|style, text| paint.set(style, text))
    }
}

fn require_base(ledger: &Ledger, plan: &Plan) -> Result<()> {
    let Some(base) = &plan.run.base else {
        return Ok(());
    };
    if ledger
        .repo()
        .read_ref(&format!("refs/heads/{base}"))?
        .is_some()
    {
        return Ok(());
    }
    Err(UserError::new(format!(
        "the base branch `{base}` of the plan does not exist"
    ))
    .hint(format!("git branch {base}"))
    .into())
}

fn show(ctx: &Ctx) -> Result<Reply> {
    let ledger = ctx.ledger()?;
    if ledger.board().settings.run.is_none() {
        return Err(UserError::new("no plan was applied yet")
            .hint("git orch plan apply plan.toml")
            .into());
    }
    ctx.answer(&standing_plan(&ledger)?)
}

/// The plan as it stands on the ledger.
impl Answer for Plan {
    fn text(&self, _: Paint) -> String {
        plan::render_plan(self)
    }
}
