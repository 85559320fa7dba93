//! Checks again, from the commits themselves, what the hooks check: hooks can be skipped, the gate cannot.
//!
//! Judges the commits that a branch adds, and no others: what is reachable from its base, or from heads that
//! the caller allows, was judged before or belongs to people. Every commit counts, also one that a later one
//! takes back. What a hostile branch may hold (malformed objects, trees without end, ten thousand commits) is
//! found, in bounded time, and never an error that would stop everybody else's work.
//!
//! * [`task`] gathers what the ledger says of a task's branch.
//! * `judge` says what is wrong with one commit, given what was read of it.
//! * The rules themselves are pure: [`crate::model::gate`].

mod judge;
mod markers;
mod message;
pub mod task;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use anyhow::Result;

use crate::config;
use crate::git::audit::Depth;
use crate::git::objects::find_entry;
use crate::git::{ChangedPath, GitFailure, Oid, Repo};
use crate::ledger::layout;
use crate::model::gate::commit::RawCommit;
use crate::model::{GateSpec, TaskId, TeamId};

pub use crate::model::gate::Rule;
use judge::{Judge, Seen};

/// A task's branch, and what is known of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Branch<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its team; any agent of it may have worked on the branch.
    pub team: TeamId,
    /// Paths that the task may change, as globs; empty means anywhere.
    pub scope: &'a [String],
    /// Files that it must deliver: the plan names them as well.
    pub deliverables: &'a [String],
    /// What the plan says of the gate.
    pub gate: &'a GateSpec,
    /// Commit that the branch was cut from.
    pub base: Oid,
    /// Head of the branch.
    pub head: Oid,
    /// Tip of the branch that it goes into.
    pub tip: Oid,
    /// Further heads whose commits the branch may contain: the team branch, the base branch, dependencies.
    pub allowed: &'a [Oid],
    /// Heads of other tasks that are not merged; their commits must not come in by this branch.
    pub others: &'a [(TaskId, Oid)],
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
    /// The paths at fault, as far as the rule is about paths.
    pub paths: Vec<Vec<u8>>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            rule,
            what,
            help,
            ..
        } = self;
        let commit = commit.to_hex_with_len(10);
        write!(
            f,
            "commit {commit} {what}; {help} (rule: {})",
            rule.as_str()
        )
    }
}

/// Merges of one branch; each is merged again to see what it adds, which takes milliseconds.
const MOST_MERGES: usize = 1000;

/// Findings after which nothing more is looked for.
const MOST_FINDINGS: usize = 200;

/// Checks the commits that a branch adds, oldest first; an empty answer lets the branch pass.
///
/// # Errors
///
/// Git cannot be run, or the repository itself cannot be read: what the disk does not give is nobody's fault.
pub fn check(repo: &Repo, branch: &Branch<'_>) -> Result<Vec<Finding>> {
    repo.forget_failed_reads();
    let findings = judge(repo, branch)?;
    repo.require_reads()?;
    Ok(findings)
}

fn judge(repo: &Repo, branch: &Branch<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let most = match branch.gate.has(Rule::Sizes) {
        true => branch.gate.max_commits as usize,
        false => i32::MAX as usize - 1,
    };
    let known = [branch.allowed, &[branch.base, branch.tip]].concat();
    let (commits, border) = match added(repo, &[branch.head], &known, most + 1)? {
        Ok(listed) => listed,
        Err(why) => return Ok(vec![unreadable(branch.head, &why)]),
    };
    if commits.len() > most {
        findings.push(Finding {
            commit: branch.head,
            rule: Rule::Sizes,
            what: format!("is the head of more than {most} commits"),
            help: String::from("squash them, or raise `max_commits` in the plan's `[run.gate]`"),
            paths: Vec::new(),
        });
        return Ok(findings);
    }
    let others: Vec<Oid> = branch.others.iter().map(|(_, head)| *head).collect();
    let unmerged: BTreeSet<Oid> = match others.is_empty() {
        true => BTreeSet::new(),
        // What cannot be read of another's branch is that branch's matter.
        false => added(repo, &others, &known, i32::MAX as usize)?
            .map(|(commits, _)| commits.into_iter().collect())
            .unwrap_or_default(),
    };
    let given = config::given_identities();
    let mut judge = Judge::new(repo, branch, &given, &unmerged);
    let mut history = History::read(repo, &commits, &mut findings);
    history.check_ancestry(repo, branch, &border, &mut findings)?;
    history.remerge(repo, &mut findings)?;
    for commit in &commits {
        if findings.len() >= MOST_FINDINGS {
            break;
        }
        let Some(raw) = history.raw.get(commit) else {
            continue;
        };
        match RawCommit::parse(raw) {
            Err(why) => findings.push(unreadable(*commit, why)),
            Ok(parsed) => {
                let seen = history.see(*commit, &parsed);
                if judge.judge(&seen, &mut findings) {
                    history.judge_tree(&mut judge, &seen, &mut findings);
                }
            }
        }
    }
    judge.judge_neighbours(&mut findings);
    judge.judge_links_together(&mut findings);
    // What is too large to be looked at whole is not looked at for markers either.
    let is_bounded = findings.len() < MOST_FINDINGS
        && findings.iter().all(|finding| finding.rule != Rule::Sizes);
    if is_bounded {
        findings.extend(markers::check(repo, branch, &history.merges())?);
    }
    if findings.iter().all(|finding| finding.rule != Rule::Ledger) && brings_ledger(repo, branch) {
        findings.push(Finding {
            commit: branch.head,
            rule: Rule::Ledger,
            what: format!("has {} in its tree", layout::ROOT),
            help: format!(
                "take it out with `git rm -r --cached {}` and commit",
                layout::ROOT
            ),
            paths: Vec::new(),
        });
    }
    Ok(findings)
}

fn unreadable(commit: Oid, why: &str) -> Finding {
    Finding {
        commit,
        rule: Rule::Objects,
        what: format!(
            "cannot be taken: it {}",
            crate::model::gate::shown(why.as_bytes())
        ),
        help: String::from("make it again with `git commit`"),
        paths: Vec::new(),
    }
}

/// Returns the commits that a branch adds, oldest first, for further checks of one that could be read.
pub(super) fn commits_of(repo: &Repo, branch: &Branch<'_>) -> Result<Vec<Oid>> {
    let known = [branch.allowed, &[branch.base, branch.tip]].concat();
    let most = branch.gate.max_commits as usize;
    Ok(repo.added_commits(&[branch.head], &known, most)?.0)
}

type Listed = (Vec<Oid>, Vec<Oid>);

/// Lists what heads add; what Git cannot read of them is a value.
fn added(repo: &Repo, heads: &[Oid], known: &[Oid], most: usize) -> Result<Result<Listed, String>> {
    let listed = asked(|| repo.added_commits(heads, known, most))?;
    Ok(listed.map_err(|why| format!("has a history that cannot be read: {why}")))
}

/// Asks Git about a branch; why it refuses is a value, since it is the branch that makes it. It is asked twice, and
/// where the system is to blame that is an error.
fn asked<T>(ask: impl Fn() -> Result<T>) -> Result<Result<T, String>> {
    let mut answer = ask();
    if answer.is_err() {
        answer = ask();
    }
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) => match error.downcast_ref::<GitFailure>() {
            Some(failure) if !failure.is_of_system() => {
                let why = format!("{error:#}");
                Ok(Err(crate::model::event::one_line(&why)))
            }
            _ => Err(error),
        },
    }
}

/// The commits of a branch as they are.
struct History {
    raw: HashMap<Oid, Vec<u8>>,
    /// Tree and parents of each.
    shape: HashMap<Oid, (Oid, Vec<Oid>)>,
    /// What merges add to merging.
    remerged: HashMap<Oid, Vec<Vec<u8>>>,
    /// In order.
    commits: Vec<Oid>,
}

impl History {
    fn read(repo: &Repo, commits: &[Oid], findings: &mut Vec<Finding>) -> Self {
        let mut history = Self {
            raw: HashMap::new(),
            shape: HashMap::new(),
            remerged: HashMap::new(),
            commits: commits.to_vec(),
        };
        for commit in commits {
            match (repo.read_raw_commit(*commit), repo.read_commit(*commit)) {
                (Ok(raw), Ok(data)) => {
                    history.raw.insert(*commit, raw);
                    history.shape.insert(*commit, (data.tree, data.parents));
                }
                (Err(error), _) | (_, Err(error)) => {
                    let why = format!("cannot be read: {error:#}");
                    findings.push(unreadable(*commit, &why));
                }
            }
        }
        history
    }

    /// The branch goes on from where it was cut, or from later work on the same line.
    fn check_ancestry(
        &self,
        repo: &Repo,
        branch: &Branch<'_>,
        border: &[Oid],
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let mut find = |commit: Oid, what: String| {
            findings.push(Finding {
                commit,
                rule: Rule::Ancestry,
                what,
                help: format!("rebase the branch's own commits onto {}", branch.base),
                paths: Vec::new(),
            });
        };
        let there: HashSet<&Oid> = self.commits.iter().chain(border).collect();
        for commit in &self.commits {
            let Some((_, parents)) = self.shape.get(commit) else {
                continue;
            };
            if parents.is_empty() {
                find(*commit, String::from("begins a history of its own"));
            }
            // Somebody has told Git to stop there: by grafts, `shallow`, or a forged commit-graph.
            if let Some(hidden) = parents.iter().find(|parent| !there.contains(parent)) {
                find(*commit, format!("hides its parent {hidden} from git"));
            }
        }
        let is_known = |needed: &Oid| *needed == branch.head || border.contains(needed);
        if is_known(&branch.base) || repo.is_ancestor(branch.base, branch.head)? {
            return Ok(());
        }
        // Rebased onto later work, the branch has what its base has in common with that.
        let mut missing = vec![branch.base];
        let shared = repo.merge_bases(branch.base, branch.tip)?;
        if !shared.is_empty() {
            missing.clear();
            for needed in shared {
                if !is_known(&needed) && !repo.is_ancestor(needed, branch.head)? {
                    missing.push(needed);
                }
            }
        }
        if let Some(missing) = missing.first() {
            find(
                branch.head,
                format!(
                    "does not go on from {missing}, where the ledger says that the branch was cut"
                ),
            );
        }
        Ok(())
    }

    /// Returns the branch's merges, as many as are merged again, each with its parents.
    fn merges(&self) -> Vec<(Oid, Vec<Oid>)> {
        let shapes = self.commits.iter().filter_map(|commit| {
            let (_, parents) = self.shape.get(commit)?;
            (parents.len() > 1).then(|| (*commit, parents.clone()))
        });
        shapes.take(MOST_MERGES).collect()
    }

    /// Merges again what the branch merged.
    fn remerge(&mut self, repo: &Repo, findings: &mut Vec<Finding>) -> Result<()> {
        let is_merge = |commit: &&Oid| self.shape.get(*commit).is_some_and(|(_, p)| p.len() > 1);
        let merges: Vec<Oid> = self.commits.iter().filter(is_merge).copied().collect();
        let Some(last) = merges.last().copied() else {
            return Ok(());
        };
        if merges.len() > MOST_MERGES {
            findings.push(Finding {
                commit: last,
                rule: Rule::Sizes,
                what: format!("is one of more than {MOST_MERGES} merges"),
                help: String::from("rebase the branch instead"),
                paths: Vec::new(),
            });
            return Ok(());
        }
        match asked(|| repo.paths_by_commit(&merges))? {
            Ok(remerged) => self.remerged = remerged,
            Err(why) => findings.push(unreadable(last, &format!("cannot be merged again: {why}"))),
        }
        Ok(())
    }

    fn see<'a>(&'a self, id: Oid, raw: &'a RawCommit<'a>) -> Seen<'a> {
        let (tree, parents) = &self.shape[&id];
        Seen {
            id,
            tree: *tree,
            parents,
            raw,
        }
    }

    /// Judges what a commit changes.
    fn judge_tree(&self, judge: &mut Judge<'_>, seen: &Seen<'_>, findings: &mut Vec<Finding>) {
        let repo = judge.repo;
        let first = seen.parents.first();
        let old = first.and_then(|parent| match self.shape.get(parent) {
            Some((tree, _)) => Some(*tree),
            None => repo.read_commit(*parent).ok().map(|commit| commit.tree),
        });
        if seen.parents.len() < 2 {
            let audit = repo.audit_trees(old, seen.tree, Depth::Whole, judge.paths_left());
            judge.judge_audit(seen, &audit, findings);
            return;
        }
        let mut audit = repo.audit_trees(old, seen.tree, Depth::Form, judge.paths_left());
        // What the other side brings is judged there.
        audit.bad_names.clear();
        for path in self.remerged.get(&seen.id).into_iter().flatten() {
            let nothing = (0, Oid::null(crate::git::HASH));
            let side = |tree: Option<Oid>| tree.and_then(|tree| repo.entry_at(tree, path));
            let new = side(Some(seen.tree));
            if new.is_some() {
                let parts = path.split(|byte| *byte == b'/');
                let why = parts
                    .into_iter()
                    .find_map(crate::model::gate::names::why_bad);
                audit.bad_names.extend(why.map(|why| (path.clone(), why)));
                let twins = repo.twins_of(seen.tree, path).into_iter();
                audit.twins.extend(twins.map(|twin| (path.clone(), twin)));
            }
            audit.changes.push(ChangedPath {
                path: path.clone(),
                old: side(old).unwrap_or(nothing),
                new: new.unwrap_or(nothing),
            });
        }
        judge.judge_audit(seen, &audit, findings);
    }
}

/// Returns whether the branch has a directory of the ledger's name that its base does not have.
fn brings_ledger(repo: &Repo, branch: &Branch<'_>) -> bool {
    let entry = |commit: Oid| -> Option<Oid> {
        let tree = repo.read_tree(repo.read_commit(commit).ok()?.tree).ok()?;
        find_entry(&tree, layout::ROOT.as_bytes()).map(|entry| entry.id)
    };
    let there = entry(branch.head);
    there.is_some() && there != entry(branch.base)
}
