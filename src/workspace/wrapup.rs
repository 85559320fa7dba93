//! What would stay behind on this machine: in coders' worktrees, in the stash, on branches that were not pushed.
//!
//! What is a coder's is open until it is on a branch, at the remote or saved; what is a person's is only told, and
//! nothing here ever touches it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::inspect::{Condition, Found, inspect};
use super::leftovers::saved_as;
use super::place::seen_from;
use super::recovery::is_reachable;
use super::{Assignment, commit_leftovers, save_leftovers, stash, uncommitted};
use crate::clock;
use crate::config;
use crate::error::UserError;
use crate::git::recovery::{RECOVERY, Saving};
use crate::git::worktree::{Head, read_head};
use crate::git::{Checkout, Git, Oid, Repo};
use crate::ledger::Ledger;
use crate::model::event::{one_line, shorten};
use crate::model::{AgentId, Board, CheckedIn, Command, Open, OpenKind, Task, WrapUpCheck, train};
use crate::process::{self, Ending};

/// What was found.
#[derive(Debug, Default)]
pub struct Looked {
    /// What is open.
    pub open: Vec<Open>,
    /// What is a person's own, a line each.
    pub told: Vec<String>,
}

/// Looks at everything, or with an agent at what is its own.
///
/// # Errors
///
/// Git cannot be read, or a declared check cannot be started.
pub fn look(ledger: &Ledger, agent: Option<AgentId>) -> Result<Looked> {
    let repo = ledger.repo();
    let mut looked = Looked::default();
    let (found, closed) = worktrees(repo, agent)?;
    for worktree in &found {
        let left = left_in(repo, ledger.board(), worktree);
        let left = left.unwrap_or_else(|error| Some(unread(worktree, &error)));
        looked.open.extend(left);
    }
    looked.open.extend(closed.iter().map(not_looked_at));
    for stash in stashes(repo, ledger.board())? {
        let is_asked_for = |owner: &AgentId| agent.is_none_or(|agent| agent == *owner);
        match &stash.agent {
            Some(owner) if is_asked_for(owner) && !is_kept(repo, stash.commit)? => {
                looked.open.push(stash.open());
            }
            None if agent.is_none() => looked.told.push(format!("yours: {}", stash.what)),
            // Another coder's, or one that is kept.
            _ => {}
        }
    }
    looked.open.extend(unpushed(ledger, agent)?);
    if agent.is_none() {
        looked.told.extend(persons_own(repo, ledger.board())?);
    }
    for (check, dir) in checks(ledger, &found, agent) {
        looked
            .open
            .extend(failing(repo, ledger.board(), check, &dir)?);
    }
    Ok(looked)
}

/// Returns worktrees that can be looked into, and those that cannot: nobody knows what their files are, or a sandbox
/// is at work there. What a making that was cut short has written is nobody's work.
fn worktrees(repo: &Repo, agent: Option<AgentId>) -> Result<(Vec<Found>, Vec<Found>)> {
    let mut found = inspect(repo)?;
    found.retain(|found| agent.is_none_or(|agent| agent == found.agent));
    found.retain(|found| matches!(found.condition, Condition::Sound | Condition::Unregistered));
    Ok(found
        .into_iter()
        .partition(|found| found.condition == Condition::Sound && !found.is_busy))
}

fn not_looked_at(found: &Found) -> Open {
    let (agent, dir) = (found.agent, found.dir.display());
    let (what, command) = match found.is_busy {
        true => (
            format!("agent {agent} is at work in {dir}, in its sandbox"),
            format!("git orch status {agent}"),
        ),
        false => (
            format!("what agent {agent} has in {dir} is in no worktree that Git can read"),
            String::from("git orch doctor"),
        ),
    };
    open_in(found, what, command)
}

/// What nobody can look at may be work.
fn unread(found: &Found, error: &anyhow::Error) -> Open {
    let (agent, why) = (found.agent, one_line(&format!("{error:#}")));
    let what = format!("what agent {agent} has in its worktree cannot be looked at: {why}");
    open_in(found, what, String::from("git orch worktree list"))
}

fn open_in(found: &Found, what: String, command: String) -> Open {
    Open {
        kind: OpenKind::Uncommitted,
        agent: Some(found.agent),
        task: None,
        place: found.dir.display().to_string(),
        what,
        command: Some(command),
    }
}

/// Returns what is in a coder's worktree that neither a branch nor a recovery ref has.
fn left_in(repo: &Repo, board: &Board, found: &Found) -> Result<Option<Open>> {
    let left = uncommitted(repo, &found.dir)?;
    let loose = match read_head(&found.admin) {
        Head::Detached(commit) => !is_reachable(repo, commit)?,
        Head::Branch(_) | Head::Broken => false,
    };
    let under_way = [
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "rebase-merge",
        "rebase-apply",
    ];
    let under_way = under_way
        .iter()
        .find(|name| found.admin.join(name).exists());
    if (left.is_empty() && !loose && under_way.is_none()) || saved_as(repo, &found.dir)?.is_some() {
        return Ok(None);
    }
    let task = found
        .branch
        .as_ref()
        .and_then(|branch| task_on(board, branch));
    let (kind, what) = match (left.first(), under_way) {
        (Some(first), _) => {
            let more = match left.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            (
                OpenKind::Uncommitted,
                format!("is not committed: `{}`{more}", first.trim()),
            )
        }
        (None, Some(name)) => (
            OpenKind::Uncommitted,
            format!("has an operation under way ({name})"),
        ),
        (None, None) => (
            OpenKind::Detached,
            String::from("has commits that no branch reaches"),
        ),
    };
    Ok(Some(Open {
        kind,
        agent: Some(found.agent),
        task: task.map(|task| task.id.clone()),
        place: found.dir.display().to_string(),
        what: format!("what agent {} has in its worktree {what}", found.agent),
        command: Some(format!("git -C '{}' status", found.dir.display())),
    }))
}

fn task_on<'a>(board: &'a Board, branch: &str) -> Option<&'a Task> {
    board
        .tasks
        .values()
        .find(|task| task.branch_name() == branch)
}

/// One entry of the stash, which all worktrees share.
struct Stash {
    commit: Oid,
    agent: Option<AgentId>,
    what: String,
}

impl Stash {
    fn open(&self) -> Open {
        Open {
            kind: OpenKind::Stash,
            agent: self.agent,
            task: None,
            place: String::from("refs/stash"),
            what: self.what.clone(),
            command: Some(format!("git stash show -p {}", self.commit)),
        }
    }
}

fn stashes(repo: &Repo, board: &Board) -> Result<Vec<Stash>> {
    let told = |entry: stash::Entry| {
        let by_branch = || task_on(board, &entry.branch).and_then(|task| task.status.agent);
        let is_ours = entry.branch.starts_with("orch/");
        Stash {
            commit: entry.commit,
            agent: entry.agent.or_else(|| is_ours.then(by_branch).flatten()),
            what: format!("a stash that only this machine has: {}", entry.subject),
        }
    };
    Ok(stash::entries(repo)?.into_iter().map(told).collect())
}

/// Returns whether a ref names a commit for good: neither the stash, nor a copy of it for fear of other agents.
fn is_kept(repo: &Repo, commit: Oid) -> Result<bool> {
    let names = repo
        .git()
        .args(["for-each-ref", "--format=%(refname)", "--points-at"])
        .arg(commit.to_string())
        .read()?;
    let of_stash = format!("{RECOVERY}/{}/", stash::OWNER);
    Ok(names
        .lines()
        .any(|name| name != "refs/stash" && !name.starts_with(&of_stash)))
}

/// Returns branches of ours with commits that their upstream, or the remote with the ledger's truth, does not have.
///
/// What is known of the remote is what was fetched last. A coder's own branch goes up with its `submit`.
fn unpushed(ledger: &Ledger, agent: Option<AgentId>) -> Result<Vec<Open>> {
    let (repo, board) = (ledger.repo(), ledger.board());
    let listed = repo
        .git()
        .args(["for-each-ref", "refs/heads/"])
        .arg("--format=%(refname:lstrip=2)%00%(objectname)%00%(upstream)%00%(upstream:remotename)")
        .read()?;
    let mut open = Vec::new();
    for line in listed.lines() {
        let fields: Vec<&str> = line.split('\0').collect();
        let [branch, tip, upstream, of] = fields.as_slice() else {
            continue;
        };
        let task = task_on(board, branch);
        let is_own = agent.is_none() || task.is_some_and(|task| task.status.agent == agent);
        let is_ours = task.is_some()
            || *branch == train::INTEGRATION
            || branch.ends_with("/integration") && branch.starts_with("orch/");
        if !is_own || !is_ours {
            continue;
        }
        // An upstream in this repository is no other place.
        let upstream = if *of == "." { "" } else { upstream };
        let (remote, known) = match (upstream, ledger.remote()) {
            ("", Some(remote)) if agent.is_none() => {
                let known = vec![
                    format!("--remotes={remote}"),
                    String::from("--glob=refs/orch/remote/*"),
                ];
                (remote, known)
            }
            ("", _) => continue,
            (upstream, _) => ((*of).to_owned(), vec![upstream.to_owned()]),
        };
        let beyond = beyond(repo, tip, &known)?;
        if beyond > 0 {
            let commits = if beyond == 1 { "commit" } else { "commits" };
            open.push(Open {
                kind: OpenKind::Unpushed,
                agent: task.and_then(|task| task.status.agent),
                task: task.map(|task| task.id.clone()),
                place: (*branch).to_owned(),
                what: format!("{remote} does not have {beyond} {commits} of {branch}"),
                command: Some(format!("git push {remote} {branch}")),
            });
        }
    }
    Ok(open)
}

fn beyond(repo: &Repo, tip: &str, known: &[String]) -> Result<u64> {
    let counted = repo
        .git()
        .args(["rev-list", "--count", tip, "--not"])
        .args(known)
        .output()?;
    // An upstream that is configured and not there has nothing.
    let text = match counted.status.success() {
        true => String::from_utf8_lossy(&counted.stdout).into_owned(),
        false => repo.git().args(["rev-list", "--count", tip]).read()?,
    };
    text.trim().parse().context("git counted no commits")
}

/// Returns what is in the main worktree that a person should know of.
fn persons_own(repo: &Repo, board: &Board) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let main = repo.main_work_dir();
    let Some(Checkout { dir, .. }) = repo
        .checkouts()?
        .into_iter()
        .find(|checkout| Some(&checkout.dir) == main.as_ref())
    else {
        return Ok(told);
    };
    let left = uncommitted(repo, &dir)?;
    if let Some(first) = left.first() {
        let more = match left.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        told.push(format!(
            "yours, not committed in {}: `{}`{more}",
            dir.display(),
            first.trim()
        ));
    }
    let base = &board.settings.base;
    let upstream = Git::new(&dir)
        .args([
            "rev-list",
            "--count",
            &format!("{base}@{{upstream}}..{base}"),
        ])
        .output()?;
    let ahead = String::from_utf8_lossy(&upstream.stdout).trim().to_owned();
    if upstream.status.success() && ahead != "0" {
        told.push(format!("yours, not pushed: {ahead} of {base}; `git push`"));
    }
    Ok(told)
}

/// Returns the declared checks with the directories that they are run in.
fn checks<'a>(
    ledger: &'a Ledger,
    found: &[Found],
    agent: Option<AgentId>,
) -> Vec<(&'a WrapUpCheck, PathBuf)> {
    let mut all = Vec::new();
    for check in &ledger.board().settings.wrapup {
        match check.place {
            CheckedIn::Repository if agent.is_none() => {
                let main = ledger.repo().main_work_dir();
                all.extend(main.map(|dir| (check, dir)));
            }
            CheckedIn::Repository => {}
            CheckedIn::Worktree => {
                all.extend(found.iter().map(|found| (check, found.dir.clone())));
            }
        }
    }
    all
}

/// Runs a declared check; returns what is open where it does not pass.
fn failing(repo: &Repo, board: &Board, check: &WrapUpCheck, dir: &Path) -> Result<Option<Open>> {
    let mark = clock::new_op_id().0;
    let log = repo.orch_dir().join("wrapup").join(format!("{mark}.log"));
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let ended = process::run(&process::Spec {
        command: Command::Shell(check.command.clone()),
        dir: dir.to_path_buf(),
        env: Vec::new(),
        stdin: None,
        log: log.clone(),
        wall: board.run().test_timeout,
        idle: None,
        mark,
        jobserver: None,
    })?;
    // Its last lines are told; nobody looks for the file.
    let _ = std::fs::remove_file(&log);
    let how = match ended.ending {
        Ending::Exited(0) => return Ok(None),
        Ending::Exited(code) => format!("exited with {code}"),
        Ending::Signalled(signal) => format!("was ended by signal {signal}"),
        Ending::TimedOut | Ending::Silent => String::from("took too long"),
        Ending::Stopped => String::from("was stopped"),
    };
    let last = ended.tail.trim_end().lines().last().unwrap_or_default();
    let last = match one_line(last) {
        line if line.is_empty() => String::new(),
        line => format!(": {}", shorten(&line, 200)),
    };
    Ok(Some(Open {
        kind: OpenKind::Check,
        agent: None,
        task: None,
        place: dir.display().to_string(),
        what: format!("check {} {how}{last}", check.name),
        command: Some(check.command.clone()),
    }))
}

/// Closes what needs no choice: commits a coder's work on its branch, saves what belongs on none, pushes branches.
/// Returns what was done, a line each.
///
/// # Errors
///
/// Git refuses, or the disk cannot be written.
pub fn settle(ledger: &Ledger, agent: Option<AgentId>, open: &[Open]) -> Result<Vec<String>> {
    let repo = ledger.repo();
    let mut done = Vec::new();
    for found in worktrees(repo, agent)?.0 {
        let is_open = |item: &&Open| {
            let here = matches!(item.kind, OpenKind::Uncommitted | OpenKind::Detached);
            here && item.agent == Some(found.agent)
        };
        if open.iter().any(|item| is_open(&item)) {
            done.push(settle_worktree(ledger, &found)?);
        }
    }
    for stash in stashes(repo, ledger.board())? {
        let Some(owner) = stash
            .agent
            .filter(|owner| agent.is_none_or(|agent| agent == *owner))
        else {
            continue;
        };
        if !is_kept(repo, stash.commit)? {
            let owner = owner.to_string();
            let kept = repo.keep(&Saving::new(&owner, &stash.what), stash.commit)?;
            done.push(format!("a stash of agent {owner} is kept as {kept}"));
        }
    }
    for item in open.iter().filter(|item| item.kind == OpenKind::Unpushed) {
        done.extend(push(repo, item)?);
    }
    Ok(done)
}

fn settle_worktree(ledger: &Ledger, found: &Found) -> Result<String> {
    let (repo, agent) = (ledger.repo(), found.agent);
    if let Some(assignment) = assignment_in(ledger, found)? {
        let subject = "wrap-up: what was not committed";
        match commit_leftovers(repo, &found.dir, &assignment, subject) {
            Ok(Some(commit)) => {
                let short = commit.to_hex_with_len(12);
                let branch = &assignment.branch;
                return Ok(format!(
                    "what agent {agent} had is committed on {branch} as {short}"
                ));
            }
            // Nothing that a commit on the branch could hold, or something in the way: it is saved instead.
            Ok(None) => {}
            Err(error) if error.is::<UserError>() => {}
            Err(error) => return Err(error),
        }
    }
    let saved = save_leftovers(repo, &found.dir, "left in the worktree at the wrap-up")?;
    Ok(match saved {
        Some(saved) => format!("what agent {agent} had is kept as {saved}"),
        None => format!("agent {agent} has something that no commit can hold"),
    })
}

/// Returns what a coder works on in its worktree, while that is not handed in.
fn assignment_in(ledger: &Ledger, found: &Found) -> Result<Option<Assignment>> {
    let at = seen_from(ledger.repo(), &found.dir)?;
    let (Some(id), Some(attempt), Some(branch)) = (
        config::task(&at),
        config::attempt(&at),
        at.config("orch.branch"),
    ) else {
        return Ok(None);
    };
    let Some(task) = ledger.board().tasks.get(&id) else {
        return Ok(None);
    };
    let state = task.status.state;
    let is_over = state.is_done() || state.is_final() || task.status.attempt != attempt;
    if is_over || found.branch.as_ref() != Some(&branch) {
        return Ok(None);
    }
    let base = ledger.repo().read_ref(&format!("refs/heads/{branch}"))?;
    Ok(base.map(|base| Assignment {
        agent: found.agent,
        task: id,
        attempt,
        branch,
        base,
        run: ledger.board().run_name().to_owned(),
    }))
}

/// Pushes a task's branch forward; never over anything, and what is integrated goes up with the assembly only.
fn push(repo: &Repo, item: &Open) -> Result<Option<String>> {
    let (Some(_), Some(command)) = (&item.task, &item.command) else {
        return Ok(None);
    };
    let Some((remote, branch)) = command
        .strip_prefix("git push ")
        .and_then(|rest| rest.split_once(' '))
    else {
        return Ok(None);
    };
    let pushed = repo
        .git_at_top()
        .args(["push", "--quiet", remote])
        .arg(format!("refs/heads/{branch}:refs/heads/{branch}"))
        // The user's own hook is asked by git itself.
        .limit(config::hook_timeout(repo))
        .output()?;
    if pushed.status.success() {
        return Ok(Some(format!("{branch} was pushed to {remote}")));
    }
    // It stays open, and this is why.
    let said = [pushed.stdout, pushed.stderr].concat();
    let said = shorten(&one_line(&String::from_utf8_lossy(&said)), 300);
    Ok(Some(format!("{branch} was not pushed to {remote}: {said}")))
}
