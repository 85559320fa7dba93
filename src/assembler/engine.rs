//! The loop of an assembly: look at what is known, land and send back what is decided, find out what is not.
//!
//! Nothing is remembered between two rounds but merges and what is known of trees, so a round after a crash,
//! or after somebody moved the target, decides as any other does.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use anyhow::Result;

use super::conflict::{self, How, Sides};
use super::fault::{self, Fault, Tried};
use super::findings;
use super::lane::{Landed, Lane, Ready};
use super::report::{Options, Progress, Report, Row, Watch, row};
use super::tester::{Red, Tester};
use super::{each, guard, line, undone};
use crate::clock;
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{ChangedPath, Merge, MergeCommit, Oid, Repo};
use crate::model::CommitId;
use crate::model::train::batch::What;
use crate::model::train::risk;
use crate::model::train::{Gating, Outcome, Train, Verdict};

/// How often in a row landing is tried again because the target moved meanwhile.
const MOST_TRIES: u32 = 10;

/// A merge in memory, or why there is none.
#[derive(Clone)]
pub(super) enum Built {
    Merge(Landed),
    In(Oid),
    Not(Outcome),
    /// Verdict, reason, findings, and the two sides of a conflict.
    Back(Verdict, String, String, Option<(Oid, Oid)>),
}

/// What is decided of a car, in the order of the train.
pub(super) enum Decision {
    Outcome(usize, Outcome),
    /// It is sent back.
    Back(Box<Back>),
    /// Its head is in the target.
    Found(usize, Oid),
    Landed(Landed),
}

/// A car that is sent back, and why.
pub(super) struct Back {
    pub(super) position: usize,
    pub(super) verdict: Verdict,
    /// In a line.
    pub(super) reason: String,
    pub(super) findings: String,
    /// What it conflicts with, and its own head, where that is why.
    pub(super) sides: Option<(Oid, Oid)>,
}

/// One assembly.
pub(super) struct Engine<'a, L> {
    pub(super) repo: &'a Repo,
    pub(super) lane: L,
    pub(super) train: Train,
    pub(super) tester: Tester<'a>,
    pub(super) who: (String, String),
    pub(super) watch: &'a mut dyn Watch,
    pub(super) begun: Instant,
    /// Merges by the commit that a car was merged onto.
    merges: HashMap<(Oid, usize), Built>,
    /// Cars that a search has come to, and what fails with them.
    pub(super) suspects: BTreeMap<usize, What>,
    /// Times in a row that the target was moved by someone else.
    lost: u32,
    /// What has landed, in order.
    landed: Vec<Landed>,
    /// Commits of those that fail by themselves.
    red_commits: Vec<String>,
    /// Seconds spent on merging and landing.
    merging: f64,
    landing: f64,
}

impl<'a, L: Lane> Engine<'a, L> {
    pub(super) fn new(
        repo: &'a Repo,
        lane: L,
        train: Train,
        tester: Tester<'a>,
        watch: &'a mut dyn Watch,
        begun: Instant,
    ) -> Self {
        Self {
            repo,
            lane,
            train,
            tester,
            who: repo.person(),
            watch,
            begun,
            merges: HashMap::new(),
            suspects: BTreeMap::new(),
            lost: 0,
            landed: Vec::new(),
            red_commits: Vec::new(),
            merging: 0.0,
            landing: 0.0,
        }
    }

    /// Brings in what can be, and returns the report.
    pub(super) fn run(&mut self, options: &Options) -> Result<Report> {
        let before = self.tip()?;
        self.tester.ground = Some(before);
        let target = short(self.lane.target()).to_owned();
        self.watch.progress(Progress::Began {
            target: &target,
            branches: self.train.cars().len(),
        });
        match options.gating {
            Gating::Each => each::run(self)?,
            Gating::Batch => line::run(self)?,
        }
        if options.every_commit_green {
            self.test_every_commit()?;
        }
        self.tester.slots.end_all();
        let mut report = Report {
            target,
            before: before.to_string(),
            after: self.tip()?.to_string(),
            train: Report::rows(&self.train),
            ..Report::default()
        };
        self.finish(&mut report);
        Ok(report)
    }

    /// Tests the commits that landed within others, which each branch's merge is.
    fn test_every_commit(&mut self) -> Result<()> {
        let what = What::Whole;
        let mut open: Vec<Landed> = self.landed.clone();
        while !open.is_empty() {
            let mut waiting = Vec::new();
            for landed in open {
                let said = self.tester.known(landed.tree, &what);
                if said.is_green() {
                    continue;
                }
                if said.red > self.tester.method.retries {
                    self.red_commits.push(landed.commit.to_string());
                    continue;
                }
                let name = format!("{} as it landed", self.train.cars()[landed.position].branch);
                self.tester
                    .start((landed.tree, landed.commit), &what, &name, self.watch)?;
                waiting.push(landed);
            }
            if !self.tester.slots.is_idle() {
                self.tester.wait(self.watch)?;
            }
            open = waiting;
        }
        Ok(())
    }

    /// Puts what was spent into a report.
    pub(super) fn finish(&self, report: &mut Report) {
        report.tests_run = self.tester.run;
        report.tests_cached = self.tester.cached;
        report.seconds = self.seconds();
        report.flaky = self.tester.flaky();
        report.warm_only.clone_from(&self.tester.warm_only);
        report.red_commits.clone_from(&self.red_commits);
        let tried = |row: &&Row| matches!(row.verdict, Verdict::Merged | Verdict::TestFailed);
        let tried = report.train.iter().filter(tried).count();
        report.tests_one_at_a_time = u32::try_from(tried).unwrap_or(u32::MAX);
        report.jobs = u32::try_from(self.tester.slots.peak).unwrap_or(u32::MAX);
        report.runs.clone_from(&self.tester.rows);
        report.seconds_merging = rounded(self.merging);
        report.seconds_landing = rounded(self.landing);
        report.seconds_testing = rounded(self.tester.rows.iter().map(|row| row.seconds).sum());
    }

    /// Returns the time since the assembly began, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        rounded(clock::monotonic().duration_since(self.begun).as_secs_f64())
    }

    /// Returns where the target is now; whoever moved it meanwhile has moved it.
    pub(super) fn tip(&self) -> Result<Oid> {
        let target = self.lane.target();
        self.repo
            .read_ref(target)?
            .ok_or_else(|| anyhow::anyhow!("{} is gone", short(target)))
    }

    /// Returns the cars without a verdict, in order.
    pub(super) fn open(&self) -> Vec<usize> {
        let all = 0..self.train.cars().len();
        all.filter(|position| self.train.outcome(*position).is_none())
            .collect()
    }

    /// Returns each car's chance of failing.
    pub(super) fn risks(&mut self) -> Result<Vec<f64>> {
        let tip = self.tip()?;
        let mut files = HashMap::new();
        for position in self.open() {
            let changed = match self.lane.ready(position, tip) {
                Ok(Ready::Go(head)) => fault::asked(|| self.changed(tip, head)),
                Ok(_) => continue,
                Err(fault) => Err(fault),
            };
            match changed {
                Ok(changed) => files.insert(position, changed),
                // It is told when its turn comes.
                Err(Fault::Branch(_)) => continue,
                Err(Fault::Everything(error)) => return Err(error),
            };
        }
        let mut touched: HashMap<&[u8], u32> = HashMap::new();
        for path in files.values().flatten() {
            *touched.entry(&path.path).or_default() += 1;
        }
        let risk = |position: usize| {
            let mut signs = self.lane.signs(position);
            if let Some(paths) = files.get(&position) {
                signs.files = u32::try_from(paths.len()).unwrap_or(u32::MAX);
                let others = paths
                    .iter()
                    .filter_map(|path| touched.get(path.path.as_slice()));
                signs.overlaps = others.max().map_or(0, |most| most - 1);
            }
            risk::failure(&signs)
        };
        Ok((0..self.train.cars().len()).map(risk).collect())
    }

    /// Returns what a branch changes.
    fn changed(&self, tip: Oid, head: Oid) -> Result<Vec<ChangedPath>> {
        match self.repo.merge_bases(tip, head)?[..] {
            [base, ..] => self.repo.changed_paths(base, head),
            [] => Ok(Vec::new()),
        }
    }

    /// Merges a car onto a commit in memory and looks at the result once more. What cannot be merged for reasons of
    /// its own is left out.
    pub(super) fn merge(&mut self, onto: Oid, position: usize) -> Result<Built> {
        if let Some(built) = self.merges.get(&(onto, position)) {
            return Ok(built.clone());
        }
        let begun = clock::monotonic();
        let built = match self.build(position, onto) {
            Ok(built) => built,
            Err(Fault::Branch(why)) => Built::Not(Outcome::out(Verdict::Skipped, why)),
            Err(Fault::Everything(error)) => return Err(error),
        };
        self.merging += clock::monotonic().duration_since(begun).as_secs_f64();
        self.merges.insert((onto, position), built.clone());
        Ok(built)
    }

    fn build(&mut self, position: usize, tip: Oid) -> Tried<Built> {
        let head = match self.lane.ready(position, tip)? {
            Ready::Go(head) => head,
            Ready::In(head) => return Ok(Built::In(head)),
            Ready::Not(outcome) => return Ok(Built::Not(outcome)),
            Ready::Bad(reason, findings) => {
                return Ok(Built::Back(Verdict::GateFailed, reason, findings, None));
            }
        };
        fault::asked(|| self.build_from(position, tip, head))
            .map_err(|fault| fault.saying("cannot be merged"))
    }

    fn build_from(&self, position: usize, tip: Oid, head: Oid) -> Result<Built> {
        let target = short(self.lane.target()).to_owned();
        let sides = Sides {
            target: &target,
            tip,
            branch: &self.train.cars()[position].branch,
            head,
        };
        let mut second_try = None;
        let task = self.lane.whose(position).task;
        let base = undone::base_before(self.repo, (tip, head), task.as_ref())?;
        let merged = match base {
            Some(base) => self.repo.merge_tree_over(base, tip, head)?,
            None => self.repo.merge_tree(tip, head)?,
        };
        let tree = match merged {
            Merge::Clean(tree) => tree,
            // Merging the target into it would take its work out there as well: nobody is led into that.
            Merge::Conflict(files) if base.is_some() => {
                let (reason, findings) = findings::of_comeback(&sides, &files);
                return Ok(Built::Back(Verdict::GateFailed, reason, findings, None));
            }
            Merge::Conflict(files) => match self.second_try(&sides)? {
                Some((how, tree)) => {
                    second_try = Some(how);
                    tree
                }
                None => {
                    let (reason, findings) = findings::of_conflict(self.repo, &sides, &files)?;
                    let sides = Some((tip, head));
                    return Ok(Built::Back(Verdict::Conflict, reason, findings, sides));
                }
            },
            Merge::Unrelated => {
                let reason = format!("has no history in common with {target}");
                let findings = format!("{} {reason}: start it again from {target}.", sides.branch);
                return Ok(Built::Back(Verdict::Conflict, reason, findings, None));
            }
        };
        let commit = self.repo.write_merge(&MergeCommit {
            tree,
            parents: &[tip, head],
            message: &self.lane.message(position),
            who: &self.who,
            key: self.lane.key()?.as_deref(),
        })?;
        let landing = guard::Landing {
            tip,
            head,
            commit,
            tree,
            base,
        };
        if let Err(why) = guard::check(self.repo, &landing)? {
            let reason = format!("the merge is not what both sides changed: {why}");
            let findings = format!(
                "{reason}.\n\nMerge {target} into {} yourself.",
                sides.branch
            );
            return Ok(Built::Back(Verdict::GateFailed, reason, findings, None));
        }
        Ok(Built::Merge(Landed {
            position,
            head,
            commit,
            tree,
            onto: tip,
            second_try,
        }))
    }

    /// Returns what a conflict may be resolved to, where there is a test that would tell whether it is right.
    fn second_try(&self, sides: &Sides<'_>) -> Result<Option<(How, Oid)>> {
        if self.tester.method.command.is_none() {
            return Ok(None);
        }
        conflict::second_try(self.repo, sides)
    }

    /// Keeps what is known of a conflict, for whoever resolves it.
    fn keep_conflict(&self, position: usize, onto: Oid, head: Oid) -> Result<()> {
        let sides = self.sides(position, onto, head);
        match conflict::bundle(self.repo, &sides, &self.lane.whose(position))? {
            Some(bundle) => conflict::keep(self.repo, &bundle),
            None => Ok(()),
        }
    }

    /// Remembers how a conflict was resolved, now that the resolution has passed and landed.
    fn settle_conflict(&self, landed: &Landed) -> Result<()> {
        if landed.second_try == Some(How::Structured) {
            let sides = self.sides(landed.position, landed.onto, landed.head);
            conflict::learn(self.repo, &sides, landed.commit)?;
        }
        let whose = self.lane.whose(landed.position);
        let branch = &self.train.cars()[landed.position].branch;
        let name = whose
            .task
            .map_or_else(|| branch.clone(), |task| task.to_string());
        // What is kept and cannot be read teaches nothing, and must not stop what has landed from being told.
        let Ok(Some(bundle)) = conflict::load_ours(self.repo, &name) else {
            let _told = conflict::drop(self.repo, &name);
            return Ok(());
        };
        let id = |hex: &String| Oid::from_hex(hex.as_bytes()).ok();
        if let (Some(tip), Some(head)) = (id(&bundle.tip), id(&bundle.head)) {
            let sides = Sides {
                target: &bundle.target,
                tip,
                branch: &bundle.branch,
                head,
            };
            conflict::learn(self.repo, &sides, landed.commit)?;
        }
        conflict::drop(self.repo, &name).map(drop)
    }

    fn sides(&self, position: usize, tip: Oid, head: Oid) -> Sides<'_> {
        Sides {
            target: short(self.lane.target()),
            tip,
            branch: &self.train.cars()[position].branch,
            head,
        }
    }

    /// Carries decisions out: lands what they land, from a tip, and then tells everyone. Where somebody else
    /// moved the target, or a task, meanwhile, nothing is decided, and the next round looks again.
    pub(super) fn carry_out(&mut self, tip: Oid, decisions: Vec<Decision>) -> Result<()> {
        let landed: Vec<Landed> = decisions
            .iter()
            .filter_map(|decision| match decision {
                Decision::Landed(landed) => Some(*landed),
                _ => None,
            })
            .collect();
        if !landed.is_empty() {
            let begun = clock::monotonic();
            let swap = self.lane.land(&landed, tip)?;
            self.landing += clock::monotonic().duration_since(begun).as_secs_f64();
            if swap == Swap::Lost {
                return self.lost(landed[0].position);
            }
            self.lost = 0;
        }
        for decision in decisions {
            match decision {
                Decision::Landed(landed) => {
                    self.settle_conflict(&landed)?;
                    self.landed.push(landed);
                    let commit = CommitId(landed.commit.to_string());
                    self.decide(landed.position, Outcome::merged(commit));
                }
                Decision::Outcome(position, outcome) => self.decide(position, outcome),
                Decision::Found(position, head) => {
                    let outcome = self.lane.found(position, head, tip)?;
                    self.decide(position, outcome);
                }
                Decision::Back(back) => {
                    let Back {
                        position,
                        verdict,
                        reason,
                        findings,
                        sides,
                    } = *back;
                    if let Some((onto, head)) = sides {
                        self.keep_conflict(position, onto, head)?;
                    }
                    self.watch.progress(Progress::Found {
                        branch: &self.train.cars()[position].branch,
                        findings: &findings,
                    });
                    self.lane.sent_back(position, verdict, &reason, &findings)?;
                    self.decide(position, Outcome::out(verdict, reason));
                }
            }
        }
        Ok(())
    }

    fn lost(&mut self, position: usize) -> Result<()> {
        // What a car came to may have changed with its task or branch.
        self.merges.clear();
        self.lost += 1;
        if self.lost >= MOST_TRIES {
            let target = short(self.lane.target());
            let reason = format!("{target} kept being moved by someone else");
            self.decide(position, Outcome::out(Verdict::Skipped, reason));
            self.lost = 0;
        }
        Ok(())
    }

    fn decide(&mut self, position: usize, outcome: Outcome) {
        self.suspects.remove(&position);
        self.train.decide(position, outcome);
        if let Some(row) = row(&self.train, position) {
            self.watch.progress(Progress::Decided(&row));
        }
    }

    /// Returns the decision on a car that fails something on a tree, and does not without it. A resolution
    /// that fails was none: then it is a conflict.
    pub(super) fn to_blame(&self, landed: Landed, what: &What) -> Result<Decision> {
        let position = landed.position;
        let sides = self.sides(position, landed.onto, landed.head);
        let red = self.tester.red(landed.tree, what);
        if let Some(how) = landed.second_try
            && let Merge::Conflict(files) = self.repo.merge_tree(landed.onto, landed.head)?
        {
            let (reason, findings) = findings::of_conflict(self.repo, &sides, &files)?;
            let tried = format!(
                "A {how} resolution merges, but then {}.",
                reason_of(&red, what)
            );
            return Ok(Decision::Back(Box::new(Back {
                position,
                verdict: Verdict::Conflict,
                reason,
                findings: format!("{findings}\n\n{tried}"),
                sides: Some((landed.onto, landed.head)),
            })));
        }
        let command = self.tester.method.command.as_deref().unwrap_or_default();
        Ok(Decision::Back(Box::new(Back {
            position,
            verdict: Verdict::TestFailed,
            reason: reason_of(&red, what),
            findings: findings::of_test(&sides, command, &red),
            sides: None,
        })))
    }

    /// Returns the decision on a car that fails something that the target fails as well.
    pub(super) fn not_to_blame(&self, landed: Landed, what: &What) -> Decision {
        let why = reason_of(&self.tester.red(landed.tree, what), what);
        let target = short(self.lane.target());
        Decision::Outcome(
            landed.position,
            Outcome::out(
                Verdict::TestFailed,
                format!("{why}; {target} fails it as well, so this branch may not be to blame"),
            ),
        )
    }

    /// Returns the decision on a car that was not merged; `None` for one that was.
    pub(super) fn without_merge(position: usize, built: &Built) -> Option<Decision> {
        Some(match built {
            Built::Merge(_) => return None,
            Built::In(head) => Decision::Found(position, *head),
            Built::Not(outcome) => Decision::Outcome(position, outcome.clone()),
            Built::Back(verdict, reason, findings, sides) => Decision::Back(Box::new(Back {
                position,
                verdict: *verdict,
                reason: reason.clone(),
                findings: findings.clone(),
                sides: *sides,
            })),
        })
    }

    /// Finds out whether the target's tip passes.
    pub(super) fn settle(&mut self, tree: Oid, commit: Oid, name: &str) -> Result<Result<(), Red>> {
        self.tester.settle((tree, commit), name, self.watch)
    }
}

/// How many failing tests a reason names.
const MOST_NAMED: usize = 3;

fn reason_of(red: &Red, what: &What) -> String {
    if red.is_untested {
        return red.why.clone();
    }
    if *what == What::Build {
        return format!("the build fails: {}", red.why);
    }
    if red.failing.is_empty() {
        return format!("the test fails: {}", red.why);
    }
    let named = red.failing[..red.failing.len().min(MOST_NAMED)].join(", ");
    match red.failing.len().saturating_sub(MOST_NAMED) {
        0 => format!("the test fails: {named}"),
        more => format!("the test fails: {named} and {more} more"),
    }
}

fn rounded(seconds: f64) -> f64 {
    // A sum of nothing is -0, which reads as if something were wrong.
    (seconds * 1000.0).round() / 1000.0 + 0.0
}
