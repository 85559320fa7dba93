//! What to test next where a whole line of branches may land at once.
//!
//! The line is what merges, in order, onto the target's tip; its prefix of length 0 is the tip itself. Where
//! nothing tells which test failed, prefixes at the quantiles are tested ([`super::quantile`]) until a green
//! one lands or the first of the line is the culprit. Where failing tests are known, the whole line is tested
//! once, without stopping at the first failure, and then only what failed there, on prefixes, for all
//! culprits at once (docs/decisions/train.md); a run that does not even build is searched by building alone.
//!
//! Everything is decided anew from what is known of each prefix, so a process that was killed goes on where it
//! was as soon as its verdicts are read again.

use std::collections::BTreeSet;

use super::quantile;

/// How often something was seen green and red on one tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Times that it passed.
    pub green: u32,
    /// Times that it failed.
    pub red: u32,
}

impl Said {
    /// Returns whether it passed; once is enough, whatever it said at other times.
    pub fn is_green(self) -> bool {
        self.green > 0
    }

    /// Returns whether it failed and never passed.
    pub fn is_red(self) -> bool {
        self.red > 0 && self.green == 0
    }

    /// Returns whether it said both of one tree: a flake.
    pub fn is_flaky(self) -> bool {
        self.red > 0 && self.green > 0
    }
}

/// What is run on a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The test command.
    Whole,
    /// What only builds.
    Build,
    /// These tests only.
    Some(BTreeSet<String>),
}

/// A run on a prefix of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Length of the prefix.
    pub length: usize,
    /// What to run.
    pub what: What,
}

/// What is known of the prefixes of a line.
pub trait Facts {
    /// Returns what the test command said of a prefix.
    fn whole(&self, length: usize) -> Said;

    /// Returns the tests that failed in whole runs on a prefix; none where that is not known.
    fn failing(&self, length: usize) -> BTreeSet<String>;

    /// Returns what building a prefix came to.
    fn build(&self, length: usize) -> Said;

    /// Returns what one test said of a prefix.
    fn test(&self, length: usize, name: &str) -> Said;

    /// Returns what a search has found to fail with the last branch of a prefix.
    fn suspect(&self, length: usize) -> Option<What>;
}

/// What can be told of the test command, and how sure one must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Means {
    /// Whether there is a command that only builds.
    pub build: bool,
    /// Whether failing tests are told.
    pub tests: bool,
    /// Times that a failure must be seen again before it counts.
    pub retries: u32,
    /// Runs side by side.
    pub slots: usize,
}

/// What to do next with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Land a prefix.
    Land(usize),
    /// Take out the last branch of a prefix: this fails with it, and not without.
    Eject(usize, What),
    /// The target itself fails what fails with the last branch of this prefix.
    Blameless(usize, What),
    /// Suspect the last branches of some prefixes.
    Suspect(Vec<(usize, What)>),
    /// The last branch of a prefix is no longer suspected.
    Clear(usize),
    /// Run these, the most telling first.
    Test(Vec<Probe>),
}

/// Returns what to do next with a line that has at least one branch.
///
/// `risk` has the chance of failing of each of its branches.
pub fn next(risk: &[f64], facts: &impl Facts, means: Means) -> Next {
    let n = risk.len();
    if let Some(green) = (1..=n).rev().find(|k| facts.whole(*k).is_green()) {
        return Next::Land(green);
    }
    let suspected = (1..=n).find_map(|k| facts.suspect(k).map(|suspect| (k, suspect)));
    if let Some((k, suspect)) = suspected {
        return confirm(k, suspect, facts, means);
    }
    let Some(red) = (1..=n).find(|k| facts.whole(*k).is_red()) else {
        return first_run(risk, means);
    };
    if means.tests
        && let Some(next) = by_tests(risk, red, facts, means)
    {
        return next;
    }
    if means.tests && !facts.failing(red).is_empty() && facts.whole(red).red <= means.retries {
        // All that failed there were flakes: the run as a whole is to be confirmed like any other.
        return Next::Test(whole(vec![red]));
    }
    if means.build
        && facts.failing(red).is_empty()
        && let Some(next) = by_building(risk, red, facts, means)
    {
        return next;
    }
    opaque(risk, red, facts, means)
}

/// The first run on a line: all of it where failures explain themselves, else the prefix with even chances.
fn first_run(risk: &[f64], means: Means) -> Next {
    let mut lengths = Vec::new();
    if means.tests {
        lengths.push(risk.len());
    }
    let more = means.slots.saturating_sub(lengths.len());
    lengths.extend(quantile::prefixes(risk, None, &lengths, more));
    Next::Test(whole(lengths))
}

fn whole(lengths: Vec<usize>) -> Vec<Probe> {
    let probe = |length| Probe {
        length,
        what: What::Whole,
    };
    lengths.into_iter().map(probe).collect()
}

/// Searches by the exit status of the whole test alone.
fn opaque(risk: &[f64], red: usize, facts: &impl Facts, means: Means) -> Next {
    if red == 1 {
        return confirm(1, What::Whole, facts, means);
    }
    Next::Test(whole(quantile::prefixes(risk, Some(red), &[], means.slots)))
}

/// Makes sure of a suspect: what failed with it must fail again on the same tree, and not without it. That
/// it failed on other trees is no second time: what fails once on every tree is a flake.
fn confirm(k: usize, what: What, facts: &impl Facts, means: Means) -> Next {
    let here = on_prefix(k, &what, facts);
    if here.is_green() {
        return Next::Clear(k);
    }
    if here.red <= means.retries {
        return Next::Test(vec![Probe { length: k, what }]);
    }
    let before = on_prefix(k - 1, &what, facts);
    if before.is_green() || k > 1 {
        // Prefixes in between were searched: the last that passed is just before it.
        return Next::Eject(k, what);
    }
    if before.red > means.retries {
        return Next::Blameless(k, what);
    }
    Next::Test(vec![Probe { length: 0, what }])
}

/// Returns what some evidence said of a prefix: several tests are green when all are.
fn on_prefix(length: usize, what: &What, facts: &impl Facts) -> Said {
    match what {
        What::Whole => facts.whole(length),
        What::Build => facts.build(length),
        What::Some(_) if facts.whole(length).is_green() => facts.whole(length),
        What::Some(tests) => {
            let said = tests.iter().map(|name| facts.test(length, name));
            said.reduce(|a, b| Said {
                green: a.green.min(b.green),
                red: a.red.max(b.red),
            })
            .unwrap_or_default()
        }
    }
}

/// Searches for what breaks the build, by building prefixes; `None` where the build is not what fails.
fn by_building(risk: &[f64], red: usize, facts: &impl Facts, means: Means) -> Option<Next> {
    if facts.build(red).is_green() {
        return None;
    }
    // A run that tells of no failing test has mostly not built: the search begins without making sure of it, and
    // ends with the build of the prefix that it has come to.
    let broken = (1..=red).find(|k| facts.build(*k).is_red());
    let broken = broken.unwrap_or(red);
    let fine = (1..broken).rev().find(|k| facts.build(*k).is_green());
    let fine = fine.unwrap_or(0);
    if broken - fine == 1 && facts.build(broken) == Said::default() {
        let (length, what) = (broken, What::Build);
        return Some(Next::Test(vec![Probe { length, what }]));
    }
    if broken - fine == 1 {
        return Some(Next::Suspect(vec![(broken, What::Build)]));
    }
    let lengths = quantile::prefixes(&risk[fine..broken], Some(broken - fine), &[], means.slots);
    let probe = |k: usize| Probe {
        length: fine + k,
        what: What::Build,
    };
    Some(Next::Test(lengths.into_iter().map(probe).collect()))
}

/// Between which prefixes a test begins to fail: it passes on the first and fails on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    fine: usize,
    red: usize,
}

/// Searches for all culprits at once by what failed on a prefix; `None` where nothing is left to go by.
fn by_tests(risk: &[f64], red: usize, facts: &impl Facts, means: Means) -> Option<Next> {
    let interval = |name: &String| {
        if (0..=red).any(|k| facts.test(k, name).is_flaky()) {
            return None;
        }
        let red = (1..=red).find(|k| facts.test(*k, name).is_red())?;
        let fine = (1..red).rev().find(|k| facts.test(*k, name).is_green());
        Some(Interval {
            fine: fine.unwrap_or(0),
            red,
        })
    };
    let failing = facts.failing(red);
    let found: Vec<(Interval, &String)> = failing
        .iter()
        .filter_map(|name| Some((interval(name)?, name)))
        .collect();
    if found.is_empty() {
        return None;
    }
    let open: BTreeSet<Interval> = found
        .iter()
        .map(|(interval, _)| *interval)
        .filter(|interval| interval.red - interval.fine > 1)
        .collect();
    if open.is_empty() {
        return Some(Next::Suspect(suspects(&found)));
    }
    let probe = |length: usize| {
        let inside =
            |(interval, _): &&(Interval, &String)| interval.fine < length && length < interval.red;
        let tests = found.iter().filter(inside).map(|(_, name)| (*name).clone());
        Probe {
            length,
            what: What::Some(tests.collect()),
        }
    };
    let mut lengths: Vec<(f64, usize)> = open
        .iter()
        .map(|interval| middle(risk, *interval))
        .map(|k| (open.iter().map(|i| parted(risk, *i, k)).sum(), k))
        .collect();
    lengths.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    lengths.dedup_by_key(|(_, k)| *k);
    let lengths = lengths.into_iter().take(means.slots.max(1));
    Some(Next::Test(lengths.map(|(_, k)| probe(k)).collect()))
}

/// Returns the branches that tests point at, with the tests that do.
fn suspects(found: &[(Interval, &String)]) -> Vec<(usize, What)> {
    let ends: BTreeSet<usize> = found.iter().map(|(interval, _)| interval.red).collect();
    let tests = |end: usize| {
        let of = found
            .iter()
            .filter(move |(interval, _)| interval.red == end);
        What::Some(of.map(|(_, name)| (*name).clone()).collect())
    };
    ends.into_iter().map(|end| (end, tests(end))).collect()
}

/// Returns the prefix inside an interval that parts what may be to blame into halves of like weight.
fn middle(risk: &[f64], interval: Interval) -> usize {
    let inside = interval.fine + 1..interval.red;
    let unlike = |k: usize| {
        let before: f64 = risk[interval.fine..k].iter().sum();
        let after: f64 = risk[k..interval.red].iter().sum();
        (before - after).abs()
    };
    inside
        .min_by(|a, b| unlike(*a).total_cmp(&unlike(*b)))
        .unwrap_or(interval.red)
}

/// Returns how much a run on a prefix tells of an interval: the smaller part of what it parts.
fn parted(risk: &[f64], interval: Interval, k: usize) -> f64 {
    if k <= interval.fine || k >= interval.red {
        return 0.0;
    }
    let before: f64 = risk[interval.fine..k].iter().sum();
    let after: f64 = risk[k..interval.red].iter().sum();
    before.min(after) / (before + after).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
