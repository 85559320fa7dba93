//! The worktree that tests run in: one, detached, reused, so that build caches stay warm.
//!
//! Between two tests tracked files are made exactly the commit's and untracked ones removed; ignored ones,
//! which is where build caches live, stay. Only the holder of the assembler's lock uses it, so whatever lock
//! file or process a killed run left in it is dead and taken away.

use std::fs;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::lock::Alone;
use super::verdicts::Red;
use crate::error::{Exit, UserError};
use crate::git::files::{self, Lock};
use crate::git::{Git, Oid, Repo};
use crate::model::Command;
use crate::model::duration::format_duration;
use crate::process::{self, Ended, Ending, Spec};
use crate::{clock, config};

/// Name under `<common>/worktrees/`.
const ADMIN: &str = "orch-assembler";

/// Logs of failed tests that are kept.
const MOST_LOGS: usize = 16;

/// Where tests run.
pub(super) struct Bench {
    dir: PathBuf,
    admin: PathBuf,
    logs: PathBuf,
    worktrees_lock: PathBuf,
    mark: String,
    timeout: Duration,
    runtime: Option<Runtime>,
    /// The exit code of the signal that asked to stop.
    asked: Option<Exit>,
}

/// The loop that waits for a test, and the signals that end it.
struct Runtime {
    tokio: tokio::runtime::Runtime,
    signals: Vec<(Signal, Exit)>,
}

impl Bench {
    /// Returns the bench of a repository, with what a killed run left behind ended.
    pub(super) fn new(repo: &Repo, _alone: &Alone, timeout: Duration) -> Result<Self> {
        let name = repo.common_dir().to_string_lossy().into_owned();
        let mark = format!(
            "assembler-{}",
            crate::git::objects::blob_id(name.as_bytes())
        );
        process::sweep(&mark)?;
        Ok(Self {
            dir: repo.worktrees_dir().join("assembler"),
            admin: repo.common_dir().join("worktrees").join(ADMIN),
            logs: repo.orch_dir().join("logs/assemble"),
            worktrees_lock: repo.orch_dir().join("worktrees.lock"),
            mark,
            timeout,
            runtime: None,
            asked: None,
        })
    }

    /// Tests a commit: green, or red and why.
    ///
    /// # Errors
    ///
    /// The worktree cannot be brought to the commit, the test cannot be started, or a signal asked to stop.
    pub(super) fn test(&mut self, commit: Oid, command: &str) -> Result<Result<(), Red>> {
        self.prepare(commit)?;
        let log = self
            .logs
            .join(format!("{commit}-{}.log", clock::new_op_id()));
        let spec = Spec {
            command: without_our_variables(command),
            dir: self.dir.clone(),
            env: Vec::new(),
            stdin: None,
            log: log.clone(),
            wall: self.timeout,
            idle: None,
            mark: self.mark.clone(),
        };
        let ended = self.run(&spec)?;
        let why = match ended.ending {
            Ending::Exited(0) => {
                let _ = fs::remove_file(&log);
                return Ok(Ok(()));
            }
            Ending::Exited(code) => format!("it exited with {code}"),
            Ending::Signalled(signal) => format!("it was ended by signal {signal}"),
            Ending::TimedOut | Ending::Silent => {
                format!("it took longer than {}", format_duration(self.timeout))
            }
            Ending::Stopped => {
                return Err(UserError::new("stopped by a signal while a test ran")
                    .hint("`git orch assemble` goes on where this one was")
                    .exit(self.asked.unwrap_or(Exit::Interrupted))
                    .into());
            }
        };
        self.drop_old_logs();
        Ok(Err(Red {
            why,
            output: ended.tail,
        }))
    }

    fn run(&mut self, spec: &Spec) -> Result<Ended> {
        let (runtime, asked) = (&mut self.runtime, &mut self.asked);
        // On a thread of its own, so that an executor may assemble from within its own loop.
        std::thread::scope(|scope| {
            let ended = scope.spawn(move || {
                let Runtime { tokio, signals } = match runtime {
                    Some(runtime) => runtime,
                    None => runtime.insert(Runtime::start()?),
                };
                tokio.block_on(async {
                    let stop = async { *asked = Some(next_signal(signals).await) };
                    process::run_async(spec, stop).await
                })
            });
            ended
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Brings the worktree to a commit.
    fn prepare(&self, commit: Oid) -> Result<()> {
        let _alone = Lock::wait(&self.worktrees_lock)?;
        self.register(commit)?;
        if let Err(error) = self.check_out(commit) {
            // Whatever a test did to the worktree's own files, a new one has none of it.
            self.discard().context(error)?;
            self.register(commit)?;
            self.check_out(commit)?;
        }
        Ok(())
    }

    /// Writes what makes a directory a worktree; doing so again does no harm.
    ///
    /// `git worktree add` would name its administrative directory after the last part of the path.
    fn register(&self, commit: Oid) -> Result<()> {
        let link = self.dir.join(".git");
        let admin = &self.admin;
        files::replace(&link, format!("gitdir: {}\n", admin.display()).as_bytes())?;
        files::replace(
            &admin.join("gitdir"),
            format!("{}\n", link.display()).as_bytes(),
        )?;
        files::replace(&admin.join("commondir"), b"../..\n")?;
        let head = files::read_if_exists(&admin.join("HEAD"))?;
        if head.is_none_or(|head| Oid::from_hex(head.trim_ascii()).is_err()) {
            files::replace(&admin.join("HEAD"), format!("{commit}\n").as_bytes())?;
        }
        for dead in ["index.lock", "HEAD.lock"] {
            // Mostly there is none.
            let _ = fs::remove_file(admin.join(dead));
        }
        Ok(())
    }

    fn check_out(&self, commit: Oid) -> Result<()> {
        let git = || {
            Git::new(&self.dir).args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.fsmonitor=false",
            ])
        };
        git()
            .args([
                "checkout",
                "--quiet",
                "--force",
                "--detach",
                &commit.to_string(),
            ])
            .run()
            .with_context(|| format!("cannot bring {} to {commit}", self.dir.display()))?;
        // Twice -f, so that a repository that a test made goes as well.
        git().args(["clean", "-ffdq"]).run()
    }

    /// Removes the worktree.
    pub(super) fn discard(&self) -> Result<()> {
        for dir in [&self.dir, &self.admin] {
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the worktree and every directory that only it needed.
    pub(super) fn leave_nothing(&self) -> Result<()> {
        self.discard()?;
        let _ = fs::remove_dir_all(&self.logs);
        let _ = fs::remove_file(&self.worktrees_lock);
        let parents = [&self.dir, &self.admin, &self.logs].map(|dir| dir.parent());
        for dir in parents.into_iter().flatten() {
            // Only empty directories go; others are somebody's.
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    fn drop_old_logs(&self) {
        let Ok(listing) = fs::read_dir(&self.logs) else {
            return;
        };
        let age = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let mut logs: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        logs.sort_by_key(|path| std::cmp::Reverse(age(path)));
        for old in logs.iter().skip(MOST_LOGS) {
            // A log that stays does no harm.
            let _ = fs::remove_file(old);
        }
    }
}

/// Removes the worktree that tests run in, if there is one, with what a killed run left running in it;
/// it holds nothing that could not be made again.
///
/// # Errors
///
/// Something cannot be removed.
pub fn remove_worktree(repo: &Repo, alone: &Alone) -> Result<()> {
    Bench::new(repo, alone, Duration::ZERO)?.leave_nothing()
}

impl Runtime {
    fn start() -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let inside = tokio.enter();
        let listen = |(kind, exit)| signal(kind).map(|signal| (signal, exit));
        let signals = [
            (SignalKind::interrupt(), Exit::Interrupted),
            (SignalKind::terminate(), Exit::Terminated),
            (SignalKind::hangup(), Exit::HungUp),
        ];
        let signals = signals.into_iter().map(listen).collect::<Result<_, _>>();
        let signals = signals.context("cannot listen for signals")?;
        drop(inside);
        Ok(Self { tokio, signals })
    }
}

/// Waits for the first of some signals; one that came while nobody waited counts.
async fn next_signal(signals: &mut [(Signal, Exit)]) -> Exit {
    std::future::poll_fn(|context| {
        for (signal, exit) in signals.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(*exit);
            }
        }
        Poll::Pending
    })
    .await
}

/// Returns the command line of a test without the variables by which an agent is known: a test must not
/// speak to the ledger in the name of whoever assembles.
fn without_our_variables(command: &str) -> Command {
    let ours = config::environment().into_iter().filter_map(|(name, _)| {
        let name = name.into_string().ok()?;
        (name.starts_with("ORCH_") && name != process::MARK_VARIABLE).then_some(name)
    });
    let unset = ours.flat_map(|name| [String::from("-u"), name]);
    let mut words = vec![String::from("env")];
    words.extend(unset);
    words.extend(["sh", "-c", command].map(ToOwned::to_owned));
    Command::Argv(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_run_by_a_shell_without_our_variables() {
        let Command::Argv(words) = without_our_variables("make test") else {
            panic!("not executed as it stands");
        };
        assert_eq!(words[0], "env");
        assert!(words.ends_with(&["sh", "-c", "make test"].map(String::from)));
        assert!(!words.contains(&process::MARK_VARIABLE.to_owned()));
    }
}
