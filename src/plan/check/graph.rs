//! Directed graphs over numbers: cycles, and what comes before what.

use std::collections::VecDeque;

/// For each node, the nodes that come before it.
pub(super) type Before = Vec<Vec<usize>>;

/// Returns one shortest cycle for each knot of nodes that wait for each other; each begins at the
/// lowest number of its knot and leads along `before`. A node that waits for itself alone is none.
pub(super) fn cycles(before: &Before) -> Vec<Vec<usize>> {
    let knots = knots(before);
    let mut found: Vec<Vec<usize>> = knots
        .iter()
        .filter(|knot| knot.len() > 1)
        .filter_map(|knot| shortest_cycle(before, knot))
        .collect();
    found.sort();
    found
}

/// Returns the strongly connected components (Tarjan's algorithm, without recursion).
fn knots(before: &Before) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let n = before.len();
    let (mut index, mut low) = (vec![UNSEEN; n], vec![0; n]);
    let (mut on_stack, mut stack, mut knots) = (vec![false; n], Vec::new(), Vec::new());
    let mut next = 0;
    for start in 0..n {
        if index[start] != UNSEEN {
            continue;
        }
        let mut work = vec![(start, 0)];
        while let Some((node, edge)) = work.pop() {
            if edge == 0 {
                (index[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&to) = before[node].get(edge) {
                work.push((node, edge + 1));
                if index[to] == UNSEEN {
                    work.push((to, 0));
                } else if on_stack[to] {
                    low[node] = low[node].min(index[to]);
                }
                continue;
            }
            if low[node] == index[node] {
                let at = stack
                    .iter()
                    .rposition(|other| *other == node)
                    .unwrap_or_default();
                let knot = stack.split_off(at);
                for member in &knot {
                    on_stack[*member] = false;
                }
                knots.push(knot);
            }
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
        }
    }
    knots
}

fn shortest_cycle(before: &Before, knot: &[usize]) -> Option<Vec<usize>> {
    let start = *knot.iter().min()?;
    let mut inside = std::collections::HashSet::new();
    inside.extend(knot.iter().copied());
    let mut came_from = std::collections::HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for to in before[node].iter().filter(|to| inside.contains(to)) {
            if *to == start && node != start {
                let (mut path, mut at) = (vec![node], node);
                while let Some(from) = came_from.get(&at) {
                    at = *from;
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            if *to != start && !came_from.contains_key(to) {
                came_from.insert(*to, node);
                queue.push_back(*to);
            }
        }
    }
    None
}

/// Which nodes come before which, by any number of steps.
#[derive(Debug)]
pub(super) struct Reach {
    words: usize,
    bits: Vec<u64>,
}

impl Reach {
    /// Works out the order of the first `columns` nodes. Nodes in cycles, and those behind them, come
    /// before themselves and each other, since nothing is known of their order.
    pub(super) fn new(before: &Before, columns: usize) -> Self {
        let words = columns.div_ceil(64);
        let mut reach = Self {
            words,
            bits: vec![0; words * before.len()],
        };
        let (sorted, tangled) = sort(before);
        for node in sorted {
            for from in &before[node] {
                let (from_at, at) = (from * words, node * words);
                for word in 0..words {
                    reach.bits[at + word] |= reach.bits[from_at + word];
                }
                if *from < columns {
                    reach.bits[at + from / 64] |= 1 << (from % 64);
                }
            }
        }
        for node in tangled {
            reach.bits[node * words..(node + 1) * words].fill(u64::MAX);
        }
        reach
    }

    /// Returns whether the first node comes before the second.
    pub(super) fn is_before(&self, first: usize, second: usize) -> bool {
        self.bits[second * self.words + first / 64] >> (first % 64) & 1 == 1
    }

    /// Returns the number of nodes that come before a node.
    pub(super) fn count_before(&self, node: usize) -> usize {
        let row = &self.bits[node * self.words..(node + 1) * self.words];
        row.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// Returns the nodes with those that come before first, and the nodes that cannot be sorted.
fn sort(before: &Before) -> (Vec<usize>, Vec<usize>) {
    let mut after = vec![Vec::new(); before.len()];
    let mut waits: Vec<usize> = before.iter().map(Vec::len).collect();
    for (node, from) in before.iter().enumerate() {
        for from in from {
            after[*from].push(node);
        }
    }
    let mut sorted: Vec<usize> = (0..before.len()).filter(|node| waits[*node] == 0).collect();
    let mut at = 0;
    while at < sorted.len() {
        for to in &after[sorted[at]] {
            waits[*to] -= 1;
            if waits[*to] == 0 {
                sorted.push(*to);
            }
        }
        at += 1;
    }
    let tangled = (0..before.len()).filter(|node| waits[*node] > 0).collect();
    (sorted, tangled)
}

/// Returns the graph with all its arrows turned round.
pub(super) fn turned(before: &Before) -> Before {
    let mut after = vec![Vec::new(); before.len()];
    for (node, from) in before.iter().enumerate() {
        for from in from {
            after[*from].push(node);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_once_and_shortest() {
        // 0 waits for 1, 1 for 2, 2 for 0 and 1; 3 waits for 0; 4 and 5 for each other; 6 for itself.
        let before = vec![
            vec![1],
            vec![2],
            vec![0, 1],
            vec![0],
            vec![5],
            vec![4],
            vec![6],
        ];
        assert_eq!(cycles(&before), vec![vec![0, 1, 2], vec![4, 5]]);
        assert!(cycles(&vec![vec![], vec![0], vec![0, 1]]).is_empty());
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let n = 50_000;
        let mut before: Before = (0..n)
            .map(|i| if i == 0 { vec![] } else { vec![i - 1] })
            .collect();
        assert!(cycles(&before).is_empty());
        before[0] = vec![n - 1];
        assert_eq!(cycles(&before)[0].len(), n);
    }

    #[test]
    fn reach_follows_every_path() {
        let before = vec![vec![], vec![0], vec![1], vec![], vec![2, 3]];
        let reach = Reach::new(&before, 5);
        assert!(reach.is_before(0, 4) && reach.is_before(3, 4) && reach.is_before(0, 2));
        assert!(!reach.is_before(3, 2) && !reach.is_before(4, 0) && !reach.is_before(1, 1));
        assert_eq!(reach.count_before(4), 4);
        assert_eq!(turned(&before)[0], vec![1]);
    }
}
