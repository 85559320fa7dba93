//! Merge, test, guard, land, next: what bringing in a plan's tasks and a list of branches have in common.

use std::time::Instant;

use anyhow::Result;

use super::bench::Bench;
use super::findings::{self, Sides};
use super::guard;
use super::report::{Progress, Report, Watch, row};
use super::verdicts::{Red, Verdicts};
use crate::clock;
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{Merge, MergeCommit, Oid, Repo};
use crate::model::CommitId;
use crate::model::train::{Gating, Outcome, Step, Train, Verdict};

/// How often a branch is merged and tested again because the target moved meanwhile.
const MOST_TRIES: u32 = 10;

/// What differs between kinds of train.
pub(super) trait Lane {
    /// Full name of the branch that moves.
    fn target(&self) -> &str;

    /// Returns the head of a car that may be merged onto a tip, or what keeps it from that.
    fn ready(&mut self, position: usize, tip: Oid) -> Result<Ready>;

    /// Returns the message of the commit that brings a car in.
    fn message(&self, position: usize) -> String;

    /// Moves the target from a tip to the last of some merges, and records them.
    fn land(&mut self, landed: &[Landed], tip: Oid) -> Result<Swap>;

    /// Records a car whose head was in the target already; returns what it came to.
    fn found(&mut self, position: usize, head: Oid, tip: Oid) -> Result<Outcome>;

    /// Records a car that is sent back: reason in a line, findings.
    fn sent_back(&mut self, position: usize, reason: &str, findings: &str) -> Result<()>;
}

/// Whether a car can be merged.
pub(super) enum Ready {
    /// This commit can be merged.
    Go(Oid),
    /// This commit is in the target already.
    In(Oid),
    /// It is not merged, which is nobody's fault.
    Not(Outcome),
    /// It breaks a rule: reason, findings.
    Bad(String, String),
}

/// One car's merge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landed {
    pub(super) position: usize,
    pub(super) head: Oid,
    pub(super) commit: Oid,
}

/// A merge in memory, or why there is none.
enum Built {
    Merge { landed: Landed, tree: Oid },
    In(Oid),
    Not(Outcome),
    Back(Verdict, String, String),
}

/// The one loop of an assembly.
pub(super) struct Engine<'a, L> {
    pub(super) repo: &'a Repo,
    pub(super) lane: L,
    pub(super) train: Train,
    pub(super) test: Option<&'a str>,
    pub(super) bench: &'a mut Bench,
    pub(super) verdicts: Verdicts,
    pub(super) who: (String, String),
    pub(super) watch: &'a mut dyn Watch,
    pub(super) begun: Instant,
}

impl<L: Lane> Engine<'_, L> {
    /// Brings in what can be, and returns the report.
    pub(super) fn run(&mut self, gating: Gating) -> Result<Report> {
        let before = self.tip()?;
        let target = short(self.lane.target()).to_owned();
        self.watch.progress(Progress::Began {
            target: &target,
            branches: self.train.cars().len(),
        });
        if gating == Gating::Batch && self.train.open() > 1 {
            self.run_batch()?;
        }
        while let Some(step) = self.train.next() {
            match step {
                Step::Skip(position, reason) => {
                    self.decide(position, Outcome::out(Verdict::Skipped, reason));
                }
                Step::Try(position) => {
                    let outcome = self.try_one(position)?;
                    self.decide(position, outcome);
                }
            }
        }
        Ok(Report {
            target,
            before: before.to_string(),
            after: self.tip()?.to_string(),
            tests_run: self.verdicts.run,
            tests_cached: self.verdicts.cached,
            seconds: self.seconds(),
            train: Report::rows(&self.train),
        })
    }

    /// Returns the time since the assembly began, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        let took = clock::monotonic().duration_since(self.begun);
        (took.as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// Returns where the target is now; whoever moved it meanwhile has moved it.
    pub(super) fn tip(&self) -> Result<Oid> {
        let target = self.lane.target();
        self.repo
            .read_ref(target)?
            .ok_or_else(|| anyhow::anyhow!("{} is gone", short(target)))
    }

    fn decide(&mut self, position: usize, outcome: Outcome) {
        self.train.decide(position, outcome);
        if let Some(row) = row(&self.train, position) {
            self.watch.progress(Progress::Decided(&row));
        }
    }

    /// Merges, tests and lands one car.
    fn try_one(&mut self, position: usize) -> Result<Outcome> {
        for _ in 0..MOST_TRIES {
            let tip = self.tip()?;
            let (landed, tree) = match self.build(position, tip)? {
                Built::Merge { landed, tree } => (landed, tree),
                Built::In(head) => return self.lane.found(position, head, tip),
                Built::Not(outcome) => return Ok(outcome),
                Built::Back(verdict, reason, findings) => {
                    self.send_back(position, &reason, &findings)?;
                    return Ok(Outcome::out(verdict, reason));
                }
            };
            let name = self.train.cars()[position].branch.clone();
            if let Err(red) = self.test(tree, landed.commit, &name)? {
                return self.judge_red(landed, tip, &red);
            }
            if self.lane.land(&[landed], tip)? == Swap::Won {
                return Ok(Outcome::merged(CommitId(landed.commit.to_string())));
            }
        }
        let target = short(self.lane.target());
        Ok(Outcome::out(
            Verdict::Skipped,
            format!("{target} kept being moved by someone else"),
        ))
    }

    /// Decides whether a failing test is the branch's fault: a target that fails by itself says nothing.
    fn judge_red(&mut self, landed: Landed, tip: Oid, red: &Red) -> Result<Outcome> {
        let target = short(self.lane.target()).to_owned();
        let tree = self.repo.read_commit(tip)?.tree;
        let why = format!("the test fails: {}", red.why);
        if self.test(tree, tip, &target)?.is_err() {
            return Ok(Outcome::out(
                Verdict::TestFailed,
                format!("{why}; {target} fails it as well, so this branch may not be to blame"),
            ));
        }
        let position = landed.position;
        let sides = Sides {
            target: &target,
            tip,
            branch: &self.train.cars()[position].branch,
            head: landed.head,
        };
        let command = self.test.unwrap_or_default();
        let findings = findings::of_test(&sides, command, &red.why, &red.output);
        self.send_back(position, &why, &findings)?;
        Ok(Outcome::out(Verdict::TestFailed, why))
    }

    fn send_back(&mut self, position: usize, reason: &str, findings: &str) -> Result<()> {
        self.watch.progress(Progress::Found {
            branch: &self.train.cars()[position].branch,
            findings,
        });
        self.lane.sent_back(position, reason, findings)
    }

    /// Merges all that can be merged and tests the last of it; green lands everything at once, red decides
    /// nothing.
    fn run_batch(&mut self) -> Result<()> {
        let first = self.tip()?;
        let (mut trial, mut tip) = (self.train.clone(), first);
        let (mut landed, mut back) = (Vec::new(), Vec::new());
        while let Some(step) = trial.next() {
            let position = match step {
                Step::Skip(position, reason) => {
                    trial.decide(position, Outcome::out(Verdict::Skipped, reason));
                    continue;
                }
                Step::Try(position) => position,
            };
            let outcome = match self.build(position, tip)? {
                Built::Merge { landed: merge, .. } => {
                    tip = merge.commit;
                    landed.push(merge);
                    Outcome::merged(CommitId(merge.commit.to_string()))
                }
                Built::In(head) if tip == first => {
                    let outcome = self.lane.found(position, head, tip)?;
                    self.decide(position, outcome.clone());
                    outcome
                }
                // It comes in with another car of this batch: that is found when each is tried.
                Built::In(_) => return Ok(()),
                Built::Not(outcome) => outcome,
                Built::Back(verdict, reason, findings) => {
                    let outcome = Outcome::out(verdict, reason.clone());
                    back.push((position, reason, findings));
                    outcome
                }
            };
            trial.decide(position, outcome);
        }
        if landed.len() < 2 {
            return Ok(());
        }
        let tree = self.repo.read_commit(tip)?.tree;
        let name = format!("a batch of {}", landed.len());
        if self.test(tree, tip, &name)?.is_err() {
            let text = "the batch fails the test: its branches are tried one by one";
            self.watch.progress(Progress::Note(text));
            return Ok(());
        }
        if self.lane.land(&landed, first)? == Swap::Lost {
            return Ok(());
        }
        for (position, reason, findings) in back {
            self.send_back(position, &reason, &findings)?;
        }
        self.train = trial;
        for row in Report::rows(&self.train) {
            self.watch.progress(Progress::Decided(&row));
        }
        Ok(())
    }

    /// Merges a car onto a tip in memory and looks at the result once more.
    fn build(&mut self, position: usize, tip: Oid) -> Result<Built> {
        let head = match self.lane.ready(position, tip)? {
            Ready::Go(head) => head,
            Ready::In(head) => return Ok(Built::In(head)),
            Ready::Not(outcome) => return Ok(Built::Not(outcome)),
            Ready::Bad(reason, findings) => {
                return Ok(Built::Back(Verdict::GateFailed, reason, findings));
            }
        };
        let target = short(self.lane.target()).to_owned();
        let sides = Sides {
            target: &target,
            tip,
            branch: &self.train.cars()[position].branch,
            head,
        };
        let tree = match self.repo.merge_tree(tip, head)? {
            Merge::Clean(tree) => tree,
            Merge::Conflict(files) => {
                let (reason, findings) = findings::of_conflict(self.repo, &sides, &files)?;
                return Ok(Built::Back(Verdict::Conflict, reason, findings));
            }
            Merge::Unrelated => {
                let reason = format!("has no history in common with {target}");
                let findings = format!("{} {reason}: start it again from {target}.", sides.branch);
                return Ok(Built::Back(Verdict::Conflict, reason, findings));
            }
        };
        let commit = self.repo.write_merge(&MergeCommit {
            tree,
            parents: &[tip, head],
            message: &self.lane.message(position),
            who: &self.who,
        })?;
        let landing = guard::Landing {
            tip,
            head,
            commit,
            tree,
        };
        if let Err(why) = guard::check(self.repo, &landing)? {
            let reason = format!("the merge is not what both sides changed: {why}");
            let findings = format!(
                "{reason}.\n\nMerge {target} into {} yourself.",
                sides.branch
            );
            return Ok(Built::Back(Verdict::GateFailed, reason, findings));
        }
        let landed = Landed {
            position,
            head,
            commit,
        };
        Ok(Built::Merge { landed, tree })
    }

    /// Returns what the test says about a tree; green where there is no test.
    pub(super) fn test(&mut self, tree: Oid, commit: Oid, what: &str) -> Result<Result<(), Red>> {
        let Some(command) = self.test else {
            return Ok(Ok(()));
        };
        if let Some(known) = self.verdicts.known(self.repo, tree)? {
            self.verdicts.cached += 1;
            return Ok(known);
        }
        self.watch.progress(Progress::Testing { what, command });
        let said = self.bench.test(commit, command)?;
        self.verdicts.learn(self.repo, tree, &said)?;
        Ok(said)
    }
}

/// Returns the author of merges: whoever Git is configured for, or ourselves.
pub(super) fn author(repo: &Repo) -> (String, String) {
    let ours = || {
        let machine = crate::config::machine(repo);
        (
            String::from("git-orch"),
            format!("git-orch@{machine}.invalid"),
        )
    };
    repo.identity()
        .filter(|(name, email)| !name.trim().is_empty() && !email.trim().is_empty())
        .unwrap_or_else(ours)
}
