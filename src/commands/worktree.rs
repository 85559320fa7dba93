//! `git orch worktree`: lists coders' worktrees and takes them away.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::Ctx;
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::model::{AgentId, Power, TaskId, train};
use crate::report::text::{clean, count};
use crate::ui::Style;
use crate::workspace::inspect::{Condition, Found, inspect};
use crate::workspace::{self, Removed};

/// Most ignored paths that are named.
const MOST_NAMED: usize = 5;

/// List coders' worktrees, or take them away
#[derive(Debug, clap::Args)]
pub struct WorktreeArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List them, with what is in them that is not committed or not brought in
    List,
    /// Take worktrees away; their branches stay
    ///
    /// Refused where there are uncommitted files, or commits that neither the base nor the integration branch has.
    /// With `--force` those are saved first (`git orch recover`). What Git ignores is told: build directories and
    /// caches go, everything else is kept in the trash. A worktree whose coder is at work, or that a person has
    /// locked, stays in any case.
    Remove {
        /// Coders
        #[arg(required = true, value_name = "AGENT")]
        agents: Vec<AgentId>,
        /// Take away what holds work, too, after saving it
        #[arg(short, long)]
        force: bool,
    },
}

/// Runs the command.
///
/// # Errors
///
/// A worktree is not there, holds work, or an agent asks to take one away.
pub fn run(ctx: &Ctx, args: WorktreeArgs) -> Result<()> {
    let repo = ctx.repo()?;
    // Worktrees may be left of a ledger that is gone.
    let has_ledger = repo.read_ref(&config::ledger_ref(&repo))?.is_some();
    let ledger = match has_ledger {
        true => Some(ctx.ledger()?),
        false => None,
    };
    match args.verb {
        Verb::List => list(ctx, &repo, ledger.as_ref()),
        Verb::Remove { agents, force } => remove(ctx, &repo, ledger.as_ref(), &agents, force),
    }
}

/// A worktree as it is told.
#[derive(Serialize)]
struct Row {
    agent: AgentId,
    dir: PathBuf,
    state: &'static str,
    branch: Option<String>,
    task: Option<TaskId>,
    uncommitted: Vec<String>,
    unmerged: u64,
    locked: bool,
    /// Whether an agent is at work in it in a sandbox: what is uncommitted is not looked at meanwhile.
    busy: bool,
    /// Why what is uncommitted is not known, where nobody can look.
    problem: Option<String>,
}

fn look(repo: &Repo, ledger: Option<&Ledger>, found: Found) -> Result<Row> {
    let is_sound = found.condition == Condition::Sound;
    let held = ledger.and_then(|ledger| ledger.board().held_by(found.agent));
    let left = match is_sound && !found.is_busy {
        true => workspace::uncommitted(repo, &found.dir),
        false => Ok(Vec::new()),
    };
    Ok(Row {
        problem: left
            .as_ref()
            .err()
            .map(|error| one_line(&format!("{error:#}"))),
        uncommitted: left.unwrap_or_default(),
        busy: found.is_busy,
        unmerged: match is_sound {
            true => unmerged(repo, ledger, &found)?,
            false => 0,
        },
        task: held.map(|task| task.id.clone()),
        agent: found.agent,
        state: match found.condition {
            Condition::Sound => "sound",
            Condition::NoFiles => "files gone",
            Condition::Unregistered => "unknown to git",
            Condition::HalfMade => "half made",
        },
        dir: found.dir,
        branch: found.branch,
        locked: found.is_locked,
    })
}

/// Counts commits of a worktree's HEAD that neither the base branch nor the integration branch has.
fn unmerged(repo: &Repo, ledger: Option<&Ledger>, found: &Found) -> Result<u64> {
    let Some(ledger) = ledger else { return Ok(0) };
    let head = repo
        .git()
        .env("GIT_DIR", &found.admin)
        .args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        .output()?;
    let head = String::from_utf8_lossy(&head.stdout).trim().to_owned();
    let Some(base) = ledger.branch_tip(&ledger.board().settings.base)? else {
        return Ok(0);
    };
    if head.is_empty() {
        return Ok(0);
    }
    let mut into = vec![base.to_string()];
    into.extend(
        ledger
            .branch_tip(train::INTEGRATION)?
            .map(|tip| tip.to_string()),
    );
    let counted = repo
        .git()
        .args(["rev-list", "--count", &head, "--not"])
        .args(&into)
        .read()?;
    Ok(counted.parse().unwrap_or(0))
}

fn list(ctx: &Ctx, repo: &Repo, ledger: Option<&Ledger>) -> Result<()> {
    let rows: Result<Vec<Row>> = inspect(repo)?
        .into_iter()
        .map(|found| look(repo, ledger, found))
        .collect();
    let rows = rows?;
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({ "worktrees": rows }));
        return Ok(());
    }
    if rows.is_empty() {
        ctx.ui.note("no coder has a worktree");
        return Ok(());
    }
    for row in &rows {
        let mut told = Vec::new();
        match (&row.task, &row.branch) {
            (Some(task), _) => told.push(format!("works on {task}")),
            (None, Some(branch)) => told.push(format!("on {branch}")),
            (None, None) => told.push(String::from("parked")),
        }
        if row.state != "sound" {
            told.push(ctx.ui.paint(Style::Bad, row.state));
        }
        if row.locked {
            told.push(String::from("locked"));
        }
        if row.busy {
            told.push(String::from("an agent is at work there in its sandbox"));
        }
        if let Some(problem) = &row.problem {
            told.push(ctx.ui.paint(Style::Bad, &clean(problem)));
        }
        if !row.uncommitted.is_empty() {
            told.push(format!(
                "{} uncommitted",
                count(row.uncommitted.len(), "file")
            ));
        }
        if row.unmerged > 0 {
            let commits = usize::try_from(row.unmerged).unwrap_or(usize::MAX);
            told.push(format!("{} not brought in", count(commits, "commit")));
        }
        let dir = clean(&row.dir.display().to_string());
        ctx.ui.answer(&format!(
            "{:<5} {dir}  {}",
            row.agent.to_string(),
            told.join(", ")
        ));
    }
    Ok(())
}

fn remove(
    ctx: &Ctx,
    repo: &Repo,
    ledger: Option<&Ledger>,
    agents: &[AgentId],
    force: bool,
) -> Result<()> {
    ctx.require(Power::TakeAway)?;
    let mut found = Vec::new();
    for agent in agents {
        let worktree = inspect(repo)?
            .into_iter()
            .find(|found| found.agent == *agent);
        let worktree = worktree.ok_or_else(|| {
            UserError::new(format!("agent {agent} has no worktree")).hint("git orch worktree list")
        })?;
        let row = look(repo, ledger, worktree)?;
        require_removable(&row, force)?;
        found.push(row);
    }
    // All of them were looked at before the first one goes.
    let mut gone = Vec::new();
    for row in found {
        let removed = match force || row.state != "sound" {
            true => workspace::remove_by_force(repo, row.agent)?,
            false => workspace::remove(repo, row.agent)?,
        };
        gone.push((row, removed));
    }
    answer(ctx, &gone);
    Ok(())
}

fn require_removable(row: &Row, force: bool) -> Result<()> {
    let agent = row.agent;
    if let Some(task) = &row.task {
        let error = format!(
            "agent {agent} works on task {task} in {}",
            row.dir.display()
        );
        return Err(UserError::new(error)
            .hint(format!("git orch release {task} -m 'its worktree goes'"))
            .into());
    }
    if row.busy {
        let error = format!("agent {agent} is at work in {}", row.dir.display());
        return Err(UserError::new(error).hint("git orch worktree list").into());
    }
    if let (Some(problem), false) = (&row.problem, force) {
        let error = format!("nobody knows what agent {agent} has in its worktree: {problem}");
        return Err(UserError::new(error)
            .hint(format!("git orch worktree remove {agent} --force"))
            .into());
    }
    if row.unmerged > 0 && !force {
        let commits = usize::try_from(row.unmerged).unwrap_or(usize::MAX);
        let error = format!(
            "{} of agent {agent} in {} are not brought in",
            count(commits, "commit"),
            row.dir.display()
        );
        return Err(UserError::new(error)
            .hint(format!("git orch worktree remove {agent} --force"))
            .into());
    }
    Ok(())
}

fn answer(ctx: &Ctx, gone: &[(Row, Removed)]) {
    if ctx.ui.is_json() {
        let rows: Vec<_> = gone
            .iter()
            .map(|(row, removed)| {
                serde_json::json!({
                    "agent": row.agent,
                    "dir": row.dir,
                    "branch": row.branch,
                    "saved": removed.saved,
                    "in_trash": removed.aside,
                    "kept": removed.kept,
                    "kept_in": removed.kept_in,
                    "not_saved": removed.left_out,
                })
            })
            .collect();
        ctx.ui.json(&serde_json::json!({ "removed": rows }));
        return;
    }
    for (row, removed) in gone {
        ctx.ui
            .answer(&format!("removed the worktree of agent {}", row.agent));
        if let Some(branch) = &row.branch {
            ctx.ui.note(&format!("its branch {branch} stays"));
        }
        if let Some(saved) = &removed.saved {
            let id = saved.trim_start_matches("refs/orch/recovery/");
            ctx.ui.note(&format!("what was in it is saved as {saved}"));
            ctx.ui.hint(&format!("git orch recover show {id}"));
        }
        if removed.aside {
            ctx.ui.note("its files lie in the trash as they were");
            ctx.ui.hint("git orch recover list");
        }
        if let Some(place) = &removed.kept_in {
            let place = clean(&place.display().to_string());
            ctx.ui.note(&format!(
                "ignored by git, and kept in {place}: {}",
                some(&removed.kept)
            ));
            ctx.ui.hint("git orch recover list");
        }
        if !removed.left_out.is_empty() {
            ctx.ui.note(&format!(
                "ignored by git, and not kept, since tools build it again: {}",
                some(&removed.left_out)
            ));
        }
    }
}

/// Returns the first of some names, and how many more there are.
fn some(names: &[String]) -> String {
    let named = &names[..names.len().min(MOST_NAMED)];
    let more = match names.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", clean(&named.join(", ")))
}
