//! The only place that spawns `git`.
//!
//! Git exports `GIT_DIR`, `GIT_INDEX_FILE` and more to hooks; they beat `-C` and the working directory, so
//! every child starts without them, and with the settings that `environment` pins
//! (docs/decisions/environment.md). Decide on exit codes and
//! porcelain output, never on message text.

#![expect(
    clippy::disallowed_methods,
    reason = "this module spawns git and scrubs its environment"
)]

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::complaint::complaint;
use super::environment;
use super::watch::{self, Stop, Watched};
use crate::waits;

/// A `git` command line in the making.
#[derive(Debug)]
pub struct Git {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Option<Duration>,
    most: Option<Duration>,
    shown: Vec<String>,
}

impl Git {
    /// Returns a command that runs in a directory.
    pub fn new(dir: &Path) -> Self {
        let mut command = Command::new("git");
        command
            .current_dir(dir)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C");
        let surroundings = environment::surroundings();
        for name in &surroundings.hidden {
            command.env_remove(name);
        }
        command.env(environment::PARAMETERS, &surroundings.parameters);
        Self {
            command,
            stdin: None,
            limit: None,
            most: None,
            shown: vec![String::from("git")],
        }
    }

    /// Returns an `ssh-keygen`, which makes and checks the signatures that Git has no command for.
    pub fn ssh_keygen(dir: &Path) -> Self {
        let mut command = Command::new("ssh-keygen");
        command.current_dir(dir).env("LC_ALL", "C");
        Self {
            command,
            stdin: None,
            limit: None,
            most: None,
            shown: vec![String::from("ssh-keygen")],
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(arg.as_ref().to_string_lossy().into_owned());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Feeds the child's standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Ends the command and what it started when it takes longer: for whatever talks to another machine.
    ///
    /// It then also does not hear a Ctrl-C at the terminal, which would leave half a conversation.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.command.process_group(0);
        self.limit = Some(limit);
        self
    }

    /// Ends the command when it takes longer, which is an error then: for whatever reads what agents can write.
    #[must_use]
    pub fn within(mut self, most: Duration) -> Self {
        self.most = Some(most);
        self
    }

    /// Runs the command and returns its output whatever the exit code.
    ///
    /// # Errors
    ///
    /// `git` cannot be started, waits at a named pipe, or takes longer than it may.
    pub fn output(self) -> Result<Output> {
        match self.limit {
            // What talks to another machine may be long in coming.
            Some(_) => {
                let verbs = ["push", "fetch", "ls-remote"];
                let verb = self
                    .shown
                    .iter()
                    .find(|word| verbs.contains(&word.as_str()));
                let verb = verb.cloned().unwrap_or_default();
                waits::told(format!("`git {verb}` to be answered"), || self.answered())
            }
            None if self.most.is_some() => {
                let dir = self.command.get_current_dir().unwrap_or(Path::new("."));
                let what = format!("git to look at {}", dir.display());
                waits::told(what, || self.answered())
            }
            None => self.answered(),
        }
    }

    fn answered(mut self) -> Result<Output> {
        let wants_stdin = self.stdin.is_some();
        let mut child = self
            .command
            .stdin(if wants_stdin {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run `{}`", self.shown.join(" ")))?;
        let feeder = self
            .stdin
            .take()
            .zip(child.stdin.take())
            .map(|(bytes, mut pipe)| {
                // A child that stops reading early is judged by its exit code, not by our broken pipe.
                std::thread::spawn(move || drop(pipe.write_all(&bytes)))
            });
        let watched = Watched::begin(child.id(), self.limit, self.most);
        let output = child.wait_with_output().context("cannot wait for git")?;
        let stopped = watched.end();
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        match stopped {
            // A remote that does not answer is the caller's matter.
            Some(Stop::TooLong(_)) if self.limit.is_some() => Ok(output),
            Some(stop) if !output.status.success() => {
                let error = anyhow::anyhow!("`{}` was ended", self.shown.join(" "));
                Err(error.context(watch::told(stop, &self.places())))
            }
            _ => Ok(output),
        }
    }

    /// Returns the directories that the command looks at.
    fn places(&self) -> Vec<PathBuf> {
        let named = |(name, value): (&OsStr, Option<&OsStr>)| match name == "GIT_DIR" {
            true => value.map(PathBuf::from),
            false => None,
        };
        let git_dir = self.command.get_envs().find_map(named);
        // Refs and objects lie in the directory that all worktrees share.
        let shared = git_dir.as_deref().and_then(|dir| match dir.parent() {
            Some(all) if all.ends_with("worktrees") => all.parent().map(Path::to_path_buf),
            _ => None,
        });
        let dir = self.command.get_current_dir().map(Path::to_path_buf);
        dir.into_iter().chain(git_dir).chain(shared).collect()
    }

    /// Runs the command and returns what it printed, without the last line break.
    ///
    /// # Errors
    ///
    /// It cannot be started, or exits with another code than zero ([`GitFailure`]).
    pub fn read(self) -> Result<String> {
        let bytes = self.read_bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Runs the command and returns the bytes that it printed.
    ///
    /// # Errors
    ///
    /// It cannot be started, or exits with another code than zero ([`GitFailure`]).
    pub fn read_bytes(self) -> Result<Vec<u8>> {
        let shown = self.shown.clone();
        let dir = self.command.get_current_dir().map(Path::to_path_buf);
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(GitFailure::new(shown, dir, &output).into())
    }

    /// Runs the command for its effect.
    ///
    /// # Errors
    ///
    /// It cannot be started, or exits with another code than zero ([`GitFailure`]).
    pub fn run(self) -> Result<()> {
        self.read_bytes().map(drop)
    }

    /// Runs the command and returns whether it exits with zero rather than one.
    ///
    /// # Errors
    ///
    /// It cannot be started, or exits with a code above one ([`GitFailure`]).
    pub fn test(self) -> Result<bool> {
        let shown = self.shown.clone();
        let dir = self.command.get_current_dir().map(Path::to_path_buf);
        let output = self.output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(GitFailure::new(shown, dir, &output).into()),
        }
    }

    /// Keeps variables of this process's environment that are cleared otherwise.
    ///
    /// Only for running a user's own hook, which must see what Git gave to ours.
    #[must_use]
    pub fn keep_env(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.command.envs(variables);
        self
    }
}

/// A `git` command that exited with another code than zero.
#[derive(Debug, Clone)]
pub struct GitFailure {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Directory that it ran in.
    pub dir: Option<PathBuf>,
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said besides; [`complaint`] finds the error in it.
    pub stderr: String,
}

impl GitFailure {
    /// Returns the failure of a command of these words.
    pub(super) fn of(words: &[&str], output: &Output) -> Self {
        let command = words.iter().map(ToString::to_string).collect();
        Self::new(command, None, output)
    }

    fn new(command: Vec<String>, dir: Option<PathBuf>, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Self {
            command,
            dir,
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl fmt::Display for GitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or_else(|| String::from("a signal"), |code| format!("exit {code}"));
        write!(
            f,
            "`{}` ended with {code}: {}",
            self.command.join(" "),
            complaint(self.stderr.as_bytes())
        )
    }
}

impl std::error::Error for GitFailure {}
