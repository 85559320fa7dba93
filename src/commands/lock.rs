//! `git orch lock`: decisions that bind whoever builds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::error::UserError;
use crate::ledger::{Done, Ledger};
use crate::model::{Board, Command, Lock, LockId, Op, TaskId, Trust};
use crate::process::{self, Ending};
use crate::report::text::{clean, count};
use crate::ui::Paint;

/// Keep decisions, and who may change what they cover
///
/// A lock names paths and says what must hold of them; builders are told it in their prompt. What a `locked` one
/// covers is changed by tasks that hold it (`locks = ["id"]` in the task) or that it names, and by leaders. What a
/// `critical` one covers is changed only by tasks that it names, and only a person changes the lock. Hooks and the
/// gate refuse other changes; the lock's check command must pass on whatever is merged.
#[derive(Debug, clap::Args)]
pub struct LockArgs {
    #[command(subcommand)]
    command: LockCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LockCommand {
    /// List all locks
    List,
    /// Show one lock
    Show {
        /// Lock
        lock: LockId,
    },
    /// Make a lock, or change one; what is not given stays as it is
    Set(Box<SetArgs>),
    /// Take a lock away
    Remove {
        /// Lock
        lock: LockId,
    },
    /// Run the locks' check commands here
    ///
    /// Exits with 1 where one fails.
    Check {
        /// Locks to check [default: all that have a command]
        locks: Vec<LockId>,
    },
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Lock
    lock: LockId,
    /// How firmly it stands: unlocked, locked or critical [default: locked]
    #[arg(long, value_name = "TRUST")]
    trust: Option<Trust>,
    /// Glob of paths that it covers; may be given several times
    #[arg(long = "path", value_name = "GLOB")]
    paths: Vec<String>,
    /// What must hold: builders implement it, a checker checks it
    #[arg(long, value_name = "TEXT")]
    assertion: Option<String>,
    /// Command that checks it on what is merged, run by `sh`; empty takes it away
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// Why it was decided
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who decided it, or is to be asked
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Let this task change what it covers; may be given several times
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<TaskId>,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such lock, it may not be changed by whoever asks, or a check fails.
pub fn run(ctx: &Ctx, args: LockArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    match args.command {
        LockCommand::List => ctx.answer(&Locks {
            locks: &ledger.board().locks,
        }),
        LockCommand::Show { lock } => {
            let lock = ledger.board().require_lock(&lock);
            ctx.answer(lock.map_err(UserError::from)?)
        }
        LockCommand::Set(set) => {
            let lock = merged(ledger.board(), *set);
            let id = lock.id.clone();
            let done = ledger.transact(Op::SetLock(Box::new(lock)))?;
            changed(ctx, id, done)
        }
        LockCommand::Remove { lock } => {
            let done = ledger.transact(Op::RemoveLock(lock.clone()))?;
            changed(ctx, lock, done)
        }
        LockCommand::Check { locks } => check(ctx, &ledger, &locks),
    }
}

/// Returns the lock as it is to be.
fn merged(board: &Board, set: SetArgs) -> Lock {
    let old = board.require_lock(&set.lock).ok().cloned();
    let old = old.unwrap_or(Lock {
        id: set.lock,
        trust: Trust::default(),
        paths: Vec::new(),
        assertion: String::new(),
        check: None,
        reason: None,
        owner: None,
        tasks: Vec::new(),
    });
    let said = |new: Option<String>, old: Option<String>| match new {
        Some(new) => Some(new).filter(|new| !new.is_empty()),
        None => old,
    };
    let mut tasks = old.tasks;
    for task in set.tasks {
        if !tasks.contains(&task) {
            tasks.push(task);
        }
    }
    Lock {
        trust: set.trust.unwrap_or(old.trust),
        paths: if set.paths.is_empty() {
            old.paths
        } else {
            set.paths
        },
        assertion: set.assertion.unwrap_or(old.assertion),
        check: said(set.check, old.check),
        reason: said(set.reason, old.reason),
        owner: said(set.owner, old.owner),
        tasks,
        id: old.id,
    }
}

/// All locks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Locks<'a> {
    locks: &'a [Lock],
}

impl Answer for Locks<'_> {
    fn text(&self, _: Paint) -> String {
        if self.locks.is_empty() {
            return String::from("there are no locks");
        }
        let line = |lock: &Lock| {
            format!(
                "{} ({}) {}: {}",
                lock.id,
                lock.trust,
                clean(&lock.paths.join(" ")),
                clean(&lock.assertion)
            )
        };
        let lines: Vec<String> = self.locks.iter().map(line).collect();
        lines.join("\n")
    }
}

impl Answer for Lock {
    fn text(&self, _: Paint) -> String {
        let mut lines = vec![
            format!("lock       {}", self.id),
            format!("trust      {}", self.trust),
            format!("paths      {}", clean(&self.paths.join(" "))),
            format!("assertion  {}", clean(&self.assertion)),
        ];
        let more = [
            ("check", &self.check),
            ("reason", &self.reason),
            ("owner", &self.owner),
        ];
        for (name, value) in more {
            lines.extend(
                value
                    .as_ref()
                    .map(|value| format!("{name:<10} {}", clean(value))),
            );
        }
        if !self.tasks.is_empty() {
            let tasks: Vec<String> = self.tasks.iter().map(ToString::to_string).collect();
            lines.push(format!("tasks      {}", tasks.join(" ")));
        }
        lines.join("\n")
    }
}

/// What setting or removing a lock came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockChanged {
    lock: LockId,
    /// The ledger's new commit; null where nothing changed.
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for LockChanged {
    fn text(&self, _: Paint) -> String {
        match self.commit {
            Some(_) => self.subject.clone(),
            None => format!("lock {} is so already", self.lock),
        }
    }
}

fn changed(ctx: &Ctx, lock: LockId, done: Done) -> Result<Reply> {
    ctx.answer(&LockChanged {
        lock,
        commit: done.commit.map(|commit| commit.to_string()),
        subject: done.subject,
    })
}

/// What the locks' checks came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockChecks {
    checks: Vec<LockCheck>,
    /// How many did not pass.
    failed: usize,
}

/// What one check came to.
#[derive(Debug, Serialize, JsonSchema)]
struct LockCheck {
    lock: LockId,
    command: String,
    passed: bool,
    /// How it ended where it did not pass.
    failed: Option<String>,
    /// The end of what it printed.
    output: String,
    #[serde(skip)]
    assertion: String,
}

impl Answer for LockChecks {
    fn text(&self, _: Paint) -> String {
        if self.checks.is_empty() {
            return String::from("no lock has a command that checks it");
        }
        let line = |one: &LockCheck| match &one.failed {
            None => format!("{}: `{}` passes", one.lock, one.command),
            Some(how) => format!(
                "{}: `{}` {how}, so it does not hold that: {}",
                one.lock,
                one.command,
                clean(&one.assertion)
            ),
        };
        let lines: Vec<String> = self.checks.iter().map(line).collect();
        lines.join("\n")
    }
}

fn check(ctx: &Ctx, ledger: &Ledger, named: &[LockId]) -> Result<Reply> {
    let board = ledger.board();
    for id in named {
        board.require_lock(id).map_err(UserError::from)?;
    }
    let dir = ledger.repo().work_dir().map(Path::to_path_buf);
    let dir = dir.ok_or_else(|| UserError::new("there is no worktree here to check"))?;
    let wanted = |lock: &&Lock| named.is_empty() || named.contains(&lock.id);
    let mut all = Vec::new();
    for lock in board.locks.iter().filter(wanted) {
        if let Some(command) = &lock.check {
            let log = ledger
                .repo()
                .orch_dir()
                .join(format!("lock-{}.log", lock.id));
            all.push(carry_out(
                (lock, command),
                &dir,
                &log,
                board.run().test_timeout,
            )?);
        }
    }
    let failed = all.iter().filter(|one| !one.passed).count();
    let answer = LockChecks {
        checks: all,
        failed,
    };
    let mut reply = ctx.answer(&answer)?;
    for one in answer.checks.iter().filter(|one| !one.passed) {
        reply = reply.note(&one.output);
    }
    Ok(match failed {
        0 => reply,
        failed => reply.failing(Err(UserError::new(format!(
            "{} not kept",
            count(failed, "lock")
        ))
        .hint("git orch lock list")
        .into())),
    })
}

fn carry_out(
    (lock, command): (&Lock, &str),
    dir: &Path,
    log: &Path,
    wall: Duration,
) -> Result<LockCheck> {
    let ended = process::run(&process::Spec {
        command: Command::Shell(command.to_owned()),
        dir: dir.to_path_buf(),
        env: Vec::new(),
        stdin: None,
        log: log.to_path_buf(),
        wall,
        idle: None,
        mark: format!("lock {}", lock.id),
        jobserver: None,
    })
    .with_context(|| format!("cannot run the check of lock {}", lock.id))?;
    let failed = match ended.ending {
        Ending::Exited(0) => None,
        Ending::Exited(code) => Some(format!("exits with {code}")),
        Ending::Signalled(signal) => Some(format!("was ended by signal {signal}")),
        Ending::TimedOut | Ending::Silent => Some(format!("took longer than {} s", wall.as_secs())),
        Ending::Stopped => Some(String::from("was stopped")),
    };
    Ok(LockCheck {
        lock: lock.id.clone(),
        command: command.to_owned(),
        passed: failed.is_none(),
        failed,
        output: ended.tail,
        assertion: lock.assertion.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let mut board = Board::default();
        let set = |trust, check: Option<&str>| SetArgs {
            lock: "schema".parse().unwrap(),
            trust,
            paths: Vec::new(),
            assertion: None,
            check: check.map(str::to_owned),
            reason: None,
            owner: None,
            tasks: vec!["a".parse().unwrap()],
        };
        let mut first = merged(&board, set(None, Some("make")));
        assert_eq!(first.trust, Trust::Locked);
        first.paths = vec![String::from("db")];
        board.locks = vec![first];
        let second = merged(&board, set(Some(Trust::Critical), Some("")));
        assert_eq!(second.paths, ["db"]);
        assert_eq!((second.check, second.tasks.len()), (None, 1));
    }
}
