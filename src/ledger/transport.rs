//! Conversations with a remote: what is fetched from it and pushed to it, and what is said when that fails.
//!
//! Whoever fetches the ledger holds a lock of its own from the fetch to the reading of what it brought, so that no
//! two processes take each other's for the remote's. A failure is never judged by its message: whether the remote
//! answers to something simpler tells one that is away from one that refuses.

use std::time::Duration;

use anyhow::Result;

use super::Ledger;
use super::hold::{SEEN, descends};
use super::pace::Pace;
use crate::error::UserError;
use crate::git::complaint::complaint;
use crate::git::files::Lock;
use crate::git::{Git, Oid};
use crate::model::TaskId;
use crate::model::event::one_line;

/// Where a fetch puts the remote's ledger before it is looked at.
const FETCHED: &str = "refs/orch/remote/fetched";

/// The remote's branches of ours as last fetched.
const HEADS: &str = "refs/orch/remote/heads/";

/// Work that was handed in beside its branch, at the remote.
pub(super) const HANDED_IN: &str = "refs/orch/handed/";

/// The same as last fetched.
const HANDED: &str = "refs/orch/remote/handed/";

/// The machines' leases as last fetched.
pub(super) const LEASES: &str = "refs/orch/remote/lease/";

/// How long one conversation with a remote may take; large packs come in `fetch_work` alone.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long git waits for a ref of ours that another git is moving, in milliseconds.
const REF_PATIENCE: &str = "core.filesRefLockTimeout=2000";

/// The remote cannot be reached; later it may.
#[derive(Debug, Clone, Copy)]
pub struct Unreachable;

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no answer from it; later there may be")
    }
}

impl std::error::Error for Unreachable {}

/// A branch of the remote's has gone another way than ours since it was last fetched.
#[derive(Debug, Clone, Copy)]
pub struct Overtaken;

impl std::fmt::Display for Overtaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another machine was first")
    }
}

impl std::error::Error for Overtaken {}

/// A branch that goes up together with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    /// The commit.
    pub commit: Oid,
    /// Full name of the branch on the remote.
    pub branch: String,
    /// What it may do there.
    pub manner: Manner,
}

/// What a pushed branch may do to the remote's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    /// Go forward; where it cannot, what it goes up with does not count either.
    Forward,
    /// Go forward where that is possible, and stay away otherwise.
    Follows,
    /// Replace it, since the ledger says whose work counts. Where the remote does not let go of what it has, the
    /// commit goes to this ref.
    Replaces(String),
}

/// What a push of the ledger may do to what the remote has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// Build on it: what was seen there must be in what is pushed.
    BuildsOn(Option<Oid>),
    /// Replace it, if it still is what a person has looked at and decided against.
    Replaces(Option<Oid>),
}

impl Ledger {
    /// Fetches the remote's ledger without looking at it; `None` where it has none.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`Unreachable`]), or what it sends cannot be kept here.
    pub(super) fn fetch_only(&self, remote: &str) -> Result<Option<Oid>> {
        let _alone = Lock::wait(&self.repo.orch_dir().join("fetch.lock"))?;
        let what = format!("+{}:{FETCHED}", self.name);
        let Some(told) = self.fetch(self.fetch_git().args([remote, &what]))? else {
            Pace::hear(&self.repo);
            return self.repo.read_ref(FETCHED);
        };
        // A ledger that is not there fails alike: whoever answers is reachable.
        match self.list(remote)? {
            None => return Err(unreachable(remote, &told)),
            Some(listed) if listed.is_empty() => return Ok(None),
            Some(_) => {}
        }
        self.repo.break_dead_lock(FETCHED)?;
        match self.fetch(self.fetch_git().args([remote, &what]))? {
            None => self.repo.read_ref(FETCHED),
            Some(told) => self.cannot_fetch(remote, &told).map(|()| None),
        }
    }

    /// Returns what the remote lists of its ledger: nothing where it has none, `None` where it does not answer.
    pub(super) fn list(&self, remote: &str) -> Result<Option<Vec<u8>>> {
        let listed = self
            .remote_git()
            .args(["ls-remote", "--quiet", remote, &self.name])
            .output()?;
        Ok(listed.status.success().then_some(listed.stdout))
    }

    /// Runs a fetch and returns its complaint, if it has one.
    fn fetch(&self, git: Git) -> Result<Option<Vec<u8>>> {
        let output = git.output()?;
        Ok((!output.status.success()).then_some(output.stderr))
    }

    /// Tells why a fetch failed twice.
    fn cannot_fetch(&self, remote: &str, stderr: &[u8]) -> Result<()> {
        if self.list(remote)?.is_none() {
            return Err(unreachable(remote, stderr));
        }
        Err(UserError::new(format!(
            "what remote {remote} has cannot be fetched, although it answers: {}",
            told(stderr)
        ))
        .hint(format!("git fetch {remote}"))
        .into())
    }

    /// Removes the locks that killed fetches of work have left on refs that nothing else moves.
    fn break_dead_locks(&self) -> Result<()> {
        let mut dirs = vec![String::from("refs/orch/remote")];
        while let Some(dir) = dirs.pop() {
            let entries = std::fs::read_dir(self.repo.common_dir().join(&dir));
            for entry in entries.into_iter().flatten().flatten() {
                let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
                match name.strip_suffix(".lock") {
                    _ if entry.file_type().is_ok_and(|kind| kind.is_dir()) => dirs.push(name),
                    // The ledger's are fetched under another lock, or moved by ourselves.
                    Some(of) if of != SEEN && of != FETCHED => self.repo.break_dead_lock(of)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Fetches everybody's branches of ours and leases, so that work of other machines can be built upon,
    /// merged and watched.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`Unreachable`]), or what it sends cannot be kept here.
    pub fn fetch_work(&self) -> Result<()> {
        let Some(remote) = self.remote() else {
            return Ok(());
        };
        let _alone = Lock::wait(&self.repo.orch_dir().join("fetch-work.lock"))?;
        let git = || {
            self.fetch_git()
                .limit(PATIENCE * 10)
                .args(["--prune", &remote])
                .arg(format!("+refs/heads/orch/*:{HEADS}*"))
                .arg(format!("+{HANDED_IN}*:{HANDED}*"))
                .arg(format!("+refs/orch/lease/*:{LEASES}*"))
        };
        let Some(told) = self.fetch(git())? else {
            return Ok(());
        };
        if self.list(&remote)?.is_none() {
            return Err(unreachable(&remote, &told));
        }
        self.break_dead_locks()?;
        match self.fetch(git())? {
            None => Ok(()),
            Some(told) => self.cannot_fetch(&remote, &told),
        }
    }

    /// Returns how long ago the remote was last heard of, on this machine's clock; `None` where it was not since
    /// the machine started, or there is none.
    pub fn heard_ago(&self) -> Option<Duration> {
        self.remote()?;
        Pace::heard_ago(&self.repo)
    }

    /// Returns where a branch of ours was at the remote when it was last fetched.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn fetched_tip(&self, branch: &str) -> Result<Option<Oid>> {
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        match branch.strip_prefix("orch/") {
            Some(name) if self.remote().is_some() => self.repo.read_ref(&format!("{HEADS}{name}")),
            _ => Ok(None),
        }
    }

    /// Returns the tip of a branch of ours, the remote's where that is further.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<Oid>> {
        let ours = self.repo.read_ref(&format!("refs/heads/{branch}"))?;
        Ok(match (ours, self.fetched_tip(branch)?) {
            (Some(ours), Some(theirs)) if self.repo.is_ancestor(ours, theirs)? => Some(theirs),
            (None, theirs) => theirs,
            (ours, _) => ours,
        })
    }

    /// Returns whether a commit was handed in at the remote beside its branch, which has something else there.
    ///
    /// # Errors
    ///
    /// The refs cannot be listed.
    pub fn is_handed_beside(&self, task: &TaskId, commit: Oid) -> Result<bool> {
        let below = format!("{HANDED}{task}/");
        let listed = self
            .repo
            .git()
            .args(["for-each-ref", "--format=%(objectname)", &below]);
        let commit = commit.to_string();
        Ok(listed.read()?.lines().any(|line| line == commit))
    }

    /// Returns what is left to push of some branches, as the remote's were last fetched: nothing where the remote's
    /// has it already. With `beside`, what the remote does not let go of is gone around.
    ///
    /// # Errors
    ///
    /// The remote's has gone another way ([`Overtaken`]).
    pub(super) fn left_to_push(&self, pushes: Vec<Push>, beside: bool) -> Result<Vec<Push>> {
        let mut left = Vec::with_capacity(pushes.len());
        for push in pushes {
            let Some(theirs) = self.fetched_tip(&push.branch)? else {
                left.push(push);
                continue;
            };
            let goes_forward = self.repo.is_ancestor(theirs, push.commit)?;
            match &push.manner {
                _ if theirs == push.commit => {}
                _ if goes_forward => left.push(push),
                Manner::Replaces(other) if beside => left.push(Push {
                    branch: other.clone(),
                    ..push
                }),
                Manner::Replaces(_) => left.push(push),
                Manner::Follows => {}
                Manner::Forward if self.repo.is_ancestor(push.commit, theirs)? => {}
                Manner::Forward => return Err(overtaken(&push.branch)),
            }
        }
        Ok(left)
    }

    /// Pushes the ledger, all or nothing with branches; returns the complaint where it failed, which says nothing
    /// about why.
    ///
    /// # Errors
    ///
    /// What is pushed lacks something that was seen there and must stay.
    pub(super) fn push(
        &self,
        remote: &str,
        lease: Lease,
        new: Oid,
        branches: &[Push],
    ) -> Result<Option<String>> {
        let name = &self.name;
        let old = match lease {
            Lease::BuildsOn(Some(seen)) if !descends(&self.repo, seen, new) => {
                return Err(diverged(self.branch(), remote, new, seen));
            }
            Lease::BuildsOn(old) | Lease::Replaces(old) => old,
        };
        let old = old.map(|old| old.to_string()).unwrap_or_default();
        let mut git = self
            .remote_git()
            .args(["-c", "push.gpgSign=false", "push", "--quiet", "--atomic"])
            .args(["--no-verify", "--no-follow-tags", "--recurse-submodules=no"])
            .arg(format!("--force-with-lease={name}:{old}"))
            .arg(remote)
            .arg(format!("{new}:{name}"));
        // Of several words about one branch the last one counts.
        let mut last: Vec<&Push> = Vec::new();
        for push in branches {
            last.retain(|other| other.branch != push.branch);
            last.push(push);
        }
        for push in last {
            let plus = match push.manner {
                Manner::Replaces(_) => "+",
                Manner::Forward | Manner::Follows => "",
            };
            git = git.arg(format!("{plus}{}:{}", push.commit, push.branch));
        }
        let output = git.output()?;
        if output.status.success() {
            return Ok(None);
        }
        Ok(Some(complaint(&output.stderr)))
    }

    /// Pushes one ref of ours that nobody else moves.
    pub(super) fn push_own(&self, remote: &str, commit: Oid, name: &str) -> Result<()> {
        self.push_one(remote, &format!("+{commit}:{name}"), name)
    }

    /// Pushes a branch that may only go forward.
    pub(super) fn push_forward(&self, remote: &str, commit: Oid, name: &str) -> Result<()> {
        self.push_one(remote, &format!("{commit}:{name}"), name)
    }

    fn push_one(&self, remote: &str, what: &str, name: &str) -> Result<()> {
        let push = || {
            self.remote_git()
                .args(["-c", "push.gpgSign=false", "push", "--quiet", "--no-verify"])
                .args(["--no-follow-tags", "--recurse-submodules=no", remote, what])
                .output()
        };
        let output = push()?;
        if output.status.success() {
            return Ok(());
        }
        if self.list(remote)?.is_none() {
            return Err(unreachable(remote, &output.stderr));
        }
        // It answers: either it has come back meanwhile, or it does not want this.
        let output = push()?;
        if output.status.success() {
            return Ok(());
        }
        Err(UserError::new(format!(
            "remote {remote} does not take {name}: {}",
            told(&output.stderr)
        ))
        .hint("git orch sync")
        .into())
    }

    /// Returns the remote's name, which must be one that this repository knows.
    pub(super) fn require_remote(&self) -> Result<String> {
        let remote = self.remote().unwrap_or_default();
        self.require_known(&remote)?;
        Ok(remote)
    }

    /// Checks that the repository has such a remote.
    pub(super) fn require_known(&self, remote: &str) -> Result<()> {
        if self.repo.config(&format!("remote.{remote}.url")).is_some() {
            return Ok(());
        }
        Err(UserError::new(format!(
            "the ledger's truth is at the remote {remote}, which this repository does not know"
        ))
        .hint(format!("git remote add {remote} <url>"))
        .hint("git config orch.remote <name>")
        .into())
    }

    fn fetch_git(&self) -> Git {
        self.remote_git().args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--recurse-submodules=no",
            "--refmap=",
        ])
    }

    /// Returns a git that talks to another machine: no hooks of the user's, and an end to its patience.
    fn remote_git(&self) -> Git {
        self.repo
            .git_at_top()
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30"])
            .args(["-c", REF_PATIENCE])
            .limit(PATIENCE)
    }
}

/// Returns what Git complained of in a line.
fn told(stderr: &[u8]) -> String {
    one_line(&complaint(stderr))
}

fn unreachable(remote: &str, stderr: &[u8]) -> anyhow::Error {
    anyhow::Error::new(Unreachable).context(
        UserError::new(format!(
            "remote {remote} cannot be reached, so nothing was changed: {}",
            told(stderr)
        ))
        .hint(format!("git ls-remote {remote}")),
    )
}

fn overtaken(branch: &str) -> anyhow::Error {
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    anyhow::Error::new(Overtaken).context(
        UserError::new(format!(
            "branch {branch} of the remote has work that another machine has brought in meanwhile"
        ))
        .hint("git orch assemble"),
    )
}

/// Says that ours and the remote's ledger each have something that the other has not.
pub(super) fn diverged(branch: &str, remote: &str, ours: Oid, fetched: Oid) -> anyhow::Error {
    UserError::new(format!(
        "branch {branch} has commits of its own: it is at {ours}, and {remote} is at {fetched}"
    ))
    .hint("git orch doctor")
    .into()
}
