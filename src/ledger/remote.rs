//! A remote whose ledger is the truth: fetched, and moved by pushes that state the old value.
//!
//! Nothing is reported before the remote has it. A push that failed is never judged by its message: the
//! remote's ledger is fetched, and what stands there decides. The local branch holds what the remote has had;
//! `refs/orch/remote/ledger` is the last of that.

use std::time::Duration;

use anyhow::Result;

use super::Ledger;
use super::hold::{Hold, descends};
use super::pace::Pace;
use super::transact::{Done, Matter};
use crate::clock;
use crate::error::{Exit, UserError};
use crate::git::complaint::complaint;
use crate::git::refs::Swap;
use crate::git::{Git, Oid};
use crate::model::event::one_line;
use crate::model::{Intent, Op, TeamId};

/// The remote's ledger as last seen and accepted.
pub(super) const SEEN: &str = "refs/orch/remote/ledger";

/// Where a fetch puts the remote's ledger before it is looked at.
pub(super) const FETCHED: &str = "refs/orch/remote/fetched";

/// The remote's branches of ours as last fetched.
const HEADS: &str = "refs/orch/remote/heads/";

/// The machines' leases as last fetched.
pub(super) const LEASES: &str = "refs/orch/remote/lease/";

/// How long one conversation with a remote may take; large packs come in `fetch_work` alone.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long operations are tried against others that keep winning.
const DEADLINE: Duration = Duration::from_secs(60);

/// Failures in a row that nobody else's success explains before they are told.
const MOST_FAILURES: u32 = 4;

/// The remote cannot be reached; later it may.
#[derive(Debug, Clone, Copy)]
pub struct Unreachable;

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no answer from it; later there may be")
    }
}

impl std::error::Error for Unreachable {}

/// A branch that goes up together with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    /// The commit.
    pub commit: Oid,
    /// Full name of the branch on the remote.
    pub branch: String,
    /// Whether the branch may lose what it had, because the ledger says whose work counts.
    pub force: bool,
}

impl Ledger {
    /// Returns the branches that an operation takes along: a coder's with `submit`, the integrated ones
    /// with a merge, so that nothing stays local.
    pub(super) fn pushes(&self, intent: &Intent, done: &Done) -> Result<Vec<Push>> {
        if self.remote().is_none() {
            return Ok(Vec::new());
        }
        let id = |hex: &str| Ok::<_, anyhow::Error>(Oid::from_hex(hex.as_bytes())?);
        Ok(match &intent.op {
            Op::Submit(claim, head, _) => {
                let named = done.status.as_ref().and_then(|s| s.branch.clone());
                let task = self.board().require_task(&claim.task).ok();
                let branch = named.or_else(|| task.map(crate::model::Task::branch_name));
                let branch = branch.map(|branch| format!("refs/heads/{branch}"));
                let push = |branch| {
                    Ok::<_, anyhow::Error>(Push {
                        commit: id(&head.0)?,
                        branch,
                        force: true,
                    })
                };
                branch.map(push).transpose()?.into_iter().collect()
            }
            Op::Merge(task, _, commit) => {
                let team = self.board().tasks.get(task).map(|task| task.team);
                let commit = id(&commit.0)?;
                let of_team = |team: TeamId| format!("refs/heads/orch/team-{team}/integration");
                let mut branches = vec![String::from("refs/heads/orch/integration")];
                branches.extend(team.map(of_team));
                let push = |branch| Push {
                    commit,
                    branch,
                    force: false,
                };
                branches.into_iter().map(push).collect()
            }
            Op::Accept(task, _, commit) => {
                let team = self.board().tasks.get(task).map(|task| task.team);
                let commit = id(&commit.0)?;
                let push = |team: TeamId| Push {
                    commit,
                    branch: format!("refs/heads/orch/team-{team}/integration"),
                    force: false,
                };
                team.map(push).into_iter().collect()
            }
            _ => Vec::new(),
        })
    }

    /// Decides matters and pushes what was decided, again after every lost race.
    pub(super) fn serve_remote(&mut self, hold: &Hold, matters: &mut [Matter]) -> Result<()> {
        let remote = self.require_remote()?;
        let begun = clock::monotonic();
        let mut fresh = hold.was_interrupted();
        let mut pace = Pace::load(&self.repo);
        // What was known before a pause is old after it, and a push on top of it lost beforehand.
        let mut old = pace.wait() || pace.is_stale();
        let (mut lost, mut failed, mut met) = (0, 0, 0);
        let mut before = None;
        loop {
            self.refresh()?;
            let seen = self.repo.read_ref(SEEN)?;
            if let Some(before) = before
                && seen != Some(before)
            {
                met = met.max(self.settle_told(before, matters)?);
            }
            before = seen;
            if seen.is_none() || (!fresh && old) {
                self.fetch_ledger(hold, &remote)?;
                (fresh, old) = (true, false);
                continue;
            }
            let decided = self.decide_all(matters)?;
            if self.snapshot.tip == self.repo.read_ref(&self.name)? {
                // A refusal may come of news that we have not heard.
                if decided.has_refusals() && !fresh {
                    self.fetch_ledger(hold, &remote)?;
                    fresh = true;
                    continue;
                }
                decided.settle(matters);
                return Ok(());
            }
            hold.enter(&self.repo, &self.name)?;
            let Some(new) = self.snapshot.tip else {
                return Ok(());
            };
            let asked = clock::monotonic();
            let complaint = self.push(&remote, seen, new, &decided.pushes)?;
            let took = clock::monotonic().duration_since(asked);
            let won = match complaint {
                None => true,
                // Nobody knows what a broken conversation has come to: the remote does.
                Some(_) => {
                    Pace::back_off(took, lost, failed);
                    self.fetched_has(hold, &remote, new)
                        .map_err(|error| broke_off(&remote, error))?
                }
            };
            if won {
                self.move_to(hold, new, &decided.message())?;
                pace = Pace::load(&self.repo);
                pace.won(took, lost.max(met));
                pace.save(&self.repo);
                self.snapshot.save_if_worth_it(&self.repo);
                self.note_verified(new);
                decided.settle(matters);
                return Ok(());
            }
            fresh = true;
            if self.repo.read_ref(SEEN)? == seen {
                failed += 1;
                if failed >= MOST_FAILURES {
                    return Err(refused(&remote, &complaint.unwrap_or_default()));
                }
            } else {
                (lost, failed) = (lost + 1, 0);
            }
            if clock::monotonic().duration_since(begun) > DEADLINE {
                return Err(starved(&remote));
            }
        }
    }

    /// Fetches the remote's ledger and brings ours to it; returns whether it has a commit of ours that was
    /// pushed with an unknown result.
    fn fetched_has(&mut self, hold: &Hold, remote: &str, new: Oid) -> Result<bool> {
        let Some(fetched) = self.fetch_only(remote)? else {
            return Err(gone(remote, self.branch()));
        };
        if descends(&self.repo, new, fetched) {
            return Ok(true);
        }
        // The board holds what was decided in vain.
        self.refresh()?;
        self.take_in(hold, remote, fetched)?;
        Ok(false)
    }

    /// Moves our ledger to what the remote has now.
    pub(super) fn move_to(&self, hold: &Hold, new: Oid, message: &str) -> Result<()> {
        // Anything later that the remote has is taken in with the next fetch.
        let seen = self.repo.read_ref(SEEN)?;
        let lock = hold.lock();
        let _ = self.repo.swap_alone(lock, SEEN, seen, new, "push")?;
        loop {
            let old = self.repo.read_ref(&self.name)?;
            if let Some(old) = old
                && !descends(&self.repo, old, new)
            {
                // A commit by hand in this moment: it is found ahead, or diverged, at the next fetch.
                return Ok(());
            }
            if self.repo.swap_alone(lock, &self.name, old, new, message)? == Swap::Won {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Fetches the remote's ledger and brings ours to it; returns whether ours has commits made by hand that
    /// the remote does not have.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`Unreachable`]), has no ledger any more, or has one that does not build
    /// on what we have seen of it.
    pub(super) fn fetch_ledger(&mut self, hold: &Hold, remote: &str) -> Result<bool> {
        match self.fetch_only(remote)? {
            Some(fetched) => self.take_in(hold, remote, fetched),
            None => Err(gone(remote, self.branch())),
        }
    }

    /// Brings our ledger to the remote's; returns whether ours has commits made by hand beyond it.
    fn take_in(&mut self, hold: &Hold, remote: &str, fetched: Oid) -> Result<bool> {
        let seen = self.repo.read_ref(SEEN)?;
        if let Some(seen) = seen
            && !descends(&self.repo, seen, fetched)
        {
            return Err(rewritten(remote, seen, fetched));
        }
        let lock = hold.lock();
        if seen != Some(fetched) {
            self.repo.swap_alone(lock, SEEN, seen, fetched, "fetch")?;
        }
        for _ in 0..3 {
            let ours = self.repo.read_ref(&self.name)?;
            match ours {
                Some(ours) if descends(&self.repo, fetched, ours) => {
                    return Ok(ours != fetched);
                }
                Some(ours) if !descends(&self.repo, ours, fetched) => {
                    return Err(diverged(self.branch(), remote, ours, fetched));
                }
                _ => {}
            }
            let swap = self
                .repo
                .swap_alone(lock, &self.name, ours, fetched, "fetch")?;
            if swap == Swap::Won {
                break;
            }
        }
        self.refresh()?;
        Ok(false)
    }

    /// Fetches the remote's ledger without looking at it; `None` where it has none.
    pub(super) fn fetch_only(&self, remote: &str) -> Result<Option<Oid>> {
        let fetched = self
            .fetch_git()
            .arg(remote)
            .arg(format!("+{}:{FETCHED}", self.name))
            .output()?;
        if fetched.status.success() {
            Pace::hear(&self.repo);
            return self.repo.read_ref(FETCHED);
        }
        // A ledger that is not there fails alike: whoever answers is reachable.
        let listed = self
            .remote_git()
            .args(["ls-remote", "--quiet", remote, &self.name])
            .output()?;
        if listed.status.success() && listed.stdout.is_empty() {
            return Ok(None);
        }
        Err(unreachable(remote, &fetched.stderr))
    }

    /// Fetches everybody's branches of ours and leases, so that work of other machines can be built upon,
    /// merged and watched.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`Unreachable`]).
    pub fn fetch_work(&self) -> Result<()> {
        let Some(remote) = self.remote() else {
            return Ok(());
        };
        let fetched = self
            .fetch_git()
            .limit(PATIENCE * 10)
            .args(["--prune", &remote])
            .arg(format!("+refs/heads/orch/*:{HEADS}*"))
            .arg(format!("+refs/orch/lease/*:{LEASES}*"))
            .output()?;
        if fetched.status.success() {
            return Ok(());
        }
        Err(unreachable(&remote, &fetched.stderr))
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

    /// Pushes the ledger from one commit to another, all or nothing with branches; returns the complaint
    /// where it failed, which says nothing about why.
    pub(super) fn push(
        &self,
        remote: &str,
        old: Option<Oid>,
        new: Oid,
        branches: &[Push],
    ) -> Result<Option<String>> {
        let name = &self.name;
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
            let plus = if push.force { "+" } else { "" };
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
        self.push_one(remote, &format!("+{commit}:{name}"))
    }

    /// Pushes a branch that may only go forward.
    pub(super) fn push_forward(&self, remote: &str, commit: Oid, name: &str) -> Result<()> {
        self.push_one(remote, &format!("{commit}:{name}"))
    }

    fn push_one(&self, remote: &str, what: &str) -> Result<()> {
        let output = self
            .remote_git()
            .args(["-c", "push.gpgSign=false", "push", "--quiet", "--no-verify"])
            .args(["--no-follow-tags", "--recurse-submodules=no", remote, what])
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(unreachable(remote, &output.stderr))
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
            .limit(PATIENCE)
    }
}

fn unreachable(remote: &str, stderr: &[u8]) -> anyhow::Error {
    anyhow::Error::new(Unreachable).context(
        UserError::new(format!(
            "remote {remote} cannot be reached, so nothing was changed: {}",
            one_line(&complaint(stderr))
        ))
        .hint(format!("git ls-remote {remote}")),
    )
}

/// Says what is not known, where a push ended without an answer and the remote cannot be asked.
fn broke_off(remote: &str, error: anyhow::Error) -> anyhow::Error {
    if !error.is::<Unreachable>() {
        return error;
    }
    error.context(
        UserError::new(format!(
            "remote {remote} cannot be reached any more, so it is not known whether it has taken this"
        ))
        .hint("git orch sync"),
    )
}

fn refused(remote: &str, complaint: &str) -> anyhow::Error {
    UserError::new(format!(
        "remote {remote} does not take the ledger: {}",
        one_line(complaint)
    ))
    .hint(format!("git ls-remote {remote}"))
    .into()
}

fn starved(remote: &str) -> anyhow::Error {
    UserError::new(format!(
        "others kept moving the ledger on {remote} for {} seconds",
        DEADLINE.as_secs()
    ))
    .hint("git orch sync")
    .exit(Exit::Lost)
    .into()
}

fn gone(remote: &str, branch: &str) -> anyhow::Error {
    UserError::new(format!(
        "remote {remote} has no ledger: it has no branch {branch}"
    ))
    .hint("git orch doctor")
    .into()
}

fn rewritten(remote: &str, seen: Oid, fetched: Oid) -> anyhow::Error {
    UserError::new(format!(
        "the ledger on {remote} was set back or rewritten: it is at {fetched}, which does not build on {seen}"
    ))
    .hint("git orch doctor")
    .into()
}

fn diverged(branch: &str, remote: &str, ours: Oid, fetched: Oid) -> anyhow::Error {
    UserError::new(format!(
        "branch {branch} has commits of its own: it is at {ours}, and {remote} is at {fetched}"
    ))
    .hint("git orch doctor")
    .into()
}
