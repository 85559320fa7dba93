//! Which branches will conflict: what they touch, which pairs are worth a merge, the order that hurts least,
//! and who should hear of it.
//!
//! Merging is someone else's part; here are only its inputs and what follows from its results.

mod footprint;
mod order;

pub use footprint::{Footprint, pairs};
pub use order::{Graph, Order};

/// A branch as far as warning and ordering are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether its coder still works on it, and so can still do something about a conflict.
    pub working: bool,
    /// When it came to where it is, in seconds since 1970; 0 where nobody knows.
    pub since: i64,
}

/// Returns which of two conflicting branches should hear of it: the one that is still being worked on, else
/// the one that began later, else the one that stands later in the list.
pub fn later(standings: &[Standing], one: usize, other: usize) -> usize {
    let rank = |branch: usize| {
        let standing = standings.get(branch).copied().unwrap_or_default();
        (standing.working, standing.since, branch)
    };
    if rank(one) > rank(other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_can_still_act_is_warned_then_whoever_came_later() {
        let standing = |working, since| Standing { working, since };
        let all = [
            standing(true, 10),
            standing(false, 20),
            standing(true, 30),
            standing(true, 30),
        ];
        assert_eq!(later(&all, 0, 1), 0);
        assert_eq!(later(&all, 1, 0), 0);
        assert_eq!(later(&all, 0, 2), 2);
        assert_eq!(later(&all, 3, 2), 3);
    }
}
