//! From "this agent is free" to a claimed task with a branch cut from the right commit and a worktree.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::attempts::note_start;
use super::{Assignment, Start, keys, merging, prepare_from, shared, show_task};
use crate::clock;
use crate::config;
use crate::error::UserError;
use crate::git::merge::Merge;
use crate::git::objects::NewCommit;
use crate::git::{Oid, Repo, files};
use crate::ledger::{self, Done, Ledger};
use crate::model::identity::of_machine;
use crate::model::{
    Actor, Ask, Board, Choice, Claim, CommitId, Explanation, Op, Refusal, RefusalKind, State, Task,
    TaskId, TeamId, Timestamp, Wish,
};

/// A claim that holds, and where its work is done.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// Agent, task, attempt, branch and base.
    pub assignment: Assignment,
    /// The coder's worktree, ready on the branch.
    pub worktree: Option<PathBuf>,
    /// Until when the claim holds without renewal, for people to read.
    pub lease_until: Timestamp,
}

/// Races that are lost before giving up when any task will do; each loss means that someone got one.
const MOST_RACES: usize = 100;

/// Why nothing can be claimed: what to tell, and what is in the way of tasks that were considered.
#[derive(Debug, Clone)]
pub struct NoWork {
    /// What to tell.
    pub refusal: Refusal,
    /// Tasks that are ready and cannot be begun.
    pub tasks: Vec<(TaskId, Refusal)>,
}

impl From<Refusal> for NoWork {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            tasks: Vec::new(),
        }
    }
}

/// Claims a task and makes its worktree ready.
///
/// # Errors
///
/// Git or the ledger cannot be read or written; a claim that was made is then given back. A refusal is a
/// value, since executors go on after one.
pub fn assign(
    ledger: &mut Ledger,
    actor: Actor,
    wish: &Wish,
    with_worktree: bool,
) -> Result<Result<Assigned, Refusal>> {
    let mut caught_up = ledger.remote().is_none();
    for _ in 0..MOST_RACES {
        ledger.refresh()?;
        let ask = match ask(ledger, wish)? {
            Ok(ask) => ask,
            Err(_) if !caught_up => {
                ledger.catch_up()?;
                caught_up = true;
                continue;
            }
            Err(none) => return Ok(Err(none.refusal)),
        };
        let lease_until = ask.lease_until;
        let done = match ledger.try_transact(actor, Op::Claim(Box::new(ask)))? {
            Ok(done) => done,
            Err(refusal) if wish.task.is_none() && refusal.kind == RefusalKind::Lost => continue,
            Err(refusal) => return Ok(Err(refusal)),
        };
        ledger.refresh()?;
        let assignment = claimed(ledger, &done)?;
        keys::keep(ledger, &[assignment.agent])?;
        let worktree = match with_worktree {
            true => Some(ready_worktree(ledger, actor, &assignment)?),
            false => None,
        };
        return Ok(Ok(Assigned {
            assignment,
            worktree,
            lease_until,
        }));
    }
    Err(UserError::new(format!(
        "the race for {MOST_RACES} tasks in a row was lost to others"
    ))
    .hint("git orch queue active")
    .into())
}

/// Goes on with a claim that holds already, for example after a crash: its worktree is made ready, what lay in it
/// uncommitted is saved first.
///
/// # Errors
///
/// Git or the ledger cannot be read or written. A refusal is a value: the claim does not hold, or not here.
pub fn take_up(
    ledger: &mut Ledger,
    claim: &Claim,
    with_worktree: bool,
) -> Result<Result<Assigned, Refusal>> {
    if ledger.remote().is_some() {
        // Whoever was killed after the push has not told the ledger here.
        ledger.catch_up()?;
    }
    let ledger = &*ledger;
    let board = ledger.board();
    let task = match board.require_task(&claim.task) {
        Ok(task) => task,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let status = &task.status;
    let holds = status.state.is_held()
        && status.agent == Some(claim.agent)
        && status.attempt == claim.attempt
        && status.machine.as_ref() == Some(ledger.machine());
    if !holds {
        let Claim {
            task,
            agent,
            attempt,
        } = claim;
        return Ok(Err(Refusal {
            kind: RefusalKind::Lost,
            message: format!("agent {agent} does not hold task {task} in attempt {attempt} here"),
            hints: vec![format!("git orch status {task}")],
        }));
    }
    let assignment = assignment_of(ledger, task, claim)?;
    Ok(Ok(Assigned {
        worktree: match with_worktree {
            true => Some(ready(ledger, &assignment)?),
            false => None,
        },
        lease_until: status.lease_until.unwrap_or_else(|| lease_until(board)),
        assignment,
    }))
}

/// Returns the claim to ask for, with the commits that branches will be cut from.
///
/// # Errors
///
/// Git cannot be read.
pub fn ask(ledger: &Ledger, wish: &Wish) -> Result<Result<Ask, NoWork>> {
    ask_for(ledger, wish, 1)
}

/// As [`ask`], prepared for the best tasks up to a number, so that as many who ask alike and at once get one
/// each.
///
/// # Errors
///
/// As [`ask`].
pub fn ask_for(ledger: &Ledger, wish: &Wish, most: usize) -> Result<Result<Ask, NoWork>> {
    let board = ledger.board();
    let mut refused: Vec<(TaskId, Refusal)> = Vec::new();
    let mut ask = Ask {
        wish: wish.clone(),
        lease_until: lease_until(board),
        ..Ask::default()
    };
    while ask.bases.len() < most {
        let apart = |task: &Task| {
            !ask.bases.contains_key(&task.id) && refused.iter().all(|(other, _)| *other != task.id)
        };
        let chosen = match board.choose_among(wish, apart) {
            Ok(choice) => choice.task,
            Err(_) if !ask.bases.is_empty() => break,
            // What stands in the way of the best is the better answer.
            Err(refusal) => {
                let refusal = match refused.first() {
                    Some((_, first)) => first.clone(),
                    None => refusal,
                };
                return Ok(Err(NoWork {
                    refusal,
                    tasks: refused,
                }));
            }
        };
        match base_commit(ledger, chosen)? {
            Ok(base) => {
                ask.bases
                    .insert(chosen.id.clone(), CommitId(base.to_string()));
            }
            Err(refusal) if wish.task.is_some() => return Ok(Err(refusal.into())),
            Err(refusal) => refused.push((chosen.id.clone(), refusal)),
        }
        if wish.task.is_some() {
            break;
        }
    }
    if wish.task.is_none() {
        // Should the best be gone by then, another of these will do.
        for team in teams_of(board, wish) {
            let start = start_commit(ledger, team)?;
            ask.starts.insert(team, CommitId(start.to_string()));
        }
    }
    Ok(Ok(ask))
}

/// Explains what a claim with this wish would get; nothing is claimed.
///
/// # Errors
///
/// Git cannot be read, or there is no such agent or task.
pub fn explain<'a>(ledger: &'a Ledger, wish: &Wish) -> Result<Explanation<'a>> {
    let board = ledger.board();
    let mut apart: Vec<(TaskId, Refusal)> = Vec::new();
    loop {
        let explanation = board.explain(wish, &apart).map_err(UserError::from)?;
        let Ok(Choice { task, .. }) = explanation.chosen else {
            return Ok(explanation);
        };
        match base_commit(ledger, task)? {
            Ok(_) => return Ok(explanation),
            Err(refusal) => apart.push((task.id.clone(), refusal)),
        }
    }
}

fn lease_until(board: &Board) -> Timestamp {
    let lease = i64::try_from(board.run().lease.as_secs()).unwrap_or(i64::MAX);
    Timestamp(clock::now().0.saturating_add(lease))
}

/// Returns the teams that have something ready for a wish.
fn teams_of(board: &Board, wish: &Wish) -> Vec<TeamId> {
    match wish.agent {
        Some(agent) => vec![agent.team],
        None => {
            let ready = |team: &&TeamId| {
                let mut tasks = board.tasks.seen();
                tasks.any(|task| task.team == **team && task.state == State::Ready)
            };
            let wished = |team: &&TeamId| wish.teams.is_empty() || wish.teams.contains(team);
            board
                .teams
                .keys()
                .filter(wished)
                .filter(ready)
                .copied()
                .collect()
        }
    }
}

/// Returns the assignment of a claim that was just made.
///
/// # Errors
///
/// It says no base, or the base is missing from the repository.
pub fn claimed(ledger: &Ledger, done: &Done) -> Result<Assignment> {
    let (Some(task), Some(status)) = (done.tasks.first(), &done.status) else {
        anyhow::bail!("a claim was answered without a task");
    };
    let base = status.base.as_ref().context("a claim has no base")?;
    Ok(Assignment {
        agent: status.agent.context("a claim has no agent")?,
        task: task.clone(),
        attempt: status.attempt,
        branch: status.branch.clone().context("a claim has no branch")?,
        base: ledger.repo().resolve_commit(&base.0)?,
        run: ledger.board().run_name().to_owned(),
    })
}

/// Prepares the worktree of a claim, shows the coder its task there, and returns its path.
///
/// # Errors
///
/// As [`super::prepare`], the task is gone from the ledger, or agents have changed settings that all worktrees share.
pub fn ready(ledger: &Ledger, assignment: &Assignment) -> Result<PathBuf> {
    shared::require_untouched(ledger.repo())?;
    let start = start_of(ledger, assignment)?;
    let dir = prepare_from(ledger.repo(), assignment, &start, &[])?;
    note_start(ledger.repo(), assignment)?;
    merging::begin(ledger, assignment)?;
    show(ledger, assignment, &dir)?;
    shared::keep(ledger.repo(), assignment.agent)?;
    Ok(dir)
}

/// Returns how a branch begins: anew, where the ledger says so; where other machines work on it as well, with what was
/// last submitted of the task, or its base; and where the branch here is all there is, as it is.
fn start_of(ledger: &Ledger, assignment: &Assignment) -> Result<Start> {
    let task = ledger.board().tasks.get(&assignment.task);
    let since = task.and_then(|task| ledger.board().fresh_since(task));
    let is_shared = ledger.remote().is_some() && assignment.branch.starts_with("orch/");
    if since.is_none() && !is_shared {
        return Ok(Start::AsItIs);
    }
    let from = match task.and_then(|task| task.status.head.as_ref()) {
        Some(head) => fetched_commit(ledger, head)?,
        None => assignment.base,
    };
    Ok(match since {
        Some(since) => Start::Anew {
            from,
            since: since.clone(),
            theirs: ledger.fetched_tip(&assignment.branch)?,
            is_shared,
        },
        None => Start::From(from),
    })
}

/// Prepares the worktree of a claim; gives the claim back where that fails.
fn ready_worktree(ledger: &mut Ledger, actor: Actor, assignment: &Assignment) -> Result<PathBuf> {
    let made = ready(ledger, assignment);
    if let Err(error) = &made {
        let Assignment {
            agent,
            task,
            attempt,
            ..
        } = assignment.clone();
        let reason = format!("its worktree could not be made ready: {error:#}");
        ledger.transact_as(
            actor,
            Op::Release(
                Claim {
                    task,
                    agent,
                    attempt,
                },
                reason,
            ),
        )?;
    }
    made
}

/// Writes what the coder may see of the ledger into its worktree, and what our hooks must know of its
/// task where the coder cannot reach it.
fn show(ledger: &Ledger, assignment: &Assignment, dir: &std::path::Path) -> Result<()> {
    let board = ledger.board();
    let spec = ledger.spec(&assignment.task)?;
    let task = board
        .require_task(&assignment.task)
        .map_err(UserError::from)?;
    let text = ledger::files::render_task(&spec, task.order);
    let hooks_view = ledger.repo().orch_dir().join("worktrees");
    files::replace(
        &hooks_view.join(format!("{}.task.toml", assignment.agent)),
        text.as_bytes(),
    )?;
    let locks_view = hooks_view.join(format!("{}.locks.toml", assignment.agent));
    let locks = &board.locks;
    if !locks.is_empty() || locks_view.exists() {
        let locks = locks.clone();
        let text = ledger::files::render(&ledger::files::LocksFile { locks });
        files::replace(&locks_view, text.as_bytes())?;
    }
    let mut shown = vec![(String::from("task.toml"), text)];
    let locks = board.locks.iter().filter(|lock| lock.touches(&spec.scope));
    let locks: Vec<_> = locks.cloned().collect();
    if !locks.is_empty() {
        let text = ledger::files::render(&ledger::files::LocksFile { locks });
        shown.push((String::from("locks.toml"), text));
    }
    if let Some(team) = board.teams.get(&task.team) {
        shown.push((String::from("team.toml"), ledger::files::render(team)));
    }
    if let Some(findings) = &task.status.findings {
        let mut text = findings.clone();
        if merging::undecided(ledger.repo(), dir)?.is_some() {
            text.push_str(
                "\n\nThat merge is under way in this worktree: decide, `git add`, commit.\n",
            );
        }
        shown.push((String::from("findings.txt"), text));
    }
    if !task.status.messages.is_empty() {
        let text = task.status.messages.join("\n\n") + "\n";
        shown.push((String::from("messages.txt"), text));
    }
    for dependency in &task.after {
        if let Some(handoff) = ledger.handoff(&dependency.task)? {
            let name = format!("handoffs/{}.toml", dependency.task);
            shown.push((name, ledger::files::render(&handoff)));
        }
    }
    let shown: Vec<(&str, String)> = shown
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    show_task(ledger.repo(), dir, &shown)
}

/// Returns the commit that a task's branch is cut from: the one of its first attempt, or the integrated
/// work of all teams with the submitted work that the task builds on merged in.
///
/// # Errors
///
/// There is no base branch, or Git fails. Work that conflicts is a refusal: it must be assembled first.
pub fn base_commit(ledger: &Ledger, task: &Task) -> Result<Result<Oid, Refusal>> {
    let (repo, board) = (ledger.repo(), ledger.board());
    if let Some(base) = &task.status.base {
        // Work that was pushed has brought its base along.
        let found = match &task.status.head {
            Some(_) => fetched_commit(ledger, base),
            None => repo.resolve_commit(&base.0),
        };
        match found {
            Ok(base) => return Ok(Ok(base)),
            Err(error) if error.is::<ledger::Unreachable>() => return Err(error),
            // It was made on another machine, and nothing that was pushed has it: cut anew.
            Err(_) if ledger.remote().is_some() => {}
            Err(error) => return Err(error),
        }
    }
    fetch_integrated(ledger, task)?;
    let mut base = start_commit(ledger, task.team)?;
    for (other, needed) in board.builds_on(task) {
        let Some(head) = &other.status.head else {
            continue;
        };
        let head = fetched_commit(ledger, head)?;
        if repo.is_ancestor(head, base)? {
            continue;
        }
        if repo.is_ancestor(base, head)? {
            base = head;
            continue;
        }
        match repo.merge_tree(base, head)? {
            Merge::Clean(tree) => base = base_merge(repo, task, other, tree, [base, head])?,
            // Work of an earlier phase that this task does not name: the assembler will sort it out.
            Merge::Conflict(_) | Merge::Unrelated if !needed => {}
            Merge::Unrelated => {
                return Ok(Err(Refusal {
                    kind: RefusalKind::Denied,
                    message: format!(
                        "task {} builds on {}, whose branch shares no history with other work",
                        task.id, other.id
                    ),
                    hints: vec![format!("git orch status {}", other.id)],
                }));
            }
            Merge::Conflict(files) => {
                let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                return Ok(Err(Refusal {
                    kind: RefusalKind::Denied,
                    message: format!(
                        "task {} builds on {}, which conflicts with other work in {}",
                        task.id,
                        other.id,
                        paths.join(", ")
                    ),
                    hints: vec![String::from("git orch assemble")],
                }));
            }
        }
    }
    Ok(Ok(base))
}

/// Fetches what other machines have integrated and a task builds on, if it is not here.
fn fetch_integrated(ledger: &Ledger, task: &Task) -> Result<()> {
    if ledger.remote().is_none() {
        return Ok(());
    }
    let board = ledger.board();
    let before = task.after.iter();
    let merged = before.filter_map(|d| board.tasks.get(&d.task)?.status.commit.as_ref());
    let tested = board.tested.as_ref().map(|tested| &tested.commit);
    // Such commits come here with the branches that have them, and not otherwise.
    let is_missing = |id: &CommitId| ledger.repo().resolve_commit(&id.0).is_err();
    if merged.chain(tested).any(is_missing) {
        ledger.fetch_work()?;
    }
    Ok(())
}

/// Returns a commit that another machine may have made.
fn fetched_commit(ledger: &Ledger, id: &CommitId) -> Result<Oid> {
    let repo = ledger.repo();
    match repo.resolve_commit(&id.0) {
        Err(_) if ledger.remote().is_some() => {
            ledger.fetch_work()?;
            repo.resolve_commit(&id.0)
        }
        resolved => resolved,
    }
}

/// Returns the tip of the team branch, the integration branch or the base branch, whichever is furthest.
pub(super) fn start_commit(ledger: &Ledger, team: TeamId) -> Result<Oid> {
    let repo = ledger.repo();
    let of_team = ledger.branch_tip(&format!("orch/team-{team}/integration"))?;
    let integration = ledger.branch_tip("orch/integration")?;
    match (of_team, integration) {
        (Some(team), Some(integration)) if repo.is_ancestor(integration, team)? => Ok(team),
        (_, Some(integration)) => Ok(integration),
        (Some(team), None) => Ok(team),
        (None, None) => {
            let base = &ledger.board().settings.base;
            let tip = match repo.read_ref(&format!("refs/heads/{base}"))? {
                Some(tip) => Some(tip),
                // A clone has the branch under its remote's name until somebody checks it out.
                None => match ledger.remote() {
                    Some(remote) => repo.read_ref(&format!("refs/remotes/{remote}/{base}"))?,
                    None => None,
                },
            };
            tip.with_context(|| {
                UserError::new(format!("the base branch {base} does not exist"))
                    .hint(format!("git branch {base}"))
            })
        }
    }
}

/// Writes a merge commit for a base; same inputs give the same commit, so that a rerun finds it again.
fn base_merge(repo: &Repo, task: &Task, other: &Task, tree: Oid, parents: [Oid; 2]) -> Result<Oid> {
    let mut time = 0;
    for parent in parents {
        time = time.max(repo.read_commit(parent)?.time);
    }
    let who = of_machine(&config::machine(repo));
    let message = format!(
        "[TEAM-{}] base of {}: with {}\n\nOrch-Task: {}\nOrch-Base: {}\n",
        task.team, task.id, other.id, task.id, other.id
    );
    repo.write_commit(&NewCommit {
        tree,
        parents: &parents,
        author: &who,
        committer: &who,
        time,
        message: &message,
    })
}

/// Returns the assignment of a claim that holds already.
///
/// # Errors
///
/// The recorded base is missing from the repository.
pub fn assignment_of(ledger: &Ledger, task: &Task, claim: &Claim) -> Result<Assignment> {
    let repo = ledger.repo();
    let base = match &task.status.base {
        Some(base) => repo.resolve_commit(&base.0)?,
        None => repo.resolve_commit("HEAD")?,
    };
    Ok(Assignment {
        agent: claim.agent,
        task: claim.task.clone(),
        attempt: claim.attempt,
        branch: task.branch_name(),
        base,
        run: ledger.board().run_name().to_owned(),
    })
}
