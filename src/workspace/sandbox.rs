//! What an agent is kept in, where it lies, and whether this machine can do it. Never less than was asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::private::Private;
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::model::{Board, Command, Confined, Profile, RunSpec, Sandbox, State};
use crate::process::{inherit, landlock};

/// What one profile's agents are kept in, its paths resolved on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What they are kept in.
    pub sandbox: Sandbox,
    write: Vec<PathBuf>,
    network: bool,
}

impl Setting {
    /// Resolves what a run and a profile say.
    ///
    /// # Errors
    ///
    /// A path that is to be writable does not exist, or would open the repository.
    pub fn of(repo: &Repo, run: &RunSpec, profile: &Profile) -> Result<Self> {
        let sandbox = profile.sandbox_in(&run.sandbox).clone();
        let mut write = Vec::new();
        if !sandbox.is_none() {
            for path in run.sandbox_write.iter().chain(&profile.sandbox_write) {
                write.push(writable(repo, path)?);
            }
        }
        let network = profile.sandbox_network.or(run.sandbox_network);
        Ok(Self {
            sandbox,
            write,
            network: network.unwrap_or(true),
        })
    }

    /// Returns whether agents are kept in nothing.
    pub fn is_none(&self) -> bool {
        self.sandbox.is_none()
    }

    /// Returns a command line that runs an agent in a worktree lent to its own repository.
    ///
    /// # Errors
    ///
    /// The sandbox's own command names something that there is not.
    pub fn agent(
        &self,
        repo: &Repo,
        worktree: &Path,
        private: &Private,
        command: Command,
    ) -> Result<Command> {
        let mut confined = self.confined(repo, worktree, private);
        confined.git_dir = Some(private.repo());
        confined.write.insert(0, private.out());
        self.enclose(&confined, command)
    }

    /// Returns a command line that checks an agent's work, which runs what the agent wrote.
    ///
    /// # Errors
    ///
    /// As [`Setting::agent`], or its directory for temporary files cannot be made.
    pub fn check(
        &self,
        repo: &Repo,
        worktree: &Path,
        private: &Private,
        command: Command,
    ) -> Result<Command> {
        let tmp = private.tmp();
        std::fs::create_dir_all(&tmp)
            .with_context(|| format!("cannot create {}", tmp.display()))?;
        self.enclose(&self.confined(repo, worktree, private), command)
    }

    fn confined(&self, repo: &Repo, worktree: &Path, private: &Private) -> Confined {
        Confined {
            worktree: worktree.to_owned(),
            git_dir: None,
            common_dir: repo.common_dir().to_owned(),
            tmp: private.tmp(),
            write: self.write.clone(),
            network: self.network,
        }
    }

    fn enclose(&self, confined: &Confined, command: Command) -> Result<Command> {
        let program = config::program();
        let enclosed = confined.enclose(&self.sandbox, &program, command);
        enclosed.map_err(|wrong| UserError::new(wrong).hint("git orch plan show").into())
    }

    /// Returns the variables of whatever runs in the sandbox.
    pub fn environment(&self, private: &Private) -> Vec<(OsString, OsString)> {
        let mut set: Vec<(OsString, OsString)> = ["TMPDIR", "TMP", "TEMP"]
            .map(|name| (name.into(), private.tmp().into()))
            .into();
        set.push(("ORCH_SANDBOX".into(), self.sandbox.kind().into()));
        set
    }
}

/// Resolves a path that is to be writable.
fn writable(repo: &Repo, path: &str) -> Result<PathBuf> {
    let refuse = |what: String| UserError::new(format!("`sandbox_write` names {path}, {what}"));
    let full = match path.strip_prefix("~/") {
        Some(rest) => config::home()
            .ok_or_else(|| refuse(String::from("and there is no HOME")))?
            .join(rest),
        None => PathBuf::from(path),
    };
    let found = full.canonicalize().map_err(|error| {
        refuse(format!("which cannot be resolved here: {error}"))
            .hint(format!("mkdir -p '{}'", full.display()))
    })?;
    let kept = [
        Some(repo.common_dir().to_path_buf()),
        repo.main_work_dir(),
        Some(super::place::worktrees_dir(repo)),
    ];
    for kept in kept.into_iter().flatten() {
        if kept.starts_with(&found) || found.starts_with(&kept) {
            let what = format!("which would open {} to agents", kept.display());
            return Err(refuse(what).hint("git orch plan show").into());
        }
    }
    Ok(found)
}

/// Refuses to run agents of a plan that this machine cannot keep in what their profiles ask for.
///
/// # Errors
///
/// A sandbox does not work here, or a path of one cannot be made writable.
pub fn require(repo: &Repo, board: &Board) -> Result<()> {
    let run = board.run();
    let mut tried: Vec<Sandbox> = Vec::new();
    for task in board.tasks.values() {
        if task.status.state.is_done() || matches!(task.status.state, State::Cancelled) {
            continue;
        }
        let (name, profile) = board.profile_of(task);
        let setting = Setting::of(repo, &run, &profile)?;
        if tried.contains(&setting.sandbox) && setting.network {
            continue;
        }
        if let Err(why) = works(&setting.sandbox, setting.network) {
            let kind = setting.sandbox.kind();
            let error = format!(
                "profile {name} keeps its agents in the sandbox `{kind}`, which does not work here: {why}"
            );
            return Err(UserError::new(error).hint("git orch doctor").into());
        }
        tried.push(setting.sandbox);
    }
    Ok(())
}

/// Tries whether a sandbox works here.
///
/// # Errors
///
/// It does not; returns why in one line.
pub fn works(sandbox: &Sandbox, network: bool) -> Result<(), String> {
    match sandbox {
        Sandbox::None => Ok(()),
        Sandbox::Landlock => {
            let support = landlock::support();
            if !support.files {
                return Err(String::from(
                    "this kernel lacks Landlock of ABI 3 (Linux 6.2), or it is switched off",
                ));
            }
            match support.network || network {
                true => Ok(()),
                false => Err(String::from(
                    "`sandbox_network = false` needs Landlock of ABI 4 (Linux 6.7)",
                )),
            }
        }
        Sandbox::Bwrap => {
            let Some(program) = config::on_path("bwrap") else {
                return Err(String::from("there is no program `bwrap` on PATH"));
            };
            let mut trial =
                "--ro-bind / / --dev /dev --unshare-pid --unshare-ipc --proc /proc --cap-drop ALL"
                    .split(' ')
                    .collect::<Vec<_>>();
            if !network {
                trial.push("--unshare-net");
            }
            trial.extend(["--", "true"]);
            let trial: Vec<OsString> = trial.into_iter().map(OsString::from).collect();
            match inherit::run(&program, &trial, None) {
                Ok(0) => Ok(()),
                Ok(code) => Err(format!(
                    "`bwrap` exits with {code}: it may not make namespaces here"
                )),
                Err(error) => Err(format!("{error:#}")),
            }
        }
        Sandbox::Prefix(words) => {
            let program = words.first().map(String::as_str).unwrap_or_default();
            match config::on_path(program) {
                Some(_) => Ok(()),
                None => Err(format!("there is no program `{program}`")),
            }
        }
    }
}
