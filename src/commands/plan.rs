//! `git orch plan`: checks a plan, brings it onto the ledger, shows what stands there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ctx;
use crate::error::UserError;
use crate::git::files::read_named;
use crate::ledger::Ledger;
use crate::model::bounds::MOST_PLAN;
use crate::model::{Op, Plan, PlanChange};
use crate::plan::{self, Checked, Comparison, Severity, standing_plan};
use crate::ui::Style;

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
pub fn run(ctx: &Ctx, args: PlanArgs) -> Result<()> {
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

    fn render(&self, paint: impl Fn(Style, &str) -> String) -> String {
        let findings = &self.checked.findings;
        plan::render_findings(findings, &self.name, &self.text, |severity, label| {
            let style = match severity {
                Severity::Error => Style::Bad,
                Severity::Warning => Style::Warning,
            };
            paint(style, label)
        })
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

fn check(ctx: &Ctx, file: &Path) -> Result<()> {
    let read = Read::new(ctx, file)?;
    if ctx.ui.is_json() {
        ctx.ui.json(&read.checked.findings);
    } else if !read.checked.findings.is_empty() {
        ctx.ui
            .answer(&read.render(|style, text| ctx.ui.paint(style, text)));
    }
    read.refuse_errors()?;
    if !ctx.ui.is_json()
        && let Some(plan) = &read.checked.plan
    {
        let (_, warnings) = read.checked.counts();
        let warned = match warnings {
            0 => String::new(),
            n => format!(", {}", count(n, "warning")),
        };
        ctx.ui.note(&format!(
            "{}: {} in {} and {}{warned}",
            read.name,
            count(plan.tasks.len(), "task"),
            count(plan.teams.len(), "team"),
            count(plan.phases.len(), "phase"),
        ));
    }
    Ok(())
}

fn apply(ctx: &Ctx, file: &Path, dry_run: bool) -> Result<()> {
    let read = Read::new(ctx, file)?;
    if !read.checked.findings.is_empty() {
        ctx.ui
            .note(&read.render(|style, text| ctx.ui.paint_err(style, text)));
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
    if ctx.ui.is_json() {
        let difference = &comparison.difference;
        ctx.ui.json(&serde_json::json!({
            "added": difference.added,
            "changed": difference.changed,
            "removed": difference.removed,
            "brought_back": difference.brought_back,
            "kept": difference.kept,
            "settings": comparison.settings,
            "commit": commit,
        }));
        return Ok(());
    }
    let text = comparison.render(|style, text| ctx.ui.paint(style, text));
    if !text.is_empty() {
        ctx.ui.answer(&text);
    }
    ctx.ui
        .note(&match (&commit, dry_run, comparison.is_empty()) {
            (_, true, false) => String::from("nothing was changed (--dry-run)"),
            (Some(commit), ..) => format!("applied as {commit}"),
            (None, ..) => String::from("nothing changes"),
        });
    Ok(())
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

fn show(ctx: &Ctx) -> Result<()> {
    let ledger = ctx.ledger()?;
    if ledger.board().settings.run.is_none() {
        return Err(UserError::new("no plan was applied yet")
            .hint("git orch plan apply plan.toml")
            .into());
    }
    let plan = standing_plan(&ledger)?;
    if ctx.ui.is_json() {
        ctx.ui.json(&plan);
    } else {
        ctx.ui.answer(&plan::render_plan(&plan));
    }
    Ok(())
}
