use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

/// A number below a bound, from a seed: nothing here is secret.
fn draw(seed: &Cell<u64>, below: u32) -> u32 {
    let next = seed
        .get()
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    seed.set(next);
    u32::try_from((next >> 33) % u64::from(below)).unwrap()
}

/// A train whose faults are known.
#[derive(Debug, Default)]
struct World {
    cars: usize,
    /// Cars with which nothing builds.
    builds_not: BTreeSet<usize>,
    /// Cars with which a test of their own fails.
    fails: BTreeSet<usize>,
    /// Cars that fail together only.
    pairs: Vec<(usize, usize)>,
    /// One run in so many fails a test for no reason; 0 is never.
    flaky: u32,
}

impl World {
    fn of(seed: &Cell<u64>, cars: usize, bad_percent: u32) -> Self {
        let mut world = Self {
            cars,
            ..Self::default()
        };
        for car in 0..cars {
            if draw(seed, 100) < bad_percent {
                if draw(seed, 10) < 3 {
                    world.builds_not.insert(car);
                } else {
                    world.fails.insert(car);
                }
            }
        }
        world
    }

    fn builds(&self, line: &[usize]) -> bool {
        !line.iter().any(|car| self.builds_not.contains(car))
    }

    /// Returns the tests that fail, flakes aside.
    fn failing(&self, line: &[usize]) -> BTreeSet<String> {
        let own = line.iter().filter(|car| self.fails.contains(car));
        let mut failing: BTreeSet<String> = own.map(|car| format!("own {car}")).collect();
        for (a, b) in &self.pairs {
            if line.contains(a) && line.contains(b) {
                failing.insert(format!("pair {a} {b}"));
            }
        }
        failing
    }

    /// Returns what merging and testing one at a time accepts.
    fn one_at_a_time(&self) -> Vec<usize> {
        let mut accepted = Vec::new();
        for car in 0..self.cars {
            accepted.push(car);
            if !self.builds(&accepted) || !self.failing(&accepted).is_empty() {
                accepted.pop();
            }
        }
        accepted
    }
}

/// What runs on one line of cars showed.
#[derive(Debug, Default)]
struct Seen {
    whole: Said,
    failing: BTreeSet<String>,
    build: Said,
    tests: BTreeMap<String, Said>,
    /// Whole runs that told their failing tests.
    told: u32,
}

struct Known<'a> {
    landed: &'a [usize],
    line: &'a [usize],
    seen: &'a BTreeMap<Vec<usize>, Seen>,
    suspects: &'a BTreeMap<usize, What>,
}

impl Known<'_> {
    fn prefix(&self, length: usize) -> Vec<usize> {
        self.landed
            .iter()
            .chain(&self.line[..length])
            .copied()
            .collect()
    }

    fn at(&self, length: usize) -> Option<&Seen> {
        self.seen.get(&self.prefix(length))
    }
}

impl Facts for Known<'_> {
    fn whole(&self, length: usize) -> Said {
        self.at(length).map_or(Said::default(), |seen| seen.whole)
    }

    fn failing(&self, length: usize) -> BTreeSet<String> {
        self.at(length)
            .map_or_else(BTreeSet::new, |seen| seen.failing.clone())
    }

    fn build(&self, length: usize) -> Said {
        self.at(length).map_or(Said::default(), |seen| seen.build)
    }

    fn test(&self, length: usize, name: &str) -> Said {
        let Some(seen) = self.at(length) else {
            return Said::default();
        };
        let mut said = seen.tests.get(name).copied().unwrap_or_default();
        if seen.told > 0 && !seen.failing.contains(name) {
            said.green += 1;
        }
        said
    }

    fn suspect(&self, length: usize) -> Option<What> {
        self.suspects.get(&self.line[length - 1]).cloned()
    }
}

/// What bringing a world's cars in came to.
#[derive(Debug)]
struct Done {
    accepted: Vec<usize>,
    runs: u32,
    confirmations: u32,
    /// In times of a whole run.
    time: f64,
}

/// Share of a whole run that building takes.
const BUILD: f64 = 0.1;

/// Brings a world's cars in, one run after the other.
fn bring_in(world: &World, means: Means, risk: f64, seed: &Cell<u64>) -> Done {
    let mut seen: BTreeMap<Vec<usize>, Seen> = BTreeMap::new();
    let mut suspects: BTreeMap<usize, What> = BTreeMap::new();
    let mut line: Vec<usize> = (0..world.cars).collect();
    let mut done = Done {
        accepted: Vec::new(),
        runs: 0,
        confirmations: 0,
        time: 0.0,
    };
    while !line.is_empty() {
        assert!(done.runs < 2_000, "no end: {world:?} {line:?}");
        let known = Known {
            landed: &done.accepted,
            line: &line,
            seen: &seen,
            suspects: &suspects,
        };
        match next(&vec![risk; line.len()], &known, means) {
            Next::Land(k) => {
                suspects.retain(|car, _| !line[..k].contains(car));
                done.accepted.extend(line.drain(..k));
            }
            Next::Eject(k, _) => {
                suspects.remove(&line.remove(k - 1));
            }
            Next::Blameless(..) => panic!("the target is green"),
            Next::Suspect(found) => {
                let found = found.into_iter();
                suspects.extend(found.map(|(k, what)| (line[k - 1], what)));
            }
            Next::Clear(k) => {
                suspects.remove(&line[k - 1]);
            }
            Next::Test(probes) => {
                let Probe { length, what } = probes.first().expect("something to run").clone();
                let prefix = known.prefix(length);
                done.runs += 1;
                let seen = seen.entry(prefix.clone()).or_default();
                if seen.whole.red > 0 && what == What::Whole {
                    done.confirmations += 1;
                }
                done.time += run(world, means, &prefix, &what, seen, seed);
            }
        }
    }
    done
}

fn run(
    world: &World,
    means: Means,
    line: &[usize],
    what: &What,
    seen: &mut Seen,
    seed: &Cell<u64>,
) -> f64 {
    let flake = world.flaky > 0 && draw(seed, world.flaky) == 0;
    let mut failing = world.failing(line);
    if flake {
        failing.insert(String::from("flake"));
    }
    let count = |said: &mut Said, is_green: bool| {
        if is_green {
            said.green += 1;
        } else {
            said.red += 1;
        }
    };
    let builds = world.builds(line);
    match what {
        What::Build => count(&mut seen.build, builds),
        What::Whole => {
            count(&mut seen.whole, builds && failing.is_empty());
            if means.tests && builds {
                seen.told += 1;
                for name in &failing {
                    count(seen.tests.entry(name.clone()).or_default(), false);
                }
                seen.failing.extend(failing);
            }
            return if builds { 1.0 } else { BUILD };
        }
        What::Some(tests) => {
            for name in tests {
                count(
                    seen.tests.entry(name.clone()).or_default(),
                    builds && !failing.contains(name),
                );
            }
            let some = f64::from(u32::try_from(tests.len()).unwrap());
            return BUILD + (1.0 - BUILD) * (some / 1000.0);
        }
    }
    BUILD
}

const INFORMED: Means = Means {
    build: true,
    tests: true,
    retries: 1,
    slots: 1,
};

const OPAQUE: Means = Means {
    build: false,
    tests: false,
    retries: 1,
    slots: 1,
};

#[test]
fn what_is_accepted_is_what_one_at_a_time_accepts() {
    for number in 0..600 {
        let seed = &Cell::new(number);
        let cars = 1 + draw(seed, 30) as usize;
        let bad = draw(seed, 40);
        let mut world = World::of(seed, cars, bad);
        for _ in 0..draw(seed, 3) {
            let (a, b) = (
                draw(seed, 30) as usize % cars,
                draw(seed, 30) as usize % cars,
            );
            if a < b {
                world.pairs.push((a, b));
            }
        }
        for means in [
            INFORMED,
            OPAQUE,
            Means {
                build: false,
                ..INFORMED
            },
        ] {
            let done = bring_in(&world, means, 0.1, seed);
            assert_eq!(
                done.accepted,
                world.one_at_a_time(),
                "seed {number}, {means:?}, {world:?}"
            );
        }
    }
}

#[test]
fn a_flake_puts_nobody_out() {
    for number in 0..300 {
        let seed = &Cell::new(number);
        let mut world = World::of(seed, 20, 10);
        let expected = world.one_at_a_time();
        // The flake may strike twice on the same tree: a bound for that follows from its rate.
        world.flaky = 40;
        for means in [INFORMED, OPAQUE] {
            let means = Means {
                retries: 4,
                ..means
            };
            let done = bring_in(&world, means, 0.1, seed);
            assert_eq!(done.accepted, expected, "seed {number}, {means:?}");
        }
    }
}

/// Mean runs and time of many trains of thirty.
fn mean(means: Means, bad_percent: u32) -> (f64, f64, f64) {
    let trials = 300_u32;
    let (mut runs, mut confirmations, mut time) = (0, 0, 0.0);
    for number in 0..trials {
        let seed = &Cell::new(u64::from(number) * 7919);
        let world = World::of(seed, 30, bad_percent);
        let done = bring_in(&world, means, f64::from(bad_percent) / 100.0, seed);
        runs += done.runs;
        confirmations += done.confirmations;
        time += done.time;
    }
    let of = |n: u32| f64::from(n) / f64::from(trials);
    (of(runs), of(confirmations), time / f64::from(trials))
}

#[test]
fn thirty_branches_of_which_a_tenth_is_bad_take_few_runs() {
    let (_, _, time) = mean(INFORMED, 10);
    assert!(time < 4.0, "{time} times a whole run");
    let entropy = 30.0 * -(0.1 * f64::log2(0.1) + 0.9 * f64::log2(0.9));
    let (runs, confirmations, _) = mean(OPAQUE, 10);
    let searching = runs - confirmations;
    assert!(
        searching / entropy < 1.1,
        "{searching} runs, {entropy} bits"
    );
    assert!(
        confirmations < 4.0,
        "{confirmations} confirmations of three culprits"
    );
}
