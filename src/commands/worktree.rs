//! `git orch worktree`: lists coders' worktrees and takes them away.

use std::path::PathBuf;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::model::{AgentId, Power, TaskId, train};
use crate::report::text::{clean, count};
use crate::ui::{Paint, Style};
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
pub fn run(ctx: &Ctx, args: WorktreeArgs) -> Result<Reply> {
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
#[derive(Debug, Serialize, JsonSchema)]
struct WorktreeRow {
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

fn look(repo: &Repo, ledger: Option<&Ledger>, found: Found) -> Result<WorktreeRow> {
    let is_sound = found.condition == Condition::Sound;
    let held = ledger.and_then(|ledger| ledger.board().held_by(found.agent));
    let left = match is_sound && !found.is_busy {
        true => workspace::uncommitted(repo, &found.dir),
        false => Ok(Vec::new()),
    };
    Ok(WorktreeRow {
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

fn list(ctx: &Ctx, repo: &Repo, ledger: Option<&Ledger>) -> Result<Reply> {
    let rows: Result<Vec<WorktreeRow>> = inspect(repo)?
        .into_iter()
        .map(|found| look(repo, ledger, found))
        .collect();
    let answer = Worktrees { worktrees: rows? };
    let reply = ctx.answer(&answer)?;
    Ok(match answer.worktrees.is_empty() {
        true => reply.note("no coder has a worktree"),
        false => reply,
    })
}

/// Coders' worktrees.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Worktrees {
    worktrees: Vec<WorktreeRow>,
}

impl Answer for Worktrees {
    fn text(&self, paint: Paint) -> String {
        let lines: Vec<String> = self.worktrees.iter().map(|row| row.line(paint)).collect();
        lines.join("\n")
    }
}

impl WorktreeRow {
    fn line(&self, paint: Paint) -> String {
        let mut told = Vec::new();
        match (&self.task, &self.branch) {
            (Some(task), _) => told.push(format!("works on {task}")),
            (None, Some(branch)) => told.push(format!("on {branch}")),
            (None, None) => told.push(String::from("parked")),
        }
        if self.state != "sound" {
            told.push(paint.set(Style::Bad, self.state));
        }
        if self.locked {
            told.push(String::from("locked"));
        }
        if self.busy {
            told.push(String::from("an agent is at work there in its sandbox"));
        }
        if let Some(problem) = &self.problem {
            told.push(paint.set(Style::Bad, &clean(problem)));
        }
        if !self.uncommitted.is_empty() {
            told.push(format!(
                "{} uncommitted",
                count(self.uncommitted.len(), "file")
            ));
        }
        if self.unmerged > 0 {
            let commits = usize::try_from(self.unmerged).unwrap_or(usize::MAX);
            told.push(format!("{} not brought in", count(commits, "commit")));
        }
        let dir = clean(&self.dir.display().to_string());
        format!("{:<5} {dir}  {}", self.agent.to_string(), told.join(", "))
    }
}

fn remove(
    ctx: &Ctx,
    repo: &Repo,
    ledger: Option<&Ledger>,
    agents: &[AgentId],
    force: bool,
) -> Result<Reply> {
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
    answer(ctx, &gone)
}

fn require_removable(row: &WorktreeRow, force: bool) -> Result<()> {
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

fn answer(ctx: &Ctx, gone: &[(WorktreeRow, Removed)]) -> Result<Reply> {
    let row = |(row, removed): &(WorktreeRow, Removed)| RemovedRow {
        agent: row.agent,
        dir: row.dir.clone(),
        branch: row.branch.clone(),
        saved: removed.saved.clone(),
        in_trash: removed.aside,
        kept: removed.kept.clone(),
        kept_in: removed.kept_in.clone(),
        not_saved: removed.left_out.clone(),
    };
    let mut reply = ctx.answer(&RemovedWorktrees {
        removed: gone.iter().map(row).collect(),
    })?;
    for (row, removed) in gone {
        reply = told(reply, row, removed);
    }
    Ok(reply)
}

/// Adds what became of what was in a worktree.
fn told(mut reply: Reply, row: &WorktreeRow, removed: &Removed) -> Reply {
    if let Some(branch) = &row.branch {
        reply = reply.note(format!("its branch {branch} stays"));
    }
    if let Some(saved) = &removed.saved {
        let id = saved.trim_start_matches("refs/orch/recovery/");
        reply = reply
            .note(format!("what was in it is saved as {saved}"))
            .hint(format!("git orch recover show {id}"));
    }
    if removed.aside {
        reply = reply
            .note("its files lie in the trash as they were")
            .hint("git orch recover list");
    }
    if let Some(place) = &removed.kept_in {
        let (place, kept) = (clean(&place.display().to_string()), some(&removed.kept));
        reply = reply
            .note(format!("ignored by git, and kept in {place}: {kept}"))
            .hint("git orch recover list");
    }
    match removed.left_out.is_empty() {
        true => reply,
        false => reply.note(format!(
            "ignored by git, and not kept, since tools build it again: {}",
            some(&removed.left_out)
        )),
    }
}

/// Worktrees that were taken away.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemovedWorktrees {
    removed: Vec<RemovedRow>,
}

/// A worktree that was taken away, and where what was in it is.
#[derive(Debug, Serialize, JsonSchema)]
struct RemovedRow {
    agent: AgentId,
    dir: PathBuf,
    branch: Option<String>,
    /// Ref that has what was not committed.
    saved: Option<String>,
    /// Whether its files lie in the trash as they were.
    in_trash: bool,
    /// Ignored paths that are kept.
    kept: Vec<String>,
    /// Directory that has them.
    kept_in: Option<PathBuf>,
    /// Ignored paths that are not kept, since tools build them again.
    not_saved: Vec<String>,
}

impl Answer for RemovedWorktrees {
    fn text(&self, _: Paint) -> String {
        let line = |row: &RemovedRow| format!("removed the worktree of agent {}", row.agent);
        let lines: Vec<String> = self.removed.iter().map(line).collect();
        lines.join("\n")
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
