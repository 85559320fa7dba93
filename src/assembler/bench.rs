//! A worktree that tests run in: detached, reused, so that build caches stay warm.
//!
//! Between two tests tracked files are made exactly the commit's and untracked ones removed; ignored ones,
//! which is where build caches live, stay. Only the holder of the assembler's lock uses it, so whatever lock
//! file or process a killed run left in it is dead and taken away. Each slot has one of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::lock::Alone;
use super::submodules::Submodules;
use crate::git::checkout;
use crate::git::files::{self, Lock};
use crate::git::{Git, Oid, Repo};
use crate::model::duration::format_duration;
use crate::model::train::obtained::Obtained;
use crate::model::{Command, TeamId};
use crate::process::{self, Ended, Ending, Spec};
use crate::{clock, config};

/// Name under `<common>/worktrees/` of the first slot's worktree; the others have a number behind it.
const ADMIN: &str = checkout::TEST_WORKTREE;

/// Directory of the first slot's worktree, beside those of coders.
const DIR: &str = "assembler";

/// Logs of failed tests that are kept.
const MOST_LOGS: usize = 16;

/// Bytes of a log that are read for what it says of single tests; the rest of a longer one is not looked at.
const MOST_READ: u64 = 64 * 1024 * 1024;

/// Where tests of one slot run.
#[derive(Debug)]
pub(super) struct Bench {
    dir: PathBuf,
    admin: PathBuf,
    logs: PathBuf,
    worktrees_lock: PathBuf,
    mark: String,
    modules: Submodules,
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
    /// Whether it is the whole test, whose time is measured.
    pub(super) is_whole: bool,
    /// Whether its whole output is wanted, and the text of which files it writes.
    pub(super) reports: Option<Vec<String>>,
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
    pub(super) fn new(repo: &Repo, alone: &Alone, slot: usize, timeout: Duration) -> Self {
        let team = alone.team();
        let of_team = team.map_or_else(String::new, |team| format!("-team-{team}"));
        let number = match slot {
            0 => String::new(),
            slot => format!("-{}", slot + 1),
        };
        let mark = format!("{}.{slot}", mark(repo, team));
        Self::called(repo, &format!("{of_team}{number}"), mark, timeout)
    }

    /// Returns the bench whose directories' names end so.
    fn called(repo: &Repo, end: &str, mark: String, timeout: Duration) -> Self {
        let numbered = |name: &str| format!("{name}{end}");
        Self {
            dir: repo.worktrees_dir().join(numbered(DIR)),
            admin: repo.common_dir().join("worktrees").join(numbered(ADMIN)),
            logs: repo.orch_dir().join("logs/assemble"),
            worktrees_lock: repo.orch_dir().join("worktrees.lock"),
            mark,
            modules: Submodules::new(repo),
            timeout,
            tree: None,
        }
    }

    /// Tests a commit, until it is done or asked to stop.
    ///
    /// # Errors
    ///
    /// The worktree cannot be brought to the commit, or the test cannot be started.
    pub(super) fn test(&mut self, job: &Job, stop: oneshot::Receiver<()>) -> Result<Ran> {
        self.tree = None;
        self.prepare(job.commit)?;
        self.tree = Some(job.tree);
        let log = self
            .logs
            .join(format!("{}-{}.log", job.commit, clock::new_op_id()));
        let spec = Spec {
            command: without_our_variables(&job.command),
            dir: self.dir.clone(),
            env: Vec::new(),
            stdin: None,
            log: log.clone(),
            wall: self.timeout,
            idle: None,
            mark: self.mark.clone(),
            jobserver: job.jobserver.clone(),
        };
        let begun = fs::metadata(self.dir.join(".git")).and_then(|meta| meta.modified());
        let begun = begun.unwrap_or(SystemTime::UNIX_EPOCH);
        let ended = run(&spec, stop)?;
        // A test that was on a branch must not keep others from it; what is broken here is mended before the next.
        let _ = self.register(job.commit);
        let ran = self.judge(job, ended, &log, begun);
        if ran.green || ran.stopped {
            let _ = fs::remove_file(&log);
        } else {
            self.drop_old_logs();
        }
        Ok(ran)
    }

    fn judge(&self, job: &Job, ended: Ended, log: &Path, begun: SystemTime) -> Ran {
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
            how: Obtained::Warm,
            why,
            tail: ended.tail,
            output: String::new(),
            reports: Vec::new(),
            seconds: ended.took.as_secs_f64(),
        };
        if let Some(patterns) = &job.reports
            && !ran.stopped
        {
            ran.output = read_bounded(log);
            ran.reports = reports(&self.dir, patterns, begun);
        }
        ran
    }

    /// Brings the worktree to a commit.
    fn prepare(&self, commit: Oid) -> Result<()> {
        let _alone = Lock::wait(&self.worktrees_lock)?;
        let bring = || {
            self.register(commit)?;
            self.check_out(commit)?;
            self.modules.bring(&self.dir)
        };
        if let Err(error) = bring() {
            // Whatever a test, or anyone, did to the worktree's own files, a new one has none of it.
            self.discard().context(error)?;
            bring()?;
        }
        Ok(())
    }

    /// Writes what makes a directory a worktree; doing so again does no harm.
    ///
    /// `git worktree add` would name its administrative directory after the last part of the path.
    fn register(&self, commit: Oid) -> Result<()> {
        for dir in [&self.dir, &self.admin] {
            // Nothing is written through a link that somebody put there: what it leads to is not ours.
            if fs::symlink_metadata(dir).is_ok_and(|meta| !meta.is_dir()) {
                fs::remove_file(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
            }
        }
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
                "-c",
                "submodule.recurse=false",
            ])
        };
        let git = || match self.dir.parent() {
            // Without a `.git` of its own here, git must not take a repository further up for this one.
            Some(parent) => git().env("GIT_CEILING_DIRECTORIES", parent),
            None => git(),
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
            let removed = match fs::remove_dir_all(dir) {
                // Somebody put a file, or a link, there.
                Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(dir),
                // A test may have taken the right to remove its files away.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    make_writable(dir);
                    fs::remove_dir_all(dir)
                }
                removed => removed,
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
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

/// Removes the worktrees that tests run in, if there are any, with what a killed run left running in them;
/// they hold nothing that could not be made again.
///
/// # Errors
///
/// Something cannot be removed.
pub fn remove_worktrees(repo: &Repo, alone: &Alone) -> Result<()> {
    end_left_behind(repo, alone)?;
    let mut ends = BTreeSet::from([String::new()]);
    for (dir, start) in [
        (repo.worktrees_dir(), DIR),
        (repo.common_dir().join("worktrees"), ADMIN),
    ] {
        // Mostly there is no such directory.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let end = name.strip_prefix(start).filter(|end| is_end(end));
            ends.extend(end.map(str::to_owned));
        }
    }
    for end in ends {
        Bench::called(repo, &end, mark(repo, None), Duration::ZERO).leave_nothing()?;
    }
    Ok(())
}

/// Returns whether it is what ends the name of a slot: nothing, a number, or a team and a number.
fn is_end(end: &str) -> bool {
    let words: Vec<&str> = end.split('-').skip(1).collect();
    let number = |word: &str| word.parse::<u32>().is_ok();
    match words[..] {
        [] => end.is_empty(),
        [slot] => number(slot),
        ["team", team] => number(team),
        ["team", team, slot] => number(team) && number(slot),
        _ => false,
    }
}

/// Ends whatever tests of a killed run, in any slot, have left running.
///
/// # Errors
///
/// There are no resources for the wait.
pub(super) fn end_left_behind(repo: &Repo, alone: &Alone) -> Result<()> {
    process::sweep(&mark(repo, alone.team())).map(drop)
}

/// Returns the mark of a repository's tests, or of one team's. A mark's parts are below it: one sweep finds the
/// processes of every slot, and of every team's.
fn mark(repo: &Repo, team: Option<TeamId>) -> String {
    let name = repo.common_dir().to_string_lossy().into_owned();
    let id = crate::git::objects::blob_id(name.as_bytes());
    match team {
        None => format!("assembler-{id}"),
        Some(team) => format!("assembler-{id}.team-{team}"),
    }
}

/// Most tests side by side.
pub(super) const MOST_SLOTS: usize = 64;

/// Gives the owner all rights to the directories below one, as far as that is possible.
fn make_writable(dir: &Path) {
    // What stays as it is makes the removal fail, which is told.
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
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

/// Reads the beginning of a log; what is no UTF-8 is replaced.
fn read_bounded(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What cannot be read says nothing.
        let _ = file.take(MOST_READ).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the texts of files below a directory that match a pattern and were written since the test began:
/// what an earlier test left is not this one's.
fn reports(dir: &Path, patterns: &[String], begun: SystemTime) -> Vec<String> {
    let globs: Vec<globset::GlobMatcher> = patterns
        .iter()
        .filter_map(|pattern| Some(globset::Glob::new(pattern).ok()?.compile_matcher()))
        .collect();
    if globs.is_empty() {
        return Vec::new();
    }
    let (mut texts, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = dirs.pop() {
        let Ok(listing) = fs::read_dir(&at) else {
            continue;
        };
        for entry in listing.flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else {
                continue;
            };
            if kind.is_dir() {
                if entry.file_name() != ".git" {
                    dirs.push(path);
                }
                continue;
            }
            let inside = path.strip_prefix(dir).unwrap_or(&path);
            let modified = entry.metadata().and_then(|meta| meta.modified());
            // A second of grace for filesystems with coarse times.
            let fresh = modified.is_ok_and(|at| at + Duration::from_secs(1) >= begun);
            if kind.is_file() && fresh && globs.iter().any(|glob| glob.is_match(inside)) {
                texts.push(read_bounded(&path));
            }
        }
    }
    texts
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

    #[test]
    fn reports_are_those_written_since_the_test_began() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        for (path, text) in [
            ("target/junit/a.xml", "new"),
            ("other/b.xml", "no"),
            ("target/junit/c.txt", "no"),
        ] {
            let path = dir.join(path);
            files::replace(&path, text.as_bytes()).unwrap();
        }
        let patterns = [String::from("target/**/*.xml")];
        let long_ago = SystemTime::UNIX_EPOCH;
        assert_eq!(reports(dir, &patterns, long_ago), ["new"]);
        let written = fs::metadata(dir.join("target/junit/a.xml"))
            .unwrap()
            .modified()
            .unwrap();
        let later = written + Duration::from_secs(3600);
        assert_eq!(reports(dir, &patterns, later), Vec::<String>::new());
        assert_eq!(reports(dir, &[], long_ago), Vec::<String>::new());
    }
}
