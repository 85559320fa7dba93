//! From "this agent is free" to a claimed task with a branch cut from the right commit and a worktree.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{Assignment, prepare, show_task};
use crate::clock;
use crate::config;
use crate::error::UserError;
use crate::git::merge::Merge;
use crate::git::objects::NewCommit;
use crate::git::{Oid, Repo, files};
use crate::ledger::{self, Ledger};
use crate::model::{
    Actor, AgentId, Attempt, Board, Claim, CommitId, Coupling, Op, PhaseName, PhaseSpec, Refusal,
    RefusalKind, State, Task, TaskId, Timestamp,
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

/// Claims a task for an agent, the best one where none is named, and makes its worktree ready.
///
/// # Errors
///
/// Git or the ledger cannot be read or written; a claim that was made is then given back. A refusal is a
/// value, since executors go on after one.
pub fn assign(
    ledger: &mut Ledger,
    actor: Actor,
    task: Option<&TaskId>,
    agent: AgentId,
    with_worktree: bool,
) -> Result<Result<Assigned, Refusal>> {
    for _ in 0..MOST_RACES {
        ledger.refresh()?;
        let board = ledger.board();
        let chosen = match task {
            Some(id) => board.require_task(id).and_then(|task| {
                board.may_claim(task, agent)?;
                Ok(task)
            }),
            None => board.choose(agent),
        };
        let chosen = match chosen {
            Ok(task) => task.clone(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let base = match base_commit(ledger.repo(), board, &chosen)? {
            Ok(base) => base,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let lease = i64::try_from(board.run().lease.as_secs()).unwrap_or(i64::MAX);
        let lease_until = Timestamp(clock::now().0.saturating_add(lease));
        let op = Op::Claim {
            task: chosen.id.clone(),
            agent,
            lease_until,
            base: Some(CommitId(base.to_string())),
        };
        match ledger.try_transact(actor, op)? {
            Ok(_) => {}
            Err(refusal) if task.is_none() && refusal.kind == RefusalKind::Lost => continue,
            Err(refusal) => return Ok(Err(refusal)),
        }
        let attempt = ledger
            .board()
            .require_task(&chosen.id)
            .map_err(UserError::from)?;
        let assignment = Assignment {
            agent,
            task: chosen.id.clone(),
            attempt: attempt.status.attempt,
            branch: chosen.branch_name(),
            base,
            run: ledger.board().run_name().to_owned(),
        };
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
        "agent {agent} lost the race for {MOST_RACES} tasks in a row"
    ))
    .into())
}

/// Prepares the worktree of a claim, shows the coder its task there, and returns its path.
///
/// # Errors
///
/// As [`prepare`], or the task is gone from the ledger.
pub fn ready(ledger: &Ledger, assignment: &Assignment) -> Result<PathBuf> {
    let dir = prepare(ledger.repo(), assignment)?;
    show(ledger, assignment, &dir)?;
    Ok(dir)
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
    let mut shown = vec![(String::from("task.toml"), text)];
    if let Some(team) = board.teams.get(&task.team) {
        shown.push((String::from("team.toml"), ledger::files::render(team)));
    }
    if let Some(findings) = &task.status.findings {
        shown.push((String::from("findings.txt"), findings.clone()));
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
    show_task(dir, &shown)
}

/// Returns the commit that a task's branch is cut from: the one of its first attempt, or the integrated
/// work of all teams with the submitted work that the task builds on merged in.
///
/// # Errors
///
/// There is no base branch, or Git fails. Work that conflicts is a refusal: it must be assembled first.
pub fn base_commit(repo: &Repo, board: &Board, task: &Task) -> Result<Result<Oid, Refusal>> {
    if let Some(base) = &task.status.base {
        return Ok(Ok(repo.resolve_commit(&base.0)?));
    }
    let mut base = start_commit(repo, board, task)?;
    for (other, needed) in builds_on(board, task) {
        let Some(head) = &other.status.head else {
            continue;
        };
        let head = repo.resolve_commit(&head.0)?;
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

/// Returns the tip of the team branch, the integration branch or the base branch, whichever is furthest.
fn start_commit(repo: &Repo, board: &Board, task: &Task) -> Result<Oid> {
    let team = repo.read_ref(&format!("refs/heads/orch/team-{}/integration", task.team))?;
    let integration = repo.read_ref("refs/heads/orch/integration")?;
    match (team, integration) {
        (Some(team), Some(integration)) if repo.is_ancestor(integration, team)? => Ok(team),
        (_, Some(integration)) => Ok(integration),
        (Some(team), None) => Ok(team),
        (None, None) => {
            let base = &board.settings.base;
            repo.read_ref(&format!("refs/heads/{base}"))?
                .with_context(|| {
                    UserError::new(format!("the base branch {base} does not exist"))
                        .hint(format!("git branch {base}"))
                })
        }
    }
}

/// Returns submitted work that a task builds on, in train order, and whether the task names it: its
/// dependencies (loose ones left out), and everything of the phases before its own.
fn builds_on<'a>(board: &'a Board, task: &'a Task) -> Vec<(&'a Task, bool)> {
    let mut before: Vec<&PhaseName> = Vec::new();
    let mut next: Vec<&PhaseSpec> = board.phase_of(task).into_iter().collect();
    while let Some(phase) = next.pop() {
        for name in phase
            .after
            .iter()
            .filter(|name| !before.contains(name))
            .collect::<Vec<_>>()
        {
            before.push(name);
            next.extend(board.phases.iter().filter(|phase| phase.name == *name));
        }
    }
    let waits = |other: &Task| matches!(other.status.state, State::Submitted | State::Accepted);
    let train = board
        .train_order()
        .into_iter()
        .filter(|other| waits(other) && other.id != task.id);
    train
        .filter_map(|other| {
            let named = task
                .after
                .iter()
                .find(|dependency| dependency.task == other.id);
            match named.map(|dependency| dependency.coupling) {
                Some(Coupling::Tight | Coupling::Medium) => Some((other, true)),
                Some(Coupling::Loose) => None,
                None => {
                    let phase = board.phase_of(other)?;
                    before.contains(&&phase.name).then_some((other, false))
                }
            }
        })
        .collect()
}

/// Writes a merge commit for a base; same inputs give the same commit, so that a rerun finds it again.
fn base_merge(repo: &Repo, task: &Task, other: &Task, tree: Oid, parents: [Oid; 2]) -> Result<Oid> {
    let mut time = 0;
    for parent in parents {
        time = time.max(repo.read_commit(parent)?.time);
    }
    let who = (
        String::from("git-orch"),
        format!("git-orch@{}.invalid", config::machine(repo)),
    );
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

/// Returns where the files of one attempt lie: its log, prompt and result.
pub fn attempt_dir(repo: &Repo, task: &TaskId, attempt: Attempt) -> PathBuf {
    repo.orch_dir()
        .join("attempts")
        .join(task.as_str())
        .join(attempt.to_string())
}

/// Returns a fresh mark for processes that check an attempt's work, below the mark of the attempt where its
/// executor has left one, so that the next executor finds them with the agent's own.
///
/// # Errors
///
/// There is one and it cannot be read.
pub fn check_mark(repo: &Repo, task: &TaskId, attempt: Attempt) -> Result<String> {
    let fresh = clock::new_op_id();
    let path = attempt_dir(repo, task, attempt).join("mark");
    Ok(match files::read_if_exists(&path)? {
        Some(bytes) => format!("{}.{fresh}", String::from_utf8_lossy(&bytes)),
        None => fresh.0,
    })
}
