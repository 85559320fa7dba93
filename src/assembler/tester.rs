//! What is known of trees, and finding out more: verdicts kept in Git, tests running in slots.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;

use super::bench::{Job, Ran};
use super::fault::Fault;
use super::method::Method;
use super::report::{Progress, RunRow, Watch};
use super::slots::Slots;
use super::verdicts::{Run, Verdicts};
use crate::git::{Oid, Repo};
use crate::model::event::{one_line, shorten};
use crate::model::train::batch::{Said, What};
use crate::model::train::obtained::{Obtained, weigh};

/// What is known of one tree.
#[derive(Debug, Clone, Default)]
struct Tree {
    /// Runs by command.
    runs: HashMap<String, Vec<Run>>,
    /// What single tests said, by runs that asked for them: how that was obtained, and whether it passed.
    tests: BTreeMap<String, Vec<(Obtained, bool)>>,
}

/// A run on its way.
#[derive(Debug, Clone)]
struct Running {
    tree: Oid,
    what: What,
    command: String,
    /// What is tested, for people.
    name: String,
}

/// Why something failed, for those who are told.
#[derive(Debug, Clone, Default)]
pub(super) struct Red {
    /// In a few words, for example `it exited with 1`.
    pub(super) why: String,
    /// The tests that failed, where they are known.
    pub(super) failing: Vec<String>,
    /// The last of its output.
    pub(super) output: String,
    /// Whether it could not be tested at all.
    pub(super) is_untested: bool,
}

/// What an assembly knows and finds out.
pub(super) struct Tester<'a> {
    repo: &'a Repo,
    pub(super) method: Method,
    pub(super) slots: Slots<'a>,
    verdicts: Verdicts,
    trees: HashMap<Oid, Tree>,
    /// Trees that cannot be tested, and why.
    unusable: HashMap<Oid, String>,
    /// Whether what was not obtained on clean checkouts has been found wrong, and says nothing.
    only_clean: bool,
    /// A commit that can be checked out unless nothing can.
    pub(super) ground: Option<Oid>,
    running: BTreeMap<u64, Running>,
    last: u64,
    /// Runs that came to something.
    pub(super) run: u32,
    /// Verdicts used that were known.
    pub(super) cached: u32,
    fresh: HashSet<Oid>,
    /// All runs, for the report.
    pub(super) rows: Vec<RunRow>,
    /// What passed in a warm worktree and failed on a clean checkout.
    pub(super) warm_only: Vec<String>,
}

impl<'a> Tester<'a> {
    pub(super) fn new(repo: &'a Repo, method: Method, slots: Slots<'a>) -> Self {
        let verdicts = Verdicts::new(&method.environment);
        let is_distrusted = |command: &String| verdicts.is_distrusted(repo, command);
        Self {
            repo,
            only_clean: method.command.as_ref().is_some_and(is_distrusted),
            verdicts,
            method,
            slots,
            trees: HashMap::new(),
            unusable: HashMap::new(),
            ground: None,
            running: BTreeMap::new(),
            last: 0,
            run: 0,
            cached: 0,
            fresh: HashSet::new(),
            rows: Vec::new(),
            warm_only: Vec::new(),
        }
    }

    /// Returns whether failing tests are told.
    pub(super) fn tells_tests(&self) -> bool {
        self.method.by_tests && self.method.suite.is_some()
    }

    /// Returns whether there is a command that only builds.
    pub(super) fn can_build(&self) -> bool {
        let suite = self.method.suite.as_ref().filter(|_| self.method.by_tests);
        suite.is_some_and(|suite| suite.build().is_some())
    }

    /// Reads what is kept of a tree for a command, once; returns whether that was anything.
    fn load(&mut self, tree: Oid, what: &What) -> bool {
        let Some(command) = self.method.command(what) else {
            return false;
        };
        if self
            .trees
            .get(&tree)
            .is_some_and(|known| known.runs.contains_key(&command))
        {
            return false;
        }
        let mut runs = self.verdicts.load(self.repo, tree, &command).runs;
        if *what == What::Whole {
            for other in self.method.equals_of_whole() {
                runs.extend(self.verdicts.load(self.repo, tree, &other).runs);
            }
        }
        runs.retain(|run| self.counts(run));
        let is_known = !runs.is_empty();
        self.trees
            .entry(tree)
            .or_default()
            .runs
            .insert(command.clone(), Vec::new());
        for run in runs {
            self.learn(tree, what, &command, run);
        }
        is_known
    }

    /// Returns whether what a run said may decide anything here.
    fn counts(&self, run: &Run) -> bool {
        match run.how {
            Obtained::Clean => true,
            Obtained::Warm => !self.only_clean,
            Obtained::Coder => self.method.trusts_coders && !self.only_clean,
        }
    }

    fn learn(&mut self, tree: Oid, what: &What, command: &str, run: Run) {
        // A whole run speaks for single tests by itself, unless it could not tell them apart.
        let speaks = Some(command) == self.method.command(&What::Whole).as_deref()
            && (run.green || run.told);
        let known = self.trees.entry(tree).or_default();
        if let What::Some(tests) = what
            && !speaks
        {
            for name in tests {
                // A run that says nothing of single tests says the same of all.
                let is_red = !run.green && (!run.told || run.failing.contains(name));
                let said = known.tests.entry(name.clone()).or_default();
                said.push((run.how, !is_red));
            }
        }
        known.runs.entry(command.to_owned()).or_default().push(run);
    }

    /// Returns what something said of a tree, also in earlier assemblies.
    pub(super) fn known(&mut self, tree: Oid, what: &What) -> Said {
        if self.method.command.is_none() {
            return Said { green: 1, red: 0 };
        }
        self.load(tree, what);
        self.said(tree, what)
    }

    /// Returns what something said of a tree, as far as it was looked up.
    pub(super) fn said(&self, tree: Oid, what: &What) -> Said {
        let Some(command) = self.method.command(what) else {
            return Said { green: 1, red: 0 };
        };
        if self.unusable.contains_key(&tree) {
            // It would come to the same every time.
            let red = self.method.retries.saturating_add(1);
            return Said { green: 0, red };
        }
        let runs = self
            .trees
            .get(&tree)
            .and_then(|known| known.runs.get(&command));
        weigh(runs.into_iter().flatten().map(|run| (run.how, run.green)))
    }

    /// Returns the tests that failed in whole runs on a tree.
    pub(super) fn failing(&self, tree: Oid) -> BTreeSet<String> {
        let clean = |run: &&Run| run.how == Obtained::Clean;
        let has_clean = self.whole_runs(tree).any(|run| clean(&run));
        self.whole_runs(tree)
            .filter(|run| !has_clean || clean(run))
            .flat_map(|run| run.failing.iter().cloned())
            .collect()
    }

    /// Returns whether a tree that passes has passed where what lands must have.
    pub(super) fn is_confirmed(&self, tree: Oid) -> bool {
        let clean = |run: &Run| run.green && run.how == Obtained::Clean;
        !self.method.lands_clean
            || self.method.command.is_none()
            || self.whole_runs(tree).any(clean)
    }

    fn whole_runs(&self, tree: Oid) -> impl Iterator<Item = &Run> {
        let command = self.method.command(&What::Whole).unwrap_or_default();
        let runs = self
            .trees
            .get(&tree)
            .and_then(|known| known.runs.get(&command));
        runs.into_iter().flatten()
    }

    /// Returns what one test said of a tree, in runs of its own and in whole ones.
    pub(super) fn test(&self, tree: Oid, name: &str) -> Said {
        let known = self
            .trees
            .get(&tree)
            .and_then(|known| known.tests.get(name));
        let by_itself = known.into_iter().flatten().copied();
        // A whole run that failed and could not tell its tests apart says nothing of one.
        let within = self.whole_runs(tree).filter(|run| run.green || run.told);
        let passes = |run: &Run| run.green || !run.failing.iter().any(|failing| failing == name);
        weigh(by_itself.chain(within.map(|run| (run.how, passes(run)))))
    }

    /// Returns why something fails on a tree, by the last run that did.
    pub(super) fn red(&self, tree: Oid, what: &What) -> Red {
        if let Some(why) = self.unusable.get(&tree) {
            return Red {
                why: why.clone(),
                is_untested: true,
                ..Red::default()
            };
        }
        let command = self.method.command(what).unwrap_or_default();
        let runs = self
            .trees
            .get(&tree)
            .and_then(|known| known.runs.get(&command));
        let last = runs.into_iter().flatten().rev().find(|run| !run.green);
        let whole = self.whole_runs(tree).filter(|run| !run.green).last();
        let Some(run) = last.or(whole) else {
            return Red::default();
        };
        Red {
            why: run.why.clone(),
            failing: match what {
                What::Some(tests) => tests.iter().cloned().collect(),
                What::Whole | What::Build => run.failing.clone(),
            },
            output: run.output.clone(),
            is_untested: false,
        }
    }

    /// Returns the tests, or whole runs, that were seen both green and red on one tree.
    pub(super) fn flaky(&self) -> Vec<String> {
        let mut flaky = BTreeSet::new();
        for (tree, known) in &self.trees {
            let mut names: BTreeSet<&String> = known.tests.keys().collect();
            names.extend(self.whole_runs(*tree).flat_map(|run| &run.failing));
            let mut named = false;
            for name in names {
                if self.test(*tree, name).is_flaky() {
                    flaky.insert(name.clone());
                    named = true;
                }
            }
            if !named && self.said(*tree, &What::Whole).is_flaky() {
                flaky.insert(format!(
                    "the whole test, on tree {}",
                    tree.to_hex_with_len(12)
                ));
            }
        }
        flaky.into_iter().collect()
    }

    /// Counts a verdict on a tree that was used to decide about a branch.
    pub(super) fn used(&mut self, tree: Oid) {
        if self.method.command.is_some() && !self.fresh.remove(&tree) {
            self.cached += 1;
        }
    }

    /// Returns whether a run is on its way.
    pub(super) fn is_running(&self, tree: Oid, what: &What) -> bool {
        self.running
            .values()
            .any(|running| running.tree == tree && running.what == *what)
    }

    /// Starts a run, unless it is on its way or no slot is free; returns whether something that is kept was
    /// learnt instead.
    ///
    /// # Errors
    ///
    /// The test cannot be started.
    pub(super) fn start(
        &mut self,
        (tree, commit): (Oid, Oid),
        what: &What,
        name: &str,
        watch: &mut dyn Watch,
    ) -> Result<bool> {
        if self.load(tree, what) {
            return Ok(true);
        }
        let Some(command) = self.method.command(what) else {
            return Ok(false);
        };
        if self.slots.free() == 0 || self.is_running(tree, what) {
            return Ok(false);
        }
        watch.progress(Progress::Testing {
            what: name,
            command: &command,
        });
        self.last += 1;
        let job = Job {
            commit,
            tree,
            is_whole: *what == What::Whole,
            command: command.clone(),
            clean: self.needs_clean(tree, what),
            ground: self.ground,
            wants_output: self.method.suite.is_some(),
            reports: self.method.reports.clone(),
            jobserver: None,
        };
        self.slots.start(self.last, job)?;
        let running = Running {
            tree,
            what: what.clone(),
            command,
            name: name.to_owned(),
        };
        self.running.insert(self.last, running);
        Ok(false)
    }

    /// Returns whether a run must begin with nothing left of any before it: it repeats one that failed, or
    /// confirms one that passed.
    fn needs_clean(&self, tree: Oid, what: &What) -> bool {
        let said = self.said(tree, what);
        let confirms = *what == What::Whole && said.is_green() && !self.is_confirmed(tree);
        self.method.runs_clean || self.only_clean || said.red > 0 || confirms
    }

    /// Has a tree that passes tested once more, where what lands must have passed, and waits for a run to end.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub(super) fn confirm(
        &mut self,
        at: (Oid, Oid),
        name: &str,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let name = format!("{name} on a clean checkout");
        self.start(at, &What::Whole, &name, watch)?;
        self.wait(watch)
    }

    /// Stops runs that are not to be kept.
    pub(super) fn stop_unless(&mut self, keep: impl Fn(Oid, &What) -> bool) {
        for (number, running) in &self.running {
            if !keep(running.tree, &running.what) {
                self.slots.stop(*number);
            }
        }
    }

    /// Waits for one run to end, and remembers what it said.
    ///
    /// # Errors
    ///
    /// It could not be run, a signal asked to stop, or the verdict cannot be written.
    pub(super) fn wait(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let ended = self.slots.wait()?;
        let running = self.running.remove(&ended.number);
        let ran = match (ended.ran, &running) {
            (Ok(ran), _) => ran,
            (Err(Fault::Branch(why)), Some(running)) => {
                self.unusable.insert(running.tree, why);
                return Ok(());
            }
            (Err(Fault::Branch(_)), None) => return Ok(()),
            (Err(Fault::Everything(error)), _) => return Err(error),
        };
        let Some(running) = running.filter(|_| !ran.stopped) else {
            return Ok(());
        };
        let run = self.read(&running, &ran);
        self.run += 1;
        self.verdicts
            .add(self.repo, running.tree, &running.command, &run)?;
        let row = RunRow {
            name: running.name.clone(),
            what: match &running.what {
                What::Whole => String::from("test"),
                What::Build => String::from("build"),
                What::Some(tests) => format!("{} tests", tests.len()),
            },
            green: run.green,
            how: run.how,
            failing: run.failing.clone(),
            seconds: run.seconds,
        };
        watch.progress(Progress::Tested(&row));
        self.rows.push(row);
        if running.what == What::Whole {
            self.fresh.insert(running.tree);
        }
        // Loaded before it was started, so that nothing kept is read on top of it.
        self.learn(running.tree, &running.what, &running.command, run);
        self.compare(&running, watch)
    }

    /// Looks whether a clean checkout has failed for good where another worktree had passed: then nothing counts
    /// that the others said of this command, now and in later assemblies.
    fn compare(&mut self, running: &Running, watch: &mut dyn Watch) -> Result<()> {
        let runs = self.trees.get(&running.tree);
        let runs = runs.and_then(|known| known.runs.get(&running.command));
        let of = |clean: bool, green: bool| {
            let runs = runs.into_iter().flatten();
            let is = |run: &&Run| (run.how == Obtained::Clean, run.green) == (clean, green);
            u32::try_from(runs.filter(is).count()).unwrap_or(u32::MAX)
        };
        let is_red = of(true, false) > self.method.retries && of(true, true) == 0;
        if !is_red || of(false, true) == 0 {
            return Ok(());
        }
        let command = self.method.command.clone().unwrap_or_default();
        self.warm_only.push(running.name.clone());
        self.only_clean = true;
        self.verdicts.distrust(self.repo, &command)?;
        for known in self.trees.values_mut() {
            for runs in known.runs.values_mut() {
                runs.retain(|run| run.how == Obtained::Clean);
            }
            for said in known.tests.values_mut() {
                said.retain(|(how, _)| *how == Obtained::Clean);
            }
        }
        watch.progress(Progress::Note(&format!(
            "{} fails, and had passed in a worktree that keeps something: from now on `{}` is run on clean \
             checkouts only, until `git orch assemble --forget`",
            running.name,
            shorten(&one_line(&command), 60)
        )));
        Ok(())
    }

    fn read(&self, running: &Running, ran: &Ran) -> Run {
        let mut run = Run::ended(ran.green, ran.seconds, ran.how);
        if ran.green {
            return run;
        }
        run.why.clone_from(&ran.why);
        run.output = super::findings::clean(&ran.tail);
        if let Some(suite) = &self.method.suite
            && running.what != What::Build
        {
            let reading = suite.read(&ran.output, &ran.reports);
            run.told = reading.complete && !reading.failed.is_empty();
            if run.told {
                run.failing = reading.failed.into_iter().collect();
            }
        }
        run
    }

    /// Finds out whether a tree passes the whole test.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub(super) fn settle(
        &mut self,
        at: (Oid, Oid),
        name: &str,
        watch: &mut dyn Watch,
    ) -> Result<Result<(), Red>> {
        loop {
            let said = self.known(at.0, &What::Whole);
            if said.is_green() {
                if self.is_confirmed(at.0) {
                    return Ok(Ok(()));
                }
                self.confirm(at, name, watch)?;
                continue;
            }
            if said.red > self.method.retries {
                return Ok(Err(self.red(at.0, &What::Whole)));
            }
            self.start(at, &What::Whole, name, watch)?;
            self.wait(watch)?;
        }
    }
}
