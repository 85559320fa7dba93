//! One helper for all tests: a repository of its own, with nothing of the user's around it.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod drive;
pub mod machines;
pub mod print;
pub mod replay;
pub mod site;
pub mod trace;
pub mod words;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::Duration;

use tempfile::TempDir;

/// The wall clock that every test starts at.
pub const TIME: &str = "1763700000";

/// Time that all tests together may take, many times what they do.
const MOST_TIME: Duration = Duration::from_secs(40 * 60);

/// The same where every fault is tried.
const MOST_TIME_FOR_FAULTS: Duration = Duration::from_secs(8 * 60 * 60);

/// Ends the tests when one of them never does, and names those that still run, for whoever reads the log.
fn watch_over_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            let most = if trace::all() {
                MOST_TIME_FOR_FAULTS
            } else {
                MOST_TIME
            };
            std::thread::sleep(most);
            let threads = std::fs::read_dir("/proc/self/task")
                .into_iter()
                .flatten()
                .flatten();
            let names =
                threads.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
            let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
            eprintln!("no end after {most:?}; these threads are still there: {names:?}");
            std::process::abort();
        });
    });
}

/// A repository in a temporary directory, with a HOME of its own beside it.
pub struct TestRepo {
    temp: TempDir,
    path: PathBuf,
}

impl TestRepo {
    /// An empty repository without commits.
    pub fn empty() -> Self {
        Self::empty_called("repo")
    }

    /// An empty repository in a directory of that name.
    pub fn empty_called(name: &str) -> Self {
        watch_over_all();
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().canonicalize().unwrap().join(name);
        std::fs::create_dir_all(temp.path().join("home")).unwrap();
        std::fs::create_dir_all(&path).unwrap();
        let repo = Self { temp, path };
        repo.git(["init", "-q", "-b", "main"]);
        repo
    }

    /// A repository with one commit on `main`.
    pub fn new() -> Self {
        let repo = Self::empty();
        repo.write("README.md", "# a project\n").commit("first")
    }

    /// Begins the ledger.
    pub fn init(self) -> Self {
        self.orch(["init"]).ok();
        self
    }

    /// Applies a plan.
    pub fn plan(self, text: &str) -> Self {
        let plan = self.temp.path().join("plan.toml");
        std::fs::write(&plan, text).unwrap();
        self.orch([OsStr::new("plan"), OsStr::new("apply"), plan.as_os_str()])
            .ok();
        self
    }

    /// Writes a file in the main worktree.
    pub fn write(self, path: &str, text: &str) -> Self {
        write_file(&self.path.join(path), text);
        self
    }

    /// Commits everything in the main worktree.
    pub fn commit(self, message: &str) -> Self {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "-m", message]);
        self
    }

    /// Top of the main worktree.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary directory around the repository.
    pub fn outside(&self) -> PathBuf {
        self.temp.path().canonicalize().unwrap()
    }

    /// Worktree of a coder.
    pub fn worktree(&self, agent: &str) -> PathBuf {
        self.path.with_file_name("repo.orch").join(agent)
    }

    /// Runs git in the main worktree; fails the test unless it exits with zero.
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.git_in(&self.path, args)
    }

    /// Runs git in a directory; fails the test unless it exits with zero.
    pub fn git_in<S: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = S>) -> String {
        let output = self.command("git", dir).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git failed: {stderr}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Runs git in a directory and returns what it came to.
    pub fn try_git_in<S: AsRef<OsStr>>(
        &self,
        dir: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Outcome {
        Outcome(self.command("git", dir).args(args).output().unwrap())
    }

    /// Runs `git orch` in the main worktree.
    pub fn orch<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        self.orch_in(&self.path, args)
    }

    /// Runs `git orch` in a directory.
    pub fn orch_in<S: AsRef<OsStr>>(
        &self,
        dir: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let output = self
            .orch_command(dir)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Outcome(output)
    }

    /// A `git-orch` command that has yet to be run, for tests that kill it.
    pub fn orch_command(&self, dir: &Path) -> Command {
        self.command(env!("CARGO_BIN_EXE_git-orch"), dir)
    }

    /// A command with a cleared environment.
    pub fn command(&self, program: &str, dir: &Path) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_git-orch"))
            .parent()
            .unwrap()
            .to_owned();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", self.temp.path().join("home"))
            .env("XDG_STATE_HOME", state_home())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@example.com")
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@example.com")
            .env("GIT_AUTHOR_DATE", format!("@{TIME} +0000"))
            .env("GIT_COMMITTER_DATE", format!("@{TIME} +0000"))
            .env("ORCH_TEST_TIME", TIME)
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }
}

/// Where git-orch keeps what is its user's: the same for the program and for what tests call of it by themselves, so
/// that each takes the other's records for its own. Set in `.cargo/config.toml`.
pub fn state_home() -> PathBuf {
    PathBuf::from(std::env::var_os("XDG_STATE_HOME").expect("cargo sets XDG_STATE_HOME"))
}

/// Seeds of random scenes: a few on every run, as many as `ORCH_SEEDS` says where it is set.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("ORCH_SEEDS").ok();
    0..wanted.and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Writes a file and the directories above it.
pub fn write_file(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What a command came to.
#[must_use]
pub struct Outcome(pub Output);

impl Outcome {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    /// Fails the test unless the command exited with zero; returns its stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.code(),
            0,
            "stdout: {}\nstderr: {}",
            self.stdout(),
            self.stderr()
        );
        self.stdout()
    }

    /// Fails the test unless the command exited with a code; returns its stderr.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(
            self.code(),
            code,
            "stdout: {}\nstderr: {}",
            self.stdout(),
            self.stderr()
        );
        self.stderr()
    }

    /// Parses the answer as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}
