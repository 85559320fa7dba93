//! The order in which most branches come in.
//!
//! Of two branches that conflict, the one that comes second is sent back. So the most that can come in is a
//! largest set without a conflict in it, which with every branch has those that must come before. Exact
//! where branches hang together in groups of up to 64, within a bound of steps; greedy beyond.

use std::collections::BTreeSet;

/// Steps after which the search is content with the best that it has.
const MOST_STEPS: u32 = 200_000;

/// Branches by position in the order that they were given, what they wait for, and what conflicts.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    after: Vec<Vec<usize>>,
    against: Vec<BTreeSet<usize>>,
    out: Vec<bool>,
}

/// An advised order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// All branches: first those that come in, then those that conflict with one of them.
    pub order: Vec<usize>,
    /// How many of them come in, which is the beginning of the order.
    pub clean: usize,
    /// Whether no order lets more come in; otherwise it is only a good one.
    pub exact: bool,
}

impl Graph {
    /// Returns a graph of branches that neither wait nor conflict.
    pub fn new(branches: usize) -> Self {
        Self {
            after: vec![Vec::new(); branches],
            against: vec![BTreeSet::new(); branches],
            out: vec![false; branches],
        }
    }

    /// Notes that a branch must come after another. Positions beyond the last branch are nobody's.
    pub fn depend(&mut self, branch: usize, on: usize) {
        if branch != on && branch < self.after.len() && on < self.after.len() {
            self.after[branch].push(on);
        }
    }

    /// Notes that two branches conflict.
    pub fn conflict(&mut self, one: usize, other: usize) {
        if one != other && one < self.against.len() && other < self.against.len() {
            self.against[one].insert(other);
            self.against[other].insert(one);
        }
    }

    /// Notes that a branch cannot come in as it is, in any order.
    pub fn exclude(&mut self, branch: usize) {
        if let Some(out) = self.out.get_mut(branch) {
            *out = true;
        }
    }

    /// Returns the order in which most branches come in; among equally good ones the one nearest to that in
    /// which they were given.
    pub fn order(&self) -> Order {
        let mut chosen = vec![false; self.after.len()];
        let mut exact = true;
        for group in self.groups() {
            let found = if group.len() <= 64 {
                let mut search = Search::new(self, &group);
                search.run();
                exact &= search.steps < MOST_STEPS;
                search.best_positions()
            } else {
                exact = false;
                self.greedy(&group)
            };
            for branch in found {
                chosen[branch] = true;
            }
        }
        let clean = chosen.iter().filter(|chosen| **chosen).count();
        Order {
            order: self.sorted(&chosen),
            clean,
            exact,
        }
    }

    /// Returns the branches in groups that have nothing to do with each other.
    fn groups(&self) -> Vec<Vec<usize>> {
        let count = self.after.len();
        let mut near = self.against.clone();
        for (branch, befores) in self.after.iter().enumerate() {
            for before in befores {
                near[branch].insert(*before);
                near[*before].insert(branch);
            }
        }
        let (mut seen, mut groups) = (vec![false; count], Vec::new());
        for first in 0..count {
            if seen[first] {
                continue;
            }
            seen[first] = true;
            let (mut group, mut next) = (vec![first], vec![first]);
            while let Some(branch) = next.pop() {
                for other in &near[branch] {
                    if !std::mem::replace(&mut seen[*other], true) {
                        group.push(*other);
                        next.push(*other);
                    }
                }
            }
            group.sort_unstable();
            groups.push(group);
        }
        groups
    }

    /// Takes the branch with the fewest conflicts again and again, with those that it waits for.
    fn greedy(&self, group: &[usize]) -> Vec<usize> {
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        let mut by_conflicts = group.to_vec();
        by_conflicts.sort_by_key(|branch| (self.against[*branch].len(), *branch));
        for branch in by_conflicts {
            let with = self.closure(branch);
            let all: BTreeSet<usize> = chosen.union(&with).copied().collect();
            let fits = all
                .iter()
                .all(|one| !self.out[*one] && self.against[*one].is_disjoint(&all));
            if fits {
                chosen = all;
            }
        }
        chosen.into_iter().collect()
    }

    /// Returns a branch with all that must come before it.
    fn closure(&self, branch: usize) -> BTreeSet<usize> {
        let (mut all, mut next) = (BTreeSet::from([branch]), vec![branch]);
        while let Some(branch) = next.pop() {
            let new = self.after[branch]
                .iter()
                .filter(|before| all.insert(**before));
            next.extend(new);
        }
        all
    }

    /// Returns all branches: chosen ones first, dependencies before dependents, otherwise as given.
    fn sorted(&self, chosen: &[bool]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.after.len()).collect();
        left.sort_by_key(|branch| (!chosen[*branch], *branch));
        let mut placed = vec![false; left.len()];
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let ready = |branch: &usize| self.after[*branch].iter().all(|before| placed[*before]);
            // Where branches wait for each other in a circle, the first is as good as any.
            let next = left.iter().position(ready).unwrap_or(0);
            let branch = left.remove(next);
            placed[branch] = true;
            order.push(branch);
        }
        order
    }
}

/// Branch and bound over one group; sets are bit masks of positions in it.
struct Search {
    group: Vec<usize>,
    /// By branch: itself and all that must come before it.
    with: Vec<u64>,
    /// By branch: itself and all that must come after it.
    without: Vec<u64>,
    against: Vec<u64>,
    out: u64,
    best: u64,
    steps: u32,
}

impl Search {
    fn new(graph: &Graph, group: &[usize]) -> Self {
        let mask = |branches: &BTreeSet<usize>| {
            let bits = group.iter().enumerate();
            bits.filter(|(_, branch)| branches.contains(branch))
                .fold(0, |mask, (bit, _)| mask | 1 << bit)
        };
        let with: Vec<u64> = group.iter().map(|one| mask(&graph.closure(*one))).collect();
        let needs = |bit: usize| {
            let others = with.iter().enumerate();
            others
                .filter(|(_, with)| **with & 1 << bit != 0)
                .fold(0, |mask: u64, (other, _)| mask | 1 << other)
        };
        Self {
            without: (0..group.len()).map(needs).collect(),
            against: group.iter().map(|one| mask(&graph.against[*one])).collect(),
            out: mask(
                &group
                    .iter()
                    .copied()
                    .filter(|one| graph.out[*one])
                    .collect(),
            ),
            group: group.to_vec(),
            with,
            best: 0,
            steps: 0,
        }
    }

    fn run(&mut self) {
        let all = (0..self.group.len()).fold(0, |mask: u64, bit| mask | 1 << bit);
        let open = all & !self.falling_with(self.out);
        self.visit(0, open);
    }

    fn best_positions(&self) -> Vec<usize> {
        let bits = self.group.iter().enumerate();
        bits.filter(|(bit, _)| self.best & 1 << bit != 0)
            .map(|(_, branch)| *branch)
            .collect()
    }

    /// Returns some branches and all that cannot come in without them.
    fn falling_with(&self, branches: u64) -> u64 {
        bits(branches).fold(branches, |mask, bit| mask | self.without[bit])
    }

    fn visit(&mut self, taken: u64, open: u64) {
        self.steps += 1;
        if taken.count_ones() + open.count_ones() <= self.best.count_ones() && self.best != 0
            || self.steps > MOST_STEPS
        {
            return;
        }
        let degree = |bit: usize| (self.against[bit] & open).count_ones();
        // Whatever conflicts with nothing that is left comes in for free.
        let Some(bit) = bits(open).max_by_key(|bit| (degree(*bit), std::cmp::Reverse(*bit))) else {
            if taken.count_ones() > self.best.count_ones() {
                self.best = taken;
            }
            return;
        };
        if degree(bit) == 0 {
            self.visit(taken | open, 0);
            return;
        }
        let with = self.with[bit];
        let against = bits(with).fold(0, |mask, one| mask | self.against[one]);
        if against & (with | taken) == 0 {
            let fallen = self.falling_with(against & open);
            self.visit(taken | with, open & !with & !fallen);
        }
        self.visit(taken, open & !self.falling_with(1 << bit));
    }
}

/// Returns the positions of the set bits.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

#[cfg(test)]
mod tests;
