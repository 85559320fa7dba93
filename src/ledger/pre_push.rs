//! The user's `pre-push` hook is asked about the branches that git-orch sends, as `git push` would ask it.
//!
//! Not by `git push` itself: the ledger and branches go up together, once more after every lost race and under the
//! ledger's lock, and a hook may run tests for minutes or send gigabytes. So it is asked beforehand, once, in the main
//! worktree, and its time has an end. The ledger's own branch and leases hold no code: about them nobody is asked.
//!
//! Contents of large files go up by that hook as well. Git LFS puts it in place when it is first used in a clone, by
//! whoever commits in the main worktree; where it has none, its own command does what the hook would.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};

use super::Ledger;
use crate::clock;
use crate::config;
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::files::{self, Lock};
use crate::git::{Git, Oid, Repo};
use crate::model::Command;
use crate::model::duration::format_duration;
use crate::model::event::{one_line, shorten};
use crate::process::{self, Ended, Ending};
use crate::waits;

/// A branch that is about to go up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outgoing {
    /// Its full name, here and there.
    pub branch: String,
    /// The commit that it will be at.
    pub commit: Oid,
}

/// What a hook says of branches that are about to go up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAnswer {
    /// They may, or there is nobody to ask.
    Agreed,
    /// They must not.
    Refused(PushRefusal),
    /// It was not asked, since a person has said so: this is to be told.
    NotAsked(String),
}

/// A hook's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRefusal {
    /// Which hook refuses what, with its last line.
    pub reason: String,
    /// All that it said, as far as that is kept.
    pub words: String,
    /// A command that asks it again and sends nothing.
    pub again: String,
}

impl PushRefusal {
    /// Returns the error that it is to a person.
    pub fn error(&self) -> UserError {
        UserError::new(format!("{}\n{}", self.reason, self.words)).hint(&self.again)
    }
}

/// Most characters of a hook's last line in a reason.
const MOST_CHARS: usize = 200;

/// What hooks have said in this process, by repository, branch and commit: whether it may go up.
static SAID: Mutex<BTreeMap<(PathBuf, Outgoing), bool>> = Mutex::new(BTreeMap::new());

impl Ledger {
    /// Asks the user's `pre-push` hook about branches that are about to go to the ledger's remote, and sends the
    /// contents of their large files. What the remote has, as last fetched, is not asked about.
    ///
    /// # Errors
    ///
    /// The hook does not come to an end, contents cannot be sent, or something cannot be started.
    pub fn ask_before_push(&self, going: &[Outgoing]) -> Result<HookAnswer> {
        let Some(remote) = self.remote() else {
            return Ok(HookAnswer::Agreed);
        };
        let mut news = Vec::new();
        for one in going {
            let theirs = self.fetched_tip(&one.branch)?;
            let is_known = theirs == Some(one.commit) || said_of(&self.repo, one) == Some(true);
            news.extend((!is_known).then(|| (one.clone(), theirs)));
        }
        if news.is_empty() {
            return Ok(HookAnswer::Agreed);
        }
        let asking = Asking::of(&self.repo, &remote)?;
        let answer = asking.ask(&news);
        let may_go = !matches!(answer, Ok(HookAnswer::Refused(_)) | Err(_));
        for (one, _) in news {
            note(&self.repo, one, may_go);
        }
        answer
    }

    /// Asks about branches that must go up, or nothing else may happen.
    ///
    /// # Errors
    ///
    /// As [`Ledger::ask_before_push`]; or the hook refuses.
    pub fn require_push_allowed(&self, going: &[Outgoing]) -> Result<()> {
        match self.ask_before_push(going)? {
            HookAnswer::Agreed | HookAnswer::NotAsked(_) => Ok(()),
            HookAnswer::Refused(refusal) => Err(refusal.error().into()),
        }
    }
}

/// Returns whether a branch may go up, as far as that was found out in this process.
pub(super) fn said_of(repo: &Repo, one: &Outgoing) -> Option<bool> {
    // Every change is a single insertion.
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.get(&(repo.common_dir().to_path_buf(), one.clone()))
        .copied()
}

/// Notes whether a branch may go up; what has gone there needs no asking any more.
pub(super) fn note(repo: &Repo, one: Outgoing, may_go: bool) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.insert((repo.common_dir().to_path_buf(), one), may_go);
}

/// A remote, and who is asked before something goes there.
struct Asking<'a> {
    repo: &'a Repo,
    common: PathBuf,
    /// Where hooks run.
    dir: PathBuf,
    remote: &'a str,
    url: String,
}

impl<'a> Asking<'a> {
    fn of(repo: &'a Repo, remote: &'a str) -> Result<Self> {
        let common = repo.common_dir().to_path_buf();
        let dir = repo.main_work_dir().unwrap_or_else(|| common.clone());
        let url = Git::new(&dir)
            .args(["remote", "get-url", "--push", remote])
            .read()?;
        Ok(Self {
            repo,
            common,
            dir,
            remote,
            url,
        })
    }

    fn ask(&self, news: &[(Outgoing, Option<Oid>)]) -> Result<HookAnswer> {
        let line = |(Outgoing { branch, commit }, theirs): &(Outgoing, Option<Oid>)| {
            let theirs = theirs.map_or_else(|| "0".repeat(40), |theirs| theirs.to_string());
            format!("{branch} {commit} {branch} {theirs}\n")
        };
        let lines: String = news.iter().map(line).collect();
        let hook = self.hook()?;
        let mut answer = HookAnswer::Agreed;
        if let Some(hook) = &hook {
            if !config::asks_pre_push(self.repo) {
                answer = HookAnswer::NotAsked(format!(
                    "the hook {} was not asked about {}, since orch.prePush is off",
                    hook.display(),
                    names(news)
                ));
            } else if let Some(refusal) = self.ask_hook(hook, &lines, news)? {
                return Ok(HookAnswer::Refused(refusal));
            }
        }
        if self.has_large_files(hook.as_deref()) {
            self.send_large_files(&lines, news)?;
        }
        Ok(answer)
    }

    /// Returns the hook that `git push` would run in the main worktree.
    fn hook(&self) -> Result<Option<PathBuf>> {
        let mut named = Git::new(&self.dir)
            .args(["rev-parse", "--git-path", "hooks/pre-push"])
            .read_bytes()?;
        if named.ends_with(b"\n") {
            named.pop();
        }
        let path = self.dir.join(OsString::from_vec(named));
        let can_run = fs::metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        Ok(can_run.then_some(path))
    }

    /// Returns the hook's refusal, if it does.
    fn ask_hook(
        &self,
        hook: &Path,
        lines: &str,
        news: &[(Outgoing, Option<Oid>)],
    ) -> Result<Option<PushRefusal>> {
        let shown = hook.display();
        // The shell runs what has no first line, as git does.
        let words = [
            "sh",
            "-c",
            "exec \"$ORCH_HOOK\" \"$@\"",
            "pre-push",
            self.remote,
            &self.url,
        ];
        let env = vec![(OsString::from("ORCH_HOOK"), hook.as_os_str().to_owned())];
        let ended = self.run(&format!("the hook {shown}"), &words, env, lines)?;
        let how = match ended.ending {
            Ending::Exited(0) => return Ok(None),
            Ending::Exited(code) => format!("exit {code}"),
            Ending::Signalled(signal) => format!("ended by signal {signal}"),
            Ending::TimedOut | Ending::Silent | Ending::Stopped => {
                return Err(self.hangs(&format!("the hook {shown}"), news, &ended));
            }
        };
        let mut last = last_line(&ended.tail);
        if !last.is_empty() {
            last.insert_str(0, ": ");
        }
        let branches: Vec<&str> = news.iter().map(|(one, _)| short(&one.branch)).collect();
        Ok(Some(PushRefusal {
            reason: format!("the hook {shown} refuses {} ({how}){last}", names(news)),
            words: ended.tail.trim_end().to_owned(),
            again: format!("git push --dry-run {} {}", self.remote, branches.join(" ")),
        }))
    }

    /// Returns whether there are contents of large files here that no hook sends.
    fn has_large_files(&self, hook: Option<&Path>) -> bool {
        let is_here =
            self.common.join("lfs/objects").is_dir() || self.repo.config("lfs.storage").is_some();
        let is_used = ["filter.lfs.process", "filter.lfs.clean"]
            .iter()
            .any(|key| self.repo.config(key).is_some());
        let sends = |hook: &Path| {
            let text = fs::read(hook).unwrap_or_default();
            text.windows(3).any(|word| word == b"lfs")
        };
        is_here && is_used && !hook.is_some_and(sends)
    }

    fn send_large_files(&self, lines: &str, news: &[(Outgoing, Option<Oid>)]) -> Result<()> {
        let words = ["git", "lfs", "pre-push", self.remote, &self.url];
        let what = "`git lfs pre-push`";
        let ended = self.run(what, &words, Vec::new(), lines)?;
        match ended.ending {
            Ending::Exited(0) => Ok(()),
            Ending::Exited(_) | Ending::Signalled(_) => Err(anyhow!(
                "the contents of large files of {} cannot be sent to {}: {}",
                names(news),
                self.remote,
                one_line(ended.tail.trim_end())
            )),
            Ending::TimedOut | Ending::Silent | Ending::Stopped => {
                Err(self.hangs(what, news, &ended))
            }
        }
    }

    fn run(
        &self,
        what: &str,
        words: &[&str],
        mut env: Vec<(OsString, OsString)>,
        lines: &str,
    ) -> Result<Ended> {
        // People write hooks for one push at a time.
        let _alone = Lock::wait(&self.repo.orch_dir().join("pre-push.lock"))?;
        let staging = self.repo.orch_dir().join("staging");
        fs::create_dir_all(&staging)
            .with_context(|| format!("cannot create {}", staging.display()))?;
        let temp = tempfile::tempdir_in(&staging).context("cannot keep what a hook is to read")?;
        let stdin = temp.path().join("lines");
        files::replace(&stdin, lines.as_bytes())?;
        // Nobody is there to type a password.
        env.push((OsString::from("GIT_TERMINAL_PROMPT"), OsString::from("0")));
        let spec = process::Spec {
            command: Command::Argv(words.iter().map(ToString::to_string).collect()),
            dir: self.dir.clone(),
            env,
            stdin: Some(stdin),
            log: temp.path().join("log"),
            wall: config::hook_timeout(self.repo),
            idle: None,
            mark: clock::new_op_id().0,
            jobserver: None,
        };
        waits::told(format!("{what} to end"), || process::run(&spec))
    }

    /// Tells of what does not come to an end. No work is to blame for it.
    fn hangs(&self, what: &str, news: &[(Outgoing, Option<Oid>)], ended: &Ended) -> anyhow::Error {
        let limit = format_duration(config::hook_timeout(self.repo));
        let last = match last_line(&ended.tail) {
            line if line.is_empty() => String::from("it said nothing"),
            line => format!("it said last: {line}"),
        };
        anyhow!(
            "{what} was asked about {} and was ended after {limit}, so nothing was sent; {last}; \
             `git config orch.hookTimeout 1h` gives it more time, `git config orch.prePush false` leaves it out",
            names(news)
        )
    }
}

fn names(news: &[(Outgoing, Option<Oid>)]) -> String {
    let names: Vec<&str> = news.iter().map(|(one, _)| short(&one.branch)).collect();
    names.join(", ")
}

fn last_line(tail: &str) -> String {
    let last = tail.trim_end().lines().last().unwrap_or_default();
    shorten(&one_line(last), MOST_CHARS)
}
