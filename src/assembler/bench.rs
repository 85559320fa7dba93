//! One slot's tests: in its own worktree, within their time, with what they say read and their logs kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::fault::Tried;
use super::lock::Alone;
use super::reports::{self, Reports};
use super::test_worktree::{TestWorktree, Wanted, mark};
use crate::git::{Oid, Repo};
use crate::model::Command;
use crate::model::duration::format_duration;
use crate::model::keep::Keep;
use crate::model::train::obtained::Obtained;
use crate::process::{self, Ended, Ending, Spec};
use crate::{clock, config};

/// Logs of failed tests that are kept.
const MOST_LOGS: usize = 16;

/// Most tests side by side.
pub(super) const MOST_SLOTS: usize = 64;

/// Exit codes by which a shell says that what it ran was ended by a signal.
const BY_SIGNAL: std::ops::RangeInclusive<i32> = 129..=192;

/// Where tests of one slot run.
#[derive(Debug)]
pub(super) struct Bench {
    worktree: TestWorktree,
    logs: PathBuf,
    mark: String,
    timeout: Duration,
    /// The tree that its files are of, as far as is known.
    pub(super) tree: Option<Oid>,
}

/// A test to run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) commit: Oid,
    pub(super) tree: Oid,
    pub(super) command: String,
    /// Whether nothing may be left in its worktree of any run before.
    pub(super) clean: bool,
    /// A commit that can be checked out unless nothing can.
    pub(super) ground: Option<Oid>,
    /// Whether it is the whole test, whose time is measured.
    pub(super) is_whole: bool,
    /// Whether its whole output is wanted, and the text of its reports.
    pub(super) wants_output: bool,
    /// Which files are reports.
    pub(super) reports: Reports,
    pub(super) jobserver: Option<jobserver::Client>,
}

/// What a test came to.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    /// Whether it passed.
    pub(super) green: bool,
    /// Whether it was stopped before it came to anything.
    pub(super) stopped: bool,
    /// How that was obtained.
    pub(super) how: Obtained,
    /// How it ended, in a few words, for example `it exited with 1`.
    pub(super) why: String,
    /// The last of its output.
    pub(super) tail: String,
    /// Its output, where it is wanted.
    pub(super) output: String,
    /// The reports that it wrote.
    pub(super) reports: Vec<String>,
    pub(super) seconds: f64,
}

impl Bench {
    /// Returns the bench of a slot.
    pub(super) fn new(
        repo: &Repo,
        alone: &Alone,
        slot: usize,
        (timeout, keep): (Duration, &Keep),
    ) -> Self {
        let team = alone.team();
        Self {
            worktree: TestWorktree::of_slot(repo, team, slot, keep),
            logs: logs(repo),
            mark: format!("{}.{slot}", mark(repo, team)),
            timeout,
            tree: None,
        }
    }

    /// Tests a commit, until it is done or asked to stop.
    ///
    /// # Errors
    ///
    /// The worktree cannot be brought to the commit, which may be the commit's own fault, or the test cannot be
    /// started.
    pub(super) fn test(&mut self, job: &Job, stop: oneshot::Receiver<()>) -> Tried<Ran> {
        self.tree = None;
        let how = self.worktree.prepare(&Wanted {
            commit: job.commit,
            clean: job.clean,
            ground: job.ground,
            reports: &job.reports,
        })?;
        self.tree = Some(job.tree);
        let log = self
            .logs
            .join(format!("{}-{}.log", job.commit, clock::new_op_id()));
        let spec = Spec {
            command: without_our_variables(&job.command),
            dir: self.worktree.dir().to_owned(),
            env: Vec::new(),
            stdin: None,
            log: log.clone(),
            wall: self.timeout,
            idle: None,
            mark: self.mark.clone(),
            jobserver: job.jobserver.clone(),
        };
        let ended = run(&spec, stop)?;
        let by_itself = ended.leftovers == 0
            && matches!(ended.ending, Ending::Exited(code) if !BY_SIGNAL.contains(&code));
        let ran = self.judge(job, ended, &log, how);
        // What is broken is mended before the next test.
        let _ = self.worktree.end(job.commit, by_itself);
        if ran.green || ran.stopped {
            let _ = fs::remove_file(&log);
        } else {
            self.drop_old_logs();
        }
        Ok(ran)
    }

    fn judge(&self, job: &Job, ended: Ended, log: &Path, how: Obtained) -> Ran {
        let why = match ended.ending {
            Ending::Exited(0) | Ending::Stopped => String::new(),
            Ending::Exited(code) => format!("it exited with {code}"),
            Ending::Signalled(signal) => format!("it was ended by signal {signal}"),
            Ending::TimedOut | Ending::Silent => {
                format!("it took longer than {}", format_duration(self.timeout))
            }
        };
        let mut ran = Ran {
            green: ended.ending == Ending::Exited(0),
            stopped: ended.ending == Ending::Stopped,
            how,
            why,
            tail: ended.tail,
            output: String::new(),
            reports: Vec::new(),
            seconds: ended.took.as_secs_f64(),
        };
        if job.wants_output && !ran.stopped {
            let begun = self.worktree.running_mark();
            ran.output = reports::read(log);
            ran.reports = job.reports.written_since(&begun, self.worktree.dir());
        }
        ran
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

/// Returns where logs of failed tests are.
pub(super) fn logs(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("logs/assemble")
}

/// Runs a test on a runtime of its own, since an executor may assemble from within its loop.
fn run(spec: &Spec, stop: oneshot::Receiver<()>) -> Result<Ended> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    tokio.block_on(async {
        let stop = async {
            if stop.await.is_err() {
                // Whoever could ask is gone, so nobody will.
                std::future::pending::<()>().await;
            }
        };
        process::run_async(spec, stop).await
    })
}

/// Returns the command line of a test without the variables by which an agent is known: a test must not
/// speak to the ledger in the name of whoever assembles.
pub(super) fn without_our_variables(command: &str) -> Command {
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
