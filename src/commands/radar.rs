//! `git orch radar`: which branches in flight will conflict.

pub mod show;

use anyhow::Result;

use super::Ctx;
use crate::answer::Reply;
use crate::assembler::radar::{self, Branch, Radar, Target};
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::Repo;

/// Show which branches in flight will conflict, and a better order
///
/// Each branch is merged onto the target's tip in memory; then those that touch each other are merged with one
/// another on the tip's tree. Without branches: those of all tasks that are claimed, worked on or handed in;
/// without a run, every local branch that the target has not brought in. What lies uncommitted in a branch's
/// worktree counts as well.
///
/// Nothing is changed. Exits with 0 also where there are conflicts, and with 3 where nothing is in flight.
#[derive(Debug, clap::Args)]
pub struct RadarArgs {
    /// Branch that the others go onto [default: the plan's integration or base branch, else main]
    #[arg(long, value_name = "BRANCH")]
    onto: Option<String>,
    /// All local branches that fit, `*` also across slashes; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    from_pattern: Vec<String>,
    /// Count what is committed only
    #[arg(long)]
    committed: bool,
    /// Branches, in the order in which they would go in
    #[arg(value_name = "BRANCH")]
    branches: Vec<String>,
}

/// Runs the command.
///
/// # Errors
///
/// Nothing is in flight ([`Exit::NothingToDo`]), a branch does not exist, or git cannot be run.
pub fn run(ctx: &Ctx, args: RadarArgs) -> Result<Reply> {
    let repo = ctx.repo()?;
    let committed = args.committed;
    let (target, mut branches) = choose(ctx, &repo, args)?;
    branches.retain(|branch| branch.name != target.name);
    if branches.is_empty() {
        return Err(UserError::new("no branch is in flight")
            .hint("git orch radar --onto main <branch>…")
            .exit(Exit::NothingToDo)
            .into());
    }
    if committed {
        for branch in &mut branches {
            branch.worktree = None;
        }
    }
    let radar: Radar = radar::scan(&repo, target.tip, &branches)?;
    let mut reply = ctx.answer(&show::Prospects::new(&target, &radar, !committed))?;
    for (dir, why) in &radar.unread {
        let dir = dir.display();
        reply = reply.warn(format!(
            "what lies uncommitted in {dir} is not counted: {why}"
        ));
    }
    Ok(reply)
}

fn choose(ctx: &Ctx, repo: &Repo, args: RadarArgs) -> Result<(Target, Vec<Branch>)> {
    let has_ledger = repo.read_ref(&config::ledger_ref(repo))?.is_some();
    let ledger = has_ledger.then(|| ctx.ledger()).transpose()?;
    let is_asked = !args.branches.is_empty() || !args.from_pattern.is_empty();
    let mut names = args.branches;
    for pattern in &args.from_pattern {
        names.extend(radar::matching(repo, pattern)?);
    }
    let planned = ledger
        .as_ref()
        .filter(|ledger| !is_asked && ledger.board().settings.run.is_some());
    let target = match (&args.onto, planned) {
        (Some(onto), _) => Target::named(repo, onto)?,
        (None, Some(ledger)) => Target::of_plan(ledger, repo)?,
        (None, None) => Target::usual(repo, ledger.as_ref())?,
    };
    if let Some(ledger) = planned {
        return Ok((target, radar::in_flight(ledger, repo)?));
    }
    if !is_asked {
        names = radar::open_branches(repo, &target)?;
    }
    Ok((target, radar::named(repo, &names)?))
}
