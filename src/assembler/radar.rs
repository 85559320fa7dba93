//! Which branches will conflict, before anybody merges them.
//!
//! Merging every two branches by their own history raises many false alarms: what has long been settled on
//! the target conflicts again and again. So each branch is merged onto the target's tip first. A branch that
//! fails there is a finding of its own; of the rest only pairs that touch each other are merged, on the tip's
//! tree. Where two branches share commits that the target has not, as one that was cut from the other, a
//! conflict counts only if merging one after the other has it too.
//!
//! Nothing is written to the repository. What was found out is kept under the common Git directory, by tip
//! and heads, so that a branch that moves costs its own merges only; it may be deleted at any moment.

mod choice;
mod known;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::git::batch::{Pair, Tried};
use crate::git::checkout::Checkout;
use crate::git::scratch::uncommitted;
use crate::git::{ChangedPath, Oid, Repo, Scratch};
use crate::model::radar::{Footprint, Graph, Order, Standing, later, pairs};
use crate::model::{AgentId, State, TaskId};

use known::{Files, Known, Place, Reached};

pub use choice::{Target, in_flight, matching, named, open_branches};

/// A branch in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// Its commit.
    pub head: Oid,
    /// The worktree whose uncommitted work counts as well, if any.
    pub worktree: Option<Checkout>,
    /// Positions of the branches that must come in before it.
    pub after: Vec<usize>,
    /// What decides who is warned.
    pub standing: Standing,
    /// The task whose work it is, if any.
    pub work: Option<Work>,
}

/// Whose work a branch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The task.
    pub task: TaskId,
    /// Who holds it, or held it last.
    pub agent: Option<AgentId>,
    /// Where the task is in its life.
    pub state: State,
}

impl Branch {
    /// Returns a branch that is nobody's task.
    pub fn new(name: impl Into<String>, head: Oid) -> Self {
        Self {
            name: name.into(),
            head,
            worktree: None,
            after: Vec::new(),
            standing: Standing::default(),
            work: None,
        }
    }
}

/// A file in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Git's stable name of the kind, for example `CONFLICT (contents)`.
    pub kind: String,
}

/// What merging one branch onto the tip came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It merges, and then differs from the tip in this.
    Clean(Footprint),
    /// It conflicts with the tip itself; nothing is known of its conflicts with others.
    Conflict(Vec<File>),
    /// It has no history in common with the tip.
    Unrelated,
    /// Git cannot merge it; its words.
    Refused(String),
}

/// One branch as the radar sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether uncommitted work is in it.
    pub uncommitted: bool,
    /// What merging it onto the tip came to.
    pub reach: Reach,
}

/// Two branches that conflict although each merges onto the tip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Position of the one that was given first.
    pub one: usize,
    /// Position of the other.
    pub other: usize,
    /// The files.
    pub files: Vec<File>,
    /// Position of the one that should hear of it.
    pub warn: usize,
}

/// What the radar found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Radar {
    /// The commit that all were merged onto.
    pub tip: Oid,
    /// The branches, as they were given.
    pub branches: Vec<Branch>,
    /// What was found of each.
    pub seen: Vec<Seen>,
    /// The pairs in conflict.
    pub clashes: Vec<Clash>,
    /// Pairs that touch each other.
    pub touching: usize,
    /// Merges made for it.
    pub merges: usize,
    /// Worktrees whose uncommitted work could not be read, and why.
    pub unread: Vec<(PathBuf, String)>,
}

impl Radar {
    /// Returns the order in which most branches come in, dependencies before dependents.
    pub fn order(&self) -> Order {
        let mut graph = Graph::new(self.branches.len());
        for (position, branch) in self.branches.iter().enumerate() {
            for before in &branch.after {
                graph.depend(position, *before);
            }
            if !matches!(self.seen[position].reach, Reach::Clean(_)) {
                graph.exclude(position);
            }
        }
        for clash in &self.clashes {
            graph.conflict(clash.one, clash.other);
        }
        graph.order()
    }
}

/// Merges branches onto a tip, and those that touch each other with one another.
///
/// # Errors
///
/// The tip is missing, or git cannot be run.
pub fn scan(repo: &Repo, tip: Oid, branches: &[Branch]) -> Result<Radar> {
    let place = Place::take(repo, tip)?;
    match scan_in(&place, repo, tip, branches) {
        // What was kept may be damaged, for example by a power cut: once more without it.
        Err(_) if place.forget() => scan_in(&Place::take_temporary(repo)?, repo, tip, branches),
        radar => radar,
    }
}

/// The same as [`scan`], with nothing kept of it.
///
/// # Errors
///
/// As [`scan`].
pub(super) fn scan_without_trace(repo: &Repo, tip: Oid, branches: &[Branch]) -> Result<Radar> {
    scan_in(&Place::take_temporary(repo)?, repo, tip, branches)
}

fn scan_in(place: &Place, repo: &Repo, tip: Oid, branches: &[Branch]) -> Result<Radar> {
    let mut scan = Scan {
        repo,
        scratch: &place.scratch,
        tip,
        tree: repo.read_commit(tip)?.tree,
        known: place.load(),
        merges: 0,
    };
    let (heads, unread) = scan.heads(branches);
    scan.reach(&heads)?;
    let reached: Vec<Reached> = heads.iter().map(|head| scan.reached(*head)).collect();
    let footprints: Vec<_> = reached.iter().map(Reached::footprint).collect();
    let touching = pairs(&footprints);
    let found = scan.meet(&heads, &touching)?;
    let standings: Vec<Standing> = branches.iter().map(|branch| branch.standing).collect();
    let clash = |(one, other): (usize, usize), files: Vec<File>| Clash {
        one,
        other,
        files,
        warn: later(&standings, one, other),
    };
    let radar = Radar {
        tip,
        branches: branches.to_vec(),
        clashes: found
            .into_iter()
            .map(|(pair, files)| clash(pair, files))
            .collect(),
        touching: touching.len(),
        merges: scan.merges,
        unread,
        seen: branches
            .iter()
            .zip(&heads)
            .zip(reached)
            .map(|((branch, head), reached)| Seen {
                uncommitted: branch.head != *head,
                reach: reached.told(),
            })
            .collect(),
    };
    place.save(&scan.known, scan.merges);
    Ok(radar)
}

/// One look at everything.
struct Scan<'a> {
    repo: &'a Repo,
    scratch: &'a Scratch,
    tip: Oid,
    tree: Oid,
    known: Known,
    merges: usize,
}

impl Scan<'_> {
    /// Returns what is merged of each branch: its head, or a commit of what lies in its worktree; and the
    /// worktrees that could not be read.
    fn heads(&self, branches: &[Branch]) -> (Vec<Oid>, Vec<(PathBuf, String)>) {
        let checkouts: Vec<&Checkout> = branches
            .iter()
            .filter_map(|branch| branch.worktree.as_ref())
            .collect();
        let mut found = uncommitted(&checkouts).into_iter();
        let mut unread = Vec::new();
        let heads = branches.iter().map(|branch| {
            // Only a branch with a worktree takes the next of what was found.
            let Some(checkout) = &branch.worktree else {
                return branch.head;
            };
            let Some(found) = found.next() else {
                return branch.head;
            };
            let work = found.and_then(|found| {
                self.repo
                    .work_in_progress(self.scratch, checkout, branch.head, found)
            });
            work.map_or_else(
                // An agent is at work there, and may have locked or removed what git wants to read.
                |error| {
                    unread.push((checkout.dir.clone(), format!("{error:#}")));
                    branch.head
                },
                |work| work.unwrap_or(branch.head),
            )
        });
        (heads.collect(), unread)
    }

    /// Merges heads onto the tip, as far as that is not known.
    fn reach(&mut self, heads: &[Oid]) -> Result<()> {
        let new: BTreeSet<Oid> = heads
            .iter()
            .filter(|head| self.known.head(**head).is_none())
            .copied()
            .collect();
        let new: Vec<Oid> = new.into_iter().collect();
        let merges: Vec<Pair> = new
            .iter()
            .map(|head| Pair::Commits(self.tip, *head))
            .collect();
        let tried = self.merge(&merges)?;
        let trees: Vec<(Oid, Oid)> = tried
            .iter()
            .filter_map(|tried| match tried {
                Tried::Clean(tree) => Some((self.tree, *tree)),
                _ => None,
            })
            .collect();
        let mut diffs = self.repo.try_diffs(self.scratch, &trees)?.into_iter();
        for (head, tried) in new.into_iter().zip(tried) {
            let reached = match tried {
                Tried::Clean(tree) => Reached::Clean {
                    tree: tree.into(),
                    footprint: diffs.next().map(footprint).unwrap_or_default(),
                },
                Tried::Conflict(files) => Reached::Conflict(files),
                Tried::Unrelated => Reached::Unrelated,
                Tried::Refused(why) => Reached::Refused(why),
            };
            self.known.learn_head(head, reached);
        }
        Ok(())
    }

    fn reached(&self, head: Oid) -> Reached {
        let unknown = || Reached::Refused(String::from("it was not merged"));
        self.known.head(head).cloned().unwrap_or_else(unknown)
    }

    /// Merges pairs on the tip's tree, as far as that is not known, and returns those that conflict.
    fn meet(
        &mut self,
        heads: &[Oid],
        touching: &BTreeSet<(usize, usize)>,
    ) -> Result<BTreeMap<(usize, usize), Vec<File>>> {
        let new: BTreeSet<(Oid, Oid)> = touching
            .iter()
            .map(|(one, other)| sorted(heads[*one], heads[*other]))
            .filter(|(one, other)| one != other && self.known.pair(*one, *other).is_none())
            .collect();
        let mut merges = Vec::new();
        for (one, other) in &new {
            if let (Some(a), Some(b)) = (self.known.tree(*one), self.known.tree(*other)) {
                merges.push(((*one, *other), Pair::Trees(self.tree, a, b)));
            }
        }
        let tried = self.merge(&merges.iter().map(|(_, pair)| *pair).collect::<Vec<_>>())?;
        let mut alarms = Vec::new();
        for ((pair, _), tried) in merges.into_iter().zip(tried) {
            match tried {
                Tried::Clean(_) => self.known.learn_pair(pair, Vec::new()),
                Tried::Conflict(files) => alarms.push((pair, files)),
                Tried::Unrelated => {}
                Tried::Refused(why) => bail!("cannot merge {} and {}: {why}", pair.0, pair.1),
            }
        }
        self.settle(alarms)?;
        let mut found = BTreeMap::new();
        for (one, other) in touching {
            let (a, b) = sorted(heads[*one], heads[*other]);
            let files = self.known.pair(a, b).unwrap_or_default();
            if !files.is_empty() {
                found.insert((*one, *other), told(files));
            }
        }
        Ok(found)
    }

    /// Decides about pairs that conflict on the tip's tree: one of which the other holds commits does not
    /// conflict if it merges after it.
    fn settle(&mut self, alarms: Vec<((Oid, Oid), Files)>) -> Result<()> {
        if alarms.is_empty() {
            return Ok(());
        }
        let heads: BTreeSet<Oid> = alarms
            .iter()
            .flat_map(|((one, other), _)| [*one, *other])
            .collect();
        let own = self.own_commits(&heads)?;
        let (mut shared, mut merges) = (Vec::new(), Vec::new());
        for ((one, other), files) in alarms {
            let (a, b) = (own.get(&one), own.get(&other));
            let apart = a.zip(b).is_none_or(|(a, b)| a.is_disjoint(b));
            match self.known.tree(one).filter(|_| !apart) {
                Some(tree) => {
                    let first = self
                        .repo
                        .scratch_merge(self.scratch, tree, [self.tip, one])?;
                    shared.push((one, other));
                    merges.push(Pair::Commits(first, other));
                }
                None => self.known.learn_pair((one, other), files),
            }
        }
        let tried = self.merge(&merges)?;
        for (pair, tried) in shared.into_iter().zip(tried) {
            let files = match tried {
                Tried::Conflict(files) => files,
                Tried::Clean(_) | Tried::Unrelated | Tried::Refused(_) => Vec::new(),
            };
            self.known.learn_pair(pair, files);
        }
        Ok(())
    }

    /// Returns for each head the commits that it has and the tip has not.
    fn own_commits(&self, heads: &BTreeSet<Oid>) -> Result<HashMap<Oid, BTreeSet<Oid>>> {
        let heads: Vec<Oid> = heads.iter().copied().collect();
        let parents = self.repo.beyond(self.scratch, self.tip, &heads)?;
        let reach = |head: Oid| {
            let (mut all, mut next) = (BTreeSet::new(), vec![head]);
            while let Some(commit) = next.pop() {
                if let Some(parents) = parents.get(&commit)
                    && all.insert(commit)
                {
                    next.extend(parents);
                }
            }
            all
        };
        Ok(heads.into_iter().map(|head| (head, reach(head))).collect())
    }

    fn merge(&mut self, pairs: &[Pair]) -> Result<Vec<Tried>> {
        self.merges += pairs.len();
        self.repo.try_merges(self.scratch, self.tip, pairs)
    }
}

/// The order of a pair's heads by which it is known, whichever was given first.
fn sorted(one: Oid, other: Oid) -> (Oid, Oid) {
    (one.min(other), one.max(other))
}

fn told(files: &[(Vec<u8>, String)]) -> Vec<File> {
    let file = |(path, kind): &(Vec<u8>, String)| File {
        path: String::from_utf8_lossy(path).into_owned(),
        kind: kind.clone(),
    };
    files.iter().map(file).collect()
}

const TREE: u32 = 0o040_000;

/// Returns what a list of changes touches; directories count only where they are gone.
fn footprint(changes: Vec<ChangedPath>) -> Footprint {
    let mut footprint = Footprint::default();
    for ChangedPath { path, old, new } in changes {
        match (old.0, new.0) {
            (TREE, TREE) | (0, TREE) => {}
            (TREE, _) => footprint.gone.push(path),
            (0, _) => footprint.added.push(path),
            (_, 0 | TREE) => footprint.removed.push(path),
            _ => footprint.changed.push(path),
        }
    }
    footprint
}
