//! `git orch conflict`: what is known of merges that did not go through.

mod render;

use anyhow::Result;
use serde::Serialize;

use super::Ctx;
use crate::assembler::conflict::{self, Bundle, Sides, Whose};
use crate::assembler::radar::Target;
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::{Task, TaskId};

/// Show conflicts: both sides, whose work, a possible resolution
#[derive(Debug, clap::Args)]
pub struct ConflictArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the conflicts that are kept
    List,
    /// Show one conflict: what both sides did to each file, and who
    ///
    /// Where none is kept it merges in memory, as it stands. Exits with 3 where the branch merges.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Task or branch
    #[arg(value_name = "TASK|BRANCH")]
    what: String,
    /// Merge it anew onto this branch instead of showing what is kept
    #[arg(long, value_name = "BRANCH")]
    onto: Option<String>,
}

/// One row of `conflict list --json`.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    task: Option<&'a TaskId>,
    branch: &'a str,
    target: &'a str,
    files: Vec<&'a str>,
    /// Whether the branch is still where it was.
    current: bool,
    /// Where a tree without conflicts comes from, if there is one.
    proposal: Option<&'static str>,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such task or branch, it merges ([`Exit::NothingToDo`]), or what is kept cannot be read.
pub fn run(ctx: &Ctx, args: ConflictArgs) -> Result<()> {
    let repo = ctx.repo()?;
    match args.verb {
        Verb::List => list(ctx, &repo),
        Verb::Show(args) => show(ctx, &repo, &args),
    }
}

fn list(ctx: &Ctx, repo: &Repo) -> Result<()> {
    let mut bundles = Vec::new();
    for found in conflict::list(repo)? {
        match found {
            Ok(bundle) => bundles.push(bundle),
            Err((name, error)) => {
                ctx.ui.warn(&format!("{error:#}"));
                ctx.ui.hint(&format!("git update-ref -d {name}"));
            }
        }
    }
    let mut rows = Vec::new();
    for bundle in &bundles {
        let now = repo.read_ref(&format!("refs/heads/{}", bundle.branch))?;
        rows.push(Row {
            name: bundle.name(),
            task: bundle.task.as_ref(),
            branch: &bundle.branch,
            target: &bundle.target,
            files: bundle.files.iter().map(|file| file.path.as_str()).collect(),
            current: now.is_some() && now == Oid::from_hex(bundle.head.as_bytes()).ok(),
            proposal: bundle.proposal.as_ref().map(|one| one.how.as_str()),
        });
    }
    if ctx.ui.is_json() {
        ctx.ui.json(&rows);
    } else if rows.is_empty() {
        ctx.ui.answer("no conflict is kept");
    } else {
        let lines: Vec<String> = rows.iter().map(render::row).collect();
        ctx.ui.answer(&lines.join("\n"));
    }
    Ok(())
}

fn show(ctx: &Ctx, repo: &Repo, args: &ShowArgs) -> Result<()> {
    let kept = match args.onto {
        Some(_) => None,
        None => conflict::load(repo, &args.what)?,
    };
    let bundle = match kept {
        Some(bundle) => bundle,
        None => look(ctx, repo, args)?,
    };
    if ctx.ui.is_json() {
        ctx.ui.json(&bundle);
    } else {
        ctx.ui.answer(&render::bundle(&bundle, &ctx.ui));
    }
    Ok(())
}

/// Merges a task's branch, or any branch, as it stands.
fn look(ctx: &Ctx, repo: &Repo, args: &ShowArgs) -> Result<Bundle> {
    let has_ledger = repo.read_ref(&config::ledger_ref(repo))?.is_some();
    let ledger = has_ledger.then(|| ctx.ledger()).transpose()?;
    let task = ledger.as_ref().and_then(|ledger| {
        let id: TaskId = args.what.parse().ok()?;
        ledger.board().tasks.get(&id)
    });
    let branch = task.map_or_else(|| args.what.clone(), Task::branch_name);
    let head = head(repo, &branch, task)?;
    let target = match (&args.onto, planned(ledger.as_ref())) {
        (Some(onto), _) => Target::named(repo, onto)?,
        (None, Some(ledger)) if task.is_some() => Target::of_plan(ledger, repo)?,
        _ => Target::usual(repo, ledger.as_ref())?,
    };
    let sides = Sides {
        target: &target.name,
        tip: target.tip,
        branch: &branch,
        head,
    };
    let whose = Whose {
        task: task.map(|task| task.id.clone()),
        agent: task.and_then(|task| task.status.agent),
    };
    conflict::bundle(repo, &sides, &whose)?.ok_or_else(|| {
        UserError::new(format!("{branch} does not conflict with {}", target.name))
            .hint("git orch conflict list")
            .exit(Exit::NothingToDo)
            .into()
    })
}

fn planned(ledger: Option<&Ledger>) -> Option<&Ledger> {
    ledger.filter(|ledger| ledger.board().settings.run.is_some())
}

/// Returns the commit of a branch, or what was submitted of a task whose branch is not here.
fn head(repo: &Repo, branch: &str, task: Option<&Task>) -> Result<Oid> {
    if let Ok(target) = Target::named(repo, branch) {
        return Ok(target.tip);
    }
    let submitted = task.and_then(|task| task.status.head.as_ref());
    let submitted = submitted.and_then(|head| Oid::from_hex(head.0.as_bytes()).ok());
    submitted
        .filter(|head| repo.read_commit(*head).is_ok())
        .ok_or_else(|| {
            UserError::new(format!("there is no task and no branch {branch} here"))
                .hint("git orch conflict list")
                .into()
        })
}
