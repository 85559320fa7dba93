//! Which branches are in flight, and what they go onto.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use globset::GlobBuilder;

use super::{Branch, Work};
use crate::assembler::team_branches::{TeamBranches, oid};
use crate::config;
use crate::error::UserError;
use crate::git::checkout::{Checkout, short};
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::radar::Standing;
use crate::model::train::INTEGRATION;
use crate::model::{State, Task, TaskId};

/// Where branches go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its commit.
    pub tip: Oid,
}

impl Target {
    /// Returns a branch by name, or what a tag or commit id names.
    ///
    /// # Errors
    ///
    /// There is no such branch.
    pub fn named(repo: &Repo, name: &str) -> Result<Self> {
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        Ok(Self {
            tip: require_commit(repo, name)?,
            name: name.to_owned(),
        })
    }

    /// Returns what a plan's work goes onto: the integration branch, or the base where nothing was brought in.
    ///
    /// # Errors
    ///
    /// The base branch does not exist.
    pub fn of_plan(ledger: &Ledger, repo: &Repo) -> Result<Self> {
        let branches = TeamBranches::load(ledger, repo)?;
        let tip = branches.start(repo)?;
        let name = if branches.tip == Some(tip) {
            INTEGRATION.to_owned()
        } else {
            ledger.board().settings.base.clone()
        };
        Ok(Self { name, tip })
    }

    /// Returns the branch that work goes onto where nobody says: the ledger's base, `main`, `master`, or what
    /// is checked out in the main worktree.
    ///
    /// # Errors
    ///
    /// There is none of them.
    pub fn usual(repo: &Repo, ledger: Option<&Ledger>) -> Result<Self> {
        let base = ledger.map(|ledger| ledger.board().settings.base.clone());
        let names = ["main", "master"].map(ToOwned::to_owned);
        let current = || {
            let main = repo.checkouts().ok()?.into_iter().next()?;
            Some(short(&main.branch?).to_owned())
        };
        let candidates = base.into_iter().chain(names).chain(current());
        for name in candidates {
            if let Some(tip) = repo.read_ref(&format!("refs/heads/{name}"))? {
                return Ok(Self { name, tip });
            }
        }
        Err(UserError::new("it is not clear what the branches go onto")
            .hint("git orch radar --onto <branch>")
            .into())
    }
}

/// Returns the branches of all tasks that are in flight, in the order of the train; of those that are being
/// worked on also the worktree here.
///
/// # Errors
///
/// A ref cannot be read.
pub fn in_flight(ledger: &Ledger, repo: &Repo) -> Result<Vec<Branch>> {
    let checkouts = repo.checkouts()?;
    let (mut branches, mut places): (Vec<Branch>, Vec<&TaskId>) = (Vec::new(), Vec::new());
    let mut tasks: Vec<&Task> = Vec::new();
    for task in ledger.board().train_order() {
        let state = task.status.state;
        let handed_in = matches!(state, State::Submitted | State::Accepted);
        if !handed_in && !state.is_held() {
            continue;
        }
        let name = task.branch_name();
        let reference = repo.read_ref(&format!("refs/heads/{name}"))?;
        let submitted = || task.status.head.as_ref().and_then(oid);
        let head = if handed_in { submitted() } else { reference };
        // What another machine works on has no branch here before it is handed in and fetched.
        let Some(head) = head.filter(|head| repo.read_commit(*head).is_ok()) else {
            continue;
        };
        let mut branch = Branch::new(name, head);
        if !handed_in {
            branch.worktree = checked_out(&checkouts, &branch.name);
        }
        branch.standing = Standing {
            working: !handed_in,
            since: task.status.since.0,
        };
        branch.work = Some(Work {
            task: task.id.clone(),
            agent: task.status.agent,
            state,
        });
        branches.push(branch);
        places.push(&task.id);
        tasks.push(task);
    }
    for (branch, task) in branches.iter_mut().zip(tasks) {
        let before = |id: &TaskId| places.iter().position(|place| *place == id);
        let named = task.after.iter();
        branch.after = named.filter_map(|one| before(&one.task)).collect();
    }
    Ok(branches)
}

/// Returns branches by name, in the order given; a tag or a commit id will do as well.
///
/// # Errors
///
/// One of them does not exist.
pub fn named(repo: &Repo, names: &[String]) -> Result<Vec<Branch>> {
    let checkouts = repo.checkouts()?;
    let mut given = BTreeSet::new();
    let names = names.iter().filter(|name| given.insert(*name));
    names
        .map(|name| {
            let name = name.strip_prefix("refs/heads/").unwrap_or(name);
            let mut branch = Branch::new(name, require_commit(repo, name)?);
            branch.worktree = checked_out(&checkouts, name);
            branch.standing.working = branch.worktree.is_some();
            Ok(branch)
        })
        .collect()
}

/// Returns the names of local branches that fit a pattern, in alphabetical order; `*` fits slashes as well.
///
/// # Errors
///
/// The pattern is malformed.
pub fn matching(repo: &Repo, pattern: &str) -> Result<Vec<String>> {
    let glob = GlobBuilder::new(pattern)
        .build()
        .map_err(|error| UserError::new(format!("`{pattern}` is no pattern: {error}")))?
        .compile_matcher();
    let names = local_branches(repo)?.into_iter();
    Ok(names.filter(|name| glob.is_match(name)).collect())
}

/// Returns the local branches that a target has not brought in, in alphabetical order: neither the target
/// itself, nor the ledger, nor branches that others come together on.
///
/// # Errors
///
/// Git cannot list them.
pub fn open_branches(repo: &Repo, target: &Target) -> Result<Vec<String>> {
    let ledger = config::ledger_ref(repo);
    let merged = repo
        .git()
        .args(["for-each-ref", "--format=%(refname)", "refs/heads/"])
        .arg(format!("--merged={}", target.tip))
        .read()?;
    let merged: BTreeSet<&str> = merged.lines().map(short).collect();
    let mut names = local_branches(repo)?;
    names.retain(|name| {
        let gathers = name.starts_with("orch/") && name.ends_with("/integration");
        *name != target.name
            && name != INTEGRATION
            && !gathers
            && name != short(&ledger)
            && !merged.contains(name.as_str())
    });
    Ok(names)
}

fn local_branches(repo: &Repo) -> Result<Vec<String>> {
    let listed = repo
        .git()
        .args(["for-each-ref", "--format=%(refname)", "refs/heads/"])
        .read()
        .context("cannot list the branches")?;
    Ok(listed.lines().map(|name| short(name).to_owned()).collect())
}

fn checked_out(checkouts: &[Checkout], branch: &str) -> Option<Checkout> {
    let here = |checkout: &&Checkout| checkout.branch.as_deref().map(short) == Some(branch);
    checkouts.iter().find(here).cloned()
}

fn require_commit(repo: &Repo, name: &str) -> Result<Oid> {
    if let Some(head) = repo.read_ref(&format!("refs/heads/{name}"))? {
        return Ok(head);
    }
    repo.resolve_commit(name).map_err(|_| {
        UserError::new(format!("there is no branch {name}"))
            .hint("git branch --list")
            .into()
    })
}
