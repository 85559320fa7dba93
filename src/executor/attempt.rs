//! One attempt's life outside the ledger: its files, its agent, its verdict.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::marks;
use crate::agents::{self, AttemptFiles, Briefing, Work};
use crate::git::Repo;
use crate::git::files::{read_if_exists, replace};
use crate::ledger::Ledger;
use crate::model::{Board, Claim, CommitBy, MachineId, TimeLimits};
use crate::process::{self, Idle};
use crate::tasks::uncommitted;
use crate::workspace::sandbox::Setting;
use crate::workspace::{self, Assignment, private, settings};

/// A claim of ours and where its files lie.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) assignment: Assignment,
    pub(super) files: AttemptFiles,
    /// By which its processes are found.
    pub(super) mark: String,
    /// Who commits what its agent leaves.
    pub(super) commit: CommitBy,
    /// The task's title, for commits in the agent's name.
    pub(super) title: String,
    /// The name of the profile.
    pub(super) profile: String,
    /// Whether its agent is the task's own script.
    pub(super) is_script: bool,
}

impl Held {
    /// Returns the claim as words about the task quote it.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            task: self.assignment.task.clone(),
            agent: self.assignment.agent,
            attempt: self.assignment.attempt,
        }
    }

    /// Returns the coder's worktree, if there is one.
    pub(super) fn worktree(&self, repo: &Repo) -> Option<PathBuf> {
        let dir = repo.worktrees_dir().join(self.assignment.agent.to_string());
        dir.join(".git").exists().then_some(dir)
    }
}

/// Returns what is known of a claim that holds.
pub(super) fn held(ledger: &Ledger, assignment: Assignment, mark: String) -> Result<Held> {
    let board = ledger.board();
    let task = board
        .tasks
        .get(&assignment.task)
        .with_context(|| format!("task {} is gone", assignment.task))?;
    let (name, profile) = board.profile_of(task);
    let (repo, number) = (ledger.repo(), assignment.attempt);
    let files = AttemptFiles::of_profile(repo, &assignment.task, number, &board.run(), &profile);
    replace(&files.mark(), mark.as_bytes())?;
    Ok(Held {
        files,
        mark,
        commit: profile.commit,
        title: task.title.clone(),
        is_script: profile.preset.as_deref() == Some("shell"),
        profile: name,
        assignment,
    })
}

/// Returns whether the ledger still says that the claim holds and its agent works.
pub(super) fn is_working(board: &Board, held: &Held) -> bool {
    use crate::model::State::{Claimed, InProgress};
    let status = board
        .tasks
        .get(&held.assignment.task)
        .map(|task| &task.status);
    status.is_some_and(|status| {
        status.agent == Some(held.assignment.agent)
            && status.attempt == held.assignment.attempt
            && matches!(status.state, Claimed | InProgress)
    })
}

/// Writes the prompt and returns how to run the agent.
pub(super) fn brief(ledger: &Ledger, held: &Held, worktree: &Path) -> Result<process::Spec> {
    let briefing = Briefing::load(ledger, work(&held.assignment, worktree))?;
    let command = agents::command_line(&briefing)?;
    let prompt = agents::render(&briefing)?;
    replace(&held.files.prompt(), prompt.as_bytes())?;
    if let Some(findings) = &briefing.findings {
        replace(&held.files.findings(), findings.as_bytes())?;
    }
    let run = ledger.board().run();
    let Briefing { spec, profile, .. } = &briefing;
    let repo = ledger.repo();
    let settings = settings::of_commits(repo, held.assignment.agent);
    let mut env = agents::environment(&briefing, ledger.machine(), &settings);
    let setting = Setting::of(repo, &run, profile)?;
    let mut signs = vec![settings::reflog(repo.common_dir(), held.assignment.agent)];
    let command = match setting.is_none() {
        true => command,
        false => {
            let private = private::lend(repo, &held.assignment)?;
            signs.push(settings::reflog(&private.repo(), held.assignment.agent));
            env.extend(setting.environment(&private));
            setting.agent(repo, worktree, &private, command)?
        }
    };
    let limits = TimeLimits::of(spec, (&briefing.profile_name, profile), &run);
    Ok(process::Spec {
        command,
        dir: worktree.to_owned(),
        env,
        stdin: None,
        log: held.files.log(),
        wall: limits.wall.time,
        idle: Some(Idle {
            time: limits.idle.time,
            signs,
        }),
        mark: held.mark.clone(),
        jobserver: None,
    })
}

/// Returns the work of an assignment as agents are told it.
fn work(assignment: &Assignment, worktree: &Path) -> Work {
    Work {
        task: assignment.task.clone(),
        agent: assignment.agent,
        attempt: assignment.attempt,
        branch: assignment.branch.clone(),
        worktree: worktree.to_owned(),
    }
}

/// Keeps the work of an attempt that is broken off: on its branch as far as the ledger can be read and lets it, the
/// rest under a recovery ref; tells of the latter.
pub(super) fn keep_work(
    repo: &Repo,
    ledger: Option<&Ledger>,
    held: &Held,
    why: &str,
) -> Result<Option<String>> {
    workspace::bring_home(repo, held.assignment.agent)?;
    let Some(worktree) = held.worktree(repo) else {
        return Ok(None);
    };
    if let (CommitBy::Executor, Some(ledger)) = (held.commit, ledger) {
        // Where this is refused, its error names the ref that keeps the work instead.
        let subject = unfinished(&held.title);
        let taken = uncommitted::take(ledger, &held.assignment, &worktree, &subject)?;
        return Ok(uncommitted::told(&taken));
    }
    let kept = workspace::save_leftovers(repo, &worktree, why)?;
    Ok(kept.map(|kept| format!("what it left is kept as {kept}")))
}

fn unfinished(title: &str) -> String {
    format!("unfinished: {title}")
}

/// Returns the claims that a run on this machine has left on the board, with the marks of their processes.
pub(super) fn left_behind(
    repo: &Repo,
    board: &Board,
    machine: &MachineId,
) -> Result<Vec<(Claim, String)>> {
    use crate::model::State::{Claimed, InProgress};
    let mut found = Vec::new();
    for task in board.tasks.values() {
        let status = &task.status;
        let ours = status.machine.as_ref() == Some(machine);
        let (true, Claimed | InProgress, Some(agent)) = (ours, status.state, status.agent) else {
            continue;
        };
        let files = AttemptFiles::new(repo, &task.id, status.attempt);
        let mark = match read_if_exists(&files.mark())? {
            Some(mark) => String::from_utf8(mark).context("the mark is no text")?,
            None => match &status.op {
                Some(op) if status.state == Claimed && marks::is_announced(repo, op) => {
                    op.0.clone()
                }
                // It was made by hand or by the agent itself, and is its own matter.
                _ => continue,
            },
        };
        let claim = Claim {
            task: task.id.clone(),
            agent,
            attempt: status.attempt,
        };
        found.push((claim, mark));
    }
    Ok(found)
}
