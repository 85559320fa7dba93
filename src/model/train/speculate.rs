//! What to test next where every branch is tested as it is merged: the steps that are most likely to be on the
//! way, best first.
//!
//! The way of one-at-a-time is a walk: a branch is merged onto what was accepted before it and tested; green
//! goes in, red stays out. With more than one slot the walk's later steps are tested before the earlier ones
//! are known, each on the tree that the likeliest outcomes before it lead to. Where branches seldom fail these
//! are the prefixes of the line; where they often fail, also lines without one of them.

use std::collections::BinaryHeap;

/// What is known of one step of the walk: a branch on what was accepted before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It goes in.
    In,
    /// It stays out.
    Out,
    /// It is to be tested.
    Open,
    /// It failed, and is to be tested again.
    Suspect,
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Positions accepted before, in order.
    pub accepted: Vec<usize>,
    /// The position to test on top of them.
    pub next: usize,
}

/// Chance that what failed once fails again.
const AGAIN: f64 = 0.9;

/// Steps looked at beyond the number asked for, at most: a bound for lines where everything is known.
const MOST_STEPS: usize = 10_000;

/// Returns the steps that are to be tested, likeliest first, at most as many as asked for.
///
/// `line` has the positions without a verdict in order, `risk` the chance of failing of each of them, and
/// `ask` tells what is known of a step.
///
/// # Errors
///
/// As `ask`.
pub fn steps<E>(
    line: &[usize],
    risk: impl Fn(usize) -> f64,
    most: usize,
    mut ask: impl FnMut(&Step) -> Result<Known, E>,
) -> Result<Vec<Step>, E> {
    let mut chosen = Vec::new();
    let mut ways = BinaryHeap::from([Way::default()]);
    let mut looked = 0;
    while let Some(mut way) = ways.pop() {
        looked += 1;
        if chosen.len() >= most || looked > MOST_STEPS {
            break;
        }
        let Some(next) = line.get(way.walked).copied() else {
            continue;
        };
        let step = Step {
            accepted: std::mem::take(&mut way.accepted),
            next,
        };
        let known = ask(&step)?;
        let fails = match known {
            Known::In => 0.0,
            Known::Out => 1.0,
            Known::Open => risk(next),
            Known::Suspect => AGAIN,
        };
        if fails > 0.0 {
            ways.push(Way {
                chance: way.chance * fails,
                walked: way.walked + 1,
                accepted: step.accepted.clone(),
            });
        }
        if fails < 1.0 {
            let mut accepted = step.accepted.clone();
            accepted.push(next);
            ways.push(Way {
                chance: way.chance * (1.0 - fails),
                walked: way.walked + 1,
                accepted,
            });
        }
        if matches!(known, Known::Open | Known::Suspect) {
            chosen.push(step);
        }
    }
    Ok(chosen)
}

/// A beginning of the walk, and the chance that it is taken.
#[derive(Debug, Clone, PartialEq)]
struct Way {
    chance: f64,
    walked: usize,
    accepted: Vec<usize>,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            chance: 1.0,
            walked: 0,
            accepted: Vec::new(),
        }
    }
}

impl Eq for Way {}

impl Ord for Way {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let shorter = other.walked.cmp(&self.walked);
        self.chance.total_cmp(&other.chance).then(shorter)
    }
}

impl PartialOrd for Way {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn told(risk: f64, most: usize, known: impl Fn(&Step) -> Known) -> Vec<(Vec<usize>, usize)> {
        let ask = |step: &Step| Ok::<_, Infallible>(known(step));
        let chosen = steps(&[0, 1, 2, 3], |_| risk, most, ask).unwrap();
        chosen.into_iter().map(|s| (s.accepted, s.next)).collect()
    }

    #[test]
    fn where_branches_seldom_fail_prefixes_are_tested() {
        let open = |_: &Step| Known::Open;
        let expected = vec![(vec![], 0), (vec![0], 1), (vec![0, 1], 2)];
        assert_eq!(told(0.1, 3, open), expected);
        assert_eq!(told(0.1, 1, open), [(vec![], 0)]);
    }

    #[test]
    fn where_they_often_fail_the_line_without_one_is_tested() {
        let open = |_: &Step| Known::Open;
        assert_eq!(told(0.7, 3, open), [(vec![], 0), (vec![], 1), (vec![], 2)]);
    }

    #[test]
    fn what_is_known_is_walked_over() {
        let known = |step: &Step| match step.next {
            0 => Known::In,
            1 => Known::Out,
            2 => Known::Suspect,
            _ => Known::Open,
        };
        let expected = vec![(vec![0], 2), (vec![0], 3)];
        assert_eq!(told(0.1, 2, known), expected);
        assert_eq!(told(0.1, 9, |_| Known::In), []);
        assert_eq!(told(0.1, 9, |_| Known::Out), []);
    }
}
