use super::*;

fn graph(count: usize, conflicts: &[(usize, usize)], after: &[(usize, usize)]) -> Graph {
    let mut graph = Graph::new(count);
    for (one, other) in conflicts {
        graph.conflict(*one, *other);
    }
    for (branch, on) in after {
        graph.depend(*branch, *on);
    }
    graph
}

#[test]
fn without_conflicts_the_order_is_the_given_one() {
    let order = graph(3, &[], &[]).order();
    assert_eq!((order.order, order.clean), (vec![0, 1, 2], 3));
    assert_eq!(graph(0, &[], &[]).order().order, Vec::<usize>::new());
}

#[test]
fn whoever_conflicts_with_most_comes_last() {
    let order = graph(4, &[(0, 1), (0, 2), (0, 3)], &[]).order();
    assert_eq!((order.order, order.clean), (vec![1, 2, 3, 0], 3));
}

#[test]
fn of_two_the_first_given_comes_in() {
    let order = graph(2, &[(0, 1)], &[]).order();
    assert_eq!((order.order, order.clean), (vec![0, 1], 1));
}

#[test]
fn dependencies_come_first_and_count() {
    // 3 alone would be better without its two dependencies, which conflict with more.
    let order = graph(4, &[(0, 1)], &[(2, 1), (3, 2)]).order();
    assert_eq!((order.order, order.clean), (vec![1, 2, 3, 0], 3));
}

#[test]
fn who_must_wait_for_an_excluded_branch_waits() {
    let mut graph = graph(3, &[], &[(1, 0)]);
    graph.exclude(0);
    let order = graph.order();
    assert_eq!((order.order, order.clean), (vec![2, 0, 1], 1));
}

#[test]
fn a_circle_of_dependencies_ends() {
    let order = graph(2, &[], &[(0, 1), (1, 0)]).order();
    assert_eq!(order.order.len(), 2);
}

#[test]
fn everyone_against_everyone_lets_one_in() {
    let pairs: Vec<(usize, usize)> = (0..60)
        .flat_map(|one| (0..one).map(move |two| (one, two)))
        .collect();
    let order = graph(60, &pairs, &[]).order();
    assert_eq!((order.clean, order.order[0]), (1, 0));
    assert!(order.exact);
}

#[test]
fn a_large_group_is_ordered_as_well() {
    let pairs: Vec<(usize, usize)> = (1..100).map(|one| (0, one)).collect();
    let order = graph(100, &pairs, &[]).order();
    assert_eq!((order.clean, order.exact), (99, false));
    assert_eq!(order.order[99], 0);
}

/// All graphs of four branches against plain counting.
#[test]
fn no_order_of_a_small_graph_lets_more_in() {
    let lands = |graph: &Graph, order: &[usize]| {
        let mut landed: BTreeSet<usize> = BTreeSet::new();
        for branch in order {
            let waits = graph.after[*branch].iter().any(|one| !landed.contains(one));
            if !waits && !graph.out[*branch] && graph.against[*branch].is_disjoint(&landed) {
                landed.insert(*branch);
            }
        }
        landed.len()
    };
    let orders = permutations(4);
    let pairs: Vec<(usize, usize)> = (0..4)
        .flat_map(|one| (0..one).map(move |two| (one, two)))
        .collect();
    for conflicts in 0..1 << pairs.len() {
        for dependencies in 0..1 << pairs.len() {
            let chosen = |mask: u32| {
                let numbered = pairs.iter().enumerate();
                numbered
                    .filter(|(bit, _)| mask & 1 << bit != 0)
                    .map(|(_, pair)| *pair)
                    .collect::<Vec<_>>()
            };
            let graph = graph(4, &chosen(conflicts), &chosen(dependencies));
            let advised = graph.order();
            let best = orders.iter().map(|order| lands(&graph, order)).max();
            let what = format!("{conflicts:b} {dependencies:b}");
            assert_eq!(Some(advised.clean), best, "{what}");
            assert_eq!(lands(&graph, &advised.order), advised.clean, "{what}");
        }
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    let longer = shorter.iter().flat_map(|order| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, count - 1);
            order
        })
    });
    longer.collect()
}
