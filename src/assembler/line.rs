//! A whole line of branches at once: prefixes are tested, green ones land whole, culprits are searched for.

use std::collections::BTreeSet;

use anyhow::Result;

use super::engine::{Built, Decision, Engine};
use super::lane::{Landed, Lane};
use super::tester::Tester;
use crate::git::Oid;
use crate::git::checkout::short;
use crate::model::train::batch::{self, Facts, Means, Next, Probe, Said, What};
use crate::model::train::{Outcome, Verdict};

/// The cars that merge onto each other, and what was decided of those between.
struct Line {
    tip: Oid,
    tip_tree: Oid,
    cars: Vec<Landed>,
    /// With the number of cars before each.
    others: Vec<(usize, Decision)>,
}

/// Decides every car.
pub(super) fn run<L: Lane>(engine: &mut Engine<'_, L>) -> Result<()> {
    let risks = engine.risks()?;
    loop {
        if engine.open().is_empty() {
            return Ok(());
        }
        let line = load(engine)?;
        if line.cars.is_empty() {
            let others = line.others.into_iter().map(|(_, decision)| decision);
            engine.carry_out(line.tip, others.collect())?;
            continue;
        }
        let risk: Vec<f64> = line.cars.iter().map(|car| risks[car.position]).collect();
        for tree in line.trees() {
            engine.tester.known(tree, &What::Whole);
            if engine.tester.can_build() {
                engine.tester.known(tree, &What::Build);
            }
        }
        let means = Means {
            build: engine.tester.can_build(),
            tests: engine.tester.tells_tests(),
            retries: engine.tester.method.retries,
            slots: engine.tester.slots.most(),
        };
        let next = batch::next(&risk, &line.view(engine), means);
        step(engine, line, next)?;
    }
}

fn step<L: Lane>(engine: &mut Engine<'_, L>, line: Line, next: Next) -> Result<()> {
    match next {
        Next::Land(k) if !engine.tester.is_confirmed(line.cars[k - 1].tree) => {
            let (at, name) = (line.at(k), line.name(engine, k));
            engine.tester.confirm(at, &name, engine.watch)
        }
        Next::Land(k) => {
            engine.tester.used(line.cars[k - 1].tree);
            let tip = line.tip;
            engine.carry_out(tip, line.decisions_up_to(k))
        }
        Next::Eject(k, what) => {
            let decision = engine.to_blame(line.cars[k - 1], &what)?;
            engine.carry_out(line.tip, vec![decision])
        }
        Next::Blameless(k, what) => {
            let decision = engine.not_to_blame(line.cars[k - 1], &what);
            engine.carry_out(line.tip, vec![decision])
        }
        Next::Suspect(found) => {
            for (k, what) in found {
                engine.suspects.insert(line.cars[k - 1].position, what);
            }
            Ok(())
        }
        Next::Clear(k) => {
            engine.suspects.remove(&line.cars[k - 1].position);
            Ok(())
        }
        Next::Test(probes) => test(engine, &line, &probes),
    }
}

/// Merges the cars without a verdict onto each other.
fn load<L: Lane>(engine: &mut Engine<'_, L>) -> Result<Line> {
    let tip = engine.tip()?;
    let mut line = Line {
        tip,
        tip_tree: engine.repo.read_commit(tip)?.tree,
        cars: Vec::new(),
        others: Vec::new(),
    };
    let mut accepted = Vec::new();
    for position in engine.open() {
        let before = line.cars.len();
        if let Some(reason) = engine.train.hindrance(position, &accepted) {
            let outcome = Outcome::out(Verdict::Skipped, reason);
            line.others
                .push((before, Decision::Outcome(position, outcome)));
            continue;
        }
        let onto = line.commit(before);
        let built = engine.merge(onto, position)?;
        match &built {
            Built::Merge(landed) => {
                line.cars.push(*landed);
                accepted.push(position);
            }
            Built::In(_) => {
                accepted.push(position);
                // In with a car before it: found as soon as that has landed.
                if onto != tip {
                    continue;
                }
            }
            Built::Not(_) | Built::Back(..) => {}
        }
        let decision = Engine::<L>::without_merge(position, &built);
        line.others
            .extend(decision.map(|decision| (before, decision)));
    }
    Ok(line)
}

impl Line {
    /// Returns the commit of a prefix; of none, the tip.
    fn commit(&self, length: usize) -> Oid {
        length
            .checked_sub(1)
            .map_or(self.tip, |last| self.cars[last].commit)
    }

    /// Returns the tree of a prefix; of none, the tip's.
    fn tree(&self, length: usize) -> Oid {
        length
            .checked_sub(1)
            .map_or(self.tip_tree, |last| self.cars[last].tree)
    }

    /// Returns tree and commit of a prefix.
    fn at(&self, length: usize) -> (Oid, Oid) {
        (self.tree(length), self.commit(length))
    }

    /// Returns what a prefix is called.
    fn name<L: Lane>(&self, engine: &Engine<'_, L>, length: usize) -> String {
        let branch = |at: usize| engine.train.cars()[self.cars[at].position].branch.clone();
        match length {
            0 => short(engine.lane.target()).to_owned(),
            1 => branch(0),
            length => format!("{length} branches, up to {}", branch(length - 1)),
        }
    }

    fn trees(&self) -> Vec<Oid> {
        (0..=self.cars.len())
            .map(|length| self.tree(length))
            .collect()
    }

    /// Returns what is decided with a prefix landing, in the order of the train.
    fn decisions_up_to(self, length: usize) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let mut others = self.others.into_iter().peekable();
        for (before, car) in self.cars.into_iter().take(length).enumerate() {
            while let Some((_, decision)) = others.next_if(|(at, _)| *at <= before) {
                decisions.push(decision);
            }
            decisions.push(Decision::Landed(car));
        }
        decisions
    }

    fn view<'a, L>(&'a self, engine: &'a Engine<'_, L>) -> View<'a> {
        let suspect = |car: &Landed| engine.suspects.get(&car.position);
        View {
            tester: &engine.tester,
            trees: self.trees(),
            suspects: self.cars.iter().map(suspect).collect(),
        }
    }
}

/// A line's facts, as far as they were looked up.
struct View<'a> {
    tester: &'a Tester<'a>,
    trees: Vec<Oid>,
    suspects: Vec<Option<&'a What>>,
}

impl Facts for View<'_> {
    fn whole(&self, length: usize) -> Said {
        self.tester.said(self.trees[length], &What::Whole)
    }

    fn failing(&self, length: usize) -> BTreeSet<String> {
        self.tester.failing(self.trees[length])
    }

    fn build(&self, length: usize) -> Said {
        self.tester.said(self.trees[length], &What::Build)
    }

    fn test(&self, length: usize, name: &str) -> Said {
        self.tester.test(self.trees[length], name)
    }

    fn suspect(&self, length: usize) -> Option<What> {
        self.suspects[length - 1].cloned()
    }
}

/// Starts probes, stops runs that say nothing any more, and waits for one.
fn test<L: Lane>(engine: &mut Engine<'_, L>, line: &Line, probes: &[Probe]) -> Result<()> {
    // Runs on longer prefixes than one that is red tell nothing of it; shorter ones may.
    let red = (1..=line.cars.len()).find(|k| {
        let said = engine.tester.said(line.tree(*k), &What::Whole);
        said.is_red()
    });
    let red = red.unwrap_or(line.cars.len() + 1);
    let wanted = |tree: Oid, what: &What| {
        probes
            .iter()
            .any(|probe| line.tree(probe.length) == tree && probe.what == *what)
    };
    let shorter: Vec<Oid> = (1..red.min(line.cars.len() + 1))
        .map(|k| line.tree(k))
        .collect();
    engine.tester.stop_unless(|tree, what| {
        wanted(tree, what) || *what == What::Whole && shorter.contains(&tree)
    });
    for probe in probes {
        let (at, name) = (line.at(probe.length), line.name(engine, probe.length));
        if engine.tester.start(at, &probe.what, &name, engine.watch)? {
            // Known already: the line is looked at again.
            return Ok(());
        }
    }
    engine.tester.wait(engine.watch)
}
