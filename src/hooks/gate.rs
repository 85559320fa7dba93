//! Checks again, from the commits themselves, what the hooks check: hooks can be skipped, the gate cannot.
//!
//! Judges the commits that a branch adds, and no others: what is reachable from its base, or from heads that
//! the caller allows, was judged before or belongs to people. Replacement objects and grafts, by which an
//! agent could show other commits than there are, do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};

use super::commits::is_ours;
use super::message::Parts;
use crate::git::objects::find_entry;
use crate::git::{Git, Oid, Repo};
use crate::ledger::layout;
use crate::model::event::commit_tags;
use crate::model::scope::covers;
use crate::model::{AgentId, TaskId, TeamId};

/// A task's branch, and what is known of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Branch<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its team; any agent of it may have worked on the branch.
    pub team: TeamId,
    /// Paths that the task may change, as globs; empty means anywhere.
    pub scope: &'a [String],
    /// Commit that the branch was cut from.
    pub base: Oid,
    /// Head of the branch.
    pub head: Oid,
    /// Further heads whose commits the branch may contain: the team branch, the base branch, dependencies.
    pub allowed: &'a [Oid],
    /// Heads of other tasks that are not merged; their commits must not come in by this branch.
    pub others: &'a [(TaskId, Oid)],
}

/// What the gate insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Nothing of the ledger's directory is in the tree.
    Ledger,
    /// Every subject names team and agent.
    Tags,
    /// Every commit names its task and agent in trailers.
    Trailers,
    /// Every changed path is within the task's scope.
    Scope,
    /// No commit belongs to another task that is not merged.
    Foreign,
    /// No changed path is under a lock that the task does not hold.
    Lock,
    /// Every commit is signed by the agent that it names, where signing is on.
    Signature,
}

impl Rule {
    /// Returns the word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Tags => "tags",
            Self::Trailers => "trailers",
            Self::Scope => "scope",
            Self::Foreign => "foreign",
            Self::Lock => "lock",
            Self::Signature => "signature",
        }
    }
}

/// Something that the gate does not let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The commit.
    pub commit: Oid,
    /// Which rule it breaks.
    pub rule: Rule,
    /// How it breaks it.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit, what, help, ..
        } = self;
        write!(f, "commit {} {what}; {help}", commit.to_hex_with_len(10))
    }
}

/// How many paths outside the scope a finding names.
const MOST_SHOWN: usize = 5;

/// Checks the commits that a branch adds, oldest first; an empty answer lets the branch pass.
///
/// # Errors
///
/// A commit cannot be read.
pub fn check(repo: &Repo, branch: &Branch<'_>) -> Result<Vec<Finding>> {
    let commits = added(repo, &[branch.head], branch, &[])?;
    let paths = changed_paths(repo, &commits)?;
    let unmerged = unmerged_of_others(repo, branch)?;
    let mut findings = Vec::new();
    for commit in &commits {
        let data = repo.read_commit(*commit)?;
        let seen = Seen {
            id: *commit,
            parents: data.parents.len(),
            parts: Parts::read(data.message.as_bytes(), None),
            paths: paths.get(commit).map(Vec::as_slice).unwrap_or_default(),
            is_unmerged: unmerged.contains(commit),
        };
        judge(branch, &seen, &mut findings);
    }
    if findings.iter().all(|finding| finding.rule != Rule::Ledger) && brings_ledger(repo, branch)? {
        findings.push(Finding {
            commit: branch.head,
            rule: Rule::Ledger,
            what: format!("has {} in its tree", layout::ROOT),
            help: format!(
                "take it out with `git rm -r --cached {}` and commit",
                layout::ROOT
            ),
        });
    }
    Ok(findings)
}

/// What there is to judge of one commit.
struct Seen<'a> {
    id: Oid,
    parents: usize,
    parts: Parts,
    /// Paths that it changes.
    paths: &'a [Vec<u8>],
    /// Whether another task's branch adds it as well.
    is_unmerged: bool,
}

fn judge(branch: &Branch<'_>, seen: &Seen<'_>, findings: &mut Vec<Finding>) {
    let mut find = |rule, what: String, help: String| {
        findings.push(Finding {
            commit: seen.id,
            rule,
            what,
            help,
        });
    };
    if let Some(other) = foreign(branch, seen) {
        find(
            Rule::Foreign,
            format!("belongs to task {other}, which is not merged"),
            format!("rebase the branch onto {} without it", branch.base),
        );
        return;
    }
    if let Some(((rule, what), help)) = judge_message(branch, &seen.parts) {
        find(rule, what, help);
    }
    if seen.parents > 2 {
        find(
            Rule::Scope,
            format!("merges {} histories at once", seen.parents),
            String::from("merge them one after another, so that each can be checked"),
        );
    }
    let (ours, rest): (Vec<_>, Vec<_>) = seen.paths.iter().partition(|path| is_ours(path));
    if !ours.is_empty() {
        find(
            Rule::Ledger,
            format!(
                "changes {}, which belongs to the ledger alone",
                layout::ROOT
            ),
            format!(
                "take it out with `git rm -r --cached {}` and amend",
                layout::ROOT
            ),
        );
    }
    let outside: Vec<_> = rest
        .into_iter()
        .filter(|path| !covers(branch.scope, &String::from_utf8_lossy(path)))
        .collect();
    if !outside.is_empty() {
        find(
            Rule::Scope,
            format!("changes {} outside the task's scope", shown(&outside)),
            format!("keep to {}", branch.scope.join(", ")),
        );
    }
}

/// Returns the other task whose commit this is, if it is one that must not come in here.
fn foreign(branch: &Branch<'_>, seen: &Seen<'_>) -> Option<TaskId> {
    let named = seen.parts.trailer("Orch-Task")?;
    let other = branch
        .others
        .iter()
        .find(|(task, _)| task.as_str() == named)?;
    (seen.is_unmerged && other.0 != *branch.task).then(|| other.0.clone())
}

/// Returns how a message breaks a rule, and what it should be.
fn judge_message(branch: &Branch<'_>, parts: &Parts) -> Option<((Rule, String), String)> {
    let Branch { task, team, .. } = branch;
    let example = commit_tags(AgentId {
        team: *team,
        number: 1,
    });
    let reword = format!(
        "reword it to begin with, for example, `{}` and to end with `Orch-Task: {task}`",
        example.trim_end()
    );
    let subject = &parts.subject;
    let broken = match &parts.tags {
        None => (Rule::Tags, format!("names no team and agent: `{subject}`")),
        Some((said, agent)) if said != team || agent.team != *team => {
            (Rule::Tags, format!("is not by team {team}: `{subject}`"))
        }
        Some(_) if parts.text.is_empty() => {
            (Rule::Tags, String::from("says nothing behind its tags"))
        }
        Some((_, tagged)) => {
            let agent = parts.trailer("Orch-Agent");
            match (parts.trailer("Orch-Task"), agent.map(str::parse::<AgentId>)) {
                (Some(said), _) if said != task.as_str() => (
                    Rule::Trailers,
                    format!("says that it belongs to task `{said}`"),
                ),
                (None, _) => (
                    Rule::Trailers,
                    format!("lacks the trailer `Orch-Task: {task}`"),
                ),
                (_, Some(Ok(said))) if said == *tagged => return None,
                _ => (
                    Rule::Trailers,
                    format!("lacks the trailer `Orch-Agent: {tagged}`"),
                ),
            }
        }
    };
    Some((broken, reword))
}

fn shown(paths: &[&Vec<u8>]) -> String {
    let mut names: Vec<String> = paths
        .iter()
        .take(MOST_SHOWN)
        .map(|path| String::from_utf8_lossy(path).escape_debug().to_string())
        .collect();
    if paths.len() > MOST_SHOWN {
        names.push(format!("{} more", paths.len() - MOST_SHOWN));
    }
    names.join(", ")
}

fn git(repo: &Repo) -> Git {
    let git = repo.git().env("GIT_NO_REPLACE_OBJECTS", "1");
    // A file that is not there: one that is makes git warn about grafts.
    git.env("GIT_GRAFT_FILE", repo.orch_dir().join("no-grafts"))
}

/// Returns the commits reachable from heads that are neither the base's nor allowed, oldest first.
pub(super) fn added(
    repo: &Repo,
    heads: &[Oid],
    branch: &Branch<'_>,
    options: &[&str],
) -> Result<Vec<Oid>> {
    let mut revisions = String::new();
    for head in heads {
        revisions.push_str(&format!("{head}\n"));
    }
    for known in branch.allowed.iter().chain([&branch.base]) {
        revisions.push_str(&format!("^{known}\n"));
    }
    let listed = git(repo)
        .args(["rev-list", "--topo-order", "--reverse"])
        .args(options)
        .arg("--stdin")
        .stdin(revisions)
        .read()
        .context("cannot list the commits of a branch")?;
    let parse = |line: &str| Oid::from_hex(line.as_bytes()).context("git listed no commit");
    listed.lines().map(parse).collect()
}

/// Returns the paths that each commit changes; for a merge, those that differ from what merging its parents
/// gives by itself, so that a merge which drops the other side's work shows it.
pub(super) fn changed_paths(repo: &Repo, commits: &[Oid]) -> Result<BTreeMap<Oid, Vec<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    if commits.is_empty() {
        return Ok(found);
    }
    let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
    let bytes = git(repo)
        .args([
            "log",
            "--no-walk=unsorted",
            "--stdin",
            "--format=%H",
            "--no-show-signature",
        ])
        .args([
            "--remerge-diff",
            "--root",
            "--no-renames",
            "--ignore-submodules=none",
        ])
        .args(["--name-only", "-z"])
        .stdin(input)
        .read_bytes()
        .context("cannot read what a branch changes")?;
    let mut expected = commits.iter().peekable();
    let mut current: Option<&mut Vec<Vec<u8>>> = None;
    for word in bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
    {
        // Each commit's id comes before its paths, in the order asked for; a line break leads the first path.
        let id = expected.next_if(|commit| commit.to_hex().to_string().as_bytes() == word);
        match (id, &mut current) {
            (Some(id), _) => current = Some(found.entry(*id).or_default()),
            (None, Some(paths)) if paths.is_empty() => {
                paths.push(word.strip_prefix(b"\n").unwrap_or(word).to_vec());
            }
            (None, Some(paths)) => paths.push(word.to_vec()),
            (None, None) => anyhow::bail!("git named a path without its commit"),
        }
    }
    Ok(found)
}

/// Returns the commits that other tasks' branches add.
fn unmerged_of_others(repo: &Repo, branch: &Branch<'_>) -> Result<BTreeSet<Oid>> {
    if branch.others.is_empty() {
        return Ok(BTreeSet::new());
    }
    let heads: Vec<Oid> = branch.others.iter().map(|(_, head)| *head).collect();
    // A head that is not in the object store any more cannot have brought anything in.
    let listed = added(repo, &heads, branch, &["--ignore-missing"])?;
    Ok(listed.into_iter().collect())
}

/// Returns whether the branch has a directory of the ledger's name that its base does not have.
fn brings_ledger(repo: &Repo, branch: &Branch<'_>) -> Result<bool> {
    let entry = |commit: Oid| -> Result<Option<Oid>> {
        let tree = repo.read_tree(repo.read_commit(commit)?.tree)?;
        Ok(find_entry(&tree, layout::ROOT.as_bytes()).map(|entry| entry.id))
    };
    let there = entry(branch.head)?;
    Ok(there.is_some() && there != entry(branch.base)?)
}
